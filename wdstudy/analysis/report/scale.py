"""What a page tells of a study along a scale: how the best moves, by which rule, and what is next.

Each value of the scale has a plane of its own. What is said of a plane is said of each, and never
of several together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wdstudy.analysis.numbers.estimate import Estimate, as_data
from wdstudy.analysis.numbers.findings import Sentence
from wdstudy.analysis.numbers.prediction import Prediction
from wdstudy.analysis.numbers.reading import Along, Read
from wdstudy.analysis.numbers.rules import NAMES, Verdict
from wdstudy.analysis.numbers.spoken import percent, shared, with_interval
from wdstudy.analysis.numbers.transfer import predict
from wdstudy.analysis.numbers.transferfindings import QUANTITIES, Place, Transfer
from wdstudy.analysis.report.numbers import effect_rows
from wdstudy.errors import StudyError
from wdstudy.words import command, number, signed

NEXT = 2.0
"""The size that comes next is so many times the largest that was trained."""

HEADS = {
    "lr": "lr", "weight_decay": "weight_decay", "product": "lr · weight_decay",
    "tau_share": "τ, in runs", "tau_epochs": "τ, in epochs", "limit": "harmless up to",
}  # fmt: skip

VERDICTS = {"fits": "fits", "open": "open", "rejected": "rejected", "unknown": "not measured"}


@dataclass(frozen=True)
class Table:
    """Heads, and rows of as many texts."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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


@dataclass(frozen=True)
class Chapter:
    """What is said of the plane of one value: what to do there, and what weight decay does."""

    title: str
    line: str
    advice: tuple[Sentence, ...]
    effects: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Course:
    """What a page tells of a scale.

    optima: a row a value. exponents: a row a quantity, with why it can't be said. test, ahead:
    sentences: of the largest value held out, and of the size that comes next. line: the command
    that predicts others; empty where there is none. notes: what is left out.
    """

    scale: str
    largest: str
    optima: Table
    exponents: Table
    rules: tuple[RuleRow, ...]
    test: tuple[str, ...]
    ahead: tuple[str, ...]
    line: str
    notes: tuple[str, ...]
    chapters: tuple[Chapter, ...]


def course(along: Along) -> Course:
    """What is told of a study along a scale."""
    found = along.found
    ahead, line = _ahead(along)
    return Course(
        along.scale,
        f"{along.scale} {number(max(along.planes))}",
        _optima(found),
        _exponents(found),
        tuple(_rule(verdict) for verdict in found.rules),
        tuple(_test(found)),
        tuple(ahead),
        line,
        tuple(_notes(found)),
        tuple(_chapter(along.scale, at, read) for at, read in along.planes.items()),
    )


def course_data(along: Along) -> dict[str, Any]:
    """The same as plain data: how the best moves, what is next, and the numbers of each plane."""
    ahead = next_of(along)
    data: dict[str, Any] = {
        **along.found.as_data(),
        "next": {"reason": ahead} if isinstance(ahead, str) else as_data(ahead),
        "planes": [
            {"value": at, "landscape": read.found.as_data()} for at, read in along.planes.items()
        ],
    }
    return data


def next_of(along: Along) -> Prediction | str:
    """The prediction for twice the largest value, or why there is none."""
    found = along.found
    for quantity in ("lr",):
        if not found.exponents[quantity].known:
            return found.exponents[quantity].reason
    try:
        return predict(found, found.values[-1] * NEXT)
    except StudyError as error:
        return str(error)


def _optima(found: Transfer) -> Table:
    """A row a value: the optimum by the law of all, and the best pair that was trained there."""
    shown = [q for q in QUANTITIES if any(getattr(place, q).known for place in found.places)]
    heads = (found.scale, *(HEADS[q] for q in shown), "best pair trained", found.name, "trials")
    return Table(heads, tuple(_place_row(place, shown) for place in found.places))


def _place_row(place: Place, shown: Sequence[str]) -> tuple[str, ...]:
    return (
        number(place.value),
        *(_spoken(getattr(place, quantity)) for quantity in shown),
        f"{number(place.best_lr)}, {number(place.best_weight_decay)}",
        _loss(place.loss),
        f"{place.trials:,}",
    )


def _spoken(one: Estimate) -> str:
    """A number and its interval in brackets."""
    if not one.known:
        return "–"
    if not math.isfinite(one.high - one.low):
        return number(one.value)
    return f"{number(one.value)} ({number(one.low)} … {number(one.high)})"


def _loss(loss: Estimate) -> str:
    value, _, interval = with_interval(loss).partition(", 95 % ")
    return f"{value} ({interval})" if interval else value


def _exponents(found: Transfer) -> Table:
    """A row a quantity: its power, what that is when the scale doubles; or why it can't be said."""
    rows = []
    for quantity in QUANTITIES:
        power = found.exponents[quantity]
        if power.known:
            doubled = f"× {2**power.value:.2f} ({2**power.low:.2f} … {2**power.high:.2f})"
            told = f"{signed(power.value)} ({signed(power.low)} … {signed(power.high)})"
            rows.append((NAMES[quantity], told, doubled, ""))
        elif quantity != "limit" or not found.exponents["weight_decay"].known:
            rows.append((NAMES[quantity], "can't say", "–", power.reason))
    heads = ("quantity", f"moves as {found.scale} to the power", f"when {found.scale} doubles", "why")
    return Table(heads, tuple(rows))


def _rule(verdict: Verdict) -> RuleRow:
    rule = verdict.rule
    text = verdict.text.removeprefix("fits: ").removeprefix("rejected: ")
    return RuleRow(rule.name, rule.says, rule.setting, rule.source, VERDICTS[verdict.verdict],
                   verdict.verdict, text)  # fmt: skip


def _test(found: Transfer) -> Iterator[str]:
    """The largest value, told from the others, and what was measured there."""
    test, where = found.test, f"{found.scale} {number(found.test.value)}"
    if test.reason:
        yield f"There is no test: {test.reason}."
        return
    yield (
        f"Told without {where}, its pair is {_pair(test.lr, test.weight_decay)}. The best that was "
        f"trained there is lr {number(test.best[0])} with weight_decay {number(test.best[1])}, "
        f"{found.name} {_loss(test.loss)}."
    )
    if not test.regret.known:
        yield f"What the predicted pair costs there can't be said: {test.regret.reason}."
        return
    kept = ""
    if test.kept.known:
        kept = f" The pair of {found.scale} {number(found.values[0])}, kept, costs {shared(test.kept)}."
    yield f"Training with the predicted pair costs {shared(test.regret)} of the loss.{kept}"


def _pair(lr: Estimate, decay: Estimate) -> str:
    told = f"lr {_spoken(lr)}"
    return f"{told} with weight_decay {_spoken(decay)}" if decay.known else told


def _ahead(along: Along) -> tuple[list[str], str]:
    """What to train the next size with, and the command that says it of others."""
    found, ahead = along.found, next_of(along)
    at = found.values[-1] * NEXT
    where = f"{found.scale} {number(at)}"
    if isinstance(ahead, str):
        return [f"For {where} nothing can be predicted: {ahead}."], ""
    told = [f"For {where}, twice the largest, train with {_pair(ahead.lr, ahead.weight_decay)}."]
    if not ahead.weight_decay.known:
        limit = f"; it does no harm up to {_spoken(ahead.limit)}" if ahead.limit.known else ""
        told[0] = f"{told[0].removesuffix('.')}. Of weight_decay: {ahead.weight_decay.reason}{limit}."
    if ahead.stake.known:
        least = "at least " if ahead.stake.reason.startswith("at least") else ""
        told.append(
            f"Keeping the pair of {found.scale} {number(found.values[0])} would cost {least}"
            f"{shared(ahead.stake)} of the loss there."
        )
    name = str(along.trials.attrs.get("study") or "")
    stored = along.record.schema > 0 and bool(name)
    line = command(["predict", name, "--at", f"{found.scale}={at:.6g}"]) if stored else ""
    return told, line


def _notes(found: Transfer) -> Iterator[str]:
    yield from found.notes
    shape = found.shape
    if shape is not None:
        one = "one shape serves the basins of all values" if shape.shared else (
            "the basin's shape changes along the scale, and the law allows for it"
        )  # fmt: skip
        yield (
            f"The law rests on {shape.cells:,} cells, up to {percent(shape.depth)} above the best "
            f"of their value; {one}."
        )
    if math.isfinite(found.straight) and found.straight < 0.05:
        yield (
            f"The optima do not lie on one power law (P = {found.straight:.2g}), so between the "
            "values and beyond them expect less of it; the intervals allow for that."
        )


def _chapter(scale: str, at: float, read: Read) -> Chapter:
    best = read.found.best
    line = "no trial has a result"
    if best.loss.known:
        line = f"best of {read.found.cells:,} cells: lr {number(best.lr)}, weight_decay "
        line += f"{number(best.weight_decay)}, {read.found.name} {_loss(best.loss)}"
    return Chapter(f"{scale} {number(at)}", line, read.found.advice or read.found.verdict,
                   tuple(effect_rows(read.found)))  # fmt: skip
