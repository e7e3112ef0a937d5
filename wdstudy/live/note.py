"""The note on a study's page in optuna-dashboard: state, what to do, and the verdict in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import pandas as pd

from wdstudy.analysis.frames.cells import FINISHED
from wdstudy.analysis.frames.design import designed
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.report.design import told_of
from wdstudy.analysis.report.text import decay_meaning
from wdstudy.analysis.views.design import questions_now
from wdstudy.record import StudyRecord
from wdstudy.words import counted

HEADING = "## Live, by wdstudy"
"""What stands in a study's note above this line is its reader's own."""


def live_note(
    trials: pd.DataFrame,
    record: StudyRecord,
    target: int,
    state: str,
    command: str,
    found: Landscape | Sequence[tuple[str, str]] | None,
) -> str:
    """Our part of the note, in Markdown without formulas.

    Args:
        trials: As from `trials_frame`.
        record: As from `record_of`.
        target: How many trials the study will have.
        state: `running`, `stopped` or `finished`.
        command: The command line that writes the report.
        found: What the finished trials say; None where there is none; of a study along a scale its
            sentences, each with its numbers.
    """
    of = done_of(trials, target)
    lines = [HEADING, "", f"**{state}: {_counts(trials, of)}**, {datetime.now():%Y-%m-%d %H:%M:%S}"]
    lines += _design(trials)
    lines += _sentences(found, "" if is_whole(trials, target) else f" so far, on {of}")
    lines += ["", "### How the decay is counted", ""]
    lines += [f"{escaped(paragraph)}\n" for paragraph in decay_meaning(record)]
    lines += ["### The report", "", "    " + command.replace("\n", " ")]
    return "\n".join(lines)


def done_of(trials: pd.DataFrame, target: int) -> str:
    """How many trials are done, and of how many; no design knows how many it will take."""
    done, design = _done(trials), designed(trials)
    if design is None:
        return f"{done:,} of {max(target, done):,} trials"
    most = design.asked.get("trials")
    return f"{counted(done, 'trial')}{f' of at most {most:,}' if isinstance(most, int) else ''}"


def is_whole(trials: pd.DataFrame, target: int) -> bool:
    """Whether no more trials are to come."""
    design = designed(trials)
    return _done(trials) >= target if design is None else bool(design.stopped)


def _done(trials: pd.DataFrame) -> int:
    return int(trials["state"].isin(FINISHED).sum())


def _design(trials: pd.DataFrame) -> Iterator[str]:
    """What the newest batch of a design is for, and how far its questions are answered; why it
    stopped is told with what to do.
    """
    design = designed(trials)
    if design is None:
        return
    yield from ("", "### The design", "")
    placed = design.batches[design.batches["batch"] > 0]
    if len(placed) and not design.stopped:
        newest = placed.iloc[-1]
        head = f"batch {newest['batch']}, {counted(int(newest['trials']), 'trial')}"
        yield f"- {escaped(f'{head}, {newest.stage}: {newest.reason}')}"
    for question in questions_now(trials):
        yield f"- {escaped(told_of(question, design.stopped))}"


def escaped(text: str) -> str:
    """Text of which Markdown makes nothing else: no emphasis, link, tag, table or formula."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&!])", r"\\\1", " ".join(text.split()))


def _counts(trials: pd.DataFrame, of: str) -> str:
    states = trials["state"].value_counts()
    others = {
        "diverged": int(trials["diverged"].sum()),
        "in training": int(states.get("RUNNING", 0)),
        "failed": int(states.get("FAIL", 0)),
    }
    return ", ".join([f"{of} done", *(f"{n:,} {word}" for word, n in others.items() if n)])


def _sentences(found: Landscape | Sequence[tuple[str, str]] | None, so_far: str) -> Iterator[str]:
    """What to do, each sentence with its numbers under it, and the verdict."""
    if not found:
        yield from ("", "No trial has finished yet.")
        return
    if not isinstance(found, Landscape):
        yield from ("", f"### What it says{so_far}", "")
        yield from (_item(text, numbers) for text, numbers in found)
        return
    if found.advice:
        yield from ("", f"### What to do{so_far}", "")
        yield from (_item(sentence.text, sentence.numbers) for sentence in found.advice)
    head = "### Numbers" if found.advice else f"### Verdict{so_far}"
    yield from ("", head, "")
    for sentence in found.verdict:
        yield f"- {escaped(sentence.text)}"


def _item(text: str, numbers: str) -> str:
    return f"- {escaped(text)}" + (f"  \n  {escaped(numbers)}" if numbers else "")
