"""What is said of slopes: the harmless limit's, the frontier's and the valley's, along lr."""

from __future__ import annotations

from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape, Sentence
from wdstudy.analysis.numbers.limit import Limit
from wdstudy.analysis.numbers.ridge import WIDEST
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.words import number, signed


def say_limit(limit: Limit) -> Sentence | None:
    """How the harmless limit runs along lr, where enough lr show it."""
    if not limit.slope.known or limit.slope.high - limit.slope.low > WIDEST:
        return None
    text = (
        f"The weight_decay at which the loss is {percent(limit.factor - 1)} above that without "
        f"moves along lr {number(limit.lr[0])} … {number(limit.lr[-1])} with slope "
        f"{_slope_of(limit.slope)}"
    )
    if limit.bends:
        text += f" up to lr {number(limit.bends_at)} and {_slope_of(limit.slope_above)} beyond"
    return Sentence(text + ".", "limit")


def _slope_of(slope: Estimate) -> str:
    return f"{signed(slope.value)} (95 % {signed(slope.low)} … {signed(slope.high)})"


def say_frontier(found: Landscape) -> Sentence | None:
    """The frontier of harm beside the best of each lr, for want of a limit."""
    line = found.frontier
    if not line.known or found.limit.slope.known:
        return None
    harm = f"more than {percent(found.frontier_line.factor - 1)}" if found.logarithmic else "clear"
    text = (
        f"The largest weight_decay that does no harm ({harm} above the best at that lr) moves "
        f"with slope {_slope_of(line)}."
    )
    return Sentence(text, "frontier")


def say_slope(found: Landscape) -> Sentence | None:
    """The trade-off, where the plane has a valley; else the effects by lr are the answer."""
    slope = found.slope
    if not slope.known:
        return None
    over = f"Over lr {number(found.ridge.lr[0])} … {number(found.ridge.lr[-1])}"
    span = f"slope {_slope_of(slope)}"
    # A quarter: over a decade of lr the best weight_decay then moves by less than a factor of two.
    if slope.low > -0.25 and slope.high < 0.25:
        text = f"{over} the best weight_decay hardly moves with lr: {span}; tune them apart there."
    elif not slope.excludes_zero:
        text = (
            f"{over} a trade-off between lr and weight_decay is neither shown nor excluded: {span}."
        )
    else:
        how = "trade off" if slope.value < 0 else "rise together"
        text = (
            f"{over} lr and the best weight_decay {how}: {span}, so when you double lr there, "
            f"{_rule(slope.value)}."
        )
    bend = found.ridge.bend
    if bend.known and bend.excludes_zero and abs(bend.value) > 0.1:
        text += f" The valley bends: the slope changes by {_slope_of(bend)} a decade of lr."
    return Sentence(text, "slope")


def _rule(slope: float) -> str:
    factor = 2**slope  # log weight_decay moves by slope · log 2
    if 0.43 < factor < 0.58:
        return "about halve weight_decay"
    if 1.75 < factor < 2.3:
        return "about double weight_decay"
    if factor < 1:
        return f"divide weight_decay by about {1 / factor:.2g}"
    return f"multiply weight_decay by about {factor:.2g}"
