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
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch, Rectangle

from wdstudy.analysis.figures.layout import legend_columns
from wdstudy.analysis.figures.plane import (
    DOTS,
    HATCH,
    PART,
    contrast,
    draw_product,
    dress_colours,
)
from wdstudy.analysis.figures.scatter import draw_samples, sample_size
from wdstudy.analysis.figures.theme import captioned, new_axes, styled, titled, width_of
from wdstudy.analysis.frames.cells import DIVERGED_SHARE, CellGrid
from wdstudy.analysis.frames.curves import series_at
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.views.heatmap import HeatmapInfo, digits_for, heatmap_info, short
from wdstudy.analysis.views.looks import INK, described
from wdstudy.analysis.views.products import product_lines
from wdstudy.space import LR, WEIGHT_DECAY, Cell
from wdstudy.words import number

ANNOTATED = 150
"""A grid of more cells shows colours only: numbers would not be readable."""

MAX_TICKS = 14


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
        size = sample_size(info) if info.grid.scattered else _size(info.grid, spread)
        ax = new_axes(None, *size)
    pointed = draw_samples(info, ax) if info.grid.scattered else _draw_grid(info, spread, ax)
    title = info.label if info.step is None else f"{info.label}, step {info.step:g}"
    titled(ax, trials, title, lines=_add_legend(info, ax, pointed=pointed))
    text = described(trials.attrs, info.grid.trials, info.grid.seeds)
    if spread and not info.grid.scattered:
        text += " · mean ± standard deviation over seeds"
    captioned(ax, "lr", text)
    return ax


def _size(grid: CellGrid, spread: bool) -> tuple[float, float]:
    """Inches of a new figure."""
    columns, rows = grid.cells["lr"].nunique(), grid.cells["weight_decay"].nunique()
    small = columns * rows > ANNOTATED
    width, height = (0.36, 0.28) if small else (0.95 if spread else 0.72, 0.46)
    return max(6.2, 2.3 + width * columns), max(3.4, 2.2 + height * rows)


def _draw_grid(info: HeatmapInfo, spread: bool, ax: Axes) -> bool:
    """Cells side by side; returns whether they are points, which they are not."""
    values = info.grid.table()
    _paint(info, values, _texts(info, spread), ax)
    divergence = info.grid.table("diverged").to_numpy()
    for row, column in np.argwhere(divergence > 0):
        whole = bool(divergence[row, column] >= DIVERGED_SHARE)
        ax.add_patch(Rectangle((column, row), 1, 1, **(HATCH if whole else PART)))
    if values.index[-1] == 0 and len(values.index) > 1:
        ax.axhline(len(values.index) - 1, color="white", lw=5)  # 0 is not on the log axis
    _draw_products(info.products, values, ax)
    wide = min(0.86, 1.1 * len(values.columns) / width_of(ax))
    for lr, weight_decay in info.rings:
        row, column = values.index.get_loc(weight_decay), values.columns.get_loc(lr)
        colour = contrast(info, float(values.iloc[row, column]))
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
    return False


def _draw_products(products: tuple[float, ...], values: pd.DataFrame, ax: Axes) -> None:
    """Draw these lines over a heatmap of the table, each with its value."""
    for product, across, down in product_lines(products, values):
        draw_product(across, down, product, ax)


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
        dress_colours(info, ax.collections[0].colorbar)
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


def _add_legend(info: HeatmapInfo, ax: Axes, *, pointed: bool) -> int:
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
        handles.append(mark if pointed else Patch(**HATCH, label=label))
    if info.products:
        dots = Line2D([], [], color=INK, lw=0.9, ls=DOTS, label="equal lr · weight_decay")
        handles.append(dots)
    if handles:
        labels = [str(handle.get_label()) for handle in handles]
        columns = legend_columns(labels, max(1.12 * width_of(ax), 1.0))  # over its colours as well
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0),
            ncols=columns,
            borderaxespad=0.1, handletextpad=0.4, columnspacing=1.4, handlelength=1.6,
        )  # fmt: skip
        return math.ceil(len(handles) / columns)
    return 0
