"""Weight norm and angular update against what weight decay alone, or its equilibrium, predicts.

Formulas: Kosson, Messmer & Jaggi 2024 (https://arxiv.org/abs/2305.17212), for weights before a
normalisation layer, whose size does not matter to the output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from wdstudy.analysis.figures.theme import captioned, dress_log, new_axes, styled, titled
from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.timescales import (
    equilibrium_angle_adamw,
    equilibrium_angle_sgd,
    equilibrium_rms_adamw,
    memory_left,
)
from wdstudy.analysis.views.looks import INK, MUTED, described
from wdstudy.curves import ANGULAR_UPDATE, LEARNING_RATE, STEP, WEIGHT_NORM
from wdstudy.errors import StudyError
from wdstudy.record import STUDY_KEY, StudyRecord

SETTLED = 2.0
"""Σ lr · weight_decay from which weights are shown as settled: e⁻² = 14 % of the start is left."""


@dataclass(frozen=True)
class EquilibriumInfo:
    """Prediction against measurement.

    points: columns `trial, predicted, measured, total`, one row a trial with weight decay;
    `total` is Σ lr · weight_decay up to where it was measured.
    """

    points: pd.DataFrame
    label: str
    formula: str
    trials: int
    seeds: int


@styled
def plot_weight_norm(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    record: StudyRecord | Mapping[str, Any],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Weight norm at the end against its prediction, trial by trial.

    For AdamW the prediction is the equilibrium √(n · lr / (2 · weight_decay)) of n weights. For
    other optimizers it is what decay alone would leave of the first norm that was recorded.

    Args:
        trials: As from `trials_frame`, or any frame of trials.
        curves: As from `curves_frame`.
        record: The study's attribute `wdstudy`, or what `record_of` read of it.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: weight norms or scheduled lr were not recorded.
    """
    trials = as_trials(trials, None)
    info = _norm_info(trials, curves, _read(record))
    ax = new_axes(ax, 5.8, 4.9)
    _draw_equilibrium(info, ax)
    titled(ax, trials, "weight norm at the end", lines=3)
    captioned(ax, f"predicted: {info.formula}", described(trials.attrs, info.trials, info.seeds))
    return ax


@styled
def plot_angular_update(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    record: StudyRecord | Mapping[str, Any],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Angular update a step against its predicted equilibrium, trial by trial.

    Measured at the last record point at which the scheduled lr is at least half its peak, since
    weights can't follow a falling lr at once.

    Args:
        trials: As from `trials_frame`, or any frame of trials.
        curves: As from `curves_frame`.
        record: The study's attribute `wdstudy`, or what `record_of` read of it.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: angular updates were not recorded, or there is no formula for the optimizer.
    """
    trials = as_trials(trials, None)
    info = _angle_info(trials, curves, _read(record))
    ax = new_axes(ax, 5.8, 4.9)
    _draw_equilibrium(info, ax)
    titled(ax, trials, "angular update a step", lines=3)
    text = described(trials.attrs, info.trials, info.seeds)
    captioned(ax, f"predicted: {info.formula}", text + " · at the last point with lr ≥ half peak")
    return ax


def _read(record: StudyRecord | Mapping[str, Any]) -> StudyRecord:
    return record if isinstance(record, StudyRecord) else StudyRecord.of({STUDY_KEY: record})


def _norm_info(trials: pd.DataFrame, curves: pd.DataFrame, record: StudyRecord) -> EquilibriumInfo:
    points = _measured(trials, curves, record, WEIGHT_NORM, settled_lr=0.0)
    if _options(record)["optimizer"] == "AdamW":
        count = record.parameters.get("decayed")
        if not count:
            raise StudyError("the study does not tell how many weights are decayed")
        pairs = zip(points["lr"], points["decay"], strict=True)
        rms = np.array([equilibrium_rms_adamw(lr, decay) for lr, decay in pairs])
        points["predicted"] = math.sqrt(count) * rms
        formula = "√(n · lr / (2 · weight_decay))"
    else:
        left = [memory_left(total) for total in points["total"] - points["first_total"]]
        points["predicted"] = points["first"] * np.array(left)
        formula = "first norm · exp(−Σ lr · weight_decay)"
    return _info(points, "measured weight norm", formula, trials)


def _angle_info(trials: pd.DataFrame, curves: pd.DataFrame, record: StudyRecord) -> EquilibriumInfo:
    points = _measured(trials, curves, record, ANGULAR_UPDATE, settled_lr=0.5)
    options = _options(record)
    pairs = list(zip(points["scheduled"], points["decay"], strict=True))
    if options["optimizer"] == "AdamW":
        beta = float(options["betas"][0])
        points["predicted"] = [equilibrium_angle_adamw(*pair, beta) for pair in pairs]
        formula = "√(2 · lr · weight_decay · (1 − β₁) / (1 + β₁))"
    elif options["optimizer"] == "SGD":
        momentum = float(options["momentum"])
        points["predicted"] = [equilibrium_angle_sgd(*pair, momentum) for pair in pairs]
        formula = "√(2 · lr · weight_decay / (1 + momentum))"
    else:
        raise StudyError(
            f"no formula predicts the angular update of {options['optimizer'] or 'this optimizer'}"
        )
    return _info(points, "measured angular update (radians)", formula, trials)


def _options(record: StudyRecord) -> dict[str, Any]:
    options = {"momentum": 0.0, "betas": (0.9, 0.999), **record.spec.optimizer_options}
    return {**options, "optimizer": record.spec.optimizer or ""}


def _pytorch_decay(points: pd.DataFrame, record: StudyRecord) -> pd.Series:
    """The weight_decay of PyTorch's form; the independent form is divided by the peak lr."""
    decay = points["weight_decay"]
    return decay / points["lr"] if record.spec.independent else decay


def _measured(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    record: StudyRecord,
    series: str,
    settled_lr: float,
) -> pd.DataFrame:
    """One row a trial that finished with weight decay: what was measured, and the decay so far."""
    done = trials[(trials["state"] == "COMPLETE") & (trials["weight_decay"] > 0)]
    rows = curves[curves["trial"].isin(done["trial"])]
    wide = rows[rows["series"].isin([series, LEARNING_RATE])].pivot_table(
        index=["trial", "lr", "weight_decay", "step"], columns="series", values="value",
        observed=True,
    )  # fmt: skip
    if series not in wide or LEARNING_RATE not in wide or wide[series].notna().sum() == 0:
        raise StudyError(f"no finished trial has recorded {series} and {LEARNING_RATE}")
    wide = wide.dropna().reset_index().sort_values(["trial", STEP])
    group = wide.groupby("trial")
    steps = group[STEP].diff().fillna(wide[STEP])
    wide["decay"] = _pytorch_decay(wide, record)
    wide["total"] = wide[LEARNING_RATE] * wide["decay"] * steps
    wide["total"] = wide.groupby("trial")["total"].cumsum()
    wide["first"] = group[series].transform("first")
    wide["first_total"] = wide.groupby("trial")["total"].transform("first")
    kept = wide[wide[LEARNING_RATE] >= settled_lr * group[LEARNING_RATE].transform("max")]
    last = kept.groupby("trial").last().reset_index()
    return last.rename(columns={series: "measured", LEARNING_RATE: "scheduled"})


def _info(points: pd.DataFrame, label: str, formula: str, trials: pd.DataFrame) -> EquilibriumInfo:
    positive = points[(points["measured"] > 0) & (points["predicted"] > 0)]
    if positive.empty:
        raise StudyError("no finished trial has weight_decay above 0")
    seeds = int(finished_trials(trials)["seed"].nunique())
    columns = ["trial", "predicted", "measured", "total"]
    return EquilibriumInfo(positive[columns], label, formula, len(positive), seeds)


def _draw_equilibrium(info: EquilibriumInfo, ax: Axes) -> None:
    points = info.points
    low, high = float(points["measured"].min()) / 1.4, float(points["measured"].max()) * 1.4
    # Decay alone may predict next to nothing: what lies far below the picture goes to its edge.
    least, most = float(points["predicted"].min()) / 1.4, float(points["predicted"].max()) * 1.4
    left, right = min(low, max(least, low / 1e3)), max(high, min(most, high * 1e3))
    predicted = points["predicted"].clip(left * 1.08, right / 1.08)
    settled = points["total"] >= SETTLED
    words = {
        True: f"settled: Σ lr · weight_decay ≥ {SETTLED:g}",
        False: f"on its way: Σ lr · weight_decay < {SETTLED:g}",
    }
    for flag, fill in ((False, "white"), (True, INK)):
        part = settled == flag
        if part.any():
            ax.scatter(predicted[part], points.loc[part, "measured"], s=26, fc=fill, ec=INK, lw=1,
                       label=words[flag], rasterized=len(points) > 1000)  # fmt: skip
    ends = [max(left, low), min(right, high)]
    ax.plot(ends, ends, color=MUTED, lw=1, ls=(0, (4, 3)), zorder=0, label="measured = predicted")
    for which, limits in (("x", (left, right)), ("y", (low, high))):
        getattr(ax, f"set_{which}scale")("log")
        getattr(ax, f"set_{which}lim")(*limits)
        dress_log(getattr(ax, f"{which}axis"), *limits)
    if least < left or most > right:
        ax.text(1.0, 1.005, "points at an end of the axis lie beyond it", transform=ax.transAxes,
                ha="right", va="bottom", fontsize=7.5, color=MUTED)  # fmt: skip
    ax.grid(visible=True)
    ax.set_axisbelow(True)
    ax.set_ylabel(info.label)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.1, labelspacing=0.3)
