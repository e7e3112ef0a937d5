"""The numbers of a landscape in plain sentences, each with its uncertainty."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from wdstudy.analysis.numbers.edges import Edge
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape, Sentence
from wdstudy.words import MINUS, counted, number, signed


def sentences(
    found: Landscape, *, pruned: int, adaptive: bool, others: Mapping[str, str] | None = None
) -> tuple[Sentence, ...]:
    """The verdict, the most useful first.

    Args:
        found: The numbers.
        pruned: How many trials were pruned.
        adaptive: Whether the sampler looked at results.
        others: What varies beside lr and weight_decay: parameter → its values in words.
    """
    if found.best.seeds == 0:
        text = f"Nothing can be said: none of {found.trials} trials finished with a finite value."
        gone = _diverged(found) if found.trials else None
        diverged = () if gone is None else (Sentence(_spaced(gone.text), gone.about),)
        return (Sentence(text if found.trials else "No trial finished.", "best"), *diverged)
    told = [
        _best(found, "trial" if others else "seed"),
        _mixed(others or {}),
        _slope(found),
        _frontier(found),
        _apart(found),
        *(_edge(edge) for edge in found.edges),
        _separability(found),
        _baseline(found),
        _width(found),
        _diverged(found),
        *_cautions(pruned, adaptive),
    ]
    return tuple(Sentence(_spaced(s.text), s.about) for s in told if s is not None)


def _best(found: Landscape, replica: str) -> Sentence:
    best, loss = found.best, found.best.loss
    text = (
        f"Best cell: lr {number(best.lr)}, weight_decay {number(best.weight_decay)} "
        f"({found.name} {_with_interval(loss)}, {counted(best.seeds, replica)})."
    )
    if best.ties > 0:
        text += f" The noise does not tell it from {counted(best.ties, 'other cell')}."
    elif best.ties == 0 and best.gap.known:
        text += f" It beats its neighbours by {_amount(found, best.gap)}, beyond the noise."
    elif best.ties < 0:
        text += f" No cell has two {replica}s, so how sure that is can't be said."
    if best.diverged_seeds > 0:
        text += f" {best.diverged_seeds:.0%} of its trials diverged."
    return Sentence(text, "best")


def _mixed(others: Mapping[str, str]) -> Sentence | None:
    if not others:
        return None
    told = "; ".join(f"{name}: {values}" for name, values in others.items())
    text = (
        f"Something else varies too ({told}). Trials have their cell by lr and weight_decay alone, "
        "so what the others do to the result is noise here: cells are told apart less surely, and "
        "one may look good or bad by the values that it happened to get."
    )
    return Sentence(text, "trials")


def _slope(found: Landscape) -> Sentence:
    slope = found.slope
    if not slope.known:
        return Sentence(
            f"How lr and weight_decay trade off can't be said: {slope.reason}.", "slope"
        )
    span = f"slope {signed(slope.value)} (95 % {signed(slope.low)} … {signed(slope.high)})"
    # A quarter: over a decade of lr the best weight_decay then moves by less than a factor of two.
    if slope.low > -0.25 and slope.high < 0.25:
        text = f"The best weight_decay hardly moves with lr: {span}, so tune them apart."
    elif not slope.excludes_zero:
        text = f"A trade-off between lr and weight_decay is neither shown nor excluded: {span}."
    else:
        how = "trade off" if slope.value < 0 else "rise together"
        text = f"lr and weight_decay {how}: {span}, so when you double lr, {_rule(slope.value)}."
    bend = found.ridge.bend
    if bend.known and bend.excludes_zero and abs(bend.value) > 0.1:
        text += (
            f" The valley bends: the slope changes by {signed(bend.value)} a decade of lr "
            f"(95 % {signed(bend.low)} … {signed(bend.high)})."
        )
    return Sentence(text, "slope")


def _frontier(found: Landscape) -> Sentence | None:
    line = found.frontier
    if not line.known:
        return None
    harm = f"more than {found.frontier_line.factor - 1:.0%}" if found.logarithmic else "clear"
    text = (
        f"The largest weight_decay that does no harm ({harm} above the best at that lr) moves "
        f"with slope {signed(line.value)} (95 % {signed(line.low)} … {signed(line.high)})."
    )
    return Sentence(text, "frontier")


def _apart(found: Landscape) -> Sentence | None:
    cost = found.apart_cost
    if not cost.worst.known:
        return None
    start = "weight_decay" if cost.worst_order == "lr first" else "lr"
    text = (
        f"Tuning them one after the other from a poor start ({start} "
        f"{number(cost.worst_start)}, {cost.worst_order}) would have cost "
        f"{_amount(found, cost.worst)}; from the median start {_amount(found, cost.lr_first)} "
        f"with lr first, {_amount(found, cost.weight_decay_first)} with weight_decay first."
    )
    return Sentence(text, "apart_cost")


def _edge(edge: Edge) -> Sentence | None:
    if edge.where == "unknown":
        return None
    if edge.where == "single":
        return Sentence(f"Only one {edge.axis} was tried ({number(edge.low)}).", "edges")
    span = f"{number(edge.low)} … {number(edge.high)}"
    if edge.where == "inside":
        return Sentence(f"The best {edge.axis} lies inside the range {span}.", "edges")
    share = edge.at_lower if edge.where == "lower" else edge.at_upper
    text = (
        f"The best {edge.axis} is at the {edge.where} edge of {span} "
        f"({share:.0%} of the top {edge.top} cells)"
    )
    if math.isfinite(edge.extend_to):
        text += f": extend to {number(edge.extend_to)}."
    else:
        text += ", but by no more than the noise."
    return Sentence(text, "edges")


def _separability(found: Landscape) -> Sentence | None:
    share, collapse = found.separability.additive, found.product
    if not share.known:
        return None
    text = f"A sum of a curve in lr and one in weight_decay explains {_percent(share)} of the "
    text += "variance of the trained cells"
    if math.isfinite(found.separability.interaction_p):
        p = found.separability.interaction_p
        text += f" (interaction beyond the seeds: {'p < 0.001' if p < 0.001 else f'p = {p:.2g}'})"
    if collapse.product.known:
        text += (
            f"; lr · weight_decay alone explains {collapse.product.value:.0%}, "
            f"lr alone {collapse.lr.value:.0%}, weight_decay alone "
            f"{collapse.weight_decay.value:.0%}"
        )
    return Sentence(text + ".", "separability")


def _baseline(found: Landscape) -> Sentence | None:
    gap = found.baseline_gap
    if not gap.known:
        return None
    without = f"without it the best {found.name} changes by {_amount(found, gap)}"
    if gap.low > 0:
        text = f"Weight decay helps: {without}."
    elif gap.high < 0:
        text = f"Weight decay only hurts here: {without}."
    elif math.isfinite(gap.low):
        text = f"Whether weight decay helps is within the noise: {without}."
    else:
        text = f"Whether weight decay helps can't be told from noise: {without}."
    return Sentence(text, "baseline_gap")


def _width(found: Landscape) -> Sentence | None:
    alone, moving = found.valley_width.fixed_weight_decay, found.valley_width.fixed_product
    if not alone.known:
        return None
    text = (
        f"Around the best, lr may move over {_at_least(alone)} decades at fixed weight_decay "
        f"before the {found.name} is {found.valley_width.factor - 1:.0%} worse"
    )
    if moving.known:
        text += f", over {_at_least(moving)} at fixed lr · weight_decay"
    return Sentence(text + ".", "valley_width")


def _diverged(found: Landscape) -> Sentence | None:
    share = found.diverged_share
    if not share.known or share.value == 0:
        return None
    text = f"{_percent(share)} of {counted(share.n, 'trial')} diverged."
    seen = [s for s in found.stable_lr if math.isfinite(s.diverges_at) and math.isfinite(s.lr)]
    if seen:
        low, high = min(s.lr for s in seen), max(s.lr for s in seen)
        varies = f"{number(low)} … {number(high)}, depending on weight_decay"
        largest = number(low) if low == high else varies
        text += f" Where any did, the largest lr at which none did is {largest}."
    return Sentence(text, "diverged_share")


def _cautions(pruned: int, adaptive: bool) -> Iterator[Sentence]:
    if pruned:
        text = f"{counted(pruned, 'trial')} pruned before the end left out: what remains is biased."
        yield Sentence(text, "trials")
    if adaptive:
        text = "The sampler looked at results, so intervals and shares are less sure than they say."
        yield Sentence(text, "trials")


def _spaced(text: str) -> str:
    """12% as 12 %, as in 95 %; and what rounds to −0 % as 0 %."""
    return re.sub(r"(?<=\d)%", " %", re.sub(r"[-−]0%", "0%", text))


def _rule(slope: float) -> str:
    factor = 2**slope  # log weight_decay moves by slope · log 2
    if 0.43 < factor < 0.58:
        return "about halve weight_decay"
    if 1.75 < factor < 2.3:
        return "about double weight_decay"
    if factor < 1:
        return f"divide weight_decay by about {1 / factor:.2g}"
    return f"multiply weight_decay by about {factor:.2g}"


def _with_interval(loss: Estimate) -> str:
    """A value and its interval, in as many digits as tell the three apart."""
    if not math.isfinite(loss.high - loss.low):
        return number(loss.value)
    half = (loss.high - loss.low) / 2
    # Two digits of the interval's half width: the third would be noise about noise.
    needed = math.ceil(math.log10(abs(loss.value) / half)) + 1 if half and loss.value else 3
    digits = max(3, min(9, needed))
    value, low, high = (
        f"{x:#.{digits}g}".rstrip(".") if 1e-3 <= abs(x) < 10**digits else number(x)
        for x in (loss.value, loss.low, loss.high)
    )
    return f"{value}, 95 % {low} … {high}"


def _percent(share: Estimate) -> str:
    interval = f" (95 % {share.low:.0%} … {share.high:.0%})" if math.isfinite(share.low) else ""
    return f"{share.value:.0%}{interval}"


def _amount(found: Landscape, share: Estimate) -> str:
    """A cost as a percentage of the loss, or in its own units where that makes no sense."""
    if not share.known:
        return "an unknown amount"
    if not found.logarithmic:
        return str(share)
    # Below a tenth whole percents are too coarse to be told apart.
    tight = max(abs(share.value), abs(share.high) if math.isfinite(share.high) else 0) < 0.1
    form = ".1%" if tight else ".0%"
    value = f"{share.value:{form}}"
    if math.isfinite(share.low):
        value += f" (95 % {share.low:{form}} … {share.high:{form}})"
    return value.replace("-", MINUS)


def _at_least(width: Estimate) -> str:
    return ("at least " if width.reason.startswith("at least") else "") + f"{width.value:.1f}"
