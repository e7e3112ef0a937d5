"""One basin laid over the planes of all values of a scale: where its bottom lies at each.

In the basin of a value (cells below a level of z, so neither plateau nor cliff) log loss is

    z = level_k + f(place - bottom_k),      f(u) = Σ c_α u^α,   2 ≤ |α| ≤ degree,

with a bottom of its own for every value k and one shape f for all, since f has neither a constant
nor a linear term. So a value at whose edge the bottom lies, or that has holes there, is placed by
the flank that it shows, and what a polynomial misses of the shape it misses at every value alike.
Where the cells object to one shape (F test), its curvature may change along the scale.

All of it moves with the cells when y = log10 weight_decay is replaced by y + log10 lr, and so the
places in another parametrisation of the same runs differ as they must.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from wdstudy.analysis.numbers.estimate import Array, Mask
from wdstudy.analysis.numbers.monomials import (
    Powers,
    derivative,
    hessian,
    monomials,
    powers_up_to,
)
from wdstudy.analysis.numbers.points import Points

DEPTHS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the way from the best z to the plateau
FLOOR = 0.01  # of the depth: no polynomial describes a basin better
BENDS, OBJECTS = 0.05, 0.01  # P values below which a higher degree, or another shape, is taken
SPARE = 12  # cells more than coefficients, or as many again if these are more
OUTSIDE = 1.0  # a bottom lies no further from the cells of its basin than these reach
LOOSE = 0.75  # decades: a bottom that is known no better than this is none
BELOW = 0.1  # of the depth: so far below the bottom a fit may dip elsewhere


@dataclass(frozen=True)
class Alignment:
    """The basin of some depth, laid over K values.

    bottom: `[K, d]`, log10. covariance: `[K d, K d]`, of these, with what the model misses.
    level: `[K]`, z there. powers, shape, change: the terms of f and their coefficients `[T]`, and
        by how much these change per decade of the scale.
    depth: of the basin. used: `[K]`, which values have enough cells in it. cells: how many.
    misfit: by how much the cells scatter more than their noise, as a ratio of variances, 1 at
        least; by_value: the same of each value `[K]`. df: degrees of freedom of the covariance.
    objection: P value of the test that one shape serves all values.
    """

    bottom: Array
    covariance: Array
    level: Array
    powers: Powers
    shape: Array
    change: Array
    t: Array
    depth: float
    used: Mask
    cells: int
    misfit: float
    by_value: Array
    df: float
    objection: float

    def rise(self, offset: Array, t: Array) -> Array:
        """Height f at places `[m, d]` counted from the bottom, at values t `[m]` of the scale."""
        terms = monomials(offset, self.powers)
        return np.asarray(terms @ self.shape + t * (terms @ self.change))

    def curvature(self, t: float) -> Array:
        """The second derivatives of f at the bottom `[d, d]`."""
        return hessian(self.shape + t * self.change, self.powers)


def alignments(points: Points) -> list[Alignment]:
    """Of every depth at which there is one, the shallowest first."""
    best = np.array([points.z[points.value == k].min() for k in range(points.values)])
    reach = float(np.median(np.maximum(points.top - best, 0.0)))
    found: list[Alignment] = []
    for share in DEPTHS:
        aligned = _aligned(points, best, share * reach) if reach > 0 else None
        if aligned is None or (found and aligned.cells <= found[-1].cells):
            continue
        error = np.sqrt(np.diag(aligned.covariance)).reshape(aligned.bottom.shape)
        if np.median(error, axis=0).max() < LOOSE:
            found.append(aligned)
    return found


def _aligned(points: Points, best: Array, depth: float) -> Alignment | None:
    """The alignment at a depth; None where there is none.

    Cells are first chosen by their z, then, so that the noise does not choose, by the fit.
    """
    basin = points.z <= best[points.value] + depth
    fit = None
    for _ in range(3):
        used = _enough(points, basin)
        if not used.any():
            return None
        part = points.take(basin).of_values(used)
        fit = _chosen(part, depth)
        if fit is None:
            return None
        again = _below(points, fit, used, depth)
        if bool((again == (basin & used[points.value])).all()):
            break
        basin = again
    return _told(part, fit, used, depth) if fit is not None else None


def _enough(points: Points, basin: Mask) -> Mask:
    """The values `[K]` that have cells enough in the basin to be placed."""
    enough = []
    for k in range(points.values):
        place = points.place[basin & (points.value == k)]
        spread = [len(np.unique(axis)) for axis in place.T]
        enough.append(len(place) > 2 * points.axes and min(spread) > 1)
    return np.array(enough)


def _below(points: Points, fit: _Fit, used: Mask, depth: float) -> Mask:
    """The cells that the fit has in the basin, unless they themselves lie far above it."""
    number = np.cumsum(used) - 1
    k = number[points.value]
    rise = fit.rise(points.place - fit.bottom[k], points.t[points.value])
    error = np.sqrt(points.rest + points.shift)
    near = points.z - fit.level[k] <= depth + 3 * error
    return np.asarray(used[points.value] & (rise <= depth) & near)


@dataclass(frozen=True)
class _Fit:
    """A fit to the cells of a basin: as `Alignment` has it, with its sum of squares."""

    bottom: Array
    level: Array
    powers: Powers
    shape: Array
    change: Array
    residual: Array
    jacobian: Array

    @property
    def squares(self) -> float:
        return float(self.residual @ self.residual)

    @property
    def spare(self) -> int:
        return len(self.residual) - int(self.jacobian.shape[1])

    def rise(self, offset: Array, t: Array) -> Array:
        terms = monomials(offset, self.powers)
        return np.asarray(terms @ self.shape + t * (terms @ self.change))


def _chosen(points: Points, depth: float) -> _Fit | None:
    """The fit of the least degree that the cells do not object to."""
    start = _started(points, depth)
    if start is None:
        return None
    fit = _solved(points, start, 2, varying=0, depth=depth)
    for degree in (3, 4):
        if fit is None:
            return None
        larger = _solved(points, fit, degree, varying=0, depth=depth)
        if larger is not None and _f_test(fit, larger) < BENDS:
            fit = larger
    return fit


def _told(points: Points, fit: _Fit, used: Mask, depth: float) -> Alignment | None:
    """What is told of a fit, with another curvature at each value where the cells ask for it."""
    degree, objection = max(map(sum, fit.powers)), 1.0
    for varying in sorted({2, degree}) if points.values > 2 else ():
        other = _solved(points, fit, degree, varying=varying, depth=depth)
        p_value = 1.0 if other is None else _f_test(fit, other)
        objection = min(objection, p_value)
        if other is None or p_value > OBJECTS:
            break
        fit = other
    misfit = max(fit.squares / fit.spare, 1.0)
    size = points.values * points.axes
    inner = np.linalg.pinv(fit.jacobian.T @ fit.jacobian, hermitian=True)
    covariance: Array = np.asarray(inner[:size, :size], dtype=float)
    each = np.bincount(points.value, fit.residual**2, points.values) / points.counts
    return Alignment(
        fit.bottom,
        covariance * misfit,
        fit.level,
        fit.powers,
        fit.shape,
        fit.change,
        points.t,
        depth,
        used,
        len(points.z),
        misfit,
        each * len(points.z) / fit.spare,
        float(fit.spare) if misfit > 1 else points.df,
        objection,
    )


def _started(points: Points, depth: float) -> _Fit | None:
    """A paraboloid of one shape, by linear least squares; None where the cells bend down."""
    values, axes = points.values, points.axes
    one = np.eye(values)[points.value]
    powers = powers_up_to(2, axes)
    linear = [one * points.place[:, [a]] for a in range(axes)]
    design = np.hstack([one, *linear, monomials(points.place, powers)])
    if not _enough_for(points, design.shape[1]):
        return None
    whiten = points.whitener(FLOOR * depth)
    solution = np.linalg.lstsq(whiten @ design, whiten @ points.z, rcond=None)[0]
    shape = solution[-len(powers) :]
    bend = hessian(shape, powers)
    if np.linalg.eigvalsh(bend).min() <= 0:
        return None
    slopes = solution[values : values * (1 + axes)].reshape(axes, values).T  # [K, d]
    bottom = -np.linalg.solve(bend, slopes.T).T
    level = solution[:values] - 0.5 * np.einsum("ka,ab,kb->k", bottom, bend, bottom)
    nothing = np.empty(0)
    return _Fit(bottom, level, powers, shape, np.zeros_like(shape), nothing, nothing)


def _solved(points: Points, start: _Fit, degree: int, *, varying: int, depth: float) -> _Fit | None:
    """The fit of a degree by Levenberg and Marquardt; None where it is no basin.

    varying: the terms up to this degree change along the scale.
    """
    values, axes = points.values, points.axes
    powers = powers_up_to(degree, axes)
    moving = np.array([sum(power) <= varying for power in powers])
    size, terms, more = values * axes, len(powers), int(moving.sum())
    if not _enough_for(points, size + values + terms + more):
        return None
    known = dict(zip(start.powers, start.shape, strict=True))
    shape = np.array([known.get(power, 0.0) for power in powers])
    first = np.concatenate([start.bottom.ravel(), start.level, shape, np.zeros(more)])
    whiten, t = points.whitener(FLOOR * depth), points.t[points.value]
    one, rows = np.eye(values)[points.value], np.arange(len(points.z))

    def parted(theta: Array) -> tuple[Array, Array, Array, Array]:
        change = np.zeros(terms)
        change[moving] = theta[size + values + terms :]
        bottom = theta[:size].reshape(values, axes)
        return bottom, theta[size : size + values], theta[size + values :][:terms], change

    def residual(theta: Array) -> Array:
        bottom, level, shape, change = parted(theta)
        at = monomials(points.place - bottom[points.value], powers)
        return np.asarray(
            whiten @ (points.z - level[points.value] - at @ shape - t * (at @ change))
        )

    def jacobian(theta: Array) -> Array:
        bottom, _, shape, change = parted(theta)
        offset = points.place - bottom[points.value]
        at = monomials(offset, powers)
        slopes = np.zeros((len(rows), size))
        for axis in range(axes):
            steep = derivative(offset, powers, axis)
            slopes[rows, points.value * axes + axis] = steep @ shape + t * (steep @ change)
        return np.asarray(whiten @ np.hstack([slopes, -one, -at, -t[:, None] * at[:, moving]]))

    found = optimize.least_squares(residual, first, jacobian, method="lm", max_nfev=100)
    fit = _Fit(*_arranged(parted(found.x), powers), found.fun, jacobian(found.x))
    return fit if _is_basin(points, fit, depth) else None


def _enough_for(points: Points, coefficients: int) -> bool:
    return len(points.z) >= coefficients + max(SPARE, coefficients)


def _arranged(
    parts: tuple[Array, Array, Array, Array], powers: Powers
) -> tuple[Array, Array, Powers, Array, Array]:
    bottom, level, shape, change = parts
    return bottom, level, powers, shape, change


def _is_basin(points: Points, fit: _Fit, depth: float) -> bool:
    """Whether the fit has its bottom where it says, about the cells of every value."""
    for t in points.t:
        if np.linalg.eigvalsh(hessian(fit.shape + t * fit.change, fit.powers)).min() <= 0:
            return False
    for k, bottom in enumerate(fit.bottom):
        place = points.place[points.value == k]
        low, high = place.min(axis=0), place.max(axis=0)
        margin = OUTSIDE * (high - low)
        if (bottom < low - margin).any() or (bottom > high + margin).any():
            return False
    rise = fit.rise(points.place - fit.bottom[points.value], points.t[points.value])
    return bool(rise.min() > -BELOW * depth)


def _f_test(small: _Fit, large: _Fit) -> float:
    """P value of what a larger model explains beyond a smaller one."""
    extra = small.spare - large.spare
    gained = max(small.squares - large.squares, 0.0)
    return float(stats.f.sf(gained / extra / (large.squares / large.spare), extra, large.spare))
