"""The ridge of scattered cells, which have no columns: through a surface fitted to the basin.

x = log10 lr, y = log10 weight_decay, z = log loss of a cell. In a basin (cells below a level of z,
so neither plateau nor cliff) a surface is fitted by least squares,

    z = g(x) + Σ b_ij xⁱ yʲ,   j ≥ 1,  i + j ≤ degree,   degree 2, 3 or 4 as an F test asks,

with g a polynomial. The ridge y*(x) is the fitted minimum over y at each x, and the slope that of
the straight line through it. Neither the level nor the family of functions changes when y is
replaced by y + x, so the slope in another parametrisation of the same runs differs by exactly one,
as it must.

How deep a basin? Small ones are noisy, large ones are no polynomial. From the smallest basin that
can say something, the basin grows as long as its slope stays inside every interval met so far
(Lepski 1991). How much the slope still moves from one basin to the next joins the interval.

A polynomial finds minima also where the loss is level. So a slope is told only where the cells
themselves, strip by strip of lr, rise on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import stats

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.estimate import Array, Estimate, Mask, cannot_say
from wdstudy.analysis.numbers.polynomial import MIN_LRS, REPLICATES, BasinSurface, fit_basin
from wdstudy.analysis.numbers.ridge import RISE, SHAPE, WIDEST, Ridge, no_ridge

DEPTHS = (0.0625, 0.125, 0.25, 0.5)  # of the range from the best loss to the plateau, in log loss
MOST = 0.3  # of the strips of trained cells must be valleys: where decay only harms, fewer are
FEWEST_IN_STRIP = 9


@dataclass(frozen=True)
class _Found:
    """The ridge of one basin; `at` and `floor` are its points, log10."""

    slope: Estimate
    bend: Estimate
    at: tuple[float, ...] = ()
    floor: tuple[float, ...] = ()


def ridge_of_scatter(cells: Cells, rng: np.random.Generator) -> Ridge:
    """The ridge of scattered cells."""
    decayed = cells.decayed
    x, y, z = (decayed[axis].to_numpy(dtype=float) for axis in ("x", "y", "z"))
    found = _grown(x, y, z, cells.plateau, rng)
    if not found.slope.known:
        return Ridge(found.slope, found.bend)
    valleys, strips = valley_strips(cells)
    if valleys < MOST * strips:
        why = (
            f"the loss rises on both sides of a best weight_decay in {valleys} of {strips} "
            "strips of lr only"
        )
        return no_ridge(why, len(z))
    lr, weight_decay = (tuple(10**v for v in points) for points in (found.at, found.floor))
    return Ridge(found.slope, found.bend, lr, weight_decay)


def _grown(x: Array, y: Array, z: Array, plateau: float, rng: np.random.Generator) -> _Found:
    """The ridge of the largest basin that the smaller ones agree with."""
    accepted: list[_Found] = []
    unknown = _unknown("no finished cell" if len(z) == 0 else "all cells lie at one level", len(z))
    for basin in basins(z, plateau):
        ridge = _ridge_of(x[basin], y[basin], z[basin], rng)
        if not ridge.slope.known:
            if accepted:
                break
            unknown = ridge
        elif all(_holds(r.slope, ridge.slope.value) for r in accepted):
            accepted.append(ridge)
        else:
            return _widened(accepted[-1], ridge)
    if not accepted:
        return unknown
    return _widened(accepted[-1], accepted[-2] if len(accepted) > 1 else accepted[-1])


def valley_strips(cells: Cells) -> tuple[int, int]:
    """How many strips of trained cells are valleys across weight_decay, and how many there are.

    What lr does within a strip is taken off by a quadratic surface through its cells.
    """
    valleys = strips = 0
    for _, part in cells.basin().groupby("column"):
        if len(part) < FEWEST_IN_STRIP:
            continue
        x, y, z = (part[name].to_numpy(dtype=float) for name in ("x", "y", "z"))
        x, y = x - x.mean(), y - y.mean()
        terms = np.stack([np.ones_like(x), y, y * y, x, x * x, x * y], axis=1)
        fit = np.linalg.lstsq(terms, z, rcond=None)[0]
        error = math.sqrt(float(((z - terms @ fit) ** 2).sum()) / (len(z) - 6))
        flat = (z - terms[:, 3:] @ fit[3:])[np.argsort(y)]
        third = len(flat) // 3
        low, middle, high = flat[:third], flat[third:-third], flat[-third:]
        need = max(RISE, 2 * error / math.sqrt(third))
        least = float(np.sort(middle)[: max(2, third)].mean())
        strips += 1
        valleys += low.mean() - least > need and high.mean() - least > need
    return valleys, strips


def basins(z: Array, plateau: float) -> list[Mask]:
    """Cells below growing levels of `z`, each a mask `[n]`, without repetition."""
    if len(z) == 0:
        return []
    best = float(np.sort(z)[: len(z) // 50 + 1].mean())
    top = min(plateau, float(z.max())) if math.isfinite(plateau) else float(z.max())
    masks = [z <= best + depth * max(top - best, 0.0) for depth in DEPTHS]
    grows = [a.sum() < b.sum() for a, b in pairwise(masks)]
    return [mask for mask, wanted in zip(masks, [*grows, True], strict=True) if wanted]


def _unknown(reason: str, n: int) -> _Found:
    return _Found(cannot_say(reason, n), cannot_say(reason, n))


def _holds(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def _widened(ridge: _Found, other: _Found) -> _Found:
    """`ridge` with the change of slope to another basin as one more source of error."""
    slope, step = ridge.slope, float(np.mean(np.diff(ridge.at)))
    moved = math.hypot(slope.value - other.slope.value, SHAPE)
    if ridge.bend.known:  # the slope of a bent valley depends on the lr it is taken over
        moved = math.hypot(moved, ridge.bend.value * step / 2)
    low = slope.value - math.hypot(slope.value - slope.low, moved)
    high = slope.value + math.hypot(slope.high - slope.value, moved)
    return replace(ridge, slope=replace(slope, low=low, high=high))


def _ridge_of(x: Array, y: Array, z: Array, rng: np.random.Generator) -> _Found:
    """The ridge of one basin."""
    fit = fit_basin(x, y, z, rng)
    if isinstance(fit, str):
        return _unknown(fit, len(x))
    n, ridge = len(fit.x), fit.ridge()
    inside = np.isfinite(ridge[0])
    why = _not_a_valley(fit, ridge[0])
    if why:
        return _unknown(why, n)
    slopes = _slopes(fit.at[inside], ridge[:, inside])
    told = slopes[1:][np.isfinite(slopes[1:])]
    if len(told) < 0.9 * REPLICATES or np.ptp(np.quantile(told, [0.025, 0.975])) > WIDEST:
        why = "the valley across weight_decay is too shallow beside the noise"
        return _unknown(why, n)
    low, high = (float(q) for q in np.quantile(told, [0.025, 0.975]))
    return _Found(
        Estimate(float(slopes[0]), low, high, n),
        _bend(fit.at[inside], ridge[:, inside], n),
        tuple((fit.at[inside] + fit.origin[0]).tolist()),
        tuple((ridge[0][inside] + fit.origin[1]).tolist()),
    )


def _not_a_valley(fit: BasinSurface, ridge: Array) -> str:
    """Why there is no valley floor to follow; empty if there is one.

    The fitted minimum of a surface that is level on one side is an artefact of the fit. The cells
    themselves, not the fit, must lie higher on either side than they do near the ridge.
    """
    if fit.p_flat > 0.01:
        return "no valley across weight_decay is seen beyond the noise"
    inside = np.isfinite(ridge)
    if inside.sum() < max(MIN_LRS, len(ridge) / 2):
        return "the best weight_decay is at the edge of the range for most lr"
    line = np.polynomial.Polynomial.fit(fit.at[inside], ridge[inside], min(2, inside.sum() - 2))
    floor = line(fit.x)
    distance = fit.y - floor
    excess = fit.above - fit.value(fit.x, floor)
    near = np.argsort(np.abs(distance))[: max(3, len(distance) // 3)]
    for side, words in ((-1, "small"), (1, "large")):
        away = np.setdiff1d(np.flatnonzero(distance * side > 0), near)
        away = away[np.argsort(-np.abs(distance[away]))][: max(2, len(away) // 2 + 1)]
        if len(away) < 2:
            return f"too few cells at {words} weight_decay to see the loss rise there"
        error = fit.scatter * math.sqrt(1 / len(away) + 1 / len(near))
        if excess[away].mean() - excess[near].mean() < stats.t.ppf(0.99, fit.spare) * error:
            return f"the loss does not rise towards {words} weight_decay beyond the noise"
    return ""


def _slopes(x: Array, ridge: Array) -> Array:
    """Slope of the line through each row of `ridge` `[R, k]`, `[R]`; NaN if most of it is lost."""
    told = np.isfinite(ridge)
    count = told.sum(axis=1)
    enough = count >= max(MIN_LRS, len(x) / 2)
    lever = np.where(told, x - (told @ x / np.maximum(count, 1))[:, None], 0.0)
    spread = np.where(enough, np.sum(lever**2, axis=1), np.nan)
    return np.asarray(np.sum(lever * np.where(told, ridge, 0.0), axis=1) / spread)


def _bend(x: Array, ridge: Array, n: int) -> Estimate:
    """Change of slope per decade of lr, from a parabola through the ridge `[R, k]`."""
    told = ridge[np.isfinite(ridge).all(axis=1)]
    if len(x) < 4 or len(told) < 0.9 * len(ridge):
        return cannot_say("fewer than 4 lr show where their best weight_decay is", n)
    bends = 2 * np.polynomial.polynomial.polyfit(x - x.mean(), told.T, 2)[2]
    low, high = np.quantile(bends[1:], [0.025, 0.975])
    return Estimate(float(bends[0]), float(low), float(high), n)
