"""The cells of several values of a scale as one fit takes them: places, log loss and its errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.estimate import Array, Mask

STEEP = math.e
"""A cell of so many times the best loss is no longer in its basin, whatever the plateau."""

Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Points:
    """n cells of K values of a scale, on d axes.

    value: `[n]`, which of the K. place: `[n, d]`, log10. z: `[n]`.
    rest: `[n]`, variance of z that a cell has for itself; shift: `[n]`, what it shares with the
        other cells of its block, which is the lr of one value. block: `[n]`.
    t: `[K]`, log10 of the scale, counted from its middle. top: `[K]`, z of an untrained model, of
        the worst cell or of `STEEP` times the best, the least of these. df: of the noise.
    """

    value: Index
    place: Array
    z: Array
    rest: Array
    shift: Array
    block: Index
    t: Array
    top: Array
    df: float

    @property
    def values(self) -> int:
        """How many values there are."""
        return len(self.t)

    @property
    def axes(self) -> int:
        """How many axes."""
        return int(self.place.shape[1])

    @property
    def counts(self) -> Index:
        """How many cells each value has `[K]`."""
        return np.bincount(self.value, minlength=self.values)

    def take(self, some: Mask) -> Points:
        """Some of the cells, of as many values."""
        return replace(
            self, value=self.value[some], place=self.place[some], z=self.z[some],
            rest=self.rest[some], shift=self.shift[some], block=self.block[some],
        )  # fmt: skip

    def of_values(self, some: Mask) -> Points:
        """The cells of some of the values `[K]`, which are numbered anew."""
        part = self.take(some[self.value])
        number = (np.cumsum(some) - 1)[part.value]
        return replace(part, value=number, t=self.t[some], top=self.top[some])

    def whitener(self, floor: float) -> sparse.csr_array:
        """The matrix `[n, n]` that makes the errors of z independent and of size 1.

        floor: what is added to every cell's own error, because no model is better than that.
        """
        rows, columns, entries = [], [], []
        order = np.argsort(self.block, kind="stable")
        for cells in np.split(order, np.flatnonzero(np.diff(self.block[order])) + 1):
            common = np.sqrt(self.shift[cells])
            covariance = np.diag(self.rest[cells] + floor**2) + np.outer(common, common)
            inverse = np.linalg.inv(np.linalg.cholesky(covariance))
            rows.append(np.repeat(cells, len(cells)))
            columns.append(np.tile(cells, len(cells)))
            entries.append(inverse.ravel())
        at = (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_array((np.concatenate(entries), at), shape=(len(self.z),) * 2)


def points_of(parts: Sequence[tuple[Cells, pd.DataFrame]], t: Array, axes: Sequence[str]) -> Points:
    """The chosen cells of every value.

    Args:
        parts: Of each value all its cells, and those of its `finished` ones that are to be used.
        t: log10 of the scale, counted from its middle.
        axes: "x" for lr, "y" for weight_decay.
    """
    known = [cells.noise for cells, _ in parts if cells.noise.known]
    spare = float(np.mean([noise.sd**2 for noise in known])) if known else 0.0
    rows = []
    for number, (cells, used) in enumerate(parts):
        used = used[~used.index.isin(cells.noise.odd)]
        seeds = used["seeds"].to_numpy(dtype=float)
        pairs = [*zip(used.index, used["column"], strict=True)]
        rest = np.array([cells.noise.variance(int(i), int(c)) for i, c in pairs])
        shift = np.array([cells.noise.shift * cells.noise.of(int(c)).sd ** 2 for _, c in pairs])
        if not cells.noise.known:  # its neighbours in the scale tell more than it does
            rest, shift = np.full(len(pairs), spare), np.zeros(len(pairs))
        if cells.scattered:  # what neighbours of another lr share is not known
            rest, shift = rest + shift, np.zeros(len(pairs))
        rows.append(used.assign(number=number, rest=rest / seeds, shift=shift / seeds))
    frame = pd.concat(rows, ignore_index=True)
    top = [_top(cells) for cells, _ in parts]
    return Points(
        frame["number"].to_numpy(dtype=np.intp),
        frame[[*axes]].to_numpy(dtype=float),
        frame["z"].to_numpy(dtype=float),
        frame["rest"].to_numpy(dtype=float),
        frame["shift"].to_numpy(dtype=float),
        frame.groupby(["number", "column"]).ngroup().to_numpy(dtype=np.intp),
        t,
        np.array(top),
        float(sum(noise.df for noise in known)),
    )


def _top(cells: Cells) -> float:
    """Where the basin ends at the latest."""
    z = cells.finished["z"].to_numpy(dtype=float)
    steep = z.min() + math.log(STEEP) if cells.logarithmic else math.inf
    plateau = cells.plateau if math.isfinite(cells.plateau) else math.inf
    return float(min(z.max(), steep, plateau))
