"""The note on a study's page in optuna-dashboard: state, what to do, and the verdict in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from wdstudy.analysis.frames.cells import FINISHED
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.report.text import decay_meaning
from wdstudy.record import StudyRecord

HEADING = "## Live, by wdstudy"
"""What stands in a study's note above this line is its reader's own."""


def live_note(
    trials: pd.DataFrame,
    record: StudyRecord,
    target: int,
    state: str,
    command: str,
    found: Landscape | None,
) -> str:
    """Our part of the note, in Markdown without formulas.

    Args:
        trials: As from `trials_frame`.
        record: As from `record_of`.
        target: How many trials the study will have.
        state: `running`, `stopped` or `finished`.
        command: The command line that writes the report.
        found: What the finished trials say; None where there is none.
    """
    done = int(trials["state"].isin(FINISHED).sum())
    of = f"{done:,} of {max(target, done):,} trials"
    lines = [HEADING, "", f"**{state}: {_counts(trials, of)}**, {datetime.now():%Y-%m-%d %H:%M:%S}"]
    lines += _sentences(found, f" so far, on {of}" if done < target else "")
    lines += ["", "### How the decay is counted", ""]
    lines += [f"{escaped(paragraph)}\n" for paragraph in decay_meaning(record)]
    lines += ["### The report", "", "    " + command.replace("\n", " ")]
    return "\n".join(lines)


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


def _sentences(found: Landscape | None, so_far: str) -> Iterator[str]:
    """What to do, each sentence with its numbers under it, and the verdict."""
    if found is None:
        yield from ("", "No trial has finished yet.")
        return
    if found.advice:
        yield from ("", f"### What to do{so_far}", "")
        for sentence in found.advice:
            numbers = f"  \n  {escaped(sentence.numbers)}" if sentence.numbers else ""
            yield f"- {escaped(sentence.text)}{numbers}"
    head = "### Numbers" if found.advice else f"### Verdict{so_far}"
    yield from ("", head, "")
    for sentence in found.verdict:
        yield f"- {escaped(sentence.text)}"
