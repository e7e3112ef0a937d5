"""Cells that stand in columns without filling a grid, as tiles of the plane.

A design, or somebody's hand, places columns of weight_decay that hold different values, and some
cells beside them. Each has a tile that reaches half the way to its neighbours, and no further than
half the usual distance, so that what was not tried is seen as a hole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.estimate import Array
from wdstudy.analysis.views.scales import LogPlace

COLUMN = 3
"""Cells of one lr that make a column."""

IN_COLUMNS = 0.6
"""The share of the cells that stands in columns, at least."""

USUAL = 0.5
"""Decades between neighbours where nothing tells it."""


@dataclass(frozen=True)
class Tile:
    """A cell's part of the plane, in decades: from left to right, and from low to high."""

    left: float
    right: float
    low: float
    high: float

    @property
    def middle(self) -> tuple[float, float]:
        """The place of its number."""
        return (self.left + self.right) / 2, (self.low + self.high) / 2


def tiles(cells: pd.DataFrame, x: LogPlace, y: LogPlace) -> list[Tile | None] | None:
    """The tile of each cell; None where too few of them stand in columns.

    A cell that lies between columns, too near to one for a tile of its own, has None.

    Args:
        cells: One row a cell: lr and weight_decay.
        x: Where lr stands.
        y: Where weight_decay stands.
    """
    size = cells.groupby("lr")["lr"].transform("count").to_numpy()
    if not len(cells) or float((size >= COLUMN).mean()) < IN_COLUMNS:
        return None
    across = np.log10(x(cells["lr"]).to_numpy(dtype=float))
    up = np.log10(y(cells["weight_decay"]).to_numpy(dtype=float))
    main = np.unique(across[size >= COLUMN])
    usual = _usual(np.diff(main))
    alone = np.abs(across[:, None] - main[None]).min(axis=1)
    kept = (size >= COLUMN) | (alone > 0.45 * usual)
    columns = {at: np.unique(up[across == at]) for at in np.unique(across[kept])}
    rows = _usual(np.concatenate([np.diff(columns[at]) for at in main]))
    sides = _reaches(np.array([*columns]), usual)
    heights = {at: _reaches(places, rows) for at, places in columns.items()}
    return [
        Tile(*sides[a], *heights[a][b]) if has_one else None
        for a, b, has_one in zip(across, up, kept, strict=True)
    ]


def _usual(gaps: Array) -> float:
    """The distance that neighbours usually have."""
    return float(min(np.median(gaps), 1.0)) if len(gaps) else USUAL


def _reaches(places: Array, usual: float) -> dict[float, tuple[float, float]]:
    """From where to where each place reaches."""
    half = usual / 2
    between = [(b - a) / 2 for a, b in pairwise(places)]
    before, after = [half, *between], [*between, half]
    return {
        float(at): (float(at) - min(half, low), float(at) + min(half, high))
        for at, low, high in zip(places, before, after, strict=True)
    }
