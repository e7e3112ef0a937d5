"""A study as a report reads it: its frames, its record and its numbers.

What is read is one plane. Of a study along a scale that is the plane of its largest value, which is
what the others were trained for; all of them, and how the best moves, are beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import optuna
import pandas as pd

from wdstudy.analysis.frames.cells import FINISHED, finished_trials, states
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.given import as_curves, as_trials, low_is_good
from wdstudy.analysis.frames.joined import (
    Values,
    joined_name,
    joined_record,
    scaled_curves,
    scaled_frame,
)
from wdstudy.analysis.frames.scale import AT, along, scale_in
from wdstudy.analysis.frames.series import CURVE_COLUMNS
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.analysis.numbers.scaled import STEPS, STEPS_PER_EPOCH, scale_of
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.errors import StudyError
from wdstudy.record import RecordedSpec, StudyRecord
from wdstudy.space import LR, WEIGHT_DECAY


@dataclass(frozen=True)
class Along:
    """A study along a scale that was read.

    scale: its name. trials, curves, record: of all values. found: how the best moves.
    planes: what was read of each value that has results, from the least on.
    """

    scale: str
    trials: pd.DataFrame
    curves: pd.DataFrame
    record: StudyRecord
    found: Transfer
    planes: dict[float, Read]


@dataclass(frozen=True)
class Read:
    """A study that was read: one plane.

    at: the value of the study's scale that it is of; NaN where it has none. along: the whole of a
    study along a scale, of which the rest is the plane of the largest value.
    """

    name: str
    trials: pd.DataFrame
    curves: pd.DataFrame
    record: StudyRecord
    found: Landscape
    at: float = math.nan
    along: Along | None = None

    @property
    def whole(self) -> Along | Read:
        """All trials and curves that were read."""
        return self.along or self


def read_study(study: optuna.Study) -> Read:
    """Frames and numbers of a study.

    Raises:
        StudyError: no trial has finished, or none has lr and weight_decay.
    """
    trials, curves, record = trials_frame(study), curves_frame(study), record_of(study)
    if not len(trials):
        trials.attrs["study"] = study.study_name
    return read_parts(study.study_name, trials, curves, record)


def read_studies(
    studies: Sequence[optuna.Study], scale: str | None = None, values: Values | None = None
) -> Read:
    """A study along a scale, or several that were made apart, one a value, as one study is read.

    Args:
        studies: One, or several.
        scale: The scale's name; of one study as its record says where it is None.
        values: Of several, the value of each, where their records don't tell it.

    Raises:
        StudyError: as of `scaled_frame`, or no trial has finished.
    """
    if len(studies) == 1 and scale is None and values is None:
        return read_study(studies[0])
    trials = scaled_frame(studies, scale, values)
    record = joined_record(studies, trials)
    return read_parts(joined_name(studies), trials, scaled_curves(studies), record)


def read_frame(
    trials: pd.DataFrame,
    name: str,
    value: str = "value",
    curves: pd.DataFrame | None = None,
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    scale: str | None = None,
) -> Read:
    """A frame of one row a run, as a study is read.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        name: What it is called.
        value: The column to judge by.
        curves: As from `curves_frame`, or any frame of record points.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        scale: The column of the scale along which it is; as `trials.attrs` say where it is None.

    Raises:
        StudyError: a column is missing, or no trial has finished.
    """
    frame = as_trials(trials, value, lr=lr, weight_decay=weight_decay, along=True)
    attrs = {**frame.attrs, "study": name}
    if scale is not None:
        attrs["scale"] = {"name": scale_of(frame, scale)}
    if value != "value":
        frame = frame.assign(value=frame[value])
        attrs |= {"objective": value, "minimize": low_is_good(trials, value)}
    frame.attrs = attrs
    if curves is None:
        curves = pd.DataFrame(columns=CURVE_COLUMNS)
    else:
        curves = as_curves(curves, lr=lr, weight_decay=weight_decay)
    curves.attrs = {**attrs, "notes": curves.attrs.get("notes", [])}
    way = "minimize" if attrs["minimize"] else "maximize"
    record = StudyRecord(spec=RecordedSpec(objective=str(attrs["objective"]), direction=way))
    return read_parts(name, frame, curves, record)


def read_parts(name: str, trials: pd.DataFrame, curves: pd.DataFrame, record: StudyRecord) -> Read:
    """What is in frames already, with its numbers; of a scale those of each value.

    Args:
        name: What it is called.
        trials: As from `trials_frame`; along a scale if its `attrs` say so.
        curves: As from `curves_frame`.
        record: As from `record_of`.

    Raises:
        StudyError: no trial has finished.
    """
    finished_trials(trials)
    scale = scale_in(trials)
    parts = {} if scale is None else along(trials, scale)
    done = {v: part for v, part in parts.items() if states(part).isin(FINISHED).any()}
    if scale is None or not done:
        return Read(name, trials, curves, record, landscape_of_study(trials, record))
    planes = {}
    for at, part in done.items():
        own = _record_at(record, part, scale, at)
        lines = curves[curves["trial"].isin(part["trial"])]
        lines.attrs = {**curves.attrs, AT: part.attrs[AT]}
        planes[at] = Read(name, part, lines, own, landscape_of_study(part, own), at)
    largest = planes[max(planes)]
    try:
        found = transfer(trials, scale)
    except StudyError as error:  # of one value only there are results
        largest.trials.attrs["notes"] = [*trials.attrs.get("notes", []), str(error)]
        return largest
    return replace(largest, along=Along(scale, trials, curves, record, found, planes))


def _record_at(record: StudyRecord, part: pd.DataFrame, scale: str, at: float) -> StudyRecord:
    """The record as it is of one value of a scale."""
    told = {name: _median(part, name) for name in (STEPS, STEPS_PER_EPOCH, "parameters")}
    epoch, spec = told[STEPS_PER_EPOCH], record.spec
    if epoch > 0:
        record = replace(record, steps_per_epoch=max(round(epoch), 1))
        if told[STEPS] > 0 and spec.epochs is not None:
            spec = replace(spec, epochs=max(round(told[STEPS] / epoch), 1))
    if scale == "batch_size":
        spec = replace(spec, batch_size=round(at))
    if told["parameters"] > 0 and told["parameters"] != record.parameters.get("total"):
        record = replace(record, parameters={"total": round(told["parameters"])})
    return replace(record, spec=spec)


def _median(part: pd.DataFrame, column: str) -> float:
    """The median of what trials tell; NaN where they don't."""
    told = part.get(column, pd.Series(dtype=float))
    return float(pd.to_numeric(told, errors="coerce").median())
