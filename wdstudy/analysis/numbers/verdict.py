"""The numbers of a landscape in a statistician's sentences, each with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from wdstudy.analysis.frames.design import Designed
from wdstudy.analysis.numbers.advice import PROBABLY
from wdstudy.analysis.numbers.edges import Edge
from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.enough import stopped
from wdstudy.analysis.numbers.findings import Landscape, Sentence
from wdstudy.analysis.numbers.spoken import amount, at_least, percent, shared, spaced, with_interval
from wdstudy.analysis.numbers.tradeoff import say_frontier, say_limit, say_slope
from wdstudy.words import counted, number

TELLING = 0.001
"""A share below which "beats its neighbours by" would read as 0.0 %."""


def sentences(
    found: Landscape,
    *,
    pruned: int,
    adaptive: bool,
    others: Mapping[str, str] | None = None,
    design: Designed | None = None,
) -> tuple[Sentence, ...]:
    """The verdict, the most useful first.

    Args:
        found: The numbers.
        pruned: How many trials were pruned.
        adaptive: Whether the sampler looked at results.
        others: What varies beside lr and weight_decay: parameter → its values in words.
        design: How the trials were placed, where a design placed them.
    """
    if found.best.seeds == 0:
        text = f"Nothing can be said: none of {found.trials} trials finished with a finite value."
        more = [_diverged(found) if found.trials else None, stopped(design)]
        first = Sentence(text if found.trials else "No trial finished.", "best")
        return (first, *(sentence for sentence in more if sentence is not None))
    told = [
        _best(found, "trial" if others else "seed"),
        _mixed(others or {}),
        *_effects(found),
        _good_lr(found),
        say_limit(found.limit),
        say_frontier(found),
        say_slope(found),
        _second(found),
        _baseline(found),
        _apart(found),
        *(_edge(edge, extends=design is None) for edge in found.edges),
        _separability(found),
        _width(found),
        _diverged(found),
        *_cautions(pruned, adaptive, design),
    ]
    return tuple(Sentence(spaced(s.text), s.about) for s in told if s is not None)


def _best(found: Landscape, replica: str) -> Sentence:
    best, loss = found.best, found.best.loss
    text = (
        f"Best cell: lr {number(best.lr)}, weight_decay {number(best.weight_decay)} "
        f"({found.name} {with_interval(loss)}, {counted(best.seeds, replica)}"
    )
    if math.isfinite(loss.low) and number(best.seen) != number(loss.value):
        text += f"; {number(best.seen)} as seen, less the luck of having been chosen"
    text += ")."
    if best.rivals:
        text += f" The noise does not tell it from {counted(len(best.rivals), 'other cell')}."
    elif best.ties == 0 and best.gap.low > TELLING:
        gap = amount(best.gap, logarithmic=found.logarithmic)
        text += f" It beats its neighbours by {gap}, beyond the noise."
    elif best.ties < 0:
        text += f" No cell has two {replica}s, so how sure that is can't be said."
    if best.diverged_seeds > 0:
        text += f" {percent(best.diverged_seeds)} of its trials diverged."
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


def _effects(found: Landscape) -> Iterator[Sentence]:
    """What weight decay gains at each lr, in one sentence for all where it gains nothing."""
    told = [e for e in found.effects if e.gain.known and math.isfinite(e.gain.low)]
    helped = [e for e in told if e.gain_chance < PROBABLY]
    parts = [
        f"{number(e.lr)}: {shared(e.gain)} at weight_decay {number(e.best_weight_decay)}"
        for e in helped
    ]
    if parts:
        text = (
            f"The gain of the best weight_decay over {_without(helped)}, by lr (95 % for all "
            f"weight_decay of an lr together): {'; '.join(parts)}."
        )
        yield Sentence(text, "effects")
    rest = [e for e in told if e not in helped]
    if rest:
        bounds = "; ".join(f"{number(e.lr)}: {percent(e.gain.high)}" for e in rest)
        where = "At the other lr" if helped else "At each lr"
        text = f"{where} no gain is shown; by lr, one of more than this is ruled out: {bounds}."
        yield Sentence(text, "effects")


def _without(effects: list[LrEffect]) -> str:
    least = {e.without for e in effects}
    return "none" if least == {0.0} else "the least"


def _good_lr(found: Landscape) -> Sentence | None:
    good = found.good_lr
    if not (math.isfinite(good.with_decay[0]) and math.isfinite(good.without[0])):
        return None
    text = (
        f"Within {percent(good.factor - 1)} of the best of all come lr "
        f"{number(good.with_decay[0])} … {number(good.with_decay[1])} at the best weight_decay of "
        "each, and "
        f"{number(good.without[0])} … {number(good.without[1])} without."
    )
    if good.gained:
        text += f" Surely gained: {', '.join(map(number, good.gained))}."
    return Sentence(text, "good_lr")


def _second(found: Landscape) -> Sentence | None:
    basin = found.second_basin
    if basin is None:
        return None
    text = (
        f"There is a second basin at lr {number(basin.lr)}, weight_decay "
        f"{number(basin.weight_decay)}: {percent(basin.above)} above the best, beyond cells that "
        f"are {percent(basin.over)} worse than it."
    )
    return Sentence(text, "second_basin")


def _apart(found: Landscape) -> Sentence | None:
    cost = found.apart_cost
    if not cost.worst.known:
        return None
    start = "weight_decay" if cost.worst_order == "lr first" else "lr"
    worst, lr_first, decay_first = (
        amount(e, logarithmic=found.logarithmic)
        for e in (cost.worst, cost.lr_first, cost.weight_decay_first)
    )
    text = (
        f"Tuning them one after the other from a poor start ({start} "
        f"{number(cost.worst_start)}, {cost.worst_order}) would have cost {worst} in these cells; "
        f"from the median start {lr_first} with lr first, {decay_first} with weight_decay first."
    )
    return Sentence(text, "apart_cost")


def _edge(edge: Edge, *, extends: bool) -> Sentence | None:
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
        f"({percent(share)} of the top {edge.top} cells)"
    )
    if math.isfinite(edge.extend_to):  # a design looks further by itself, where that tells more
        text += f": extend to {number(edge.extend_to)}." if extends else "."
    else:
        text += ", but by no more than the noise."
    return Sentence(text, "edges")


def _separability(found: Landscape) -> Sentence | None:
    share, collapse = found.separability.additive, found.product
    if not share.known:
        return None
    text = f"A sum of a curve in lr and one in weight_decay explains {shared(share)} of the "
    text += "variance of the trained cells"
    if math.isfinite(found.separability.interaction_p):
        p = found.separability.interaction_p
        text += f" (interaction beyond the seeds: {'p < 0.001' if p < 0.001 else f'p = {p:.2g}'})"
    if collapse.product.known:
        text += (
            f"; lr · weight_decay alone explains {percent(collapse.product.value)}, "
            f"lr alone {percent(collapse.lr.value)}, weight_decay alone "
            f"{percent(collapse.weight_decay.value)}"
        )
    return Sentence(text + ".", "separability")


def _baseline(found: Landscape) -> Sentence | None:
    gap = found.baseline_gap
    if not gap.known:
        return None
    told = amount(gap, logarithmic=found.logarithmic)
    without = f"without it the best {found.name} changes by {told}"
    if gap.low > 0:
        text = f"Tuned both, weight decay helps: {without}."
    elif gap.high < 0:
        text = f"Tuned both, weight decay only hurts: {without}."
    elif math.isfinite(gap.low):
        text = f"Tuned both, that weight decay helps is not shown: {without}."
    else:
        text = f"Weight decay, both tuned: {without}; how sure that is can't be said."
    return Sentence(text, "baseline_gap")


def _width(found: Landscape) -> Sentence | None:
    alone, moving = found.valley_width.fixed_weight_decay, found.valley_width.fixed_product
    if not alone.known:
        return None
    text = (
        f"Around the best, lr may move over {at_least(alone)} decades at fixed weight_decay "
        f"before the {found.name} is {percent(found.valley_width.factor - 1)} worse"
    )
    if moving.known:
        text += f", over {at_least(moving)} at fixed lr · weight_decay"
    return Sentence(text + ".", "valley_width")


def _diverged(found: Landscape) -> Sentence | None:
    share = found.diverged_share
    if not share.known or share.value == 0:
        return None
    text = f"{shared(share)} of {counted(share.n, 'trial')} diverged."
    seen = [s for s in found.stable_lr if math.isfinite(s.diverges_at) and math.isfinite(s.lr)]
    if seen:
        low, high = min(s.lr for s in seen), max(s.lr for s in seen)
        varies = f"{number(low)} … {number(high)}, depending on weight_decay"
        largest = number(low) if low == high else varies
        text += f" Where any did, the largest lr at which none did is {largest}."
    return Sentence(text, "diverged_share")


def _cautions(pruned: int, adaptive: bool, design: Designed | None) -> Iterator[Sentence]:
    if pruned:
        text = f"{counted(pruned, 'trial')} pruned before the end left out: what remains is biased."
        yield Sentence(text, "trials")
    if design is not None:
        yet = "" if design.stopped else ", which has not come yet"
        text = (
            "The design placed the trials by looking at results, and the intervals hold all the "
            f"same at its stop{yet}: simulated in benchmarks/adaptive.py."
        )
        yield Sentence(text, "trials")
    elif adaptive:
        text = "The sampler looked at results, so intervals and shares are less sure than they say."
        yield Sentence(text, "trials")
