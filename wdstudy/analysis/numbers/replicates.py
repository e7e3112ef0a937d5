"""The noise of a sweep from its seeds; for want of them, from how cells differ from neighbours."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.numbers.estimate import Array
from wdstudy.analysis.numbers.neighbours import noise_of_neighbours
from wdstudy.analysis.numbers.noise import FAR_OUT, TINY, Noise, moderated, prior_of

LEAST_PRIOR = 2.0
"""A column counts in the variance of its cells for at least so many degrees of freedom."""

COMMON = 0.01
"""P value below which a seed is taken to shift the cells of every lr alike."""


def noise_of(rows: pd.DataFrame, table: pd.DataFrame) -> Noise:
    """The noise of trials `rows` (cell, column, seed, z) in the cells of `table`.

    From seeds where cells have two; else from how a cell differs from its neighbours along
    weight_decay.
    """
    used = rows[rows["z"].notna() & rows["cell"].isin(table.index[table["z"].notna()])]
    used = used[used.groupby("cell")["z"].transform("count") >= 2]
    if used.empty:
        return noise_of_neighbours(table)
    rest, df, shifts = _rests(used)
    columns, overall = used["column"].to_numpy(), _scale(rest, sum(df.values()))
    squares = {}
    for column, free in df.items():
        mine = rest[columns == column]
        most = FAR_OUT * max(overall, _scale(mine, free))
        squares[column], df[column] = _trimmed(mine, most, free)
    noise = moderated(squares, df, table.groupby("column")["x"].mean().to_dict())
    if not noise.known:  # a cell or two with a second seed: their neighbours tell more
        return noise_of_neighbours(table)
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
    _, prior_df = prior_of(np.maximum(ratio, 1e-6), df)
    prior_df = max(prior_df, LEAST_PRIOR)
    drawn = 1.0 if math.isinf(prior_df) else (prior_df + df * ratio) / (prior_df + df)
    far = ratio > FAR_OUT**2
    variance = np.where(far, ratio, np.maximum(drawn, 1.0)) * whole
    noisier = variance > whole
    own = dict(zip(cells.index[noisier].tolist(), variance[noisier].tolist(), strict=True))
    return own, frozenset(cells.index[far].tolist())
