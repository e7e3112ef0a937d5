"""How much chance there is in a trial's log loss, lr by lr.

On real planes the noise of a column of one lr is anything from a thousandth to a third of a log
unit, and a seed shifts the cells of one lr alike, those of another otherwise. So a trial is

    z(cell, seed) = cell + shift(lr, seed) + rest,

the variance of the rest is that of its lr, moderated towards the others' (Smyth 2004,
doi:10.2202/1544-6115.1027), and differences between cells of one lr are taken seed by seed, which
rids them of the shifts. A rest that lies far out does not count for its column, and a cell that is
noisier than its column, as beside a cliff, is as uncertain as its own seeds are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import special, stats

from wdstudy.analysis.numbers.estimate import Array
from wdstudy.analysis.numbers.smooth import FEWEST, local_quadratic

FAR_OUT = 3.5
"""A rest of more than this many standard deviations says something of its cell alone."""

OVERLAP = 0.5
"""Errors taken from neighbours share cells, so they count for fewer than they are."""

FEWEST_NEIGHBOURS = 4
"""Degrees of freedom below which neighbours tell too little of the noise."""

LEAST_PRIOR = 2.0
"""A column counts in the variance of its cells for at least so many degrees of freedom."""

COMMON = 0.01
"""P value below which a seed is taken to shift the cells of every lr alike."""

MOST_SMOOTHED = 1500
"""Cells whose neighbours are looked at; of more, every second or third."""

UNSEEN_SHIFT = 3.0
"""What one seed can't show, as a multiple of the rest: about the middle of benchmarks/tables/."""

TINY = 1e-24
"""A variance of log loss that is rounding."""

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


def noise_of(rows: pd.DataFrame, table: pd.DataFrame) -> Noise:
    """The noise of trials `rows` (cell, column, seed, z) in the cells of `table`.

    From seeds where cells have two; else from how a cell differs from its neighbours along
    weight_decay.
    """
    used = rows[rows["z"].notna() & rows["cell"].isin(table.index[table["z"].notna()])]
    used = used[used.groupby("cell")["z"].transform("count") >= 2]
    if used.empty:
        return _from_neighbours(table)
    rest, df, shifts = _rests(used)
    columns, overall = used["column"].to_numpy(), _scale(rest, sum(df.values()))
    squares = {}
    for column, free in df.items():
        mine = rest[columns == column]
        most = FAR_OUT * max(overall, _scale(mine, free))
        squares[column], df[column] = _trimmed(mine, most, free)
    noise = _moderated(squares, df)
    if not noise.known:
        return noise
    shift, shift_df = _shift(shifts, noise)
    common, common_df = _common(shifts)
    own, odd = _own(used, rest, noise)
    return Noise(noise.sd, noise.df, noise.columns, shift, shift_df, common, common_df,
                 own, odd, replicated=True)  # fmt: skip


def _rests(used: pd.DataFrame) -> tuple[Array, dict[int, float], pd.DataFrame]:
    """What neither cell nor shift explains `[n]`; its degrees of freedom by column; the shifts.

    Shifts are one row a column and seed: shift, cells (how many it was seen in).
    """
    rest = used["z"] - used.groupby("cell")["z"].transform("mean")
    groups = used.assign(rest=rest).groupby(["column", "seed"])
    # Seeds that belong to one cell each are replicates, and nothing is shared between cells.
    count = groups["cell"].transform("nunique")
    shared = (count >= 3).to_numpy()
    median = groups["rest"].transform("median").to_numpy()
    shift = np.where(shared, median, 0.0)
    left = rest.to_numpy() - shift
    frame = used.assign(shift=shift, shared=shared)
    df: dict[int, float] = {}
    for column, part in frame.groupby("column"):
        seeds = part.loc[part["shared"], "seed"].nunique()
        spare = len(part) - part["cell"].nunique() - max(seeds - 1, 0)
        df[int(column)] = float(max(spare, 0))
    seen = frame[frame["shared"]].groupby(["column", "seed"])
    shifts = seen.agg(shift=("shift", "first"), cells=("cell", "nunique")).reset_index()
    return left, df, shifts


def _trimmed(rest: Array, most: float, df: float) -> tuple[float, float]:
    """The sum of squares of rests, and its degrees of freedom, those that lie far out left away.

    At most a quarter of them: where more do, that is what the column is like, and they are drawn
    in instead.
    """
    far = np.abs(rest) > most
    if most <= 0 or far.mean() > 0.25:
        return float((np.clip(rest, -most, most) ** 2).sum()) if most > 0 else float(
            rest @ rest
        ), df
    return float((rest[~far] ** 2).sum()), df * float((~far).mean())


def _scale(rest: Array, df: float) -> float:
    """A standard deviation of rests that a few wild ones do not move."""
    if df <= 0:
        return 0.0
    return float(1.4826 * np.median(np.abs(rest)) * math.sqrt(len(rest) / df))


def _moderated(squares: Mapping[int, float], df: Mapping[int, float]) -> Noise:
    """Variances of the columns drawn towards each other, as far as they seem alike (Smyth 2004)."""
    total = sum(df.values())
    if total < 1:
        return Noise()
    pooled = max(sum(squares.values()) / total, TINY)
    tiny = max(1e-6 * pooled, TINY)
    own = {c: max(squares[c] / df[c], tiny) for c in df if df[c] >= 1}
    prior, prior_df = _prior(np.array([*own.values()]), np.array([df[c] for c in own]))
    columns = {}
    for column, free in df.items():
        if math.isinf(prior_df):
            variance = prior
        else:
            variance = (prior_df * prior + free * own.get(column, 0.0)) / (prior_df + free)
        columns[column] = ColumnNoise(math.sqrt(variance), min(prior_df + free, total))
    return Noise(math.sqrt(pooled), total, columns)


def _prior(variances: Array, df: Array) -> tuple[float, float]:
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


def _shift(shifts: pd.DataFrame, noise: Noise) -> tuple[float, float]:
    """Variance of the shifts as a multiple of their column's rest, and its degrees of freedom."""
    ratios, free = [], 0.0
    for column, part in shifts.groupby("column"):
        if len(part) < 2:
            continue
        seeds, cells = len(part), float(part["cells"].mean())
        spread = float(part["shift"].var(ddof=1)) / noise.of(int(column)).sd ** 2
        ratios += [min(spread, FAR_OUT**2) - 1 / cells] * (seeds - 1)
        free += seeds - 1
    if not ratios:
        return 0.0, 0.0
    return max(float(np.mean(ratios)), 0.0), free


def _common(shifts: pd.DataFrame) -> tuple[float, int]:
    """What a seed does at every lr alike, where that is beyond chance (F test)."""
    if shifts.empty:
        return 0.0, 0
    wide = shifts.pivot(index="column", columns="seed", values="shift").dropna(axis=1)
    lrs, seeds = wide.shape
    if lrs < 3 or seeds < 2:
        return 0.0, 0
    left = wide.sub(wide.mean(axis=1), axis=0)
    means = left.mean()
    inner = float(((left - means) ** 2).to_numpy().sum()) / ((lrs - 1) * (seeds - 1))
    between = lrs * float((means**2).sum()) / (seeds - 1)
    if inner <= 0 or stats.f.sf(between / inner, seeds - 1, (lrs - 1) * (seeds - 1)) > COMMON:
        return 0.0, 0
    return max(between - inner, 0.0) / lrs, seeds - 1


def _own(used: pd.DataFrame, rest: Array, noise: Noise) -> tuple[dict[int, float], frozenset[int]]:
    """Cells noisier than their column, as beside a cliff, and those that are far out.

    A cell's own variance counts beside its column's as far as cells of one column differ in it, by
    the same moderation.
    """
    frame = pd.DataFrame({"cell": used["cell"], "column": used["column"], "square": rest**2})
    cells = frame.groupby("cell").agg(column=("column", "first"), square=("square", "sum"),
                                      seeds=("square", "size"))  # fmt: skip
    whole = np.array([noise.of(int(c)).sd ** 2 for c in cells["column"]])
    df = cells["seeds"].to_numpy(dtype=float) - 1
    ratio = cells["square"].to_numpy(dtype=float) / df / np.maximum(whole, TINY)
    _, prior_df = _prior(np.maximum(ratio, 1e-6), df)
    prior_df = max(prior_df, LEAST_PRIOR)
    drawn = 1.0 if math.isinf(prior_df) else (prior_df + df * ratio) / (prior_df + df)
    far = ratio > FAR_OUT**2
    variance = np.where(far, ratio, np.maximum(drawn, 1.0)) * whole
    noisier = variance > whole
    own = dict(zip(cells.index[noisier].tolist(), variance[noisier].tolist(), strict=True))
    return own, frozenset(cells.index[far].tolist())


def _from_neighbours(table: pd.DataFrame) -> Noise:
    """From how cells differ from their neighbours, for want of seeds.

    What of the plane's own bends is left in it errs on the side of too much noise.
    """
    done = table[table["z"].notna() & (table["weight_decay"] > 0)].sort_values("y")
    parts = [part for _, part in done.groupby("column")]
    pieces: dict[int, list[Array]] = {int(part["column"].iloc[0]): [] for part in parts}
    for left, right in pairwise(parts):
        errors = _across(left, right)
        for part in (left, right):
            pieces[int(part["column"].iloc[0])].append(errors)
    if not any(len(e) for piece in pieces.values() for e in piece):
        done = done.iloc[:: 1 + len(done) // MOST_SMOOTHED]
        columns, errors = done["column"].to_numpy(), _off_the_smooth(done)
        pieces = {c: [errors[columns == c]] for c in pieces} if len(errors) else {}
    joined = {c: np.concatenate([np.empty(0), *piece]) for c, piece in pieces.items()}
    joined = {c: errors for c, errors in joined.items() if len(errors)}
    if sum(map(len, joined.values())) * OVERLAP < FEWEST_NEIGHBOURS:
        return Noise()
    scale = 1.4826 * float(np.median(np.abs(np.concatenate([*joined.values()]))))
    squares: dict[int, float] = {}
    df: dict[int, float] = {}
    for column, errors in joined.items():
        drawn = np.clip(errors, -FAR_OUT * scale, FAR_OUT * scale) if scale > 0 else errors
        df[column] = len(errors) * OVERLAP
        squares[column] = float((drawn**2).mean()) * df[column]
    return replace(_moderated(squares, df), shift=UNSEEN_SHIFT)


def _across(left: pd.DataFrame, right: pd.DataFrame) -> Array:
    """Errors of one trial's size in two columns of the same cells.

    Second differences along weight_decay (Gasser, Sroka & Jennen-Steinmetz 1986), and of these
    what differs from one lr to the next: a curve that both columns share is not in them, nor is a
    straight trade-off.
    """
    y, other = (part["y"].to_numpy(dtype=float) for part in (left, right))
    if len(y) < 3 or len(y) != len(other) or np.ptp(other - y) > 1e-6:
        return np.empty(0)
    share = (y[2:] - y[1:-1]) / (y[2:] - y[:-2])
    twist = left["z"].to_numpy(dtype=float) - right["z"].to_numpy(dtype=float)
    error = share * twist[:-2] + (1 - share) * twist[2:] - twist[1:-1]
    return np.asarray(error / np.sqrt(2 * (1 + share**2 + (1 - share) ** 2)))


def _off_the_smooth(done: pd.DataFrame) -> Array:
    """Errors of one trial's size of scattered cells, off a surface through their neighbours."""
    points = done[["x", "y"]].to_numpy(dtype=float)
    span = np.ptp(points, axis=0) if len(points) else np.zeros(2)
    if len(points) <= FEWEST or not (span > 0).all():
        return np.empty(0)
    left = np.eye(len(points)) - local_quadratic(points / span, points / span, FEWEST)
    scale = np.sqrt((left**2).sum(axis=1))
    error = left @ done["z"].to_numpy(dtype=float)
    return np.asarray(error / np.maximum(scale, 0.1))
