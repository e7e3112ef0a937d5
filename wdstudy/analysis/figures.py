"""Pictures of a study. Each takes tidy frames and an optional Axes; none shows or saves.

Colours are viridis, which keeps its order for colour-blind readers and in grey print.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from wdstudy.analysis.grid import CellGrid, cell_grid
from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS
from wdstudy.errors import StudyError

LOG_SPAN = 8.0
"""A positive quantity whose largest value is this many times its smallest is shown by its log."""

MAX_GRID = 12
"""Curves of more rows or columns than this are too small to read: a sub-grid is drawn."""

_LABELS = {
    "final_val_loss": "validation loss at the end",
    "final_primary_loss": "primary loss at the end (training)",
    "final_decay_loss": "decay loss at the end",
    "decay_share": "decay loss / total loss",
}
_STYLES = {PRIMARY_LOSS: ("C0", "-"), DECAY_LOSS: ("C1", "--"), "val_loss": ("C2", ":")}


def plot_heatmap(
    trials: pd.DataFrame,
    value: str = "value",
    *,
    minimize: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A value over the lr × weight_decay plane: best cell framed, diverged cells hatched.

    Args:
        trials: As from `trials_frame`.
        value: A numeric column; means over the seeds are shown. Cells without a trial are blank.
        minimize: Whether the best cell is the lowest.
        ax: Where to draw; a new figure if None.

    Returns:
        The Axes.

    Raises:
        StudyError: no such column, or no finished trial.
    """
    grid = cell_grid(trials, value, minimize=minimize)
    if ax is None:
        rows, columns = grid.values.shape
        size = (max(5.0, 2.2 + 0.72 * columns), max(3.6, 1.9 + 0.5 * rows))
        _, ax = plt.subplots(figsize=size, layout="constrained")
    label = _label(trials, value)
    _draw_heatmap(grid, label, minimize, ax)
    name = trials.attrs.get("study", "")
    ax.set_title(f"{name}: {label}" if name else label)
    _caption(ax, _describe(trials.attrs, grid.trials, grid.seeds))
    return ax


def plot_curve_grid(
    curves: pd.DataFrame,
    trials: pd.DataFrame | None = None,
    series: Sequence[str] = (PRIMARY_LOSS, DECAY_LOSS),
) -> Figure:
    """Every cell's curves as small multiples: lr to the right, weight_decay upwards.

    Args:
        curves: As from `curves_frame`; the mean over seeds is drawn.
        trials: As from `trials_frame`, to mark the cells that diverged.
        series: Which series to draw into every cell.

    Returns:
        A new figure.

    Raises:
        StudyError: the frame holds none of these series.
    """
    shown = curves[curves["series"].isin(series)].dropna(subset=["value"])
    if shown.empty:
        raise StudyError(f"no trial has recorded {' or '.join(series)} yet")
    all_lrs, all_decays = _axis_values(curves, trials)
    lrs, decays = _thin(all_lrs), _thin(all_decays)[::-1]
    horizontal = "epoch" if shown["epoch"].notna().all() else "step"
    figure, axes = plt.subplots(
        len(decays),
        len(lrs),
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(1.6 + 1.25 * len(lrs), 1.7 + 0.95 * len(decays)),
        layout="constrained",
    )
    means = shown.groupby(["weight_decay", "lr", "series", horizontal])["value"].mean()
    lines = {key: part.droplevel([0, 1, 2]) for key, part in means.groupby(level=[0, 1, 2])}
    diverged = _diverged_cells(trials)
    logarithmic = _is_log(shown["value"])
    for row, weight_decay in enumerate(decays):
        for column, lr in enumerate(lrs):
            cell = axes[row, column]
            for name in series:
                colour, dashes = _STYLES.get(name, ("C3", "-."))
                line = lines.get((weight_decay, lr, name))
                if line is not None:
                    cell.plot(line.index, line.to_numpy(), color=colour, ls=dashes, lw=1.4)
            _dress_cell(cell, (weight_decay, lr) in diverged, logarithmic)
            if row == 0:
                cell.set_title(f"{lr:.3g}", fontsize=9)
            if column == len(lrs) - 1:
                cell.annotate(
                    f"{weight_decay:.3g}",
                    (1.06, 0.5),
                    xycoords="axes fraction",
                    va="center",
                    fontsize=9,
                )
    _set_limits(axes[0, 0], shown["value"], logarithmic)
    _frame_curve_grid(figure, series, horizontal, len(lrs))
    left_out = (len(all_lrs) > len(lrs)) or (len(all_decays) > len(decays))
    note = _describe(curves.attrs, curves["trial"].nunique(), curves["seed"].nunique())
    if left_out:
        note += f" · {len(lrs)} × {len(decays)} of {len(all_lrs)} × {len(all_decays)} cells drawn"
    name = curves.attrs.get("study", "")
    title = " and ".join(s.replace("_", " ") for s in series) + " by cell"
    figure.suptitle((f"{name}: {title}" if name else title) + f"\n{note}", fontsize=10)
    return figure


def _draw_heatmap(grid: CellGrid, label: str, minimize: bool, ax: Axes) -> None:
    values = grid.values
    norm = _norm(values.to_numpy())
    cells = values.size
    sns.heatmap(
        values,
        ax=ax,
        norm=norm,
        cmap="viridis_r" if minimize else "viridis",
        annot=values.map(_short).to_numpy() if cells <= 150 else False,
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=0.5,
        cbar_kws={"label": label + (", log scale" if isinstance(norm, LogNorm) else "")},
        xticklabels=[f"{v:.3g}" for v in values.columns],
        yticklabels=[f"{v:.3g}" for v in values.index],
    )
    ax.set_facecolor("white")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="x", rotation=45 if len(values.columns) > 8 else 0)
    ax.tick_params(axis="y", rotation=0)
    for row, column in np.argwhere(grid.diverged.to_numpy() & values.isna().to_numpy()):
        ax.add_patch(
            Rectangle((column, row), 1, 1, facecolor="0.93", edgecolor="0.55", hatch="////", lw=0)
        )
    if values.index[-1] == 0 and len(values.index) > 1:
        ax.axhline(len(values.index) - 1, color="white", lw=5)  # 0 is not on the log axis
    if grid.best is not None:
        row = values.index.get_loc(grid.best[0])
        column = values.columns.get_loc(grid.best[1])
        ax.add_patch(
            Rectangle((column, row), 1, 1, fill=False, edgecolor="#d7263d", lw=2.5, clip_on=False)
        )


def _label(trials: pd.DataFrame, value: str) -> str:
    column = "final_" + trials.attrs.get("objective", "") if value == "value" else value
    return _LABELS.get(column, column.removeprefix("final_").replace("_", " "))


def _norm(values: np.ndarray[Any, Any]) -> Normalize:
    known = values[np.isfinite(values)]
    if not known.size:
        return Normalize(0, 1)
    low, high = float(known.min()), float(known.max())
    if low > 0 and high / low >= LOG_SPAN:
        return LogNorm(low, high)
    return Normalize(low, high)


def _is_log(values: pd.Series) -> bool:
    positive = values[values > 0]
    return not positive.empty and positive.max() / positive.min() >= LOG_SPAN


def _set_limits(ax: Axes, values: pd.Series, logarithmic: bool) -> None:
    """Limits that a few exploding or vanishing values don't set."""
    if not logarithmic:
        return
    positive = values[values > 0]
    low, high = positive.quantile(0.01), positive.quantile(0.995)
    ax.set_ylim(max(low, high / 1e7) / 1.5, high * 1.5)


def _dress_cell(ax: Axes, diverged: bool, logarithmic: bool) -> None:
    if logarithmic:
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.tick_params(labelsize=7)
    ax.grid(visible=True, color="0.9", lw=0.5)
    sns.despine(ax=ax)
    if diverged:
        ax.add_patch(
            Rectangle(
                (0, 0), 1, 1, transform=ax.transAxes, facecolor="none", edgecolor="0.75",
                hatch="////", lw=0, zorder=0,
            )
        )  # fmt: skip


def _frame_curve_grid(figure: Figure, series: Sequence[str], horizontal: str, columns: int) -> None:
    bottom = figure.axes[-1 - (columns // 2)]
    bottom.set_xlabel(horizontal, fontsize=9)
    figure.supylabel("loss", fontsize=9)
    figure.axes[columns // 2].annotate(
        "lr", (0.5, 1.28), xycoords="axes fraction", ha="center", fontsize=10
    )
    figure.axes[-1].annotate(
        "weight_decay", (1.0, 0.0), xytext=(1.06, -0.25), xycoords="axes fraction",
        textcoords="axes fraction", va="top", ha="left", fontsize=10,
    )  # fmt: skip
    handles: list[Any] = [
        Line2D([], [], color=_STYLES.get(s, ("C3", "-."))[0], ls=_STYLES.get(s, ("C3", "-."))[1])
        for s in series
    ]
    labels = [s.replace("_", " ") for s in series]
    handles.append(Rectangle((0, 0), 1, 1, facecolor="none", edgecolor="0.6", hatch="////", lw=0))
    figure.legend(
        handles,
        [*labels, "diverged"],
        loc="outside lower center",
        ncols=4,
        fontsize=9,
        frameon=False,
    )


def _axis_values(
    curves: pd.DataFrame, trials: pd.DataFrame | None
) -> tuple[list[float], list[float]]:
    frames = [curves] if trials is None else [curves, trials]
    lrs = sorted({float(v) for frame in frames for v in frame["lr"].unique()})
    decays = sorted({float(v) for frame in frames for v in frame["weight_decay"].unique()})
    return lrs, decays


def _thin(values: list[float]) -> list[float]:
    if len(values) <= MAX_GRID:
        return values
    positions = np.linspace(0, len(values) - 1, MAX_GRID).round().astype(int)
    return [values[i] for i in positions]


def _diverged_cells(trials: pd.DataFrame | None) -> set[tuple[float, float]]:
    if trials is None:
        return set()
    gone = trials[trials["diverged"]]
    return set(zip(gone["weight_decay"], gone["lr"], strict=True))


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2g}"


def _describe(attrs: Mapping[str, Any], trials: int, seeds: int) -> str:
    """What a figure rests on: trials, seeds, optimizer, and what its weight decay is."""
    parts = [
        f"{trials} trials",
        f"{seeds} seed{'s' if seeds != 1 else ''}",
        *(str(attrs[key]) for key in ("optimizer", "decay") if attrs.get(key)),
    ]
    return " · ".join(parts)


def _caption(ax: Axes, text: str) -> None:
    ax.set_xlabel(f"lr\n{text}")
