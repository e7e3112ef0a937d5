"""A prediction in words: the pair, what is at stake, what it rests on, and what would narrow it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from wdstudy.analysis.numbers.drift import PLACE, SHAPE
from wdstudy.analysis.numbers.estimate import Estimate, as_data
from wdstudy.analysis.numbers.nextscale import command_at
from wdstudy.analysis.numbers.nextsweep import NextSweep
from wdstudy.analysis.numbers.prediction import Prediction
from wdstudy.analysis.numbers.spoken import amount
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.numbers.windows import Follow, Window
from wdstudy.record import StudyRecord
from wdstudy.words import number, signed

AS_CLOSE = 1.3
"""An interval within this of the closest that a place can be told is not narrowed by a sweep."""


def told_of(found: Transfer, ahead: Prediction, then: NextSweep) -> Iterator[tuple[str, str]]:
    """What is said of a prediction, as labels and texts; those of the pair come first.

    Args:
        found: What it was told from.
        ahead: The prediction.
        then: What would tell more, as from `next_along`.
    """
    yield "lr", _interval(ahead.lr)
    if ahead.weight_decay.known:
        yield "weight_decay", _interval(ahead.weight_decay)
    else:
        yield "weight_decay", f"none is best: {ahead.weight_decay.reason}"
    if ahead.limit.known:
        yield "it harms from", _interval(ahead.limit)
    yield "at stake", _stake(found, ahead)
    yield "rests on", _rests_on(found)
    test = next((s for s in found.advice if s.about == "test"), None)
    if test is not None:
        yield "tested", test.text
    yield "narrower", _narrower(found, ahead, then)


def heading(found: Transfer, ahead: Prediction) -> str:
    """Where the pair is for: `batch_size 1024, a factor of 4 beyond 256, the largest trained`."""
    where = f"{ahead.scale} {number(ahead.value)}"
    least, largest = found.values[0], found.values[-1]
    if ahead.beyond <= 1:
        return f"{where}, between what was trained ({number(least)} … {number(largest)})"
    end, what = (largest, "largest") if ahead.value > largest else (least, "least")
    return f"{where}, a factor of {ahead.beyond:.3g} beyond {number(end)}, the {what} trained"


def command_of(ahead: Prediction, record: StudyRecord) -> tuple[str, ...]:
    """The command that trains the pair, in the study that there is; none of another program."""
    if not record.command or not record.spec.scale:
        return ()
    decay = ahead.weight_decay.value if ahead.weight_decay.known else 0.0
    follow, seeds = Follow.of(record), record.spec.space and record.spec.space.seed_list
    lr = follow.written("lr", _three(ahead.lr.value), ahead.value)
    decay = follow.written("weight_decay", _three(decay), ahead.value)
    window = Window((lr,), (decay,), len(seeds or (0,)))
    return command_at(record, ahead.scale, [ahead.value], window)


def prediction_data(
    found: Transfer, ahead: Prediction, then: NextSweep, line: str
) -> dict[str, Any]:
    """The same as plain data."""
    return {
        **as_data(ahead),
        "values": as_data(found.values),
        "trials": found.trials,
        "exponents": as_data(dict(found.exponents)),
        "test": as_data(found.test),
        "narrower": _narrower(found, ahead, then),
        "command": line or None,
    }


def _three(value: float) -> float:
    return float(f"{value:.3g}")


def _interval(estimate: Estimate) -> str:
    ends = f"95 % {number(estimate.low)} … {number(estimate.high)}"
    return f"{number(estimate.value):<9} {ends}"


def _stake(found: Transfer, ahead: Prediction) -> str:
    lr, decay = ahead.kept
    pair = f"lr {number(lr)}"
    if math.isfinite(decay):
        pair += f", weight_decay {number(decay)}"
    cells = found.parts.parts[0].cells
    cost = amount(ahead.stake, logarithmic=cells.logarithmic)
    if ahead.stake.reason.startswith("at least"):  # what lies beyond the basin is not measured
        lowest = Estimate(ahead.stake.low)
        cost = f"at least {amount(lowest, logarithmic=cells.logarithmic)}"
    return (
        f"the pair of {found.scale} {number(found.values[0])} ({pair}), kept, makes the loss "
        f"{cost} higher"
    )


def _rests_on(found: Transfer) -> str:
    values = ", ".join(map(number, found.values))
    powers = [
        f"{name} ∝ {found.scale}^{signed(e.value)} (95 % {signed(e.low)} … {signed(e.high)})"
        for name in ("lr", "weight_decay", "limit")
        if (e := found.exponents[name]).known
    ]
    law = "; ".join(powers) or f"no power law: {found.exponents['lr'].reason}"
    return f"{found.trials:,} trials at {found.scale} {values}: {law}"


def _narrower(found: Transfer, ahead: Prediction, then: NextSweep) -> str:
    """What would make the intervals smaller, and at what price."""
    half = math.log10(ahead.lr.high / ahead.lr.low) / 2
    closest = math.hypot(PLACE, SHAPE * found.parts.place(ahead.value))
    if half < AS_CLOSE * closest:
        return (
            "no sweep of other values: this is about as closely as a best pair can be told from "
            f"them; a few cells about it at {number(ahead.value)} itself would"
        )
    if then.command:
        return f"{then.why[0]} ({then.price})"
    return (
        f"a value of {found.scale} nearer to {number(ahead.value)} "
        f"({found.parts.price:,} trials as so far)"
    )
