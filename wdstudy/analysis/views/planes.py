"""The planes of a scale beside each other: what each shows, and the way of the optimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize

from wdstudy.analysis.frames.cells import cell_grid, initial_loss
from wdstudy.analysis.frames.scale import along
from wdstudy.analysis.numbers.transferfindings import Place, Transfer
from wdstudy.analysis.views.heatmap import HeatmapInfo, heatmap_info
from wdstudy.analysis.views.scales import LogPlace, colour_norm
from wdstudy.analysis.views.tiles import Tile, tiles
from wdstudy.curves import FINAL_PREFIX, series_named

RIM = 0.05  # decades

MOST = 9
"""Of more values than this an even sample is shown, the ends among it."""


@dataclass(frozen=True)
class Plane:
    """The plane of one value: its cells, and where its optimum is.

    tiles: of each cell; None of one that is a point.
    """

    value: float
    info: HeatmapInfo
    place: Place
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True)
class PlanesInfo:
    """What is shown: a plane a value of the scale, all on one pair of axes and one colour scale.

    frame: what they take up. way: what moves: "pair", "lr" where weight_decay has no best, or ""
    where nothing is known. left_out: how many values are not shown.
    """

    scale: str
    planes: tuple[Plane, ...]
    x: LogPlace
    y: LogPlace
    frame: Tile
    norm: Normalize
    capped: bool
    way: str
    left_out: int

    @property
    def trials(self) -> int:
        """How many trials they rest on."""
        return sum(plane.info.grid.trials for plane in self.planes)

    @property
    def seeds(self) -> int:
        """How many seeds one of them has at most."""
        return max(plane.info.grid.seeds for plane in self.planes)


def planes_info(trials: pd.DataFrame, found: Transfer, value: str = "value") -> PlanesInfo:
    """What is shown of the planes.

    Args:
        trials: As from `trials_frame`, of all values.
        found: As from `transfer(trials)`.
        value: The column of the value.
    """
    parts = along(trials, found.scale)
    every = {place.value: place for place in found.places if place.value in parts}
    kept = np.unique(np.linspace(0, len(every) - 1, min(MOST, len(every))).round().astype(int))
    shown = [[*every][k] for k in kept]
    grids = {at: cell_grid(parts[at], value) for at in shown}
    cells = pd.concat([grid.cells for grid in grids.values()])
    norm = _norm(trials, cells["value"], value)
    x, y = LogPlace(cells["lr"], far=True), LogPlace(cells["weight_decay"], far=True)
    planes = [
        Plane(at, heatmap_info(parts[at], value, None, norm), every[at], _tiles(grid.cells, x, y))
        for at, grid in grids.items()
    ]
    return PlanesInfo(
        found.scale,
        tuple(planes),
        x,
        y,
        _frame(x, y, [tile for plane in planes for tile in plane.tiles if tile]),
        norm,
        any(plane.info.capped for plane in planes),
        _way(found),
        len(every) - len(planes),
    )


def _tiles(cells: pd.DataFrame, x: LogPlace, y: LogPlace) -> tuple[Tile | None, ...]:
    return tuple(tiles(cells, x, y) or [None] * len(cells))


def _frame(x: LogPlace, y: LogPlace, some: Sequence[Tile]) -> Tile:
    """The decades that hold all points and tiles, with a rim."""
    (left, right), (low, high) = np.log10(x.ends), np.log10(y.ends)
    return Tile(
        min([left - 2 * RIM, *(tile.left for tile in some)]) - RIM,
        max([right + 2 * RIM, *(tile.right for tile in some)]) + RIM,
        min([low - 2 * RIM, *(tile.low for tile in some)]) - RIM,
        max([high + 2 * RIM, *(tile.high for tile in some)]) + RIM,
    )


def _norm(trials: pd.DataFrame, values: pd.Series, value: str) -> Normalize:
    """One scale of colours for all values, which a diverging few do not stretch."""
    falls = value == "value" or series_named(value.removeprefix(FINAL_PREFIX)).low_is_good
    return colour_norm(values, initial_loss(trials) if falls else math.nan)


def _way(found: Transfer) -> str:
    if not all(place.lr.known for place in found.places):
        return ""
    return "pair" if all(place.weight_decay.known for place in found.places) else "lr"
