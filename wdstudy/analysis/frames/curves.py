"""One row a trial, series and record point."""

from __future__ import annotations

import math
from collections.abc import Collection

import optuna
import pandas as pd

from wdstudy.analysis.frames.series import CURVE_COLUMNS, series_in, stacked, stride_of, wanted
from wdstudy.analysis.frames.study import attributes_of, number_of, placed, record_of
from wdstudy.curves import STEP
from wdstudy.errors import StudyError, nearest
from wdstudy.words import counted

_OWN_EPOCH = "steps_per_epoch"
"""The attribute of a trial whose epoch has steps of its own, as along a scale."""


def curves_frame(
    study: optuna.Study, series: Collection[str] | None = None, points: int | None = None
) -> pd.DataFrame:
    """One row a trial, series and record point, of every trial that has curves.

    Args:
        study: The study.
        series: The names of the series to read; all of them if None.
        points: At most so many record points a trial, every n-th and the last of the longest
            trial; all of them if None.

    Returns:
        Columns `trial, lr, weight_decay, seed, step, epoch, series, value`, `series` categorical.
        `epoch` is NaN where the study does not tell its steps per epoch; where a trial has
        no steps, its record points are counted instead.
    """
    attrs = attributes_of(study)
    found, notes = placed(study)
    stride = stride_of(found, points)
    parts = [
        (trial.number, cell, recorded)
        for trial, cell in found
        if (recorded := series_in(wanted(trial.user_attrs, series, stride)))
    ]
    if not parts:
        frame = pd.DataFrame(columns=CURVE_COLUMNS)
        frame.attrs = {**attrs, "notes": notes}
        return frame
    lacking = sum(STEP not in series for *_, series in parts)
    if lacking:
        notes.append(
            f"{counted(lacking, 'trial')} without steps: record points are counted instead"
        )
    frame = stacked(parts)
    steps_per_epoch = record_of(study).steps_per_epoch or math.nan
    own = {t.number: number_of(t.user_attrs.get(_OWN_EPOCH, steps_per_epoch)) for t, _ in found}
    if not all(steps > 0 for steps in own.values()):
        own = dict.fromkeys(own, math.nan)
        notes.append("the study does not tell its steps per epoch: curves are shown over steps")
    frame["epoch"] = frame["step"] / frame["trial"].map(own)
    frame = frame[CURVE_COLUMNS]
    frame.attrs = {**attrs, "notes": notes}
    return frame


def series_at(
    trials: pd.DataFrame, curves: pd.DataFrame, series: str, step: float | None = None
) -> pd.DataFrame:
    """The trials with one series' value at a record point as one more column, named `series`.

    Args:
        trials: As from `trials_frame`.
        curves: As from `curves_frame`.
        series: Such as `val_loss`.
        step: The last record point up to this step, of the trials that came so far; the last
            of all where it is None.

    Raises:
        StudyError: no trial has recorded this series there.
    """
    points = curves[(curves["series"] == series) & curves["value"].notna()]
    if points.empty:
        known = curves["series"].dropna().unique()
        raise StudyError(f"no trial has recorded '{series}'; {nearest(series, map(str, known))}")
    if step is not None:
        reached = points.groupby("trial")["step"].transform("max") >= step
        points = points[reached & (points["step"] <= step)]
        if points.empty:
            raise StudyError(f"no trial has recorded '{series}' at step {step:g}; name another")
    last = points.groupby("trial")["value"].last()
    frame = trials.assign(**{series: trials["trial"].map(last)})
    frame.attrs = {**trials.attrs, "step": step}
    return frame
