"""How a study that designs itself came to its trials: what was asked, its scouts, its batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd

from wdstudy.analysis.frames.cells import FINISHED, states
from wdstudy.curves import BATCH, DESIGN_STOP, REASON, SCOUTS, STAGE, TRAIN_SECONDS
from wdstudy.record import DESIGN, StudyRecord
from wdstudy.words import printable

DESIGN_ATTR = "design"
"""The entry in a trials frame's `attrs` that tells of the design, as plain data."""

SCOUT_COLUMNS = ["lr", "weight_decay", "steps", "share", "value", "diverged", "seconds"]

STAGES = ("find", "map", "seeds")
"""What a batch of trials may be for."""

BEFORE = "before"
"""The stage of trials that were there before the design, or that somebody else added."""


@dataclass(frozen=True)
class Designed:
    """How the trials of a study were placed.

    Attributes:
        asked: What was asked and allowed, as `Design.as_data` has it; empty where that is not
            recorded.
        lr, weight_decay: The ends of where it could look; NaN where they are not recorded.
        scouts: One row a short run, in the columns `SCOUT_COLUMNS`.
        stopped: `answered`, `budget` or `hopeless`; empty while the design goes on.
        why: Why it stopped, in a line.
        batches: One row a batch, in their order: `batch`, `stage`, `reason`, how many `trials`,
            how many of these are `done`, and the `seconds` that their training took, NaN where
            none tells. Trials that no batch placed come first, as batch 0.
    """

    asked: Mapping[str, Any]
    lr: tuple[float, float]
    weight_decay: tuple[float, float]
    scouts: pd.DataFrame
    stopped: str
    why: str
    batches: pd.DataFrame

    @property
    def scout_seconds(self) -> float:
        """What all scouts took; NaN where that is not known."""
        return float(self.scouts["seconds"].sum(min_count=1))

    @property
    def stages(self) -> pd.DataFrame:
        """The batches of each stage together, in the order of the first of each."""
        grouped = self.batches.groupby(STAGE, sort=False)
        seconds = grouped["seconds"].sum(min_count=1)
        sums = grouped[["trials", "done"]].sum().assign(seconds=seconds)
        return sums.assign(batches=grouped.size()).reset_index()


def design_attribute(study: optuna.Study, record: StudyRecord) -> dict[str, Any]:
    """What a study tells of its design, as plain data for `attrs`; empty where it has none."""
    if record.spec.sampler != DESIGN and not {SCOUTS, DESIGN_STOP} & study.user_attrs.keys():
        return {}
    space = record.spec.space
    decays = [value for value in space.weight_decay if value > 0] if space else []
    return {
        "asked": dict(record.spec.design),
        "lr": [min(space.lr), max(space.lr)] if space else [],
        "weight_decay": [min(decays), max(decays)] if decays else [],
        "scouts": study.user_attrs.get(SCOUTS),
        "stop": _mapping(study.user_attrs.get(DESIGN_STOP)),
    }


def designed(trials: pd.DataFrame) -> Designed | None:
    """How the trials were placed by a design; None where none placed them.

    Args:
        trials: As from `trials_frame`, whose `attrs` say it. A frame that has but the columns
            `stage` and `reason` tells the batches, and nothing else.
    """
    told = _mapping(trials.attrs.get(DESIGN_ATTR))
    if not told and not _has_batches(trials):
        return None
    stop = _mapping(told.get("stop"))
    return Designed(
        asked=_mapping(told.get("asked")),
        lr=_ends(told.get("lr")),
        weight_decay=_ends(told.get("weight_decay")),
        scouts=_scouts(told.get("scouts")),
        stopped=printable(str(stop.get("reason") or "")),
        why=printable(str(stop.get("why") or "")),
        batches=_batches(trials),
    )


def placed_in_order(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that did not fail, in the order in which they were placed.

    `batch` is a whole number there, 0 where no design placed a trial, whose `stage` is `BEFORE`.
    Where a sampler placed them one by one, those in a row for one reason make a batch.
    """
    frame = trials[states(trials) != "FAIL"].sort_values("trial", kind="stable")
    stage, reason = (
        _column(frame, name).map(_text, na_action="ignore") for name in (STAGE, REASON)
    )
    if BATCH in frame:
        numbers = pd.to_numeric(frame[BATCH], errors="coerce").where(stage.notna())
    else:
        key = (stage + reason)[stage.notna()]
        numbers = (key != key.shift()).cumsum().reindex(frame.index)
    numbers = numbers.fillna(0).clip(lower=0).astype(int)
    frame = frame.assign(**{BATCH: numbers, STAGE: stage.fillna(BEFORE), REASON: reason.fillna("")})
    return frame.sort_values([BATCH, "trial"], kind="stable")


def _has_batches(trials: pd.DataFrame) -> bool:
    """Whether the columns are those of a design, and no others of these names."""
    if not {STAGE, REASON} <= set(trials.columns):
        return False
    stages = set(trials[STAGE].dropna())
    return bool(stages) and stages <= {*STAGES}


def _batches(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a batch. Of one whose workers gave more than one reason, the first is told."""
    frame = placed_in_order(trials)
    seconds = pd.to_numeric(_column(frame, TRAIN_SECONDS), errors="coerce").astype(float)
    frame = frame.assign(seconds=seconds, done=frame["state"].isin(FINISHED))
    grouped = frame.groupby([BATCH, STAGE], sort=False)
    found = grouped.agg(
        reason=(REASON, "first"), trials=("trial", "count"), done=("done", "sum")
    ).assign(seconds=grouped["seconds"].sum(min_count=1))
    return found.reset_index()


def _scouts(rows: object) -> pd.DataFrame:
    """The table of short runs; what stands in it and is none is left out."""
    known = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    frame = pd.DataFrame([{k: row.get(k) for k in SCOUT_COLUMNS} for row in known],
                         columns=SCOUT_COLUMNS)  # fmt: skip
    for name in set(SCOUT_COLUMNS) - {"diverged"}:
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(float)
    frame["diverged"] = frame["diverged"].fillna(value=False).astype(bool)
    return frame[(frame["lr"] > 0) & (frame["weight_decay"] >= 0)].reset_index(drop=True)


def _column(trials: pd.DataFrame, name: str) -> pd.Series:
    return trials.get(name, pd.Series([None] * len(trials), index=trials.index, dtype=object))


def _text(value: object) -> str:
    return printable(str(value))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ends(value: object) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return _number(value[0]), _number(value[1])
    return math.nan, math.nan


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
