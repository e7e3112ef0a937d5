"""Heatmaps of the values of a scale beside each other, and the way of the optimum through them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import patheffects as effects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from wdstudy.analysis.figures.head import framed
from wdstudy.analysis.figures.layout import spaced_ticks
from wdstudy.analysis.figures.plane import HATCH, dress_colours
from wdstudy.analysis.figures.theme import dress_log, dress_place, styled
from wdstudy.analysis.frames.cells import DIVERGED_SHARE
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.views.looks import INK, VERMILION, described
from wdstudy.analysis.views.planes import Plane, PlanesInfo, planes_info
from wdstudy.analysis.views.tiles import Tile
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import abridged, number

COLUMNS = 3
WIDE, PHONE, BAR = 10.8, 4.8, 0.9
"""Inches of the whole figure: in a page, on a phone; and of the bar of colours."""

RIM = [effects.withStroke(linewidth=3.2, foreground="white")]
THIN = [effects.withStroke(linewidth=2.2, foreground="white")]


@styled
def plot_planes(
    trials: pd.DataFrame,
    found: Transfer | None = None,
    value: str = "value",
    *,
    scale: str | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    columns: int = COLUMNS,
) -> Figure:
    """Heatmaps of all values of a scale on one colour scale and one pair of axes.

    Through them goes the way of the optimum, as the law of all values has it: dots where it was at
    the smaller values, an arrow, and a cross with its 95 % interval where it is. The best cell that
    was trained has a frame. Where weight decay has no best, a line stands at the best lr, and a
    bar across it where harm begins.

    Args:
        trials: As from `trials_frame` of a study along a scale, or any frame.
        found: As from `transfer(trials)`; computed where it is None.
        value: The column to judge by.
        scale: The column of the scale; as the study says where it is None.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        columns: Panels in a row; 2 for what is read on a phone.

    Returns:
        The figure.

    Raises:
        StudyError: there is no scale, or fewer than two of its values have results.
    """
    frame = as_trials(trials, value, lr=lr, weight_decay=weight_decay, along=True)
    found = found or transfer(frame, scale, value)
    return draw_planes(planes_info(frame, found, value), frame, columns)


@styled
def draw_planes(info: PlanesInfo, trials: pd.DataFrame, columns: int = COLUMNS) -> Figure:
    """The figure of planes that were read already."""
    count = len(info.planes)
    whole = PHONE if columns < COLUMNS else WIDE
    columns = 4 if columns >= COLUMNS and count == 4 else min(columns, count)
    rows = math.ceil(count / columns)
    across = min((whole - BAR) / columns, 4.0)
    up = min(max(0.85 * across, 1.9), 2.9)
    figure, axes = plt.subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False, layout="constrained",
        figsize=(across * columns + BAR, up * rows + 1.2),
    )  # fmt: skip
    for k, ax in enumerate(axes.flat):
        if k < count:
            _draw(info, k, ax, across - 0.75)
        else:
            ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("weight_decay")
    for k in range(max(0, count - columns), count):
        axes.flat[k].set_xlabel("lr")
        axes.flat[k].tick_params(labelbottom=True)
    _write(info, trials, figure, list(axes.flat[:count]))
    return figure


def _draw(info: PlanesInfo, k: int, ax: Axes, inches: float) -> None:
    plane = info.planes[k]
    dress_place(ax, "x", info.x)
    dress_place(ax, "y", info.y)
    left, right, low, high = astuple(info.frame)
    ax.set_xlim(10**left, 10**right)
    ax.set_ylim(10**low, 10**high)
    dress_log(ax.xaxis, info.x.low, info.x.high, info.x.apart, spaced_ticks(info.x, inches))
    _draw_cells(info, plane, ax)
    if info.way == "pair":
        _draw_way(info, k, ax)
    elif info.way == "lr":
        _draw_line(plane, ax)
    name = abridged(info.scale, 14 if inches < 2.5 else 24)
    ax.set_title(f"{name} {number(plane.value)}", fontsize=9, pad=4, parse_math=False)


def _draw_cells(info: PlanesInfo, plane: Plane, ax: Axes) -> None:
    """A tile a cell where they stand in columns, a point for each other one."""
    cells = plane.info.grid.cells.reset_index(drop=True)
    colours = mpl.colormaps["viridis_r" if plane.info.reverse else "viridis"]
    found = plane.tiles
    tiled = np.array([tile is not None for tile in found])
    known = cells["value"].notna().to_numpy()
    lost = (cells["diverged"] >= DIVERGED_SHARE).to_numpy()
    some = list(np.flatnonzero(tiled & known))
    faces = colours(info.norm(cells.loc[some, "value"].to_numpy(dtype=float)))
    ax.add_collection(PolyCollection([_corners(found[k]) for k in some], facecolors=faces,
                                     edgecolors="white", linewidths=0.5, zorder=1.5))  # fmt: skip
    for k in np.flatnonzero(tiled & lost):
        ax.add_patch(_box(found[k], **{**HATCH, "zorder": 1.4}))
    x, y = info.x(cells["lr"]), info.y(cells["weight_decay"])
    size = float(np.clip(4000 / max(len(cells), 1), 8, 40))
    alone = ~tiled & known
    ax.scatter(x[alone], y[alone], c=cells["value"][alone], norm=info.norm, cmap=colours, s=size,
               edgecolors="white", linewidths=0.3, zorder=1.6)  # fmt: skip
    ax.scatter(x[~tiled & lost], y[~tiled & lost], marker="x", c="#8c8c8c", s=size * 0.6, lw=0.8,
               zorder=1.5)  # fmt: skip
    best = plane.info.best
    for k in np.flatnonzero((cells["lr"] == best[0]) & (cells["weight_decay"] == best[1])) \
            if best else ():  # fmt: skip
        if tiled[k]:
            for ink, width in (("white", 3.4), (INK, 1.7)):
                ax.add_patch(_box(found[k], fill=False, ec=ink, lw=width, zorder=2.2))
        else:
            ax.scatter(x[k], y[k], s=size * 2.5 + 40, marker="s", fc="none", ec=INK, lw=1.7,
                       zorder=2.2)  # fmt: skip


def _corners(tile: Tile | None) -> Any:
    assert tile is not None
    left, right, low, high = 10.0 ** np.array([tile.left, tile.right, tile.low, tile.high])
    return [(left, low), (right, low), (right, high), (left, high)]


def _box(tile: Tile | None, **look: Any) -> Rectangle:
    (left, low), _, (right, high), _ = _corners(tile)
    return Rectangle((left, low), right - left, high - low, **look)


def _draw_way(info: PlanesInfo, k: int, ax: Axes) -> None:
    """Where the optimum was, and where it is with its interval."""
    places = [plane.place for plane in info.planes[: k + 1]]
    x = np.array([place.lr.value for place in places])
    y = np.array([place.weight_decay.value for place in places])
    if k:
        ax.plot(x, y, color=INK, lw=1.1, zorder=3, path_effects=RIM)
        ax.scatter(x[:-1], y[:-1], s=16, fc="white", ec=INK, lw=0.9, zorder=3.1)
        ax.annotate("", (x[-1], y[-1]), (x[-2], y[-2]), zorder=3.2, annotation_clip=True,
                    arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.1, "shrinkA": 0,
                                "shrinkB": 3, "mutation_scale": 9})  # fmt: skip
    _cross(ax, places[-1].lr, places[-1].weight_decay)


def _cross(ax: Axes, lr: Estimate, decay: Estimate) -> None:
    """An optimum, and as far as it is uncertain."""
    for colour, width in (("white", 4.6), (VERMILION, 2.0)):
        ax.plot([lr.low, lr.high], [decay.value] * 2, color=colour, lw=width, zorder=3.4,
                solid_capstyle="butt")  # fmt: skip
        ax.plot([lr.value] * 2, [decay.low, decay.high], color=colour, lw=width, zorder=3.4,
                solid_capstyle="butt")  # fmt: skip
    ax.scatter([lr.value], [decay.value], s=32, marker="o", c=VERMILION, ec="white", lw=0.9,
               zorder=3.5)  # fmt: skip


def _draw_line(plane: Plane, ax: Axes) -> None:
    """The best lr where weight_decay has no best, and the harmless limit there."""
    lr, limit = plane.place.lr, plane.place.limit
    for end in (lr.low, lr.high):
        ax.axvline(end, color=VERMILION, lw=1.1, ls=(0, (3, 2)), zorder=2.9, path_effects=THIN)
    ax.axvline(lr.value, color=VERMILION, lw=1.8, zorder=3, path_effects=RIM)
    if limit.known:
        ends = [limit.value - limit.low], [limit.high - limit.value]
        ax.errorbar([lr.value], [limit.value], yerr=ends, color=INK, marker="_", ms=16, mew=2.2,
                    lw=2, zorder=3.4)  # fmt: skip


def _write(info: PlanesInfo, trials: pd.DataFrame, figure: Figure, axes: list[Axes]) -> None:
    """Colours, title, legend and what it rests on."""
    first = info.planes[0].info
    colours = mpl.colormaps["viridis_r" if first.reverse else "viridis"]
    extend = "max" if info.capped else "neither"
    bar = figure.colorbar(ScalarMappable(info.norm, colours), ax=axes, pad=0.015,
                          aspect=34, extend=extend)  # fmt: skip
    dress_colours(first, bar)
    text = described(trials.attrs, info.trials, info.seeds)
    if info.left_out:
        text += f" · {info.left_out} other values left out"
    title = f"{first.label} along {abridged(info.scale, 40)}"
    framed(figure, trials, title, [*_handles(info)], text)


def _handles(info: PlanesInfo) -> Iterable[Any]:
    yield Line2D([], [], marker="s", ls="", mfc="none", mec=INK, mew=1.7, ms=7,
                 label="best cell that was trained")  # fmt: skip
    if info.way == "pair":
        yield Line2D([], [], marker="o", color=VERMILION, mec="white", ms=6, lw=2,
                     label="optimum by the law of all, 95 %")  # fmt: skip
        yield Line2D([], [], marker="o", color=INK, mfc="white", ms=4, lw=1.1,
                     label="its way there")  # fmt: skip
    if info.way == "lr":
        yield Line2D([], [], color=VERMILION, lw=2, label="best lr by the law of all")
        yield Line2D([], [], color=VERMILION, lw=1.1, ls=(0, (3, 2)), label="its 95 %")
        if any(plane.place.limit.known for plane in info.planes):
            yield Line2D([], [], color=INK, marker="_", ms=12, mew=2.2, lw=0,
                         label="harmless up to here, 95 %")  # fmt: skip
    if any((plane.info.grid.cells["diverged"] >= DIVERGED_SHARE).any() for plane in info.planes):
        yield Patch(**HATCH, label="diverged")
