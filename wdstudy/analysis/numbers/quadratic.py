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
from wdstudy.analysis.numbers.ridge import RISE, SHAPE, WIDEST, Ridge, no_ridge

REPLICATES = 999
DEPTHS = (0.0625, 0.125, 0.25, 0.5)  # of the range from the best loss to the plateau, in log loss
MIN_SPARE = 3  # residual degrees of freedom below which an interval means little
MIN_LRS = 3
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
    valleys, strips = _strips(cells)
    if valleys < MOST * strips:
        why = (
            f"the loss rises on both sides of a best weight_decay in {valleys} of {strips} "
            "strips of lr only"
        )
        return no_ridge(why, len(z))
    lr, weight_decay = (tuple(10**v for v in points) for points in (found.at, found.floor))
    return Ridge(found.slope, found.bend, lr, weight_decay)


def _grown(
    x: Array, y: Array, z: Array, plateau: float, rng: np.random.Generator
) -> _Found:
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


def _strips(cells: Cells) -> tuple[int, int]:
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


@dataclass(frozen=True)
class _Surface:
    """A basin's fitted surface. Of the coefficients `[R, T]` row 0 is the fit, the rest are draws.

    x, y: `[n]`, measured from `origin`. above: `[n]`, z less g(x): what y does, and the noise.
    at, low, high: `[k]`, where the ridge is read, and the weight_decay sampled near there.
    """

    x: Array
    y: Array
    origin: tuple[float, float]
    above: Array
    powers: list[tuple[int, int]]
    coefficients: Array
    at: Array
    low: Array
    high: Array
    scatter: float
    spare: int
    p_flat: float

    def ridge(self, rows: slice = slice(None)) -> Array:
        """Fitted minimum over y `[R, k]`; NaN where it is not inside the sampled weight_decay."""
        return _minima(self.coefficients[rows], self.powers, self.at, self.low, self.high)

    def value(self, x: Array, y: Array) -> Array:
        """The fitted terms in y, `[n]`."""
        return np.asarray(_monomials(x, y, self.powers) @ self.coefficients[0])


def _ridge_of(x: Array, y: Array, z: Array, rng: np.random.Generator) -> _Found:
    """The ridge of one basin."""
    fit = _fit(x, y, z, rng)
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


def _fit(x: Array, y: Array, z: Array, rng: np.random.Generator) -> _Surface | str:
    """The surface of one basin, or why there is none."""
    lrs, n = np.unique(x), len(x)
    if len(lrs) < MIN_LRS:
        return f"only {len(lrs)} lr near the best"
    origin = (float(x.mean()), float(y.mean()))
    x, y = x - origin[0], y - origin[1]
    g = _in_lr(x)
    if n - g.shape[1] - 3 < MIN_SPARE:
        return f"only {n} cells near the best, too few for a curved surface"
    p_flat = _f_test(g, np.hstack([g, _monomials(x, y, _powers(2))]), z)
    powers = _degree(x, y, z, g)
    design = np.hstack([g, _monomials(x, y, powers)])
    q, _ = np.linalg.qr(design)
    inverse = np.linalg.pinv(design)  # [G + T, n]
    residual = z - q @ (q.T @ z)
    spare = n - design.shape[1]
    coefficients = inverse[g.shape[1] :] @ z
    # Wild bootstrap of HC3 residuals (Davidson & Flachaire 2008), widened to Student's t
    error = residual / (1 - np.minimum((q * q).sum(1), 0.99))
    error *= stats.t.ppf(0.975, spare) / stats.norm.ppf(0.975)
    signs = rng.choice([-1.0, 1.0], (REPLICATES, n))
    draws = coefficients + (signs * error) @ inverse[g.shape[1] :].T
    at = np.linspace(np.quantile(x, 0.05), np.quantile(x, 0.95), 7)
    return _Surface(
        x, y, origin, z - g @ (inverse[: g.shape[1]] @ z), powers,
        np.vstack([coefficients, draws]), at, *_sampled(x, y, at),
        float(np.sqrt(residual @ residual / spare)), spare, p_flat,
    )  # fmt: skip


def _in_lr(x: Array) -> Array:
    """The basis of g(x), a polynomial, `[n, G]`."""
    degree = 4 if len(x) >= 40 else 3 if len(x) >= 24 else 2
    return np.vander(x / max(np.abs(x).max(), 1e-9), degree + 1)


def _powers(degree: int) -> list[tuple[int, int]]:
    """Exponents (i, j) of the terms xⁱyʲ that hold y, up to a total degree."""
    return [(i, j) for j in range(1, degree + 1) for i in range(degree + 1 - j)]


def _monomials(x: Array, y: Array, powers: list[tuple[int, int]]) -> Array:
    """Terms xⁱyʲ along a new last axis, `[..., T]`."""
    return np.stack([x**i * y**j for i, j in powers], axis=-1)


def _degree(x: Array, y: Array, z: Array, g: Array) -> list[tuple[int, int]]:
    """Exponents of the surface: of a higher degree only where the cells ask for it."""
    chosen = _powers(2)
    for degree in (3, 4):
        larger = _powers(degree)
        enough = len(x) - g.shape[1] - len(larger) >= 2 * MIN_SPARE
        if enough and g.shape[1] > degree:
            smaller = np.hstack([g, _monomials(x, y, chosen)])
            if _f_test(smaller, np.hstack([g, _monomials(x, y, larger)]), z) < 0.1:
                chosen = larger
    return chosen


def _f_test(small: Array, large: Array, z: Array) -> float:
    """P value of the terms that `large` has beyond `small`, both `[n, p]`."""
    rss = [
        float(np.sum((z - m @ np.linalg.lstsq(m, z, rcond=None)[0]) ** 2)) for m in (small, large)
    ]
    extra, spare = large.shape[1] - small.shape[1], len(z) - large.shape[1]
    tiny = 1e-16 * len(z) * max(float(np.mean(z * z)), 1e-300)  # rounding, not noise
    if rss[0] <= tiny:
        return 1.0
    return float(stats.f.sf((rss[0] - rss[1]) / extra / (max(rss[1], tiny) / spare), extra, spare))


def _sampled(x: Array, y: Array, at: Array) -> tuple[Array, Array]:
    """Lowest and highest y of the cells near each x, `[k]` each."""
    reach = np.ptp(at) / max(len(at) - 1, 1) / 2
    near = [np.abs(x - here) <= max(reach, np.abs(x - here).min()) + 1e-9 for here in at]
    return np.array([y[m].min() for m in near]), np.array([y[m].max() for m in near])


def _minima(
    coefficients: Array, powers: list[tuple[int, int]], at: Array, low: Array, high: Array
) -> Array:
    """Least value over y of R surfaces at each x, `[R, k]`; NaN where it lies at an end.

    A search on 25 points a little beyond the sampled range, then Newton's method.
    """
    margin = 0.1 * (high - low)
    search = np.linspace(low - margin, high + margin, 25)  # [25, k]
    values = np.einsum("skt,rt->rsk", _monomials(at, search, powers), coefficients)
    where = values.argmin(axis=1)  # [R, k]
    y = np.take_along_axis(search, where, axis=0)
    step = (search[1] - search[0])[None]
    start = y
    for _ in range(4):
        first, second = np.zeros_like(y), np.zeros_like(y)
        for (i, j), b in zip(powers, coefficients.T, strict=True):
            first += b[:, None] * at**i * j * y ** (j - 1)
            if j > 1:
                second += b[:, None] * at**i * j * (j - 1) * y ** (j - 2)
        move = first / np.where(second > 0, second, np.inf)
        y = np.clip(y - move, start - step, start + step)
    return np.where((where > 0) & (where < len(search) - 1), y, np.nan)


def _not_a_valley(fit: _Surface, ridge: Array) -> str:
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
