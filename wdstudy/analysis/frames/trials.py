"""One row a trial."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from wdstudy.analysis.frames.design import DESIGN_ATTR, design_attribute
from wdstudy.analysis.frames.study import (
    attributes_of,
    number_of,
    other_parameters,
    placed,
    record_of,
    scale_of_record,
    varying,
)
from wdstudy.curves import DIVERGED_AT, LR_X_WD, is_series
from wdstudy.words import counted, encodable

TRIAL_COLUMNS = ["trial", "state", "lr", "weight_decay", LR_X_WD, "seed", "value", "diverged"]


def trials_frame(study: optuna.Study) -> pd.DataFrame:
    """One row a trial that has its parameters.

    Returns:
        Columns `trial, state, lr, weight_decay, lr_x_wd, seed, value, diverged`, every scalar
        attribute, and every other parameter as `params_<name>`. `value` is NaN unless the trial is
        complete; what a trial lacks is NaN. `attrs["others"]` names the other parameters that vary;
        `attrs["design"]` is there where the study designed itself, whose trials have the columns
        `stage`, `reason` and `batch`. Of a study along a scale, a column of its name as well, and
        `attrs["scale"]`, its name and values.

    Raises:
        StudyError: the study has several objectives, or no trial with lr and weight_decay.
    """
    attrs = attributes_of(study)
    trials, notes = placed(study)
    scale = scale_of_record(record_of(study))
    name = scale["name"] if scale else None
    rows = [_trial_row(trial, cell, name) for trial, cell in trials]
    frame = pd.DataFrame(rows, columns=None if rows else TRIAL_COLUMNS)
    others = sorted(set(frame.columns) - set(TRIAL_COLUMNS))
    frame = frame.reindex(columns=[*TRIAL_COLUMNS, *others])
    frame["diverged"] = frame["diverged"].astype(bool)
    mixed = varying((trial for trial, _ in trials), name)
    attrs = {**attrs, "scale": scale} if scale else attrs
    frame.attrs = {**attrs, "others": mixed, "notes": [*notes, *_no_curves(trials)]}
    if design := design_attribute(study, record_of(study)):
        frame.attrs[DESIGN_ATTR] = design
    return frame


def _trial_row(trial: FrozenTrial, cell: dict[str, Any], scale: str | None) -> dict[str, Any]:
    scalars = {
        encodable(name): encodable(value) if isinstance(value, str) else value
        for name, value in trial.user_attrs.items()
        if not isinstance(value, list | dict) and not is_series(name)
    }
    value = trial.value if trial.state == TrialState.COMPLETE else None
    lost = trial.state == TrialState.COMPLETE and not math.isfinite(number_of(value))
    return {
        **scalars,
        **other_parameters(trial, scale),
        **({} if scale is None else {scale: number_of(trial.params.get(scale))}),
        **cell,
        "trial": trial.number,
        "state": trial.state.name,
        LR_X_WD: cell["lr"] * cell["weight_decay"],
        "value": number_of(value) if not lost else math.nan,
        # A foreign study tells infinity where its loss was lost: that is divergence too.
        "diverged": trial.user_attrs.get(DIVERGED_AT) is not None or lost,
    }


def _no_curves(trials: Iterable[tuple[FrozenTrial, dict[str, Any]]]) -> list[str]:
    done = [t for t, _ in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    without = sum(not any(map(is_series, trial.user_attrs)) for trial in done)
    return [f"{counted(without, 'finished trial')} without curves"] if without else []
