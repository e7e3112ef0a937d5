"""Any frame as a trials frame: the columns that it lacks, by what it holds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.scale import check_one_plane
from wdstudy.analysis.frames.series import CURVE_COLUMNS
from wdstudy.analysis.frames.trials import TRIAL_COLUMNS
from wdstudy.curves import LR_X_WD, STEP
from wdstudy.directions import direction_of
from wdstudy.errors import SpecError, StudyError, nearest
from wdstudy.space import LR, SEED, WEIGHT_DECAY

_KEYS = ("trial", LR, WEIGHT_DECAY, SEED, STEP, "epoch")


def as_trials(
    trials: pd.DataFrame,
    value: str | None = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    along: bool = False,
) -> pd.DataFrame:
    """A frame of one row a run, as `trials_frame` would have it; one that is such stays as it is.

    A row whose value is not finite has diverged, if no column says otherwise; where there is no
    `state`, every row is complete; where there is no `seed`, it is one.

    Args:
        trials: Its columns may be named in any way.
        value: The column to judge by; None where there is none. Whether low is good follows from
            `trials.attrs["minimize"]`, else from the name, else it is.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        along: Whether they may be of several values of a scale, each with a plane of its own.

    Raises:
        StudyError: one of the three columns is missing, or holds no numbers; or the trials are of
            several values of a scale, and may not be.
    """
    frame = named(trials, lr=lr, weight_decay=weight_decay)
    if not along:
        check_one_plane(frame)
    if set(TRIAL_COLUMNS) <= set(frame.columns):
        return frame
    number = pd.Series(math.nan, frame.index) if value is None else _numbers(frame, value)
    axes = {axis: _numbers(frame, axis) for axis in (LR, WEIGHT_DECAY)}
    lacking = {
        "trial": np.arange(len(frame)),
        "state": "COMPLETE",
        SEED: 0,
        LR_X_WD: axes[LR] * axes[WEIGHT_DECAY],
        "value": number,
        "diverged": ~np.isfinite(number) & (value is not None),
    }
    lacking = {name: column for name, column in lacking.items() if name not in frame}
    filled = frame.assign(**axes, **lacking)
    filled["diverged"] = filled["diverged"].fillna(value=False).astype(bool)
    own = {"study": "", "objective": value or "value", "others": {}, "notes": []}
    filled.attrs = {**own, "minimize": low_is_good(frame, value or "value"), **trials.attrs}
    return filled


def as_curves(
    curves: pd.DataFrame, *, lr: str = LR, weight_decay: str = WEIGHT_DECAY
) -> pd.DataFrame:
    """A frame of record points as `curves_frame` would have it; one that is such stays as it is.

    Without the columns `series` and `value`, every column of numbers that is no place or step is
    a series. Without `trial`, a run is a cell and a seed.

    Args:
        curves: `lr`, `weight_decay` and `step` or `epoch`.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Raises:
        StudyError: one of these columns is missing.
    """
    frame = named(curves, lr=lr, weight_decay=weight_decay)
    if set(CURVE_COLUMNS) <= set(frame.columns):
        return frame
    if STEP not in frame and "epoch" not in frame:
        raise StudyError(f"the curves have no column 'step'; {_nearest('step', frame)}")
    frame = frame.assign(**{SEED: frame.get(SEED, 0)})
    if STEP not in frame:
        frame = frame.assign(**{STEP: frame["epoch"]})
    if "trial" not in frame:
        frame = frame.assign(trial=frame.groupby([LR, WEIGHT_DECAY, SEED], sort=False).ngroup())
    if "epoch" not in frame:
        frame = frame.assign(epoch=math.nan)
    if not {"series", "value"} <= set(frame.columns):
        numeric = [n for n in frame.select_dtypes("number").columns if n not in _KEYS]
        frame = frame.melt([*_KEYS], numeric, var_name="series").dropna(subset="value")
    frame.attrs = {"notes": [], **curves.attrs}
    return frame


def named(frame: pd.DataFrame, *, lr: str = LR, weight_decay: str = WEIGHT_DECAY) -> pd.DataFrame:
    """A frame whose axes are called `lr` and `weight_decay`.

    Raises:
        StudyError: it has no such columns.
    """
    for axis, name in ((LR, lr), (WEIGHT_DECAY, weight_decay)):
        if name not in frame.columns:
            hint = f" (or say which it is: {axis}=…)" if name == axis else ""
            raise StudyError(f"the trials have no column '{name}'; {_nearest(name, frame)}{hint}")
    if (lr, weight_decay) == (LR, WEIGHT_DECAY):
        return frame
    others = [name for name in (LR, WEIGHT_DECAY) if name not in (lr, weight_decay)]
    plain = frame.drop(columns=[name for name in others if name in frame.columns])
    return plain.rename(columns={lr: LR, weight_decay: WEIGHT_DECAY})


def low_is_good(trials: pd.DataFrame, value: str) -> bool:
    """Whether low values of a column are good: of "value" as the study says, else by its name."""
    if value == "value" or value == trials.attrs.get("objective"):
        return bool(trials.attrs.get("minimize", True))
    try:
        return direction_of(value) == "minimize"
    except SpecError:
        return bool(trials.attrs.get("minimize", True))


def _numbers(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        raise StudyError(f"the trials have no numbers '{name}'; {_nearest(name, frame)}")
    numbers = pd.to_numeric(frame[name], errors="coerce").astype(float)
    if len(frame) and frame[name].notna().any() and numbers.isna().all():
        raise StudyError(f"the column '{name}' holds no numbers; name another")
    return numbers


def _nearest(name: str, frame: pd.DataFrame) -> str:
    return nearest(name, map(str, frame.columns))
