"""What weight_decay does at each lr: what it gains at best, and from where on it harms.

Every number is a contrast against the cell without weight decay (or with the least) of the same lr,
paired by seed, with the noise of that lr. The intervals of one lr hold together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import Column, Contrasts, against_least, columns
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say

FACTORS = (1.1, 1.25, 1.5, 2.0)
REPLICATES = 400


@dataclass(frozen=True)
class Change:
    """Loss at a weight_decay less that without it, as a share of that without; inf: it diverged."""

    weight_decay: float
    loss: Estimate


@dataclass(frozen=True)
class LrEffect:
    """What weight_decay does at one lr.

    without: what it is compared with: 0, or the least weight_decay tried.
    best_weight_decay: of the lowest loss, `without` among them.
    gain: the share of the loss that the best weight_decay takes off, 0.1 for 10 %; 0 where none
        does better than `without`. Of many cells the best looks better than it is; that is taken
        off the value, and the interval holds whichever cell is truly the best.
    gain_chance: how often chance alone would show such a gain at some lr of the sweep.
    harms_from: a factor, 1.1 for 10 % above the loss at `without` → the weight_decay from which on
        the loss is above it. Where no cell shows it, the value is NaN and `low` the largest
        weight_decay that surely does not.
    changes: the contrasts themselves, by rising weight_decay.
    """

    lr: float
    without: float
    best_weight_decay: float
    gain: Estimate
    gain_chance: float
    harms_from: Mapping[float, Estimate]
    changes: tuple[Change, ...]


def effects_by_lr(cells: Cells, rng: np.random.Generator) -> tuple[LrEffect, ...]:
    """The effect of weight_decay at every lr at which two cells finished, from the least lr on.

    Empty for scattered cells, which have no columns, and where values are not all positive.
    """
    if not cells.logarithmic:
        return ()
    usable = [c for c in columns(cells) if np.isfinite(c.z).sum() >= 2 or _only_diverged(c)]
    return tuple(_effect(against_least(column), len(usable), rng) for column in usable)


def _only_diverged(column: Column) -> bool:
    """Whether one cell finished and others diverged: that, too, is an effect."""
    return bool(np.isfinite(column.z).any() and np.isinf(column.z).any())


def _effect(contrasts: Contrasts, lrs: int, rng: np.random.Generator) -> LrEffect:
    column, base = contrasts.column, contrasts.base
    best = int(np.nanargmin(column.z))
    if not math.isfinite(column.z[base]):
        why = f"at weight_decay {column.weight_decay[base]:g}, to compare with, training diverged"
        return LrEffect(column.lr, float(column.weight_decay[base]),
                        float(column.weight_decay[best]), cannot_say(why, column.n), math.nan,
                        dict.fromkeys(FACTORS, cannot_say(why, column.n)), ())  # fmt: skip
    reach = contrasts.reach
    return LrEffect(
        column.lr,
        float(column.weight_decay[base]),
        float(column.weight_decay[best]),
        _gain(contrasts, rng),
        _chance(contrasts, lrs),
        {factor: _onset(column, base, contrasts.gap, reach, factor) for factor in FACTORS},
        tuple(_changes(column, contrasts.gap, reach)),
    )


def _gain(contrasts: Contrasts, rng: np.random.Generator) -> Estimate:
    """The best fall of the loss, between the best of what is sure and of what is possible."""
    column, base, gap = contrasts.column, contrasts.base, contrasts.gap
    # A cell whose seeds disagree may be anything: neither a proof of a gain nor of its absence.
    use = np.isfinite(gap) & (~column.odd | (np.arange(len(gap)) == base))
    fall, reach, error = -gap[use], contrasts.reach[use], contrasts.error[use]
    most = float(fall.max())  # not below 0, which is the cell without
    if not np.isfinite(reach).all():
        return Estimate(-math.expm1(-most), n=column.n, reason="no interval: noise not known")
    draws = fall + error * rng.standard_normal((REPLICATES, len(fall)))
    likely = max(2 * most - float(draws.max(axis=1).mean()), 0.0)
    low, high = max(float((fall - reach).max()), 0.0), float((fall + reach).max())
    likely = min(max(likely, low), high)
    value, low, high = (-math.expm1(-v) for v in (likely, low, high))
    return Estimate(value, low, high, column.n)


def _chance(contrasts: Contrasts, lrs: int) -> float:
    """P value of the greatest gain, all contrasts of the sweep counted; 1 where there is none."""
    gap, error = contrasts.gap, contrasts.error
    use = np.isfinite(gap) & (error > 0) & ~contrasts.column.odd
    if not contrasts.known:
        return math.nan
    if not use.any():
        return 1.0
    chances = stats.t.sf(-gap[use] / error[use], contrasts.df)
    return float(min(1.0, contrasts.count * lrs * float(chances.min())))


def _onset(column: Column, base: int, gap: Array, reach: Array, factor: float) -> Estimate:
    """Where the loss passes `factor` times that without weight decay, to stay above it.

    A loss that rises with weight_decay beyond its best is taken to go on rising: so is the band.
    How it rises between two cells is not known, so the interval reaches from the last that may
    still be below to the first that surely is above.
    """
    level = math.log(factor)
    # A cell whose seeds disagree tells nothing, unless it is above whichever of them is right.
    with np.errstate(invalid="ignore"):
        told = ~column.odd | np.isinf(gap) | (gap - reach > level)
    sure = ~np.isnan(gap) & (told | (np.arange(len(gap)) == base))
    place = np.flatnonzero(sure)
    start = int(np.argmin(np.where(np.isfinite(gap[place]), gap[place], math.inf)))
    place = place[start:]
    y, c = column.y[place], gap[place]
    wide = np.where(np.isfinite(reach[place]), reach[place], math.inf)
    finite = np.where(np.isfinite(c), c, 0.0)
    lower = np.maximum.accumulate(np.where(np.isinf(c), c, finite - wide))
    upper = np.minimum.accumulate(np.where(np.isinf(c), c, finite + wide)[::-1])[::-1]
    likely = _passing(y, _rising(c), level)
    above, sure_above = np.flatnonzero(upper > level), np.flatnonzero(lower > level)
    low = math.inf if not len(above) else float(y[above[0] - 1]) if above[0] else -math.inf
    high = float(y[sure_above[0]]) if len(sure_above) else math.inf
    largest = float(column.weight_decay[place[-1]])
    lower_end = largest if low == math.inf else float(10**low)  # 0: it may begin anywhere
    if not math.isfinite(likely):
        why = f"no harm of {factor - 1:.0%} is seen up to weight_decay {largest:g}, the largest"
        return Estimate(math.nan, lower_end, math.inf, column.n, why)
    value = 10**likely
    if not np.isfinite(wide).all():
        return Estimate(value, n=column.n, reason="no interval: noise not known")
    upper_end = 10**high if math.isfinite(high) else math.inf
    if lower_end > upper_end:  # it diverges at some weight_decay, and does not at a larger one
        lower_end, upper_end = 0.0, lower_end
    return Estimate(min(max(value, lower_end), upper_end), lower_end, upper_end, column.n)


def _rising(values: Array) -> Array:
    """The nearest values `[n]` that never fall (pool adjacent violators)."""
    level: list[float] = []
    size: list[int] = []
    for value in values:
        level.append(float(value))
        size.append(1)
        while len(level) > 1 and level[-2] > level[-1]:
            last, count = level.pop(), size.pop()
            level[-1] = (level[-1] * size[-1] + last * count) / (size[-1] + count)
            size[-1] += count
    return np.repeat(level, size)


def _passing(y: Array, values: Array, level: float) -> float:
    """Where rising values pass a level: the middle way to a diverged cell; inf if they never do."""
    above = np.flatnonzero(values > level)
    if not len(above):
        return math.inf
    k = int(above[0])
    if k == 0:
        return float(y[0])
    left = y[k - 1] if math.isfinite(y[k - 1]) else y[k] - 1  # below the least, a decade
    rise = values[k] - values[k - 1] if math.isfinite(values[k - 1]) else math.inf
    part = (level - values[k - 1]) / rise if math.isfinite(rise) else 0.5
    return float(left + part * (y[k] - left))


def _changes(column: Column, gap: Array, reach: Array) -> Iterator[Change]:
    for weight_decay, c, wide in zip(column.weight_decay, gap, reach, strict=True):
        if math.isnan(c):
            continue
        if math.isinf(c):
            loss = Estimate(math.inf, n=column.n, reason="diverged")
        else:
            low, high = math.expm1(c - wide), math.expm1(c + wide)
            loss = Estimate(math.expm1(c), low, high, column.n)
        yield Change(float(weight_decay), loss)
