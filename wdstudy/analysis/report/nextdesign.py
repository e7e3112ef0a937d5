"""How to go on with a study that designs itself: as a command, or that it has its answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from wdstudy.analysis.frames.design import Designed, designed
from wdstudy.analysis.numbers.nextsweep import NextSweep, seconds_a_trial, without
from wdstudy.analysis.report.design import told_of
from wdstudy.analysis.views.design import asked_words, design_of, questions_now
from wdstudy.design.batch import Question
from wdstudy.design.design import Design
from wdstudy.design.planner import ANSWERS
from wdstudy.record import StudyRecord


def next_of_design(record: StudyRecord, trials: pd.DataFrame) -> NextSweep | None:
    """What goes on with a design, and why: never a grid, for the design knows what to train.

    Where its budget was spent, the command allows as many more trials as what is open is thought
    to take; where it was answered, or can't be at a sane price, there is none.

    Args:
        record: As from `record_of`.
        trials: As from `trials_frame`.

    Returns:
        None of a study that did not design itself.
    """
    found = designed(trials)
    if found is None:
        return None
    questions = questions_now(trials)
    states = [told_of(question, found.stopped) for question in questions]
    opening = {
        "answered": "you have your answer, as closely as the design was asked for it",
        "budget": "the design stopped without all answers",
        "hopeless": "the design stopped without all answers",
    }
    first = opening.get(found.stopped, "the design has not stopped: it goes on")
    told = not found.why or found.stopped == "answered" or any(q.given_up for q in questions)
    why = (first if told else f"{first}: {found.why}", *states)
    if found.stopped in ("answered", "hopeless"):
        return NextSweep(why)
    if not record.command:
        return NextSweep((*why, "go on with the program that trained what is there"))
    more = _more(found, questions)
    return NextSweep(
        why,
        command=_command(record, found, more),
        trials=more,
        seconds=more * seconds_a_trial(trials),
    )


def _more(found: Designed, questions: Sequence[Question]) -> int:
    """About how many trials what is open takes; where nothing tells it, as many as there are, or
    as answers usually take.
    """
    told = [q.trials for q in questions if not q.answered and q.trials > 0]
    known = [trials for trials in told if math.isfinite(trials)]
    there = int(found.batches["trials"].sum())
    return math.ceil(sum(known)) if known else max(there, ANSWERS - there)


def _command(record: StudyRecord, found: Designed, more: int) -> tuple[str, ...]:
    """The command that goes on, with a budget that has room for so many more trials."""
    command = ["run", *without("--trials", record.command), "--design"]
    asked, usual = design_of(found), Design()
    if asked is not None:
        if _widths(asked) != _widths(usual):
            command += ["--until", asked_words(found)]
        for axis in ("lr", "weight_decay"):
            low, high = getattr(asked, axis)
            if (low, high) != getattr(usual, axis):
                command += [f"--{axis.replace('_', '-')}", f"{low:.6g}:{high:.6g}"]
    if found.stopped == "budget":
        command += ["--trials", str(int(found.batches["trials"].sum()) + more)]
    return tuple(command)


def _widths(design: Design) -> tuple[float | None, ...]:
    return design.best, design.effects, design.limit
