"""A scale's own test: the largest value predicted from the others, and what was measured there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.alignment import Alignment, alignments
from wdstudy.analysis.numbers.contrasts import mean_variances, quantile
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say
from wdstudy.analysis.numbers.following import Followed, followed, harmless
from wdstudy.analysis.numbers.points import points_of
from wdstudy.analysis.numbers.prediction import REPLICATES, spoken_at
from wdstudy.analysis.numbers.scaled import Part, Scaled
from wdstudy.analysis.numbers.smooth import local_quadratic
from wdstudy.words import number

WITHIN = 0.02
"""A prediction that costs less than this share of the loss is a good one."""

NARROW = 0.1
"""A reading by the nearest cells is taken where its interval is no wider, else what is narrower."""

NEAREST = 12  # cells that the loss at a place is read from
LINE = 5


@dataclass(frozen=True)
class HeldOut:
    """What the smaller values of a scale said of the largest.

    lr, weight_decay: the prediction. best: the best pair that was measured there, and loss: its.
    regret: what training with the predicted pair costs beside that, as a share of the loss.
    kept: the same of the pair that was best at the least value. reason: why there is no test.
    """

    value: float
    lr: Estimate
    weight_decay: Estimate
    best: tuple[float, float]
    loss: Estimate
    regret: Estimate
    kept: Estimate
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the prediction did about as well as the best."""
        return self.regret.known and self.regret.value <= WITHIN

    @property
    def sure(self) -> bool:
        """Whether that it did worse is ruled out."""
        return self.passed and self.regret.high <= WITHIN


def held_out(scaled: Scaled) -> HeldOut:
    """The test of the largest value over which a plane was swept; it needs two others."""
    swept = [k for k, part in enumerate(scaled.parts) if len(part.cells.finished) >= LINE]
    largest = swept[-1] if swept else len(scaled.parts) - 1
    last = scaled.parts[largest]
    best = (last.best.lr, last.best.weight_decay)

    def silent(why: str) -> HeldOut:
        unknown = cannot_say(why)
        return HeldOut(last.value, unknown, unknown, best, last.best.loss, unknown, unknown, why)

    if largest < 2:
        return silent("without the largest only one value is left; a third would give the test")
    before = scaled.below(largest)
    found = followed(before)
    if found.law is None:
        return silent(f"without the largest value the best lr can't be followed: {found.why_lr}")
    lr = spoken_at(found.law, last.t, "lr", new=True)
    decay = cannot_say(found.why_decay)
    if found.law.follows_decay:
        decay = spoken_at(found.law, last.t, "weight_decay", new=True)
    regret = cost(last, lr.value, decay.value)
    kept = cost(last, *_first_pair(before, found))
    return HeldOut(last.value, lr, decay, best, last.best.loss, regret, kept)


def _first_pair(scaled: Scaled, found: Followed) -> tuple[float, float]:
    """The pair of the least value, as the law of the others has it."""
    assert found.law is not None
    t = scaled.parts[0].t
    decay = spoken_at(found.law, t, "weight_decay").value if found.law.follows_decay else math.nan
    return spoken_at(found.law, t, "lr").value, decay


def cost(part: Part, lr: float, decay: float) -> Estimate:
    """By how much the loss at a pair lies above the best there, as a share of it.

    Read from the nearest cells; where noise makes that too wide, from a basin fitted to this value
    alone. Where the weight_decay is NaN, at those that do no harm.
    """
    target = np.log10([lr] if math.isnan(decay) else [lr, decay])
    done = harmless(part) if math.isnan(decay) else part.cells.decayed
    axes = ["x"] if math.isnan(decay) else ["x", "y"]
    place = done[axes].to_numpy(dtype=float)
    low, high = place.min(axis=0), place.max(axis=0)
    step = (high - low) / np.maximum([len(np.unique(axis)) - 1 for axis in place.T], 1)
    if (target < low - step).any() or (target > high + step).any():
        pair = " and weight_decay ".join(number(float(10**end)) for end in target)
        return cannot_say(f"lr {pair} lies outside of what was tried at {number(part.value)}")
    by_cells = _by_cells(part, done, place, np.clip(target, low, high))
    if by_cells.known and by_cells.high - by_cells.low <= NARROW:
        return by_cells
    found = alignments(points_of([(part.cells, done)], np.zeros(1), axes))
    told = [by_cells, *(_by_basin(part, aligned, target) for aligned in found)]
    known = [one for one in told if one is not None and one.known]
    return min(known, key=lambda one: one.high - one.low, default=by_cells)


def _by_basin(part: Part, aligned: Alignment, target: Array) -> Estimate | None:
    """By the fit; None where the pair lies outside of it."""
    rng = np.random.default_rng(0)
    axes = len(target)
    root = np.linalg.cholesky(aligned.covariance + 1e-12 * np.eye(axes))
    draws = quantile(aligned.df) / 1.96 * rng.standard_normal((REPLICATES, axes)) @ root.T
    offsets = target - aligned.bottom[0] - np.vstack([np.zeros(axes), draws])
    rises = aligned.rise(offsets, np.zeros(len(offsets)))
    if rises[0] > aligned.depth:
        return None
    low, high = np.quantile(np.clip(rises[1:], 0.0, None), [0.025, 0.975])
    value = float(np.clip(rises[0], low, high))
    return part.cells.share(value, float(low), float(high), aligned.cells)


def _by_cells(part: Part, done: pd.DataFrame, place: Array, target: Array) -> Estimate:
    """By a quadratic through the nearest cells, against the best cell less its luck."""
    cells, z = part.cells, done["z"].to_numpy(dtype=float)
    weights = _reading(place, target)
    if weights is None or cells.best is None:
        return cannot_say(f"too few cells finished at {number(part.value)}", len(z))
    near = weights != 0
    there = float(np.clip(weights @ z, z[near].min(), z[near].max()))
    luck = math.log(part.best.loss.value / part.best.seen) if cells.logarithmic else 0.0
    rise = there - float(cells.finished.loc[cells.best, "z"]) - luck
    if not cells.noise.known:
        return Estimate(cells.ratio(rise), n=len(z), reason="no interval: noise not known")
    variance = mean_variances(cells, done, rest=False).to_numpy(dtype=float)
    best = cells.finished.loc[[cells.best]]
    own = float(mean_variances(cells, best, rest=False).iloc[0])
    half = quantile(cells.noise.df) * math.sqrt(float(weights**2 @ variance) + own)
    return cells.share(rise, rise - half, rise + half, len(z))


def _reading(place: Array, target: Array) -> Array | None:
    """The weights `[n]` by which cells tell z at a place: of a quadratic through the nearest."""
    span = np.ptp(place, axis=0)
    if len(place) < (LINE if place.shape[1] == 1 else NEAREST) or not (span > 0).all():
        return None
    if place.shape[1] == 2:
        return np.asarray(local_quadratic(place / span, (target / span)[None], NEAREST)[0])
    weights = np.zeros(len(place))
    near = np.argsort(np.abs(place[:, 0] - target[0]), kind="stable")[:LINE]
    offset = (place[near, 0] - target[0]) / span[0]
    weights[near] = np.linalg.pinv(np.vander(offset, 3))[-1]
    return weights
