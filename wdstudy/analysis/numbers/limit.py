"""How the largest harmless weight_decay runs along lr: a line, or one that bends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wdstudy.analysis.numbers.effects import FACTORS, LrEffect
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say

FEWEST = 4  # points of a line: two more than it has coefficients
FEWEST_BENT = 6
BENDS = 0.01  # P value of the bend below which the line is taken to have one
PREFERRED = (1.25, 1.1, 1.5, 2.0)


@dataclass(frozen=True)
class Limit:
    """Where harm of a stated factor begins, against lr, log10 against log10.

    slope: decades of weight_decay a decade of lr; of the line up to `bends_at` where it bends.
    slope_above: beyond that lr. bends_at: NaN where one line does.
    lr, weight_decay: the points.
    """

    slope: Estimate
    slope_above: Estimate
    factor: float = math.nan
    bends_at: float = math.nan
    lr: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()

    @property
    def bends(self) -> bool:
        """Whether one straight line does not do."""
        return math.isfinite(self.bends_at)


def harmless_limit(effects: Sequence[LrEffect]) -> Limit:
    """The limit of the factor that most lr show, of equal ones 25 %."""
    seen = {f: [e for e in effects if _usable(e.harms_from[f])] for f in FACTORS}
    factor = max(PREFERRED, key=lambda f: (len(seen[f]), -PREFERRED.index(f)))
    points = seen[factor]
    if len(points) < 2:
        why = cannot_say(f"harm is seen at {len(points)} lr only", len(points))
        return Limit(why, why)
    x = np.log10([e.lr for e in points])
    y = np.log10([e.harms_from[factor].value for e in points])
    error = np.array([_error(e.harms_from[factor]) for e in points])
    lr, weight_decay = tuple(e.lr for e in points), tuple((10**y).tolist())
    if len(points) < FEWEST:
        why = cannot_say(f"harm is seen at {len(points)} lr only, a line needs {FEWEST}", len(x))
        return Limit(why, why, factor, math.nan, lr, weight_decay)
    knot = _knot(x, y, error)
    if knot is None:
        (slope,) = _slopes(x, y, error, np.vander(x, 2), [(1, 0)])
        return Limit(slope, slope, factor, math.nan, lr, weight_decay)
    below, above = _slopes(x, y, error, _bent(x, knot), [(1, 0, 0), (1, 0, 1)])
    return Limit(below, above, factor, float(10**knot), lr, weight_decay)


def _usable(onset: Estimate) -> bool:
    return onset.known and onset.low > 0 and math.isfinite(onset.high)


def _error(onset: Estimate) -> float:
    """A standard error of log10 of a place whose interval is simultaneous, and never nothing."""
    return max((math.log10(onset.high) - math.log10(onset.low)) / 5, 0.03)


def _bent(x: Array, knot: float) -> Array:
    """Columns x, 1 and what lies beyond the knot, `[n, 3]`."""
    return np.column_stack([x, np.ones_like(x), np.maximum(x - knot, 0.0)])


def _rss(y: Array, error: Array, design: Array) -> float:
    fit = np.linalg.lstsq(design / error[:, None], y / error, rcond=None)[0]
    return float((((y - design @ fit) / error) ** 2).sum())


def _knot(x: Array, y: Array, error: Array) -> float | None:
    """Where a broken line bends, if that explains the points better than chance would."""
    if len(x) < FEWEST_BENT:
        return None
    straight = _rss(y, error, np.vander(x, 2))
    knots = x[2:-2]
    tried = [_rss(y, error, _bent(x, knot)) for knot in knots]
    spare = len(x) - 4  # the knot is sought, and counts
    least = max(min(tried), 1e-12)
    chance = len(knots) * float(stats.f.sf((straight - least) / 2 / (least / spare), 2, spare))
    return float(knots[int(np.argmin(tried))]) if chance < BENDS else None


def _slopes(
    x: Array, y: Array, error: Array, design: Array, wanted: Sequence[tuple[int, ...]]
) -> list[Estimate]:
    """Sums of coefficients with Student's intervals of what the points leave."""
    scaled = design / error[:, None]
    fit = np.linalg.lstsq(scaled, y / error, rcond=None)[0]
    spare = len(x) - design.shape[1]
    # Points that lie closer to the line than their errors say do not make it surer than they are.
    rest = max(float((((y - design @ fit) / error) ** 2).sum()) / spare, 1.0)
    covariance = np.linalg.pinv(scaled.T @ scaled) * rest
    reach = float(stats.t.ppf(0.975, spare))
    found = []
    for sum_of in wanted:
        pick = np.array(sum_of, dtype=float)
        value, half = float(pick @ fit), reach * math.sqrt(float(pick @ covariance @ pick))
        found.append(Estimate(value, value - half, value + half, len(x)))
    return found
