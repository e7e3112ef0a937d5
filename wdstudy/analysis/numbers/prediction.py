"""What to expect at a value of the scale that was not trained: the pair, and what is at stake."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from wdstudy.analysis.numbers.contrasts import quantile
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say
from wdstudy.analysis.numbers.following import Followed, Law
from wdstudy.analysis.numbers.scaled import Scaled
from wdstudy.errors import StudyError
from wdstudy.words import number

REACH = 1.0
"""A prediction lies no further beyond the sweep than this many times the sweep's own span."""

REPLICATES = 400
RAY = 24  # points on the way from one pair to another


@dataclass(frozen=True)
class Prediction:
    """The pair to train with at a value of a scale.

    weight_decay: of the best; where weight decay only harms, not known, with the reason.
    limit: the weight_decay from which on the loss is 25 % above that without, at this lr.
    kept: the pair of the least value that was trained, and stake: by how much higher the loss is
        with it, as a share of the best here.
    beyond: by which factor the value lies outside of those that were trained; 1 inside.
    """

    scale: str
    value: float
    lr: Estimate
    weight_decay: Estimate
    limit: Estimate
    kept: tuple[float, float]
    stake: Estimate
    beyond: float


def predicted(scaled: Scaled, found: Followed, value: float) -> Prediction:
    """The prediction at a value.

    Raises:
        StudyError: nothing can be followed, or the value lies too far outside.
    """
    if found.law is None:
        raise StudyError(f"nothing can be predicted along {scaled.name}: {found.why_lr}")
    beyond = _within_reach(scaled, value)
    law, t = found.law, scaled.place(value)
    lr = spoken_at(law, t, "lr", new=True)
    decay = (
        spoken_at(law, t, "weight_decay", new=True)
        if law.follows_decay
        else cannot_say(found.why_decay, law.alignment.cells)
    )
    first = scaled.parts[0]
    kept = 10 ** law.drift.at(first.t, np.eye(len(law.drift.slope))[0])[0]
    pair = (kept, 10 ** law.drift.at(first.t, np.array([0.0, 1.0]))[0]
            if law.follows_decay else math.nan)  # fmt: skip
    limit = cannot_say(found.why_limit) if found.limit is None else _limit(found, t)
    return Prediction(scaled.name, value, lr, decay, limit, pair,
                      _stake(scaled, law, first.t, t), beyond)  # fmt: skip


def _within_reach(scaled: Scaled, value: float) -> float:
    """The factor by which a value lies outside of those that were trained.

    Raises:
        StudyError: it is none to predict at.
    """
    least, largest = scaled.values[0], scaled.values[-1]
    if not (0 < value < math.inf):
        raise StudyError(f"{scaled.name}={value:g}: give a number above 0")
    factor = max(value / largest, least / value, 1.0)
    most = (largest / least) ** REACH
    if factor > most * 1.001:
        raise StudyError(
            f"{scaled.name}={number(value)} lies a factor of {factor:.3g} outside of "
            f"{number(least)} … {number(largest)}, and a sweep over a factor of {most:.3g} "
            f"predicts no further than that again: ask for {number(least / most)} … "
            f"{number(largest * most)}, or train sizes nearer to it"
        )
    return factor


def weights_of(law: Law, quantity: str) -> Array:
    """The sum of the law's axes that is the log10 of a quantity."""
    sums = {"lr": (1.0, 0.0), "weight_decay": (0.0, 1.0), "product": (1.0, 1.0)}
    return np.array(sums[quantity][: len(law.drift.slope)])


def spoken_at(law: Law, t: float, quantity: str, *, new: bool = False) -> Estimate:
    """A quantity at a place of the scale, in its own units."""
    middle, half = law.drift.at(t, weights_of(law, quantity), new=new)
    return raised(middle, half, law.alignment.cells)


def raised(middle: float, half: float, n: int, reason: str = "") -> Estimate:
    """10 to the power of something and its interval."""
    ends = np.clip([middle, middle - half, middle + half], -300, 300)
    value, low, high = (float(end) for end in 10.0**ends)
    return Estimate(value, low, high, n, reason)


def _limit(found: Followed, t: float) -> Estimate:
    assert found.limit is not None
    middle, half = found.limit.at(t, np.ones(1), new=True)
    return raised(middle, half, len(found.limit.t))


def _stake(scaled: Scaled, law: Law, kept: float, t: float) -> Estimate:
    """What the pair of one place of the scale costs at another, as a share of the loss."""
    cells, drift = scaled.parts[0].cells, law.drift
    axes = len(drift.slope)
    here = drift.middle + kept * drift.slope
    rng = np.random.default_rng(0)
    # What is not known of the way between the two is not known of slope, moved and scatter.
    covariance = (t - kept) ** 2 * drift.covariance[axes:, axes:] + drift.scatter
    root = np.linalg.cholesky(covariance + 1e-12 * np.eye(axes))
    wide = quantile(drift.df) / 1.96
    draws = wide * rng.standard_normal((REPLICATES, axes)) @ root.T
    draws += (t - kept) * drift.moved * rng.standard_normal((REPLICATES, 1))
    offset = here - (drift.middle + t * drift.slope)
    offsets = np.vstack([offset, offset - draws])
    rises, beyond = _rises(law, offsets, np.full(len(offsets), t))
    low, high = np.quantile(rises[1:], [0.025, 0.975])
    value = float(np.clip(rises[0], low, high))
    share = cells.share(value, float(low), float(high), law.alignment.cells)
    if beyond[0]:
        return replace(share, reason="at least: beyond the basin that was fitted")
    return share


def _rises(law: Law, offsets: Array, t: Array) -> tuple[Array, Array]:
    """Height f at places counted from the bottom `[m]`, no more than the basin is deep.

    A polynomial says nothing outside of the cells it was fitted to, so it is followed from the
    bottom outwards until the basin ends. The second array says where it did.
    """
    aligned = law.alignment
    share = np.linspace(0, 1, RAY + 1)[1:]
    at = (share[:, None, None] * offsets).reshape(-1, offsets.shape[1])
    rises = aligned.rise(at, np.tile(t, RAY)).reshape(RAY, -1)
    over = np.maximum.accumulate(rises >= aligned.depth, axis=0)
    capped = np.where(over, aligned.depth, rises)[-1]
    return np.maximum(capped, 0.0), over[-1]
