"""Studies as tidy frames: one row a trial, or one row a trial, series and record point."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import (
    DIVERGED_AT,
    LR_X_WD,
    SEED,
    STEP,
    STUDY_KEY,
    LossCurves,
    is_series,
)
from wdstudy.errors import MissingPackageError, SpecError, StorageError
from wdstudy.storage import open_storage

PARAMS = ["lr", "weight_decay", "seed"]
TRIAL_COLUMNS = ["trial", "state", "lr", "weight_decay", LR_X_WD, "seed", "value", "diverged"]
CURVE_COLUMNS = ["trial", "lr", "weight_decay", "seed", "step", "epoch", "series", "value"]


def spec_of(study: optuna.Study) -> dict[str, Any]:
    """What the study says about itself; empty for a study of another program."""
    record = study.user_attrs.get(STUDY_KEY)
    return record if isinstance(record, dict) else {}


def trials_frame(study: optuna.Study) -> pd.DataFrame:
    """One row a trial that has its parameters.

    Returns:
        Columns `trial, state, lr, weight_decay, lr_x_wd, seed, value, diverged` and every scalar
        attribute. `value` is NaN unless the trial is complete; what a trial lacks is NaN.
    """
    rows = [_trial_row(trial) for trial in study.get_trials(deepcopy=False) if _has_cell(trial)]
    frame = pd.DataFrame(rows, columns=None if rows else TRIAL_COLUMNS)
    others = sorted(set(frame.columns) - set(TRIAL_COLUMNS))
    return _described(frame.reindex(columns=[*TRIAL_COLUMNS, *others]), study)


def curves_frame(study: optuna.Study) -> pd.DataFrame:
    """One row a trial, series and record point, of every trial that has curves.

    Returns:
        Columns `trial, lr, weight_decay, seed, step, epoch, series, value`. `epoch` is NaN where
        the study does not tell its steps per epoch.
    """
    steps_per_epoch = spec_of(study).get("steps_per_epoch") or math.nan
    parts = [
        part
        for trial in study.get_trials(deepcopy=False)
        if _has_cell(trial) and (part := _long(trial)) is not None
    ]
    if not parts:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    columns = {name: [v for part in parts for v in part[name]] for name in parts[0]}
    frame = pd.DataFrame(columns)
    frame["epoch"] = frame["step"] / steps_per_epoch
    return _described(frame[CURVE_COLUMNS], study)


def studies_frame(url: str | None = None) -> pd.DataFrame:
    """One row a study of a storage: name, trials by state, best value, optimizer."""
    rows = []
    for summary in optuna.get_all_study_summaries(open_storage(url, create=False)):
        record = summary.user_attrs.get(STUDY_KEY, {})
        best = summary.best_trial.value if summary.best_trial else None
        rows.append(
            {
                "study": summary.study_name,
                "trials": summary.n_trials,
                "best": math.nan if best is None else best,
                "optimizer": record.get("spec", {}).get("optimizer", "—"),
                "started": f"{summary.datetime_start:%Y-%m-%d %H:%M}"
                if summary.datetime_start
                else "—",
            }
        )
    return pd.DataFrame(rows)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as its file's suffix says.

    Raises:
        SpecError: the suffix is neither `.csv` nor `.parquet`.
        StorageError: the file can't be written.
        MissingPackageError: `.parquet` without pyarrow.
    """
    try:
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        elif path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        else:
            raise SpecError(f"--out {path}: end it in .csv or .parquet")
    except ImportError as error:
        raise MissingPackageError("writing .parquet", "parquet") from error
    except OSError as error:
        raise StorageError(
            f"'{path}' can't be written ({error.strerror or error}); name another"
        ) from error


_DECAY_NOTES = {
    "coupled": "coupled decay (part of the objective)",
    "decoupled": "decoupled decay (a diagnostic, not in the objective)",
}


def _described(frame: pd.DataFrame, study: optuna.Study) -> pd.DataFrame:
    """The frame with what figures say about the study, in `attrs`."""
    spec = spec_of(study).get("spec", {})
    kind = spec.get("decay_kind", "")
    note = _DECAY_NOTES.get(kind, kind)
    if spec.get("decay") == "independent":
        note = "independent decay (not scaled by lr; a diagnostic, not in the objective)"
    frame.attrs = {
        "study": study.study_name,
        "optimizer": spec.get("optimizer", ""),
        "decay": note,
        "objective": spec.get("objective", "value"),
    }
    return frame


def _has_cell(trial: FrozenTrial) -> bool:
    return "lr" in trial.params and "weight_decay" in trial.params


def _cell(trial: FrozenTrial) -> dict[str, Any]:
    seed = trial.params.get(SEED, trial.user_attrs.get(SEED, 0))
    return {"lr": trial.params["lr"], "weight_decay": trial.params["weight_decay"], "seed": seed}


def _trial_row(trial: FrozenTrial) -> dict[str, Any]:
    scalars = {
        name: value
        for name, value in trial.user_attrs.items()
        if not isinstance(value, list | dict) and not is_series(name)
    }
    cell = _cell(trial)
    complete = trial.state == TrialState.COMPLETE and trial.value is not None
    return {
        **scalars,
        **cell,
        "trial": trial.number,
        "state": trial.state.name,
        LR_X_WD: cell["lr"] * cell["weight_decay"],
        "value": trial.value if complete else math.nan,
        "diverged": trial.user_attrs.get(DIVERGED_AT) is not None,
    }


def _long(trial: FrozenTrial) -> dict[str, list[Any]] | None:
    """The trial's series one under the other, as columns."""
    curves = LossCurves.from_attributes(trial.user_attrs)
    if STEP not in curves:
        return None
    steps = curves[STEP]
    series = {n: curves[n] for n in curves if n != STEP and len(curves[n]) == len(steps)}
    points = len(steps) * len(series)
    return {
        "trial": [trial.number] * points,
        **{name: [value] * points for name, value in _cell(trial).items()},
        "step": steps * len(series),
        "series": [name for name in series for _ in steps],
        "value": [value for values in series.values() for value in values],
    }
