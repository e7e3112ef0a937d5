"""What a page tells of a study along a scale: how the best moves, by which rule, and what is next.

Each value of the scale has a plane of its own. What is said of a plane is said of each, and never
of several together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wdstudy.analysis.numbers.estimate import Estimate, as_data
from wdstudy.analysis.numbers.findings import Sentence
from wdstudy.analysis.numbers.reading import Along, Read
from wdstudy.analysis.numbers.spoken import percent, shared
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.report.numbers import effect_rows
from wdstudy.analysis.report.scaletables import (
    NEXT,
    RuleRow,
    Table,
    exponents,
    inline,
    loss_told,
    next_of,
    optima,
    pairs,
    rule_row,
    spoken,
)
from wdstudy.analysis.views.memory import memory_words
from wdstudy.words import command, number


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

    largest: the largest value, with the scale's name. which: what `pairs` are, in words.
    memory: the formula of τ. independent: whether weight decay is not scaled by lr.
    pairs: what to train with at each value, and at the size that comes next. optima: a row a value,
    of all that is known. exponents: a row a quantity, with why it can't be said. test, ahead:
    sentences: of the largest value held out, and of the size that comes next. line: the command
    that predicts others; empty where there is none. notes: what is left out.
    """

    scale: str
    largest: str
    which: str
    memory: str
    independent: bool
    pairs: Table
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
        "at each" if any(place.lr.known for place in found.places) else "trained at each",
        memory_words(found.parts),
        found.parts.independent,
        pairs(along),
        optima(found),
        exponents(found),
        tuple(rule_row(verdict) for verdict in found.rules),
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


def _test(found: Transfer) -> Iterator[str]:
    """The largest value, told from the others, and what was measured there."""
    test, where = found.test, f"{found.scale} {number(found.test.value)}"
    if test.reason:
        yield f"There is no test: {test.reason}."
        return
    yield (
        f"Told without {where}, its pair is {_pair(test.lr, test.weight_decay)}. The best that was "
        f"trained there is lr {number(test.best[0])} with weight_decay {number(test.best[1])}, "
        f"{found.name} {inline(loss_told(test.loss))}."
    )
    if not test.regret.known:
        yield f"What the predicted pair costs there can't be said: {test.regret.reason}."
        return
    kept = ""
    if test.kept.known:
        first = f"{found.scale} {number(found.values[0])}"
        kept = f" The pair of {first}, kept, costs {shared(test.kept)}."
    yield f"Training with the predicted pair costs {shared(test.regret)} of the loss.{kept}"


def _pair(lr: Estimate, decay: Estimate) -> str:
    told = f"lr {inline(spoken(lr))}"
    return f"{told} with weight_decay {inline(spoken(decay))}" if decay.known else told


def _ahead(along: Along) -> tuple[list[str], str]:
    """What to train the next size with, and the command that says it of others."""
    found, ahead = along.found, next_of(along)
    at = found.values[-1] * NEXT
    where = f"{found.scale} {number(at)}"
    if isinstance(ahead, str):
        return [f"For {where} nothing can be predicted: {ahead}."], ""
    told = [f"For {where}, twice the largest, train with {_pair(ahead.lr, ahead.weight_decay)}."]
    if not ahead.weight_decay.known:
        limit = (
            f"; it does no harm up to {inline(spoken(ahead.limit))}" if ahead.limit.known else ""
        )
        told[0] = (
            f"{told[0].removesuffix('.')}. Of weight_decay: {ahead.weight_decay.reason}{limit}."
        )
    if ahead.stake.known:
        least = "at least " if ahead.stake.reason.startswith("at least") else ""
        told.append(
            f"Keeping the pair of {found.scale} {number(found.values[0])} would cost {least}"
            f"{shared(ahead.stake)} of the loss there."
        )
    names = _names(along)
    return told, command(["predict", *names, "--at", f"{found.scale}={at:.6g}"]) if names else ""


def _names(along: Along) -> list[str]:
    """The studies of a storage that this is of, for a command line; none of a frame."""
    trials, name = along.trials, str(along.trials.attrs.get("study") or "")
    if along.record.schema < 1 or not name:
        return []
    if "study" not in trials:
        return [name]
    of_each = trials.groupby("study", sort=False)[along.scale].first()
    values = ",".join(f"{at:.6g}" for at in of_each)
    return [*map(str, of_each.index), "--scale", f"{along.scale}={values}"]


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
        line += f"{number(best.weight_decay)}, {read.found.name} {inline(loss_told(best.loss))}"
    return Chapter(f"{scale} {number(at)}", line, read.found.advice or read.found.verdict,
                   tuple(effect_rows(read.found)))  # fmt: skip
