"""What is shown of a study that designed itself, whoever shows it: its path and its questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.cells import FINISHED, cell_grid, cells_of, states
from wdstudy.analysis.frames.design import Designed, designed, placed_in_order
from wdstudy.curves import BATCH, INITIAL_LOSS, STAGE
from wdstudy.design.batch import Question
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome
from wdstudy.design.planner import open_questions
from wdstudy.errors import SpecError, StudyError
from wdstudy.space import LR, SEED, WEIGHT_DECAY, Cell, TrialParams

MOST_STEPS = 40
"""A path of more batches is shown at so many of them."""


@dataclass(frozen=True)
class Step:
    """How far a design had come with a batch: by how many finished trials, and what was known."""

    batch: int
    trials: int
    best: Cell | None
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class DesignInfo:
    """What is shown of a design.

    cells: one row a cell, in the order in which they were placed: `lr, weight_decay, batch, stage`
    of its first trial, `again`, the stages of later ones, and whether it `diverged`.
    steps: after each batch, in order.
    """

    designed: Designed
    cells: pd.DataFrame
    steps: tuple[Step, ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked, and how far all trials answer it."""
        return self.steps[-1].questions if self.steps else ()


def design_info(trials: pd.DataFrame) -> DesignInfo:
    """What is shown of a design.

    Args:
        trials: As from `trials_frame`.

    Raises:
        StudyError: no design placed them.
    """
    found = designed(trials)
    if found is None:
        name = trials.attrs.get("study", "")
        raise StudyError(f"the study '{name}' did not design itself: no batch placed its trials")
    frame = placed_in_order(trials)
    asked = design_of(found)
    steps = [_step(frame, batch, asked) for batch in _shown(frame.loc[_done(frame), BATCH])]
    return DesignInfo(found, _cells(frame), tuple(steps))


def design_if_any(trials: pd.DataFrame) -> DesignInfo | None:
    """The same, or None where no design placed the trials."""
    return None if designed(trials) is None else design_info(trials)


def design_of(found: Designed) -> Design | None:
    """What was asked and allowed; None where that is not recorded, or can't be read."""
    if not found.asked:
        return None
    names = ("best", "effects", "limit", "trials", "seconds")
    known: dict[str, Any] = {name: found.asked.get(name) for name in names}
    for axis, ends in ((LR, found.lr), (WEIGHT_DECAY, found.weight_decay)):
        known |= {axis: ends} if all(map(math.isfinite, ends)) else {}
    with suppress(SpecError, TypeError, ValueError):
        return Design(**known)
    return None


def questions_now(trials: pd.DataFrame) -> tuple[Question, ...]:
    """What a design asks, and how far its trials answer it; nothing where none placed them."""
    found = designed(trials)
    asked = None if found is None else design_of(found)
    return () if asked is None else _asked(trials, asked)


def asked_words(found: Designed) -> str:
    """What was asked, as `--until` has it: `best=2%,effects=5%,limit=0.5`."""
    widths = {name: found.asked.get(name) for name in ("best", "effects", "limit")}
    parts = [
        f"{name}={width:.6g}" if name == "limit" else f"{name}={100 * width:.6g}%"
        for name, width in widths.items()
        if isinstance(width, int | float)
    ]
    return ",".join(parts)


def _asked(trials: pd.DataFrame, asked: Design) -> tuple[Question, ...]:
    minimize = bool(trials.attrs.get("minimize", True))
    return open_questions(_outcomes(trials), asked, minimize=minimize)


def _step(frame: pd.DataFrame, batch: int, asked: Design | None) -> Step:
    """What was known once a batch was done, by the trials up to it."""
    so_far = frame[(frame[BATCH] <= batch) & _done(frame)]
    questions = () if asked is None else _asked(so_far, asked)
    return Step(batch, len(so_far), cell_grid(so_far).best, questions)


def _shown(batches: pd.Series) -> Sequence[int]:
    """The batches, or of too many an even sample with the last."""
    every = np.unique(batches)
    places = np.linspace(0, len(every) - 1, min(MOST_STEPS, len(every))).round().astype(int)
    return [int(every[place]) for place in places]


def _done(frame: pd.DataFrame) -> pd.Series:
    return states(frame).isin(FINISHED)


def _outcomes(frame: pd.DataFrame) -> list[Outcome]:
    """Trials as a planner takes them; of what ended without a value, those that diverged."""
    frame = frame[frame["value"].notna() | frame["diverged"]]
    initial = frame[INITIAL_LOSS] if INITIAL_LOSS in frame else frame["value"] * math.nan
    rows = zip(frame[LR], frame[WEIGHT_DECAY], frame[SEED], frame["value"], frame["diverged"],
               pd.to_numeric(initial, errors="coerce"), strict=True)  # fmt: skip
    return [
        Outcome(TrialParams(float(lr), float(decay), int(seed)), float(value), bool(lost),
                initial_loss=float(first))
        for lr, decay, seed, value, lost, first in rows
    ]  # fmt: skip


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a cell, by the first of its trials."""
    keys = pd.MultiIndex.from_tuples(cells_of(frame), names=[LR, WEIGHT_DECAY])
    table = frame[[BATCH, STAGE, "diverged"]].set_index(keys)
    grouped = table.groupby(level=[0, 1], sort=False)
    later = table[table[BATCH] > grouped[BATCH].transform("first")]
    again = later.groupby(level=[0, 1], sort=False)[STAGE].agg(lambda s: tuple(dict.fromkeys(s)))
    first = grouped.agg(batch=(BATCH, "first"), stage=(STAGE, "first"),
                        diverged=("diverged", "mean"))  # fmt: skip
    first["diverged"] = first["diverged"] >= 0.5
    first["again"] = again.reindex(first.index)
    return first.reset_index()
