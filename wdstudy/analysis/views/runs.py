"""The loss over the share of the run, at the best pair of every value of a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from wdstudy.analysis.frames.cells import rounded_values
from wdstudy.analysis.frames.scale import along
from wdstudy.analysis.numbers.transferfindings import Place, Transfer
from wdstudy.analysis.views.looks import label_of
from wdstudy.analysis.views.scales import spans_decades
from wdstudy.curves import FINAL_PREFIX, PRIMARY_LOSS, VAL_LOSS
from wdstudy.errors import StudyError

BINS = 200
"""Record points are gathered into so many shares of the run, so that seeds can be averaged."""


@dataclass(frozen=True)
class RunLine:
    """The curve of one value: `share, value`, the mean over seeds, at its best pair."""

    value: float
    lr: float
    weight_decay: float
    seeds: int
    points: pd.DataFrame


@dataclass(frozen=True)
class RunsInfo:
    """What is shown. lacking: the values whose best pair has recorded no curve."""

    scale: str
    series: str
    label: str
    lines: tuple[RunLine, ...]
    logarithmic: bool
    lacking: tuple[float, ...]


def runs_info(trials: pd.DataFrame, curves: pd.DataFrame, found: Transfer) -> RunsInfo:
    """What is shown of the best runs.

    Args:
        trials: As from `trials_frame`, of all values.
        curves: As from `curves_frame`.
        found: As from `transfer(trials)`.

    Raises:
        StudyError: none of the best pairs has recorded a loss.
    """
    series = _series(trials, curves)
    parts = along(trials, found.scale)
    rows = curves[(curves["series"] == series) & curves["value"].notna()]
    lines, lacking = [], []
    for place in found.places:
        line = _line(parts[place.value], rows, place)
        if line is None:
            lacking.append(place.value)
        else:
            lines.append(line)
    if not lines:
        raise StudyError("the best pairs have recorded no losses along the run")
    values = pd.concat([line.points["value"] for line in lines])
    return RunsInfo(
        found.scale, series, label_of(trials, series), tuple(lines), spans_decades(values),
        tuple(lacking),
    )  # fmt: skip


def _series(trials: pd.DataFrame, curves: pd.DataFrame) -> str:
    """What the study is judged by, if that was recorded along the run; else a loss."""
    known = {str(name) for name in curves["series"].dropna().unique()}
    objective = str(trials.attrs.get("objective") or "").removeprefix(FINAL_PREFIX)
    wanted = [objective, VAL_LOSS, PRIMARY_LOSS, *sorted(known)]
    found = next((name for name in wanted if name in known), None)
    if found is None:
        raise StudyError("no trial has recorded losses along the run")
    return found


def _line(part: pd.DataFrame, rows: pd.DataFrame, place: Place) -> RunLine | None:
    here = rounded_values(part["lr"]) == place.best_lr
    here &= rounded_values(part["weight_decay"]) == place.best_weight_decay
    some = part[here & (part["state"] == "COMPLETE")]
    points = rows[rows["trial"].isin(some["trial"])]
    if points.empty:
        return None
    last = points.groupby("trial")["step"].transform("max")
    if "steps" in some:
        told = pd.to_numeric(some.set_index("trial")["steps"], errors="coerce")
        last = points["trial"].map(told).fillna(last).clip(lower=last)
    share = (points["step"] / last).where(last > 0, math.nan)
    placed = points.assign(share=(share * BINS).round() / BINS).dropna(subset="share")
    means = placed.groupby("share")["value"].mean().reset_index()
    return RunLine(place.value, place.best_lr, place.best_weight_decay,
                   int(points["trial"].nunique()), means)  # fmt: skip
