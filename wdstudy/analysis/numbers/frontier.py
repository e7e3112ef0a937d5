"""The frontier: the largest weight_decay that does no harm, lr by lr."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wdstudy.analysis.numbers.cells import BASIN, Cells
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say
from wdstudy.analysis.numbers.ridge import WIDEST
from wdstudy.analysis.numbers.surface import HARMLESS, Surface, crossing

MOST_HARM = 1.35  # a frontier at a larger factor, for noise, is no longer one of no harm


@dataclass(frozen=True)
class Frontier:
    """The largest harmless weight_decay against lr: slope in decades per decade, and its points.

    factor: a weight_decay does harm when the loss exceeds this many times the best at that lr.
    """

    slope: Estimate
    factor: float = math.nan
    lr: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()


def frontier(surface: Surface, cells: Cells) -> Frontier:
    """Where weight_decay begins to do harm, lr by lr, and the line through these points.

    Between cells the crossing is interpolated. A rise of less than three standard errors of a cell
    (the median column's) is no harm. The interval is Student's t of the line's residuals; a
    smoothed surface, whose residuals hang together, adds its bootstrap.
    """
    done = cells.decayed
    sds = [cells.noise.of(column).sd for column in done["column"].unique()]
    error = float(np.median(sds)) / math.sqrt(done["seeds"].median()) if cells.noise.known else 0.0
    rise = max(math.log(HARMLESS) if cells.logarithmic else 0.05 * _range(surface.z[0]), 3 * error)
    factor = math.exp(rise) if cells.logarithmic else math.nan
    if factor > MOST_HARM:
        why = f"the noise hides harm of less than {factor - 1:.0%}; more seeds would show it"
        return Frontier(cannot_say(why, surface.n), factor)
    without = cells.finished[cells.finished["weight_decay"] == 0].set_index("x")["z"].to_dict()
    x, y, unseen = _onsets(surface, surface.z[0], rise, without)
    if len(x) < 4 or unseen > len(x):
        seen = f"at {len(x)} of {len(x) + unseen} lr"
        why = f"weight_decay begins to do harm inside the range {seen} only; at least 4 are needed"
        return Frontier(cannot_say(why, surface.n), factor)
    line = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    if surface.smoothed:
        half = math.hypot(half, 1.96 * _spread(surface, rise, without))
    points = tuple((10**x).tolist()), tuple((10**y).tolist())
    if not 2 * half < WIDEST:
        why = "the weight_decay at which harm begins scatters too widely about a line"
        return Frontier(cannot_say(why, surface.n), factor, *points)
    middle = float(line.slope)
    slope = Estimate(middle, middle - half, middle + half, surface.n)
    return Frontier(slope, factor, *points)


def _onsets(
    surface: Surface, z: Array, rise: float, without: dict[float, float]
) -> tuple[Array, Array, int]:
    """Where harm begins, as x and y, and the number of trained lr at which that is not seen.

    Not where the next cell diverged: that edge is the cliff's (`stable_lr`), with its own slope.
    `without`: z at weight_decay 0 for each x, which counts when the best at an lr is sought.
    """
    trained = float(np.nanmin(z)) + BASIN * _range(z)
    rows = np.where(surface.diverged, np.nan, _bridged(z, surface.y))
    found, unseen = [], 0
    for x, row, luck in zip(surface.x, rows, _luck(surface), strict=True):
        if not np.isfinite(row).any() or np.nanmin(row) > trained:
            continue
        best = int(np.nanargmin(row))
        least = min(float(row[best]), without.get(x, math.inf)) + luck
        place = crossing(row[best:], surface.y[best:], least + rise)  # NaN is not above
        below = x not in without and _falling(row, best, rise)
        if math.isfinite(place) and not below:
            found.append((x, place))
        else:
            unseen += 1
    x, y = np.array(found).reshape(-1, 2).T
    return x, y, unseen


def _luck(surface: Surface) -> Array:
    """By how much the least of each lr's cells lies below what that cell truly has, `[I]`.

    As replicates with as much noise once more lie below it; where lr differ in their noise, the
    frontier would else bend with the luck.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows in which nothing finished
        least = np.nanmin(surface.z, axis=2)  # [R, I]
        luck = least[0] - np.nanmean(least[1:], axis=0)
    return np.where(np.isfinite(luck), np.maximum(luck, 0.0), 0.0)


def _spread(surface: Surface, rise: float, without: dict[float, float]) -> float:
    """Standard deviation of the frontier's slope over bootstrap surfaces."""
    slopes = []
    for z in surface.z[1:101]:
        x, y, _ = _onsets(surface, z, rise, without)
        if len(x) >= 4:
            slopes.append(np.polyfit(x, y, 1)[0])
    return float(np.std(slopes)) if len(slopes) > 50 else math.inf


def _falling(row: Array, best: int, rise: float) -> bool:
    """Whether the loss still falls at the smallest weight_decay, so that its best is not seen."""
    known = np.flatnonzero(np.isfinite(row))
    if len(known) < 2 or best != known[0]:
        return False
    return bool(row[known[1]] - row[known[0]] > rise / 2)


def _bridged(z: Array, y: Array) -> Array:
    """Rows of z with the holes between finished cells filled along y."""
    filled = z.copy()
    for row in filled:
        known = np.isfinite(row)
        if known.sum() >= 2:
            row[:] = np.interp(y, y[known], row[known], left=np.nan, right=np.nan)
    return filled


def _range(z: Array) -> float:
    finite = z[np.isfinite(z)]
    return float(np.ptp(finite)) if len(finite) else 0.0
