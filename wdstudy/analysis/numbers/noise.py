"""How much chance there is in a trial's log loss, lr by lr.

On real planes the noise of a column of one lr is anything from a thousandth to a third of a log
unit, and a seed shifts the cells of one lr alike, those of another otherwise. So a trial is

    z(cell, seed) = cell + shift(lr, seed) + rest,

the variance of the rest is that of its lr, moderated towards what the others let expect there
(Smyth 2004, doi:10.2202/1544-6115.1027; along a trend as in Law et al. 2014,
doi:10.1186/gb-2014-15-2-r29), for noise grows with lr. Differences between cells of one lr are
taken seed by seed, which rids them of the shifts. A rest that lies far out does not count for its
column, and a cell that is noisier than its column, as beside a cliff, is as uncertain as its own
seeds are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from wdstudy.analysis.numbers.estimate import Array

FAR_OUT = 3.5
"""A rest of more than this many standard deviations says something of its cell alone."""

TINY = 1e-24
"""A variance of log loss that is rounding."""

RISE, RISE_SD = 1.8, 1.0
"""Log variance that a decade of lr adds, and how models differ in that (benchmarks/tables/)."""

SCATTER, SCATTER_SD = 0.5, 1.5
"""Variance of a column's log variance about that trend, as most of these tables have it, and the
standard deviation of its logarithm from one to another."""

SCATTERS = np.geomspace(0.03, 12.0, 30)
"""Such variances that are weighed against each other."""

FEWEST_DF = 2
"""No interval rests on one degree of freedom: Student's t is then wider than any loss."""

NO_SEEDS = "no cell has 2 seeds"
TWO_SEEDS_DIFFER = "two seeds that shift every cell alike tell too little; a third would"


@dataclass(frozen=True)
class ColumnNoise:
    """The standard deviation of the rest in one column of lr, and its degrees of freedom."""

    sd: float
    df: float


@dataclass(frozen=True)
class Noise:
    """The chance in one trial's z.

    sd, df: of the rest, pooled over the columns; NaN and 0 where it is not known.
    columns: of the rest, by the column's number.
    shift: variance of the shifts of one lr, as a multiple of that of the rest.
    shift_df: degrees of freedom of `shift`.
    common: variance that a seed brings to the cells of every lr alike. common_df: of it, 0 where
        it is not beyond chance.
    own: cells whose seeds differ by more than their column's do → the variance of one trial.
    odd: those of them that differ by so much that nothing should rest on them.
    replicated: the noise is that of seeds, rather than of neighbours on the plane.
    """

    sd: float = math.nan
    df: float = 0
    columns: Mapping[int, ColumnNoise] = field(default_factory=dict)
    shift: float = 0.0
    shift_df: float = 0
    common: float = 0.0
    common_df: int = 0
    own: Mapping[int, float] = field(default_factory=dict)
    odd: frozenset[int] = frozenset()
    replicated: bool = False

    @property
    def known(self) -> bool:
        """Whether there is an estimate with enough behind it for an interval."""
        return self.df >= FEWEST_DF

    def of(self, column: int) -> ColumnNoise:
        """The noise of a column; the pooled one where the column has none of its own."""
        return self.columns.get(column, ColumnNoise(self.sd, self.df))

    def variance(self, cell: int, column: int) -> float:
        """Variance of the rest of one trial of a cell."""
        return max(self.of(column).sd ** 2, self.own.get(cell, 0.0))

    def total(self, cell: int, column: int) -> float:
        """The same with the shift of its lr, which differences across lr do not lose."""
        return self.variance(cell, column) + self.shift * self.of(column).sd ** 2


def moderated(
    squares: Mapping[int, float], df: Mapping[int, float], x: Mapping[int, float]
) -> Noise:
    """Variances of the columns drawn towards what all of them let expect (Smyth 2004).

    Columns without errors of their own get what is expected at their lr, and few degrees of freedom
    where that lies far from those that have some.

    Args:
        squares: Sums of squares of errors by column.
        df: Their degrees of freedom.
        x: log10 lr of every column, of those without errors too.
    """
    total = sum(df.values())
    if total < 1:
        return Noise()
    pooled = max(sum(squares.values()) / total, TINY)
    tiny = max(1e-6 * pooled, TINY)
    own = {c: max(squares[c] / df[c], tiny) for c in df if df[c] >= 1}
    if not own:
        return Noise(math.sqrt(pooled), total)
    free, at = np.array([df[c] for c in own]), np.array([x[c] for c in own])
    told = np.log([*own.values()]) - special.digamma(free / 2) + np.log(free / 2)
    likely, spread = _trend(at, told, special.polygamma(1, free / 2), np.array([*x.values()]))
    columns = {}
    for column, log_variance, unsure in zip(x, likely, spread, strict=True):
        half = _inverse_trigamma(unsure)
        prior = math.exp(log_variance + special.digamma(half) - math.log(half))
        mine = df.get(column, 0.0) if column in own else 0.0
        variance = (2 * half * prior + mine * own.get(column, 0.0)) / (2 * half + mine)
        columns[column] = ColumnNoise(math.sqrt(variance), min(2 * half + mine, total))
    return Noise(math.sqrt(pooled), total, columns)


def _trend(x: Array, told: Array, error: Array, at: Array) -> tuple[Array, Array]:
    """The log variances expected `at` some log10 lr, and the variances of those there, `[m]` each.

    A line through those that are `told` `[n]` with variances `error`, whose slope is drawn towards
    RISE. How far columns scatter about it is weighed by how well it explains them.
    """
    design = np.column_stack([np.ones_like(x), x])
    prior = np.diag([0.0, RISE_SD**-2])
    target = np.array([0.0, RISE * RISE_SD**-2])
    weights, lines, errors = [], [], []
    there = np.column_stack([np.ones_like(at), at])
    for scatter in SCATTERS:
        weight = 1 / (error + scatter)
        precision = design.T @ (weight[:, None] * design) + prior
        covariance = np.linalg.inv(precision)
        line = covariance @ (design.T @ (weight * told) + target)
        left = float((weight * (told - design @ line) ** 2).sum())
        left += ((line[1] - RISE) / RISE_SD) ** 2
        chance = np.log(weight).sum() - np.linalg.slogdet(precision)[1] - left
        chance -= (math.log(scatter / SCATTER) / SCATTER_SD) ** 2
        weights.append(chance / 2)
        lines.append(there @ line)
        errors.append(scatter + ((there @ covariance) * there).sum(axis=1))
    share = np.exp(np.array(weights) - max(weights))
    share /= share.sum()
    return share @ np.array(lines), share @ np.array(errors)


def prior_of(variances: Array, df: Array) -> tuple[float, float]:
    """The variance that columns share, and for how many degrees of freedom it counts."""
    pooled = float((variances * df).sum() / df.sum())
    if len(variances) < 3:
        return pooled, math.inf
    e = np.log(variances) - special.digamma(df / 2) + np.log(df / 2)
    spread = float(e.var(ddof=1) - special.polygamma(1, df / 2).mean())
    if spread <= 0:
        return pooled, math.inf
    half = _inverse_trigamma(spread)
    return float(np.exp(e.mean() + special.digamma(half) - math.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """The x of which the trigamma function is `value`, by Newton's method on 1 / trigamma."""
    if value > 1e7:
        return 1 / math.sqrt(value)
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
