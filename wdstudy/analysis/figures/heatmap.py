"""Heatmaps of the lr × weight_decay plane, of grids and of scattered samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import patheffects as effects
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch, Rectangle
from matplotlib.ticker import FuncFormatter

from wdstudy.analysis.figures.theme import (
    captioned,
    dress_log,
    dress_place,
    new_axes,
    styled,
    titled,
    width_of,
)
from wdstudy.analysis.frames.cells import DIVERGED_SHARE, CellGrid
from wdstudy.analysis.frames.curves import series_at
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.views.heatmap import HeatmapInfo, digits_for, heatmap_info, short
from wdstudy.analysis.views.looks import INK, described
from wdstudy.analysis.views.products import product_lines
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.space import LR, WEIGHT_DECAY, Cell
from wdstudy.words import number

ANNOTATED = 150
"""A grid of more cells shows colours only: numbers would not be readable."""

MAX_TICKS = 14
DOTS = (0, (1, 2))
HATCH: dict[str, Any] = {"facecolor": "#f0f0f0", "edgecolor": "#8c8c8c", "hatch": "////", "lw": 0}


@styled
def plot_heatmap(
    trials: pd.DataFrame,
    value: str = "value",
    *,
    curves: pd.DataFrame | None = None,
    step: float | None = None,
    spread: bool = False,
    minimize: bool | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    norm: Normalize | None = None,
    tied: Sequence[Cell] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A value over the lr × weight_decay plane.

    The best cell by the study's objective is framed, the best ten are circled or those that tie
    with the best, diverged cells are hatched, and dotted lines join cells of equal
    lr · weight_decay. Scattered samples are drawn as points on logarithmic axes.

    Args:
        trials: As from `trials_frame`, or any frame; means over the seeds are shown.
        value: A numeric column, or with `curves` a series such as `val_loss`.
        curves: As from `curves_frame`, to show a series.
        step: The record point of the series; the last one where it is None.
        spread: Write the standard deviation over seeds beside each mean.
        minimize: Whether low is good; as the study says where it is None.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        norm: A colour scale to share between several heatmaps.
        tied: Cells to circle, the best first, because the noise does not tell them from the best:
            `landscape(trials).best.tied`; at most twenty are. The best ten where it is None.
        ax: Where to draw; a new figure if None.

    Returns:
        The Axes.

    Raises:
        StudyError: no such column or series, or no finished trial.
    """
    if curves is not None and value not in trials.columns:
        trials = series_at(trials, curves, value, step)
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = heatmap_info(trials, value, minimize, norm, tied)
    if ax is None:
        ax = new_axes(None, *_size(info.grid, spread))
    if info.grid.scattered:
        _draw_scatter(info, ax)
    else:
        _draw_grid(info, spread, ax)
    title = info.label if info.step is None else f"{info.label}, step {info.step:g}"
    titled(ax, trials, title, lines=_add_legend(info, ax))
    text = described(trials.attrs, info.grid.trials, info.grid.seeds)
    captioned(ax, "lr", text + (" · mean ± standard deviation over seeds" if spread else ""))
    return ax


def _size(grid: CellGrid, spread: bool) -> tuple[float, float]:
    """Inches of a new figure."""
    if grid.scattered:
        return 7.0, 5.2
    columns, rows = grid.cells["lr"].nunique(), grid.cells["weight_decay"].nunique()
    small = columns * rows > ANNOTATED
    width, height = (0.36, 0.28) if small else (0.95 if spread else 0.72, 0.46)
    return max(6.2, 2.3 + width * columns), max(3.4, 2.2 + height * rows)


def _draw_grid(info: HeatmapInfo, spread: bool, ax: Axes) -> None:
    values = info.grid.table()
    _paint(info, values, _texts(info, spread), ax)
    divergence = info.grid.table("diverged").to_numpy()
    for row, column in np.argwhere(divergence > 0):
        whole = bool(divergence[row, column] >= DIVERGED_SHARE)
        look = HATCH if whole else {"fill": False, "edgecolor": "#8c8c8c", "hatch": "//", "lw": 0}
        ax.add_patch(Rectangle((column, row), 1, 1, **look))
    if values.index[-1] == 0 and len(values.index) > 1:
        ax.axhline(len(values.index) - 1, color="white", lw=5)  # 0 is not on the log axis
    _draw_products(info.products, values, ax)
    wide = min(0.86, 1.1 * len(values.columns) / width_of(ax))
    for lr, weight_decay in info.rings:
        row, column = values.index.get_loc(weight_decay), values.columns.get_loc(lr)
        colour = _contrast(info, float(values.iloc[row, column]))
        ax.add_patch(
            Ellipse((column + 0.5, row + 0.5), wide, 0.8, fill=False, ec=colour, lw=1.1, alpha=0.9)
        )
    if info.best is not None:
        row, column = values.index.get_loc(info.best[1]), values.columns.get_loc(info.best[0])
        for colour, width in (("white", 5.0), (INK, 2.6)):
            ax.add_patch(
                Rectangle((column, row), 1, 1, fill=False, ec=colour, lw=width, clip_on=False,
                          zorder=3)
            )  # fmt: skip


def _draw_products(products: tuple[float, ...], values: pd.DataFrame, ax: Axes) -> None:
    """Draw these lines over a heatmap of the table, each with its value."""
    for product, across, down in product_lines(products, values):
        _draw_product(across, down, product, ax)


def _label_product(x: float, y: float, product: float, ax: Axes) -> None:
    """The value of a line, on a light ground."""
    ax.text(
        x, y, number(product), fontsize=6.5, ha="center", va="center", color=INK, zorder=4,
        bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
    )  # fmt: skip


def _draw_product(x: Any, y: Any, product: float, ax: Axes) -> None:
    outline = [effects.withStroke(linewidth=2.2, foreground=(1, 1, 1, 0.55))]
    ax.plot(x, y, color=INK, lw=0.9, ls=DOTS, path_effects=outline, zorder=2.4)
    # A boundary between columns is where no number stands.
    middle = int(np.argmin(np.abs(x - round(float(np.median(x))))))
    _label_product(x[middle], y[middle], product, ax)


def _paint(info: HeatmapInfo, values: pd.DataFrame, texts: Any, ax: Axes) -> None:
    small = values.size > ANNOTATED
    narrow = width_of(ax) < 0.6 * len(values.columns)  # names of values would touch each other
    nothing = bool(values.isna().to_numpy().all())  # every cell diverged: there are no colours
    sns.heatmap(
        values,
        ax=ax,
        cbar=not nothing,
        **({"vmin": 0, "vmax": 1} if nothing else {"norm": info.norm}),
        cmap="viridis_r" if info.reverse else "viridis",
        annot=False if small else texts,
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=0.3 if small else 0.6,
        cbar_kws={"pad": 0.02, "aspect": 28, "extend": "max" if info.capped else "neither"},
        xticklabels=_tick_labels(values.columns),
        yticklabels=_tick_labels(values.index),
    )
    if not nothing:
        _dress_colours(info, ax.collections[0].colorbar)
        _part_from_lines(ax, info, values)
    ax.set_facecolor("white")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="x", rotation=45 if narrow or len(values.columns) > 9 else 0)
    ax.tick_params(axis="y", rotation=0)
    ax.set_ylabel("weight_decay")


def _part_from_lines(ax: Axes, info: HeatmapInfo, values: pd.DataFrame) -> None:
    """A rim of the cell's colour around each number, where a line would strike it through."""
    colours = ax.collections[0].get_cmap()(info.norm(values.to_numpy()[values.notna().to_numpy()]))
    for text, colour in zip(ax.texts, colours, strict=False):
        text.set_path_effects([effects.withStroke(linewidth=2.5, foreground=colour)])


def _tick_labels(values: pd.Index) -> list[str]:
    """Every value, or every second or third with the rest left blank."""
    stride = math.ceil(len(values) / MAX_TICKS)
    return [number(v) if i % stride == 0 or v == 0 else "" for i, v in enumerate(values)]


def _texts(info: HeatmapInfo, spread: bool) -> Any:
    values = info.grid.table().to_numpy()
    deviations = info.grid.table("spread").to_numpy()
    texts = np.full(values.shape, "", dtype=object)
    digits = digits_for(values, info.reverse)
    for place in np.ndindex(*values.shape):
        if math.isfinite(values[place]):
            texts[place] = short(values[place], digits)
            if spread and math.isfinite(deviations[place]):
                texts[place] += f"\n± {deviations[place]:.1g}"
    return texts


def _contrast(info: HeatmapInfo, value: float) -> str:
    """White or ink, whichever shows on the cell's colour."""
    if not math.isfinite(value):
        return INK
    share = float(info.norm(value))
    return INK if (1 - share if info.reverse else share) > 0.6 else "white"


def _draw_scatter(info: HeatmapInfo, ax: Axes) -> None:
    """Samples as points; those at weight_decay 0 below a dashed line."""
    cells = info.grid.cells
    x, y = LogPlace(cells["lr"]), LogPlace(cells["weight_decay"])
    known, lost = cells[cells["value"].notna()], info.grid.lost
    size = float(np.clip(12000 / max(len(cells), 1), 9, 75))
    points = ax.scatter(
        x(known["lr"]), y(known["weight_decay"]), c=known["value"], s=size, norm=info.norm,
        cmap="viridis_r" if info.reverse else "viridis", edgecolors="white",
        linewidths=0.4 if len(cells) <= 1000 else 0, rasterized=len(cells) > 1000,
    )  # fmt: skip
    ax.scatter(x(lost["lr"]), y(lost["weight_decay"]), marker="x", c="#8c8c8c", s=size * 0.6,
               lw=1, zorder=1)  # fmt: skip
    dress_place(ax, "x", x)
    dress_place(ax, "y", y)
    rings = pd.DataFrame(info.rings, columns=["lr", "weight_decay"], dtype=float)
    ax.scatter(x(rings["lr"]), y(rings["weight_decay"]), s=size * 2.2 + 30, fc="none", ec=INK, lw=1)
    if info.best is not None:
        place = x(pd.Series(info.best[:1])), y(pd.Series(info.best[1:]))
        ax.scatter(*place, s=size * 3 + 90, marker="s", fc="none", ec=INK, lw=2.2)
    for product in info.products:
        ends = np.array([x.low, x.high])
        ax.plot(ends, product / ends, color=INK, lw=0.9, ls=DOTS, zorder=0.5)
        edge = min(x.high, product / y.low)
        _label_product(edge, product / edge, product, ax)
    ax.set_ylabel("weight_decay")
    figure = ax.get_figure(root=True)
    assert figure is not None
    extend = "max" if info.capped else "neither"
    _dress_colours(info, figure.colorbar(points, ax=ax, pad=0.02, aspect=28, extend=extend))


def _dress_colours(info: HeatmapInfo, bar: Colorbar | None) -> None:
    assert bar is not None
    bar.outline.set_visible(False)
    low, high = float(info.norm.vmin or 0), float(info.norm.vmax or 1)
    if isinstance(info.norm, LogNorm):
        dress_log(bar.ax.yaxis, low, high)
    else:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
    scale = ", log scale" if isinstance(info.norm, LogNorm) else ""
    bar.set_label(info.label + scale, parse_math=False)


def _add_legend(info: HeatmapInfo, ax: Axes) -> int:
    """What the marks mean, between title and picture; returns the lines it takes."""
    handles: list[Any] = []
    if info.best is not None:
        handles.append(
            Line2D([], [], marker="s", ls="", mfc="none", mec=INK, mew=2, ms=8, label="best cell")
        )
    if info.rings:
        ring = Line2D([], [], marker="o", ls="", mfc="none", mec=INK, ms=8, label=info.ringed)
        handles.append(ring)
    if bool((info.grid.cells["diverged"] > 0).any()):
        label = "diverged" if info.grid.seeds == 1 else "half the seeds or more diverged"
        mark = Line2D([], [], marker="x", ls="", c="#8c8c8c", label=label)
        handles.append(mark if info.grid.scattered else Patch(**HATCH, label=label))
    if info.products:
        dots = Line2D([], [], color=INK, lw=0.9, ls=DOTS, label="equal lr · weight_decay")
        handles.append(dots)
    if handles:
        inches = sum(0.5 + 0.065 * len(str(handle.get_label())) for handle in handles)
        lines = math.ceil(inches / max(width_of(ax), 1.0))
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0),
            ncols=math.ceil(len(handles) / lines),
            borderaxespad=0.1, handletextpad=0.4, columnspacing=1.4, handlelength=1.6,
        )  # fmt: skip
        return lines
    return 0
