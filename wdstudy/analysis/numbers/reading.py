"""A study as a report reads it: its frames, its record and its numbers."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
import pandas as pd

from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.record import StudyRecord


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
