"""The ridge: how log best weight_decay moves with log lr, where the plane has a valley to follow.

On most real planes weight_decay matters at high lr only, and a surface fitted through all of it
invents a valley, and with it a slope, where the loss is level. So a column of one lr counts only if
its own cells rise on both sides of its best, and a slope is told only through enough such columns,
with the span of lr that they cover. Each gives the place of its minimum, from a parabola through
the cells near it; the slope is that of the line through these places, weighted by how surely each
is known, which is by how much is at stake there. What scatters about the line beyond that joins
the interval.

All of it moves with the cells when y = log10 weight_decay is replaced by y + log10 lr, so the slope
in the other parametrisation of the same runs differs by exactly one, as it must.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import Column, columns, quantile
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say

Places = npt.NDArray[np.intp]

REPLICATES = 400
RISE = math.log(1.03)  # a column is a valley if its loss rises by more than this on both sides,
RISE_ERRORS = 3  # and by more than this many standard errors
DEEP, DEEP_ERRORS = math.log(1.1), 6  # a parabola holds no further up than this, or so many errors
BLUR = 0.08  # of the step between cells: by so much a parabola through them may miss the bottom
FEWEST = 4  # valleys that a slope is told through,
SPAN = 0.7  # over at least so many decades of lr
WIDEST = 1.5  # an interval wider than this no longer tells a trade-off from its opposite
SHAPE = 0.03  # left of the bias on lopsided valleys of known slope (benchmarks/coverage.py)


@dataclass(frozen=True)
class Ridge:
    """The slope of the ridge and how it bends.

    slope: decades of weight_decay per decade of lr. bend: change of slope per decade of lr.
    lr, weight_decay: the bottom of the valley, point by point: the span that the slope is told of.
    """

    slope: Estimate
    bend: Estimate
    lr: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()


@dataclass(frozen=True)
class Valley:
    """The bottom of one column: its place y, and draws of it `[R]`.

    error: its standard error. blur: what no parabola through cells so far apart tells.
    other: the place by the other parabola, through the three lowest cells, or through more.
    """

    x: float
    y: float
    draws: Array
    error: float
    blur: float
    other: float


def no_ridge(reason: str, n: int) -> Ridge:
    """That there is no slope to tell, and why."""
    return Ridge(cannot_say(reason, n), cannot_say(reason, n))


def ridge_of_columns(cells: Cells, rng: np.random.Generator) -> Ridge:
    """The ridge of a grid."""
    n = len(cells.decayed)
    if not cells.noise.known:
        return no_ridge("the noise is not known, and so not which lr show a valley", n)
    trained = _trained(cells)
    found = [(c, valley(c, rng)) for c in columns(cells) if _least(c) <= trained]
    valleys = [v for _, v in found if isinstance(v, Valley)]
    span = valleys[-1].x - valleys[0].x if valleys else 0.0
    if len(valleys) < FEWEST or span < SPAN - 1e-9:
        return no_ridge(_too_few([v for _, v in found if isinstance(v, str)], len(valleys)), n)
    slope, x, y = _line(valleys, cells)
    if not slope.high - slope.low < WIDEST:
        why = "the valley across weight_decay is too shallow beside the noise"
        return no_ridge(why, n)
    places = tuple((10**x).tolist()), tuple((10**y).tolist())
    return Ridge(slope, _bend(valleys, n, cells.noise.df), *places)


def valley(column: Column, rng: np.random.Generator) -> Valley | str:
    """The valley of a column, or why it is none: "small", "large" or "level"."""
    use = (column.weight_decay > 0) & ~np.isnan(column.z) & ~column.odd
    place = np.flatnonzero(use)
    z = column.z[place]
    finite = np.isfinite(z)
    if finite.sum() < 3:
        return "level"
    best = int(np.argmin(z))
    gap, error = (values[place] for values in column.against(int(place[best])))
    low, high = (
        side_rise(gap[:best][::-1], error[:best][::-1]),
        side_rise(gap[best + 1 :], error[best + 1 :]),
    )
    left, right = low > 0, high > 0
    if not (left and right):
        return "level" if not (left or right) else ("large" if left else "small")
    deep = max(DEEP, DEEP_ERRORS * float(np.median(error)))
    depth = min(float(gap[:best].max()), float(gap[best + 1 :].max()), deep)
    near, least = _near(gap, best, depth), _near(gap, best, 0.0)
    bottom = _bottom(column, place[near], rng)
    other = _bottom(column, place[least], rng) if len(least) < len(near) else bottom
    if isinstance(bottom, str):
        return bottom
    if isinstance(other, str):  # the floor is level there
        return bottom
    # A lopsided valley is no parabola: what two of them disagree by is not known any better.
    blur = math.hypot(bottom.blur, (bottom.y - other.y) / 2)
    return replace(bottom, error=math.hypot(bottom.error, blur), blur=blur, other=other.y)


def side_rise(gap: Array, error: Array, errors: float = RISE_ERRORS) -> float:
    """By how much more than it must the loss rises on one side of the best, outwards `[k]`.

    Of the mean of the outermost cells, however many show it best: one alone is noisy.
    """
    if not len(gap):
        return -1.0
    count = np.arange(1, len(gap) + 1)
    mean = np.cumsum(gap[::-1]) / count
    own = np.maximum.accumulate(error[::-1] ** 2) / 2  # of one cell; the best has as much
    return float((mean - np.maximum(RISE, errors * np.sqrt(own * (1 + 1 / count)))).max())


def _near(gap: Array, best: int, depth: float) -> Places:
    """The cells about the best, in one piece, that lie within `depth` of it; one more each side."""
    low = best
    while low > 0 and gap[low - 1] <= depth:
        low -= 1
    high = best
    while high < len(gap) - 1 and gap[high + 1] <= depth:
        high += 1
    low, high = min(low, max(best - 1, 0)), max(high, min(best + 1, len(gap) - 1))
    near = np.arange(low, high + 1, dtype=np.intp)
    return near[np.isfinite(gap[near])]


def _bottom(column: Column, near: Places, rng: np.random.Generator) -> Valley | str:
    """The least place of a parabola through cells, and how surely that is known."""
    y, z = column.y[near], column.z[near]
    if len(near) < 3:
        return "level"
    middle, reach = y.mean(), np.ptp(y)
    fit = np.linalg.pinv(np.vander((y - middle) / reach, 3))  # [3, n]
    seeds = np.isfinite(column.by_seed[near]).sum(axis=1)
    error = np.sqrt(column.variance[near] / np.maximum(seeds, 1))
    draws = z + error * rng.standard_normal((REPLICATES, len(z)))
    places = [_vertex(fit @ values.T) for values in (z[None], draws)]
    at = float(places[0][0])
    known = places[1][np.isfinite(places[1])]
    if not math.isfinite(at) or len(known) < 0.8 * REPLICATES:
        return "level"
    edges = np.clip(places[1], -1.0, 1.0)
    edges = np.where(np.isfinite(edges), edges, np.median(known))
    spread = float(np.diff(np.quantile(known, [0.16, 0.84]))[0]) / 2
    step = reach / max(len(near) - 1, 1)
    return Valley(
        math.log10(column.lr),
        middle + reach * at,
        middle + reach * edges,
        reach * spread,
        BLUR * step,
        middle + reach * at,
    )


def _vertex(coefficients: Array) -> Array:
    """Where parabolas `[3, R]` are least, in units of their reach; NaN outside of it."""
    square, slope, _ = coefficients
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(square > 0, -slope / (2 * square), np.nan)
    return np.where(np.abs(at) <= 0.75, at, np.nan)


def _line(valleys: Sequence[Valley], cells: Cells) -> tuple[Estimate, Array, Array]:
    """The slope through the valleys' bottoms, and these."""
    x, y = np.array([v.x for v in valleys]), np.array([v.y for v in valleys])
    error = np.array([v.error for v in valleys])
    draws = np.stack([v.draws for v in valleys])  # [k, R]
    scatter = _scatter(x, y, error)
    weight = 1 / (error**2 + scatter)
    lever = weight * (x - np.average(x, weights=weight))
    lever = lever / float(lever @ x)
    slope = float(lever @ y)
    chance = float((lever @ draws).std()) ** 2
    misfit = float((lever**2 * (scatter + np.array([v.blur for v in valleys]) ** 2)).sum())
    variance = chance + misfit
    df = variance**2 / (
        chance**2 / max(cells.noise.df, 1) + misfit**2 / max(len(x) - 2, 1) + 1e-300
    )
    moved = slope - float(lever @ np.array([v.other for v in valleys]))
    half = math.hypot(quantile(max(df, 1.0)) * math.sqrt(variance), moved, SHAPE)
    return Estimate(slope, slope - half, slope + half, len(cells.decayed)), x, y


def _scatter(x: Array, y: Array, error: Array) -> float:
    """The variance about a line that is left beyond the errors (DerSimonian & Laird 1986)."""
    weight = 1 / error**2
    design = np.stack([np.ones_like(x), x], axis=1)
    root = np.sqrt(weight)
    left = y - design @ np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    hat = design @ np.linalg.pinv(design * root[:, None]) * root
    excess = float((weight * left**2).sum()) - (len(x) - 2)
    return max(excess / float((weight * (1 - np.diag(hat))).sum()), 0.0)


def _bend(valleys: Sequence[Valley], n: int, df: float) -> Estimate:
    """Change of slope per decade of lr, from a parabola through the bottoms."""
    x, y = np.array([v.x for v in valleys]), np.array([v.y for v in valleys])
    root = 1 / np.array([v.error for v in valleys])
    draws = np.column_stack([y, np.stack([v.draws for v in valleys])])  # [k, 1 + R]
    fit = np.linalg.pinv(np.vander(x - x.mean(), 3) * root[:, None]) * root  # [3, k]
    bends = 2 * (fit @ draws)[0]
    left = y - np.vander(x - x.mean(), 3) @ (fit @ y)
    spare = max(len(x) - 3, 1)
    worse = max(1.0, float((left**2 * root**2).sum()) / spare)
    half = quantile(df if worse == 1.0 else spare) * float(bends[1:].std()) * math.sqrt(worse)
    return Estimate(float(bends[0]), float(bends[0]) - half, float(bends[0]) + half, n)


def _trained(cells: Cells) -> float:
    """The z below which a model is trained: well below the plateau."""
    basin = cells.basin()
    return float(basin["z"].max()) if len(basin) else -math.inf


def _least(column: Column) -> float:
    z = column.z[(column.weight_decay > 0) & np.isfinite(column.z)]
    return float(z.min()) if len(z) else math.inf


def _too_few(others: Sequence[str], valleys: int) -> str:
    """Why there are too few valleys, in words."""
    total = valleys + len(others)
    text = f"the loss rises on both sides of a best weight_decay at {valleys} of {total} lr"
    words = {
        "level": "elsewhere it does neither beyond the noise",
        "small": "elsewhere only towards large weight_decay",
        "large": "elsewhere only towards small weight_decay, so the best is at the edge",
    }
    if others:
        text += f", {words[max(set(others), key=list(others).count)]}"
    return text + f"; {FEWEST} of them, over {SPAN:g} decades, would show a slope"
