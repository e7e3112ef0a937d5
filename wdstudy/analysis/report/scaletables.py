"""The tables of a study along a scale: pairs, optima, powers, and what is said of each rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.prediction import Prediction
from wdstudy.analysis.numbers.reading import Along
from wdstudy.analysis.numbers.rules import NAMES, Verdict
from wdstudy.analysis.numbers.spoken import with_interval
from wdstudy.analysis.numbers.transfer import predict
from wdstudy.analysis.numbers.transferfindings import QUANTITIES, Place, Transfer
from wdstudy.errors import StudyError
from wdstudy.words import number, signed

NEXT = 2.0
"""The size that comes next is so many times the largest that was trained."""

HEADS = {
    "lr": "lr", "weight_decay": "weight_decay", "product": "lr · weight_decay",
    "tau_share": "τ, in runs", "tau_epochs": "τ, in epochs", "limit": "harmless up to",
}  # fmt: skip

VERDICTS = {"fits": "fits", "open": "open", "rejected": "rejected", "unknown": "not measured"}


class Told(NamedTuple):
    """A number in a table, and its interval; of other texts there is none."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """Heads, and rows of as many numbers or texts. words: whether the last column is of prose."""

    heads: tuple[str, ...]
    rows: tuple[tuple[Told, ...], ...]
    words: bool = False


@dataclass(frozen=True)
class RuleRow:
    """A published rule: what it says, what it was found with, and what this sweep says of it."""

    name: str
    says: str
    setting: str
    source: str
    verdict: str
    kind: str
    text: str


def next_of(along: Along) -> Prediction | str:
    """The prediction for twice the largest value, or why there is none."""
    found = along.found
    if not found.exponents["lr"].known:
        return found.exponents["lr"].reason
    try:
        return predict(found, found.values[-1] * NEXT)
    except StudyError as error:
        return str(error)


def pairs(along: Along) -> Table:
    """The pair to train with at each value; the best that was trained where the law can't say."""
    found, ahead = along.found, next_of(along)
    lawful = any(place.lr.known for place in found.places)
    decayed = any(place.weight_decay.known for place in found.places)
    limited = any(place.limit.known for place in found.places)
    last = "weight_decay" if decayed or not lawful else "weight_decay up to" if limited else ""
    rows = []
    for place in found.places:
        lr = spoken(place.lr) if lawful else Told(number(place.best_lr))
        decay = spoken(place.weight_decay if decayed else place.limit)
        if not lawful:
            decay = Told(number(place.best_weight_decay))
        rows.append((Told(number(place.value)), lr, *((decay,) if last else ())))
    if not isinstance(ahead, str):
        decay = spoken(ahead.weight_decay if decayed else ahead.limit)
        new = Told(number(ahead.value), "not trained")
        rows.append((new, spoken(ahead.lr), *((decay,) if last else ())))
    return Table((found.scale, "lr", *((last,) if last else ())), tuple(rows))


def optima(found: Transfer) -> Table:
    """A row a value: the optimum by the law of all, and the best pair that was trained there."""
    shown = [q for q in QUANTITIES if any(getattr(place, q).known for place in found.places)]
    heads = (found.scale, *(HEADS[q] for q in shown), "best pair trained", found.name, "trials")
    return Table(heads, tuple(_place_row(place, shown) for place in found.places))


def _place_row(place: Place, shown: Sequence[str]) -> tuple[Told, ...]:
    return (
        Told(number(place.value)),
        *(spoken(getattr(place, quantity)) for quantity in shown),
        Told(f"lr {number(place.best_lr)}", f"weight_decay {number(place.best_weight_decay)}"),
        loss_told(place.loss),
        Told(f"{place.trials:,}"),
    )


def spoken(one: Estimate) -> Told:
    """A number and its interval."""
    if not one.known:
        return Told("–")
    if not math.isfinite(one.high - one.low):
        return Told(number(one.value))
    return Told(number(one.value), f"{number(one.low)} … {number(one.high)}")


def loss_told(loss: Estimate) -> Told:
    """A loss in as many digits as tell it from the ends of its interval."""
    value, _, interval = with_interval(loss).partition(", 95 % ")
    return Told(value, interval)


def inline(told: Told) -> str:
    """The same within a sentence."""
    return f"{told.text} ({told.interval})" if told.interval else told.text


def exponents(found: Transfer) -> Table:
    """A row a quantity: its power, what that is when the scale doubles; or why it can't be said."""
    rows: list[tuple[Told, ...]] = []
    silent: dict[str, list[str]] = {}
    for quantity in QUANTITIES:
        power = found.exponents[quantity]
        if power.known:
            doubled = Told(f"× {2**power.value:.2f}", f"{2**power.low:.2f} … {2**power.high:.2f}")
            told = Told(signed(power.value), f"{signed(power.low)} … {signed(power.high)}")
            rows.append((Told(NAMES[quantity]), told, doubled, Told("")))
        elif quantity != "limit" or not found.exponents["weight_decay"].known:
            silent.setdefault(power.reason, []).append(NAMES[quantity])
    rows += [
        (Told("; ".join(names)), Told("can't say"), Told("–"), Told(reason))
        for reason, names in silent.items()
    ]
    heads = ("quantity", f"moves as {found.scale} to the power", f"when {found.scale} doubles")
    if not silent:
        return Table(heads, tuple(row[:-1] for row in rows))
    return Table((*heads, "why, and what would tell"), tuple(rows), words=True)


def rule_row(verdict: Verdict) -> RuleRow:
    """A rule and what is said of it."""
    rule = verdict.rule
    text = verdict.text.removeprefix("fits: ").removeprefix("rejected: ")
    return RuleRow(rule.name, rule.says, rule.setting, rule.source, VERDICTS[verdict.verdict],
                   verdict.verdict, text)  # fmt: skip
