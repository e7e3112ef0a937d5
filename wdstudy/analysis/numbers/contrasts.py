"""Differences of log loss between the cells of one lr, seed by seed, with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.frames.cells import DIVERGED_SHARE
from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.estimate import Array, Mask
from wdstudy.analysis.numbers.noise import FEWEST_DF


@dataclass(frozen=True)
class Column:
    """The cells of one lr by rising weight_decay, n of them.

    z: `[n]`, the mean over seeds; inf where the cell diverged, NaN where nothing finished.
    by_seed: `[n, S]`, NaN where a seed is missing.
    variance: `[n]`, of one trial, seeds' common shift apart; NaN where noise is not known.
    shift: variance of what a seed brings to the whole column.
    odd: `[n]`, cells whose own seeds differ by far more than the column's do.
    df: degrees of freedom of `variance`.
    """

    lr: float
    weight_decay: Array
    z: Array
    by_seed: Array
    variance: Array
    shift: float
    odd: Mask
    df: float

    @property
    def y(self) -> Array:
        """log10 weight_decay `[n]`, -inf at 0."""
        with np.errstate(divide="ignore"):
            return np.log10(self.weight_decay)

    @property
    def n(self) -> int:
        """How many trials have a value."""
        return int(np.isfinite(self.by_seed).sum())

    def against(self, base: int) -> tuple[Array, Array]:
        """How much z of every cell lies above that of the cell `base`, and the errors, `[n]` each.

        Over the seeds that both have, where there are such; the errors are standard errors.
        """
        seen, own = np.isfinite(self.by_seed), np.isfinite(self.by_seed[base])
        both = seen & own
        shared = both.sum(axis=1)
        gaps = np.where(both, self.by_seed - self.by_seed[base], 0.0)
        paired = gaps.sum(axis=1) / np.maximum(shared, 1)
        pair_error = np.sqrt((self.variance + self.variance[base]) / np.maximum(shared, 1))
        mine, its = np.maximum(seen.sum(axis=1), 1), max(int(own.sum()), 1)
        apart = np.sqrt((self.variance + self.shift) / mine
                        + (self.variance[base] + self.shift) / its)  # fmt: skip
        finite = np.isfinite(self.z)
        gap = np.where(finite, np.where(shared > 0, paired, 0.0), self.z)
        alone = finite & (shared == 0)
        gap[alone] = self.z[alone] - self.z[base]
        error = np.where(finite, np.where(shared > 0, pair_error, apart), 0.0)
        gap[base] = error[base] = 0.0
        return gap, error


@dataclass(frozen=True)
class Contrasts:
    """z of a column's cells less that of the least weight_decay, `[n]`, with errors.

    gap: inf where the cell diverged, NaN where nothing finished.
    """

    column: Column
    base: int
    gap: Array
    error: Array
    df: float

    @property
    def count(self) -> int:
        """How many there are."""
        return max(int((~np.isnan(self.gap)).sum()) - 1, 1)

    @property
    def known(self) -> bool:
        """Whether the noise is."""
        return self.df >= FEWEST_DF

    @property
    def reach(self) -> Array:
        """Half widths of intervals that hold together, `[n]`; NaN where the noise is not known."""
        if not self.known:
            return np.full(len(self.gap), np.nan)
        return self.error * quantile(self.df, self.count)


def against_least(column: Column) -> Contrasts:
    """A column against its least weight_decay."""
    base = int(np.flatnonzero(~np.isnan(column.z))[0])
    gap, error = column.against(base)
    return Contrasts(column, base, gap, error, column.df)


def columns(cells: Cells) -> Iterator[Column]:
    """The columns of a grid, from the least lr on; none of scattered cells."""
    if cells.scattered:
        return
    rows = cells.trials[cells.trials["z"].notna()]
    by_seed = rows.pivot_table(index="cell", columns="seed", values="z", aggfunc="mean")
    for number, part in cells.table.groupby("column"):
        yield _column(cells, int(number), part.sort_values("weight_decay"), by_seed)


def _column(cells: Cells, number: int, part: pd.DataFrame, by_seed: pd.DataFrame) -> Column:
    noise, own = cells.noise, cells.noise.of(number)
    lost = (part["diverged"] >= DIVERGED_SHARE).to_numpy()
    z = np.where(lost, math.inf, part["z"].to_numpy(dtype=float))
    values = by_seed.reindex(part.index).to_numpy(dtype=float, copy=True)
    values[~np.isfinite(z)] = np.nan
    return Column(
        lr=float(part["lr"].iloc[0]),
        weight_decay=part["weight_decay"].to_numpy(dtype=float),
        z=z,
        by_seed=values,
        variance=np.array([noise.variance(cell, number) for cell in part.index]),
        shift=noise.shift * own.sd**2,
        odd=np.array([cell in noise.odd for cell in part.index], dtype=bool),
        df=own.df,
    )


def quantile(df: float, count: int = 1, level: float = 0.05) -> float:
    """How many standard errors `count` two-sided intervals reach that all hold at 1 - `level`.

    Bonferroni's; NaN where the noise rests on too little.
    """
    return float(stats.t.isf(level / 2 / max(count, 1), df)) if df > 0 else math.nan


def difference_errors(cells: Cells, one: pd.Series, others: pd.DataFrame) -> pd.Series:
    """Standard errors of the difference of `one` cell's z to the others'.

    Cells of one lr share what their seeds bring to it; those of different lr do not.
    """
    same = (others["column"] == one["column"]) & (not cells.scattered)
    both = {name: mean_variances(cells, others, name == "rest") for name in ("rest", "total")}
    mine = {
        name: mean_variances(cells, one.to_frame().T, name == "rest").iloc[0]
        for name in ("rest", "total")
    }
    paired, apart = both["rest"] + mine["rest"], both["total"] + mine["total"]
    return np.sqrt(paired.where(same, apart))


def mean_variances(cells: Cells, table: pd.DataFrame, rest: bool) -> pd.Series:
    """Variance of the mean z of cells, without or with the shift of their lr."""
    of = cells.noise.variance if rest else cells.noise.total
    one = [of(int(i), int(c)) for i, c in zip(table.index, table["column"], strict=True)]
    return pd.Series(one, index=table.index) / table["seeds"].astype(float)
