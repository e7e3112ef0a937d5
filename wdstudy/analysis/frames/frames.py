"""Studies as tidy frames: one row a trial, or one row a trial, series and record point.

Any study with the parameters `lr` and `weight_decay` can be read, half-written or made by another
program. What is missing is NaN; `frame.attrs["notes"]` says once what that is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from wdstudy.analysis.frames.series import CURVE_COLUMNS, series_in, stacked, stride_of, wanted
from wdstudy.curves import (
    DIVERGED_AT,
    LR_X_WD,
    STEP,
    is_series,
)
from wdstudy.errors import (
    FlagError,
    MissingPackageError,
    StorageError,
    StudyError,
    nearest,
)
from wdstudy.record import StudyRecord
from wdstudy.space import SEED
from wdstudy.storage.opening import open_storage
from wdstudy.words import counted

PARAMS = ["lr", "weight_decay", "seed"]
TRIAL_COLUMNS = ["trial", "state", "lr", "weight_decay", LR_X_WD, "seed", "value", "diverged"]


def record_of(study: optuna.Study) -> StudyRecord:
    """What the study says about itself; empty for a study of another program."""
    return StudyRecord.of(study.user_attrs)


def trials_frame(study: optuna.Study) -> pd.DataFrame:
    """One row a trial that has its parameters.

    Returns:
        Columns `trial, state, lr, weight_decay, lr_x_wd, seed, value, diverged` and every scalar
        attribute. `value` is NaN unless the trial is complete; what a trial lacks is NaN.

    Raises:
        StudyError: the study has several objectives, or no trial with lr and weight_decay.
    """
    attrs = _attributes(study)
    trials, notes = _placed(study)
    rows = [_trial_row(trial, cell) for trial, cell in trials]
    frame = pd.DataFrame(rows, columns=None if rows else TRIAL_COLUMNS)
    others = sorted(set(frame.columns) - set(TRIAL_COLUMNS))
    frame = frame.reindex(columns=[*TRIAL_COLUMNS, *others])
    frame["diverged"] = frame["diverged"].astype(bool)
    frame.attrs = {**attrs, "notes": [*notes, *_no_curves(trials)]}
    return frame


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
    attrs = _attributes(study)
    placed, notes = _placed(study)
    stride = stride_of(placed, points)
    parts = [
        (trial.number, cell, found)
        for trial, cell in placed
        if (found := series_in(wanted(trial.user_attrs, series, stride)))
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
    known = steps_per_epoch > 0
    if not known:
        notes.append("the study does not tell its steps per epoch: curves are shown over steps")
    frame["epoch"] = frame["step"] / (steps_per_epoch if known else math.nan)
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


def studies_frame(url: str | None = None) -> pd.DataFrame:
    """One row a study of a storage: name, trials by state, best value, optimizer."""
    rows = []
    for summary in optuna.get_all_study_summaries(open_storage(url, create=False)):
        record = StudyRecord.of(summary.user_attrs)
        best = summary.best_trial.value if summary.best_trial else None
        rows.append(
            {
                "study": summary.study_name,
                "trials": summary.n_trials,
                "best": math.nan if best is None else best,
                "optimizer": record.spec.optimizer or "—",
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
            raise FlagError(f"--out {path}: end it in .csv or .parquet")
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


def _attributes(study: optuna.Study) -> dict[str, Any]:
    """What figures say about the study."""
    if len(study.directions) != 1:
        raise StudyError(
            f"the study '{study.study_name}' has {len(study.directions)} objectives; "
            "wdstudy reads studies with one"
        )
    spec = record_of(study).spec
    kind = spec.decay_kind or ""
    note = _DECAY_NOTES.get(kind, kind)
    if spec.independent:
        note = "independent decay (not scaled by lr; a diagnostic, not in the objective)"
    return {
        "study": study.study_name,
        "optimizer": spec.optimizer or "",
        "decay": note,
        "objective": spec.objective or "value",
        "minimize": study.directions[0] != StudyDirection.MAXIMIZE,
    }


def _placed(study: optuna.Study) -> tuple[list[tuple[FrozenTrial, dict[str, Any]]], list[str]]:
    """The trials that have a place on the plane, with it; and what is to be said of the others."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.params]
    placed = [(trial, cell) for trial in trials if (cell := _cell(trial)) is not None]
    if trials and not placed:
        names = sorted({name for trial in trials for name in trial.params})
        raise StudyError(
            f"the study '{study.study_name}' has no trial with numbers lr > 0 and "
            f"weight_decay ≥ 0; its parameters are: {', '.join(names)}"
        )
    notes = []
    if len(placed) < len(trials):
        left = counted(len(trials) - len(placed), "trial")
        notes.append(f"{left} without a number lr > 0 and weight_decay ≥ 0 left out")
    return placed, notes


def _cell(trial: FrozenTrial) -> dict[str, Any] | None:
    lr, weight_decay = (_number(trial.params.get(name)) for name in ("lr", "weight_decay"))
    if not (0 < lr < math.inf and 0 <= weight_decay < math.inf):
        return None
    seed = _number(trial.params.get(SEED, trial.user_attrs.get(SEED, 0)))
    return {"lr": lr, "weight_decay": weight_decay, "seed": int(seed) if seed == seed else 0}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _trial_row(trial: FrozenTrial, cell: dict[str, Any]) -> dict[str, Any]:
    scalars = {
        name: value
        for name, value in trial.user_attrs.items()
        if not isinstance(value, list | dict) and not is_series(name)
    }
    value = trial.value if trial.state == TrialState.COMPLETE else None
    lost = trial.state == TrialState.COMPLETE and not math.isfinite(_number(value))
    return {
        **scalars,
        **cell,
        "trial": trial.number,
        "state": trial.state.name,
        LR_X_WD: cell["lr"] * cell["weight_decay"],
        "value": _number(value) if not lost else math.nan,
        # A foreign study tells infinity where its loss was lost: that is divergence too.
        "diverged": trial.user_attrs.get(DIVERGED_AT) is not None or lost,
    }


def _no_curves(trials: Iterable[tuple[FrozenTrial, dict[str, Any]]]) -> list[str]:
    done = [t for t, _ in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    without = sum(not any(map(is_series, trial.user_attrs)) for trial in done)
    return [f"{counted(without, 'finished trial')} without curves"] if without else []
