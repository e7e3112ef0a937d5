"""Every cell's curves as small multiples over the plane."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wdstudy.analysis.figures.theme import dress_log, styled
from wdstudy.analysis.frames.given import as_curves, as_trials
from wdstudy.analysis.views.curve_grid import CurveGridInfo, curve_grid_info
from wdstudy.analysis.views.looks import INK, LINES, MUTED, OTHER_LINE, study_name
from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, series_named
from wdstudy.space import LR, WEIGHT_DECAY, Cell
from wdstudy.words import number

HATCHED: dict[str, Any] = {"fc": "none", "ec": "#b5b5b5", "hatch": "////", "lw": 0}


@styled
def plot_curve_grid(
    curves: pd.DataFrame,
    trials: pd.DataFrame | None = None,
    series: Sequence[str] = (PRIMARY_LOSS, DECAY_LOSS),
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
) -> Figure:
    """Every cell's curves as small multiples: lr to the right, weight_decay upwards.

    Of a large grid a sub-grid is drawn; of scattered samples, the best of each bin.

    Args:
        curves: As from `curves_frame`, or any frame of record points; the mean over seeds is drawn.
        trials: As from `trials_frame`, to mark the best cell and the diverged ones.
        series: Which series to draw into every cell.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Returns:
        A new figure.

    Raises:
        StudyError: no trial has recorded any of these series.
    """
    curves = as_curves(curves, lr=lr, weight_decay=weight_decay)
    if trials is not None:
        trials = as_trials(trials, lr=lr, weight_decay=weight_decay)
    info = curve_grid_info(curves, trials, series)
    rows, columns = len(info.weight_decays), len(info.lrs)
    figure, axes = plt.subplots(
        rows,
        columns,
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(max(6.0, 1.7 + 1.05 * columns), max(3.6, 1.9 + 0.82 * rows)),
    )
    lines = dict(list(info.lines.groupby(["lr", "weight_decay"])))
    for row, across in enumerate(info.weight_decays):
        for column, up in enumerate(info.lrs):
            cell = (up, across)
            _draw_cell(info, lines.get(cell), cell, series, axes[row, column])
    _dress_grid(info, axes)
    name = study_name(curves.attrs)
    title = " and ".join(series_named(s).label for s in series) + " of every cell"
    head = _write_head(f"{name}: {title}" if name else title, info.note, figure)
    _frame(info, series, axes, figure, head)
    return figure


def _draw_cell(
    info: CurveGridInfo,
    lines: pd.DataFrame | None,
    cell: Cell,
    series: Sequence[str],
    ax: Axes,
) -> None:
    if lines is not None:
        for name in series:
            line = lines[lines["series"] == name]
            colour, dashes = LINES.get(name, OTHER_LINE)
            ax.plot(line["x"], line["value"], color=colour, ls=dashes, lw=1.3)
            _mark_exits(line, info, colour, ax)
    elif cell not in info.diverged:
        ax.set_facecolor("#f6f8fa")
    if cell in info.diverged:
        ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, zorder=0, **HATCHED))
    if cell == info.best:
        ax.add_patch(
            Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, ec=INK, lw=3, clip_on=False)
        )


def _mark_exits(line: pd.DataFrame, info: CurveGridInfo, colour: str, ax: Axes) -> None:
    """A small triangle where a line leaves the common limits, for it goes on out of sight."""
    for outside, limit, marker in (
        ((line["value"] < info.limits[0]) & (line["value"] > 0), info.limits[0], "v"),
        (line["value"] > info.limits[1], info.limits[1], "^"),
    ):
        if outside.any():
            first = line.loc[outside, "x"].iloc[0]
            ax.plot(first, limit, marker=marker, ms=3.5, color=colour, clip_on=False, zorder=4)


def _leaves(info: CurveGridInfo) -> bool:
    values = info.lines["value"]
    low, high = info.limits
    return bool(((values > 0) & (values < low)).any() or (values > high).any())


def _dress_grid(info: CurveGridInfo, axes: Any) -> None:
    """Ticks at the outer cells only, few enough to be read."""
    first = axes[0, 0]
    if info.logarithmic:
        first.set_yscale("log")
    first.set_ylim(*info.limits)
    if info.logarithmic:
        dress_log(first.yaxis, *info.limits)
        low, high = (math.log10(limit) for limit in info.limits)
        margin = 0.08 * (high - low)  # labels at the very ends would touch those of the next row
        decades = np.arange(math.ceil(low + margin), math.floor(high - margin) + 1)
        if len(decades) >= 2:
            first.set_yticks(10.0 ** decades[:: math.ceil(len(decades) / 4)])
    else:
        first.yaxis.set_major_locator(MaxNLocator(3))
        first.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.3g}"))
    first.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    for ax in axes.flat:
        ax.tick_params(labelsize=7, length=2)
        ax.grid(visible=True)
        sns.despine(ax=ax)


def _write_head(title: str, note: str, figure: Figure) -> float:
    """Title and note at the top, wrapped to the figure; returns the inches they take."""
    width, height = figure.get_size_inches()
    title, note = textwrap.fill(title, int(width * 10)), textwrap.fill(note, int(width * 18))
    below = 0.16 + 0.2 * (title.count("\n") + 1)
    place: dict[str, Any] = {"va": "top", "parse_math": False}
    figure.text(0.02, 1 - 0.12 / height, title, size=11, weight="bold", **place)
    figure.text(0.02, 1 - below / height, note, size=7.5, color=MUTED, **place)
    return below + 0.14 * (note.count("\n") + 1)


def _frame(
    info: CurveGridInfo, series: Sequence[str], axes: Any, figure: Figure, head: float
) -> None:
    """Values of lr along the top, of weight_decay at the right, and a legend below."""
    width, height = figure.get_size_inches()
    left, right, top, bottom = (
        0.75 / width,
        1 - 0.95 / width,
        1 - (head + 0.55) / height,
        0.95 / height,
    )
    figure.subplots_adjust(left, bottom, right, top, wspace=0.12, hspace=0.14)
    for column, lr in enumerate(info.lrs):
        axes[0, column].set_title(number(lr), fontsize=8.5, loc="center", pad=4, weight="normal")
    for row, weight_decay in enumerate(info.weight_decays):
        axes[row, -1].annotate(
            number(weight_decay), (1, 0.5), xytext=(6, 0), xycoords="axes fraction",
            textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    middle, center = (left + right) / 2, (top + bottom) / 2
    figure.text(middle, top + 0.26 / height, "lr →", ha="center", va="bottom", size=9)
    figure.text(1 - 0.1 / width, center, "weight_decay →", rotation=90, ha="right", va="center",
                size=9)  # fmt: skip
    figure.text(middle, bottom - 0.27 / height, info.x, ha="center", va="top", size=9)
    scale = " (log scale)" if info.logarithmic else ""
    figure.text(0.1 / width, center, f"loss{scale}", rotation=90, ha="left", va="center", size=9)
    handles: list[Any] = []
    for name in series:
        colour, dashes = LINES.get(name, OTHER_LINE)
        handles.append(Line2D([], [], color=colour, ls=dashes, label=series_named(name).label))
    if info.diverged:
        handles.append(Patch(**HATCHED, label="diverged"))
    if info.best is not None:
        handles.append(Patch(fill=False, ec=INK, lw=2, label="best cell"))
    if _leaves(info):
        marks = Line2D([], [], marker="v", ms=3.5, ls="", color=MUTED, label="goes on outside")
        handles.append(marks)
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(middle, 0.05 / height),
                  ncols=5)  # fmt: skip
