"""A study as a report reads it: its frames, its record and its numbers."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
import pandas as pd

from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.given import as_curves, as_trials, low_is_good
from wdstudy.analysis.frames.series import CURVE_COLUMNS
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.record import RecordedSpec, StudyRecord
from wdstudy.space import LR, WEIGHT_DECAY


@dataclass(frozen=True)
class Read:
    """A study that was read."""

    name: str
    trials: pd.DataFrame
    curves: pd.DataFrame
    record: StudyRecord
    found: Landscape


def read_study(study: optuna.Study) -> Read:
    """Frames and numbers of a study.

    Raises:
        StudyError: no trial has finished, or none has lr and weight_decay.
    """
    trials, curves, record = trials_frame(study), curves_frame(study), record_of(study)
    if not len(trials):
        trials.attrs["study"] = study.study_name
    finished_trials(trials)
    return Read(study.study_name, trials, curves, record, landscape_of_study(trials, record))


def read_frame(
    trials: pd.DataFrame,
    name: str,
    value: str = "value",
    curves: pd.DataFrame | None = None,
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
) -> Read:
    """A frame of one row a run, as a study is read.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        name: What it is called.
        value: The column to judge by.
        curves: As from `curves_frame`, or any frame of record points.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Raises:
        StudyError: a column is missing, or no trial has finished.
    """
    frame = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    attrs = {**frame.attrs, "study": name}
    if value != "value":
        frame = frame.assign(value=frame[value])
        attrs |= {"objective": value, "minimize": low_is_good(trials, value)}
    frame.attrs = attrs
    finished_trials(frame)
    if curves is None:
        curves = pd.DataFrame(columns=CURVE_COLUMNS)
    else:
        curves = as_curves(curves, lr=lr, weight_decay=weight_decay)
    curves.attrs = {**attrs, "notes": curves.attrs.get("notes", [])}
    way = "minimize" if attrs["minimize"] else "maximize"
    record = StudyRecord(spec=RecordedSpec(objective=str(attrs["objective"]), direction=way))
    return Read(name, frame, curves, record, landscape_of_study(frame, record))
