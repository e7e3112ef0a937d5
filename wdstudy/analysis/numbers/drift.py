"""How places drift along a scale: the line through them, log10 against log10, with its errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from wdstudy.analysis.numbers.alignment import OBJECTS, Alignment
from wdstudy.analysis.numbers.contrasts import quantile
from wdstudy.analysis.numbers.estimate import Array

SHAPE, PLACE = 0.02, 0.08
"""Left of the bias of an exponent, and of a place in decades, on lopsided basins whose drift is
known (benchmarks/transfer.py): a polynomial has its bottom where the flanks draw it."""

WITHIN = 1.5
"""Intervals of a shallower basin, so many times as wide, hold the slopes of a deeper one."""

KNOWN = 0.15
"""Decades: the middle of the line is read from the shallowest basin that tells it so well."""

POOR = 2.0
"""A deeper basin that fits by this factor worse than the shallowest is no polynomial any more."""


@dataclass(frozen=True)
class Drift:
    """The line place = middle + slope · t of d axes, t in decades from the middle of the scale.

    covariance: `[2 d, 2 d]`, of middle and slope. scatter: `[d, d]`, variance of a value's place
        about the line beyond the errors. moved, shifted: `[d]`, what slope and middle still move
        by when another basin is read. df: degrees of freedom. bent: P value of the test of one
        line.
    t: `[K]` of the values it rests on; places: `[K, d]`, each alone; blocks: `[K, d, d]`, their
        covariance.
    """

    middle: Array
    slope: Array
    covariance: Array
    scatter: Array
    moved: Array
    shifted: Array
    df: float
    bent: float
    t: Array
    places: Array
    blocks: Array

    def at(self, t: float, weights: Array, *, new: bool = False) -> tuple[float, float]:
        """A sum of the axes at a value of the scale, and half its 95 % interval.

        weights: `[d]`. new: of one more value there, which scatters about the line as others do.
        """
        lever = np.concatenate([weights, t * weights])
        variance = float(lever @ self.covariance @ lever)
        if new:
            variance += float(weights @ self.scatter @ weights)
        value = float(weights @ self.middle + t * weights @ self.slope)
        half = quantile(self.df) * math.sqrt(variance)
        read = float(weights @ (self.shifted + t * self.moved))
        return value, math.hypot(half, read, SHAPE * t, PLACE)

    def exponent(self, weights: Array) -> tuple[float, float]:
        """The slope of a sum of the axes, and half its 95 % interval."""
        axes = len(self.middle)
        variance = float(weights @ self.covariance[axes:, axes:] @ weights)
        half = quantile(self.df) * math.sqrt(variance)
        value = float(weights @ self.slope)
        return value, math.hypot(half, float(weights @ self.moved), SHAPE)


def drift_of(aligned: Sequence[Alignment]) -> tuple[Drift, Alignment]:
    """The drift of the deepest basin that the shallower ones agree with, and that basin.

    A shallow basin is noisy, a deep one no polynomial. As long as the slopes stay inside the
    intervals of all basins so far, it grows (Lepski 1991). Slopes may be read from a deep one,
    since what a polynomial misses it misses at every value alike; where the line lies is read from
    a shallow one.
    """
    accepted: list[tuple[Drift, Alignment]] = []
    last = None
    for alignment in _alike(aligned):
        drift = drift_through(alignment.t, alignment.bottom, alignment.covariance, alignment.df)
        if accepted:
            poor = alignment.misfit > POOR * accepted[0][1].misfit
            if poor or not all(_holds(one, drift) for one, _ in accepted):
                last = drift
                break
        accepted.append((drift, alignment))
    best, alignment = accepted[-1]
    other = last or (accepted[-2][0] if len(accepted) > 1 else best)
    return _placed(moved(best, other), accepted), alignment


def _placed(drift: Drift, accepted: Sequence[tuple[Drift, Alignment]]) -> Drift:
    """The drift with its middle, and each value's own place, from a shallower basin."""
    axes = len(drift.slope)
    drifts = [one for one, _ in accepted if len(one.t) == len(drift.t)]

    def error(one: Drift) -> float:
        return float(np.sqrt(np.diag(one.covariance)[:axes]).max())

    near = next((one for one in drifts if error(one) < KNOWN), drifts[-1])
    covariance = drift.covariance.copy()
    if near is not drifts[-1]:  # what two basins tell hangs together in no way that is known
        covariance[:axes, axes:] = covariance[axes:, :axes] = 0.0
    covariance[:axes, :axes] = near.covariance[:axes, :axes]
    return replace(
        drift,
        middle=near.middle,
        covariance=covariance,
        shifted=near.middle - (drifts[0] if near is not drifts[0] else drifts[-1]).middle,
        df=min(drift.df, near.df),
        places=near.places,
        blocks=near.blocks,
    )


def _alike(aligned: Sequence[Alignment]) -> list[Alignment]:
    """The basins of as many values as there are at most, of the kind that most depths show.

    That is with one shape for all values, or with one that changes: of one depth alone a test may
    err, and what serves all values in shallow basins and not in a deep one is no basin there.
    """
    most = max(int(one.used.sum()) for one in aligned)
    whole = [one for one in aligned if int(one.used.sum()) == most]
    changing = [one for one in whole if one.objection < OBJECTS]
    if 2 * len(changing) > len(whole):
        return changing
    return [one for one in whole if one.objection >= OBJECTS]


def _holds(drift: Drift, other: Drift) -> bool:
    """Whether the slopes of another basin lie inside the intervals of this one."""
    for weights in np.eye(len(drift.slope)):
        value, half = drift.exponent(weights)
        if abs(value - float(weights @ other.slope)) > WITHIN * half:
            return False
    return True


def moved(drift: Drift, other: Drift) -> Drift:
    """A drift with the change to another reading of the same cells as one more error."""
    return replace(drift, moved=drift.slope - other.slope, shifted=drift.middle - other.middle)


def drift_through(t: Array, places: Array, covariance: Array, df: float) -> Drift:
    """The line through places `[K, d]` whose errors hang together, by generalised least squares.

    Where they scatter about it beyond their errors, what they scatter by is taken to be of the
    errors' mean shape (after DerSimonian & Laird 1986): so the line stays the same line when the
    axes are replaced by sums of them.
    """
    values, axes = places.shape
    design = np.zeros((values * axes, 2 * axes))
    for k, axis in np.ndindex(values, axes):
        design[k * axes + axis, [axis, axes + axis]] = 1.0, t[k]
    flat, free = places.ravel(), axes * (values - 2)
    line, among, left, inverse = _least_squares(design, flat, covariance)
    misfit = float(left @ inverse @ left)
    chance, scatter = among, np.zeros((axes, axes))
    if free and misfit > free:
        mean = _middle(covariance, axes)
        whole = np.kron(np.eye(values), mean)
        spread = inverse - inverse @ design @ among @ design.T @ inverse
        scatter = (misfit - free) / float(np.trace(spread @ whole)) * mean
        line, among, *_ = _least_squares(
            design, flat, covariance + np.kron(np.eye(values), scatter)
        )
    # Of the volume of the two ellipsoids, which sums of the axes leave alone.
    grown = float(np.exp(np.diff([np.linalg.slogdet(m)[1] for m in (chance, among)])[0] / 2 / axes))
    df = _freedom(1.0, grown, df, free)
    square = covariance.reshape(values, axes, values, axes)
    blocks = np.stack([square[k, :, k, :] for k in range(values)])
    return Drift(line[:axes], line[axes:], among, scatter, np.zeros(axes), np.zeros(axes),
                 df, _bent(misfit, free, df), t, places, blocks)  # fmt: skip


def _middle(covariance: Array, axes: int) -> Array:
    """The errors `[d, d]` of the value that is placed neither best nor worst."""
    ends = range(0, len(covariance), axes)
    blocks = [covariance[i : i + axes, i : i + axes] for i in ends]
    return sorted(blocks, key=lambda block: float(np.linalg.det(block)))[(len(blocks) - 1) // 2]


def _least_squares(
    design: Array, flat: Array, covariance: Array
) -> tuple[Array, Array, Array, Array]:
    inverse: Array = np.asarray(np.linalg.pinv(covariance, hermitian=True), dtype=float)
    within = design.T @ inverse @ design
    among: Array = np.asarray(np.linalg.pinv(within, hermitian=True), dtype=float)
    line = among @ design.T @ inverse @ flat
    return line, among, flat - design @ line, inverse


def _freedom(chance: float, whole: float, df: float, free: int) -> float:
    """Degrees of freedom of a variance that is part noise and part scatter (Satterthwaite)."""
    misfit = max(whole - chance, 0.0)
    if misfit <= 0 or not free:
        return max(df, 1.0)
    return max(whole**2 / (chance**2 / max(df, 1.0) + misfit**2 / free), 1.0)


def _bent(misfit: float, free: int, df: float) -> float:
    """P value of a misfit about the line; 1 where nothing could show one."""
    return float(stats.f.sf(misfit / free, free, max(df, 1.0))) if free else 1.0
