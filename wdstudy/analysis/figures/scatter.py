"""Heatmaps of samples that fill no grid: tiles where they stand in columns, points elsewhere."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import patheffects as effects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap
from matplotlib.patches import Ellipse, Rectangle

from wdstudy.analysis.figures.plane import (
    DOTS,
    HATCH,
    PART,
    contrast,
    dress_colours,
    label_product,
)
from wdstudy.analysis.figures.theme import dress_log, dress_place, height_of, width_of
from wdstudy.analysis.frames.cells import DIVERGED_SHARE
from wdstudy.analysis.numbers.estimate import Mask
from wdstudy.analysis.views.heatmap import HeatmapInfo, digits_for, short
from wdstudy.analysis.views.looks import INK
from wdstudy.analysis.views.scales import MOST_NAMED, LogPlace
from wdstudy.analysis.views.tiles import COLUMN, Tile, tiles

NUMBER = (0.36, 0.14)
"""Inches that a number of a tile takes, across and up."""

NAME = 0.42
"""Inches that the name of a column takes."""

EDGE = 0.04
"""Decades that are left free about the outermost tiles."""


def draw_samples(info: HeatmapInfo, ax: Axes) -> bool:
    """Samples at their places; those at weight_decay 0, or far out, beyond a dashed line.

    Returns:
        Whether all of them are points.
    """
    cells = info.grid.cells
    x, y = LogPlace(cells["lr"], far=True), LogPlace(cells["weight_decay"], far=True)
    dress_place(ax, "x", x)
    dress_place(ax, "y", y)
    found = tiles(cells, x, y)
    if found is None:
        _draw_points(info, x, y, np.full(len(cells), True), ax)
    else:
        _draw_tiles(info, found, ax)
        _draw_points(info, x, y, np.array([tile is None for tile in found]), ax)
        _name_columns(cells.loc[[tile is not None for tile in found], "lr"], x, ax)
    _draw_products(info, x, y, found, ax)
    ax.set_ylabel("weight_decay")
    figure = ax.get_figure(root=True)
    assert figure is not None
    if cells["value"].notna().any():
        shades = ScalarMappable(info.norm, _colours(info))
        extend = "max" if info.capped else "neither"
        bar = figure.colorbar(shades, ax=ax, pad=0.02, aspect=28, extend=extend)
        dress_colours(info, bar)
    return found is None


def sample_size(info: HeatmapInfo) -> tuple[float, float]:
    """Inches of a new figure: so that numbers have room in tiles, where there are such."""
    cells = info.grid.cells
    x, y = LogPlace(cells["lr"], far=True), LogPlace(cells["weight_decay"], far=True)
    found = tiles(cells, x, y)
    if found is None:
        return 7.0, 5.2
    some = [tile for tile in found if tile is not None]
    wide, tall = _span(some)
    least = min(tile.high - tile.low for tile in some)
    across, up = np.clip(2.3 + 1.3 * wide, 7.0, 9.0), np.clip(2.0 + 0.19 * tall / least, 4.4, 7.4)
    return float(across), float(up)


def _span(found: list[Tile]) -> tuple[float, float]:
    """Decades that tiles take, across and up."""
    return (
        max(t.right for t in found) - min(t.left for t in found),
        max(t.high for t in found) - min(t.low for t in found),
    )


def _draw_points(info: HeatmapInfo, x: LogPlace, y: LogPlace, which: Mask, ax: Axes) -> None:
    """A point for each of some cells."""
    cells = info.grid.cells[which]
    known, lost = cells[cells["value"].notna()], cells[cells["diverged"] >= DIVERGED_SHARE]
    size = float(np.clip(12000 / max(len(info.grid.cells), 1), 9, 75))
    ax.scatter(
        x(known["lr"]), y(known["weight_decay"]), c=known["value"], s=size, norm=info.norm,
        cmap=_colours(info), edgecolors="white", linewidths=0.4 if len(cells) <= 1000 else 0,
        rasterized=len(cells) > 1000, zorder=2.6,
    )  # fmt: skip
    ax.scatter(x(lost["lr"]), y(lost["weight_decay"]), marker="x", c="#8c8c8c", s=size * 0.6,
               lw=1, zorder=2.5)  # fmt: skip
    here = set(zip(cells["lr"], cells["weight_decay"], strict=True))
    rings = [cell for cell in info.rings if cell in here]
    ring = pd.DataFrame(rings, columns=["lr", "weight_decay"], dtype=float)
    ax.scatter(x(ring["lr"]), y(ring["weight_decay"]), s=size * 2.2 + 30, fc="none", ec=INK, lw=1,
               zorder=2.7)  # fmt: skip
    if info.best in here and info.best is not None:
        place = x(pd.Series(info.best[:1])), y(pd.Series(info.best[1:]))
        ax.scatter(*place, s=size * 3 + 90, marker="s", fc="none", ec=INK, lw=2.2, zorder=2.7)


def _name_columns(lrs: pd.Series, x: LogPlace, ax: Axes) -> None:
    """Ticks at the columns, those of most cells first, as far as their names have room."""
    counts = lrs[lrs.between(x.low, x.high)].value_counts()
    if (counts >= COLUMN).sum() < 2:
        return
    named: list[float] = []
    for lr in sorted(counts.index, key=lambda lr: (-counts[lr], lr)):
        if all(abs(math.log10(lr / other)) > NAME * _decade(ax) for other in named):
            named.append(float(lr))
    if len(named) <= 2 * MOST_NAMED:
        dress_log(ax.xaxis, x.low, x.high, x.apart, sorted(named))


def _decade(ax: Axes) -> float:
    """Decades of lr an inch."""
    low, high = ax.get_xlim()
    return math.log10(high / low) / max(width_of(ax), 0.1)


def _draw_tiles(info: HeatmapInfo, found: list[Tile | None], ax: Axes) -> None:
    """A rectangle a cell, with its number where it has room for one."""
    some = [tile for tile in found if tile is not None]
    frame = Tile(min(t.left for t in some) - EDGE, max(t.right for t in some) + EDGE,
                 min(t.low for t in some) - EDGE, max(t.high for t in some) + EDGE)  # fmt: skip
    ax.set_xlim(10**frame.left, 10**frame.right)
    ax.set_ylim(10**frame.low, 10**frame.high)
    colours, cells = _colours(info), info.grid.cells
    digits = digits_for(cells["value"].to_numpy(), info.reverse)
    rings = set(info.rings)
    for tile, cell in zip(found, cells.itertuples(), strict=True):
        if tile is None:
            continue
        box, place = _box(tile, frame), (float(cell.lr), float(cell.weight_decay))
        here: dict[str, Any] = {"transform": ax.transAxes, "zorder": 2}
        value, lost = float(cell.value), float(cell.diverged)
        if math.isfinite(value):
            face = colours(info.norm(value))
            ax.add_patch(Rectangle(*box, fc=face, ec="white", lw=0.6, **here))
        if lost > 0:
            look = HATCH if lost >= DIVERGED_SHARE else PART
            ax.add_patch(Rectangle(*box, **{**look, **here}))
        colour = contrast(info, value)
        middle = box[0][0] + box[1] / 2, box[0][1] + box[2] / 2
        if place in rings:
            ax.add_patch(Ellipse(middle, 0.9 * box[1], 0.84 * box[2], fill=False, ec=colour, lw=1.1,
                                 **here))  # fmt: skip
        if math.isfinite(value) and _has_room(box, ax):
            rim = [effects.withStroke(linewidth=2.5, foreground=face)]
            ax.text(*middle, short(value, digits), color=colour, fontsize=8, ha="center",
                    va="center", path_effects=rim, **{**here, "zorder": 3})  # fmt: skip
        for ink, width in (("white", 5.0), (INK, 2.6)) if place == info.best else ():
            ax.add_patch(Rectangle(*box, fill=False, ec=ink, lw=width, **{**here, "zorder": 4}))


Box = tuple[tuple[float, float], float, float]
"""The lower left corner, width and height, as shares of the axes."""


def _box(tile: Tile, frame: Tile) -> Box:
    wide, tall = frame.right - frame.left, frame.high - frame.low
    corner = (tile.left - frame.left) / wide, (tile.low - frame.low) / tall
    return corner, (tile.right - tile.left) / wide, (tile.high - tile.low) / tall


def _has_room(box: Box, ax: Axes) -> bool:
    """Whether a number fits into a tile."""
    across = box[1] * width_of(ax)
    up = box[2] * height_of(ax)
    return across >= NUMBER[0] and up >= NUMBER[1]


def _draw_products(
    info: HeatmapInfo, x: LogPlace, y: LogPlace, found: list[Tile | None] | None, ax: Axes
) -> None:
    """Lines of equal lr · weight_decay, each with its value where it hides least."""
    centres = np.array([tile.middle for tile in found or () if tile is not None]).reshape(-1, 2)
    fine = np.linspace(math.log10(x.low), math.log10(x.high), 200)
    for product in info.products:
        up = math.log10(product) - fine
        inside = (up >= math.log10(y.low)) & (up <= math.log10(y.high))
        if inside.sum() < 2:
            continue
        line = np.stack([fine, up], axis=1)[inside]
        rim = [effects.withStroke(linewidth=2.2, foreground=(1, 1, 1, 0.55))]
        ax.plot(*10 ** line.T, color=INK, lw=0.9, ls=DOTS, zorder=2.4 if found else 0.5,
                path_effects=rim)  # fmt: skip
        place = line[-1]
        if len(centres):
            away = np.abs(line[:, None] - centres[None]).max(axis=2).min(axis=1)
            place = line[int(away.argmax())]
        label_product(10 ** float(place[0]), 10 ** float(place[1]), product, ax)


def _colours(info: HeatmapInfo) -> Colormap:
    return mpl.colormaps["viridis_r" if info.reverse else "viridis"]
