"""The tables of numbers in a report: what weight decay does at each lr, and all the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.spoken import percent, shared, with_interval
from wdstudy.record import StudyRecord
from wdstudy.words import MINUS, counted, number, signed

HARMS = (1.1, 1.25, 2.0)
"""The factors of the loss whose onset the table of effects shows."""

TOO_WIDE = 0.75
"""A share whose interval is wider than this could as well be any other."""

Form = Callable[[float], str]


@dataclass(frozen=True)
class Row:
    """A number of the table: its value and interval in words, and what it rests on."""

    name: str
    value: str
    interval: str
    rests: str


def effect_rows(found: Landscape) -> list[tuple[str, ...]]:
    """One row an lr: lr, best weight_decay, gain, and from where on it harms by each of `HARMS`."""
    return [
        (number(effect.lr), number(effect.best_weight_decay), *_compared(effect))
        for effect in found.effects
    ]


def _compared(effect: LrEffect) -> tuple[str, ...]:
    """What needs a cell to compare with."""
    if not effect.gain.known:
        return ("can't say: nothing to compare with", *["–"] * len(HARMS))
    return (_gain(effect.gain), *(_onset(effect.harms_from[factor]) for factor in HARMS))


def _gain(gain: Estimate) -> str:
    if not math.isfinite(gain.high):
        return f"{percent(gain.value)}, no interval"
    return shared(gain) if gain.low > 0 else f"not shown; above {percent(gain.high)} ruled out"


def _onset(onset: Estimate) -> str:
    if not onset.known:
        return f"not up to {number(onset.low)}" if onset.low > 0 else "not seen"
    place = number(float(f"{onset.value:.2g}"))
    if not onset.low >= 0:
        return place
    high = number(float(f"{onset.high:.2g}")) if math.isfinite(onset.high) else "∞"
    return f"{place} ({number(float(f'{onset.low:.2g}'))} … {high})"


@dataclass(frozen=True)
class Entry:
    """A number that the table may show: how it is written, and on how many of what it rests."""

    name: str
    estimate: Estimate
    form: Form
    noun: str = "cell"


def number_rows(found: Landscape, record: StudyRecord) -> tuple[list[Row], list[tuple[str, str]]]:
    """The other numbers that tell something; and the names of those that don't, by reason."""
    rows: list[Row] = []
    silent: dict[str, list[str]] = {}
    for entry in _entries(found):
        why = _tells_nothing(entry)
        if why:
            silent.setdefault(why, []).append(entry.name)
        else:
            rows.append(_told(entry))
    rows += _timescale(found, record)
    return rows, [("; ".join(names), why) for why, names in silent.items()]


def _entries(found: Landscape) -> Iterator[Entry]:
    amount: Form = percent if found.logarithmic else number
    yield _best(found)
    yield Entry("what choosing better among the tied cells could gain", found.best.regret, amount)
    yield Entry(
        "gap of the best without weight_decay to the best with it", found.baseline_gap, amount
    )
    yield Entry("slope of the ridge", found.slope, signed)
    yield Entry("change of the ridge's slope, a decade of lr", found.ridge.bend, signed)
    yield from _where_harm_begins(found)
    yield Entry("explained by f(lr) + g(weight_decay)", found.separability.additive, _share)
    yield Entry("explained by lr · weight_decay alone", found.product.product, _share)
    yield Entry("explained by lr alone", found.product.lr, _share)
    yield Entry("explained by weight_decay alone", found.product.weight_decay, _share)
    cost = found.apart_cost
    yield Entry("cost of tuning lr first, median start", cost.lr_first, amount)
    yield Entry("cost of tuning weight_decay first, median start", cost.weight_decay_first, amount)
    yield Entry("cost of tuning apart, worst start, in these cells", cost.worst, amount)
    yield Entry("sensitivity to lr", found.lr_sensitivity, number, "lr")
    yield Entry(
        "sensitivity to weight_decay", found.weight_decay_sensitivity, number, "weight_decay"
    )
    width = found.valley_width
    yield Entry("decades of good lr at fixed weight_decay", width.fixed_weight_decay, number)
    yield Entry("decades of good lr at fixed lr · weight_decay", width.fixed_product, number)
    yield Entry("diverged", found.diverged_share, percent, "trial")
    replicated = math.isfinite(found.noise.low)
    yield Entry(
        "noise: standard deviation of log loss from seed to seed" if replicated
        else "noise: standard deviation of log loss about its neighbours",
        found.noise, number, "degree of freedom" if replicated else "cell",
    )  # fmt: skip


def _best(found: Landscape) -> Entry:
    """The best value, in the study's own sign."""
    loss, name = found.best.loss, found.name
    if name.startswith(MINUS):
        loss = replace(loss, value=-loss.value, low=-loss.high, high=-loss.low)
        name = name.removeprefix(MINUS)
    return Entry(f"{name} of the best cell, with new seeds", loss, number, "seed")


def _where_harm_begins(found: Landscape) -> Iterator[Entry]:
    """The slopes of the limit; where it has none, that of the frontier, if that is known."""
    limit, name = found.limit, "slope of where harm begins"
    if limit.bends:
        yield Entry(f"{name}, up to lr {number(limit.bends_at)}", limit.slope, signed, "lr")
        yield Entry(f"{name}, beyond", limit.slope_above, signed, "lr")
    elif limit.slope.known or not found.frontier.known:
        yield Entry(name, limit.slope, signed, "lr")
    else:
        yield Entry("slope of the largest harmless weight_decay", found.frontier, signed)


def _share(value: float) -> str:
    """A share of the variance."""
    return percent(value)


def _tells_nothing(entry: Entry) -> str:
    """Why a number is left out; empty where it says something."""
    estimate = entry.estimate
    if not estimate.known:
        return estimate.reason
    if entry.form is _share and estimate.high - estimate.low > TOO_WIDE:
        return "the interval holds nearly every share"
    return ""


def _told(entry: Entry) -> Row:
    estimate, form = entry.estimate, entry.form
    value, interval = form(estimate.value), ""
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        interval = f"{form(estimate.low)} … {form(estimate.high)}"
        if form is number and estimate.value > 0:
            value, _, interval = with_interval(estimate).partition(", 95 % ")
    rests = _counted(estimate.n, entry.noun) if estimate.n else ""
    return Row(entry.name, value, interval, "; ".join(t for t in (rests, estimate.reason) if t))


def _counted(n: int, noun: str) -> str:
    if noun in ("lr", "weight_decay"):
        return f"{n:,} {noun}"
    return f"{n:,} degrees of freedom" if noun.startswith("degree") else counted(n, noun)


def _timescale(found: Landscape, record: StudyRecord) -> Iterator[Row]:
    """1 / (lr · weight_decay) of the best cell, beside the length of the run."""
    steps = found.best.timescale
    if record.spec.independent:
        steps *= found.best.lr
    if not math.isfinite(steps):
        return
    epoch, epochs = record.steps_per_epoch, record.spec.epochs
    rests = "1 / (lr · weight_decay) of the best cell"
    if epoch and epochs:
        rests += f": {number(steps / epoch)} epochs, of a run of {epochs}"
    yield Row("timescale of the best cell, steps", number(steps), "", rests)
