"""A second basin: a good place of the plane that a ridge of bad cells parts from the best.

From the lowest cell upwards the plane is filled with water (a merge tree, as in persistent
homology): where two pools meet, the shallower ends, and how far its bottom lies below that pass
says whether it is a basin or a ripple of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wdstudy.analysis.frames.cells import DENSE
from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import mean_variances, quantile
from wdstudy.analysis.numbers.estimate import Array

PASS = math.log(1.1)  # a basin's bottom lies by more than this below the pass out of it,
GOOD = math.log(1.25)  # and by no more than this above the best


@dataclass(frozen=True)
class Basin:
    """The bottom of another basin than the best cell's.

    above: how much higher its loss is than the best, as a share. over: how high the pass between
    them is, as a share of its own loss.
    """

    lr: float
    weight_decay: float
    above: float
    over: float


def second_basin(cells: Cells) -> Basin | None:
    """The best basin beside the best cell's, where the plane is a grid and shows one surely."""
    if cells.best is None or not cells.noise.known or not cells.logarithmic:
        return None
    z, error, lr, weight_decay = _table(cells)
    if np.isfinite(z).mean() < DENSE or min(z.shape) < 3:
        return None
    least = float(np.nanmin(z))
    reach = quantile(cells.noise.df, z.size)
    found = []
    for place, top in _pools(z):
        rim = float(np.nanmedian(error)) ** 2
        need = max(PASS, reach * math.sqrt(float(error[place]) ** 2 + rim))
        if z[place] - least <= GOOD and top - z[place] > need:
            found.append((float(z[place]), place, top))
    if not found:
        return None
    bottom, (i, j), top = min(found)
    return Basin(float(lr[i]), float(weight_decay[j]), cells.ratio(bottom - least),
                 cells.ratio(top - bottom))  # fmt: skip


def _table(cells: Cells) -> tuple[Array, Array, Array, Array]:
    """The cells' z and its standard error `[I, J]`, NaN where nothing finished, and the axes."""
    done = cells.finished
    lr, weight_decay = np.unique(cells.table["lr"]), np.unique(cells.table["weight_decay"])
    z = np.full((len(lr), len(weight_decay)), np.nan)
    at = np.searchsorted(lr, done["lr"]), np.searchsorted(weight_decay, done["weight_decay"])
    error = z.copy()
    z[at] = done["z"]
    error[at] = np.sqrt(mean_variances(cells, done, rest=False))
    return z, error, lr, weight_decay


def _pools(z: Array) -> Iterator[tuple[tuple[int, int], float]]:
    """Every pool that meets a deeper one: its lowest cell, and the level at which it does."""
    owner = np.full(z.shape, -1)
    bottoms: list[tuple[int, int]] = []
    into: list[int] = []

    def root(pool: int) -> int:
        while into[pool] != pool:
            pool = into[pool]
        return pool

    for flat in np.argsort(np.where(np.isfinite(z), z, np.inf), axis=None, kind="stable"):
        i, j = (int(k) for k in np.unravel_index(flat, z.shape))
        if not math.isfinite(z[i, j]):
            return
        near = owner[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        pools = sorted({root(int(p)) for p in near[near >= 0]})  # the deepest came first
        if not pools:
            pools = [len(bottoms)]
            bottoms.append((i, j))
            into.append(pools[0])
        owner[i, j] = pools[0]
        for other in pools[1:]:
            into[other] = pools[0]
            yield bottoms[other], float(z[i, j])
