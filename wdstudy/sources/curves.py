"""A foreign run's curves, as the series of a trial."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from wdstudy.curves import (
    DECAY_LOSS,
    PRIMARY_LOSS,
    STEP,
    WEIGHT_NORM,
    LossCurves,
)
from wdstudy.sources.names import series_of

Floats = npt.NDArray[np.float64]

_AVERAGED = (PRIMARY_LOSS, DECAY_LOSS)  # since the record point before, as training records them


@dataclass(frozen=True)
class Recorded:
    """What a run recorded: its series at its record points, and where each of them ended."""

    curves: LossCurves
    last: Mapping[str, float]


def series_in(
    names: Collection[str], metric: str, objective: str, beside: Collection[str]
) -> dict[str, str]:
    """Metric of the source → series of a study, of those that there is a series for.

    What stands `beside` them tells what `loss` alone means. Where two would be the same series,
    the first is taken, and the objective's before any other.
    """
    found: dict[str, str] = {}
    for name in [*(n for n in names if n == metric), *(n for n in names if n != metric)]:
        series = objective if name == metric else series_of(name, beside)
        if series is not None and series not in found.values():
            found[name] = series
    return found


def recorded(
    curves: pd.DataFrame,
    ends: Mapping[str, float],
    weight_decay: float,
    objective: str,
) -> Recorded:
    """The series of one run.

    Record points are where the objective was measured, or where that has no curve, the longest
    curve. Losses of the training are averaged since the point before; of all else the newest
    value counts.

    Args:
        curves: Columns `step, series, value` of this run, its series by their names in a study.
        ends: Where each series ended.
        weight_decay: For the decay loss, ½ · weight_decay · ‖w‖², where the norm is known.
        objective: The series to judge by.
    """
    lines = {
        str(name): (part["step"].to_numpy(float), part["value"].to_numpy(float))
        for name, part in curves.groupby("series", observed=True, sort=False)
    }
    lines = {name: _by_step(*line) for name, line in lines.items()}
    last = {name: value for name, value in ends.items() if not math.isnan(value)}
    if WEIGHT_NORM in lines and DECAY_LOSS not in lines:
        steps, norm = lines[WEIGHT_NORM]
        lines[DECAY_LOSS] = steps, 0.5 * weight_decay * norm**2
    if WEIGHT_NORM in last and DECAY_LOSS not in last:
        last[DECAY_LOSS] = 0.5 * weight_decay * last[WEIGHT_NORM] ** 2
    points = _points(lines, objective)
    series = {name: _at(points, *line, mean=name in _AVERAGED) for name, line in lines.items()}
    for name, (_, values) in lines.items():
        last.setdefault(name, float(values[-1]) if len(values) else math.nan)
    shown = {STEP: points.tolist(), **{name: line.tolist() for name, line in series.items()}}
    return Recorded(LossCurves(shown if lines and len(points) else {}), last)


def _by_step(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve in the order of its steps, the last of what was logged twice at one."""
    known = np.isfinite(steps)
    steps, values = steps[known], values[known]
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    final = np.append(steps[1:] != steps[:-1], True) if len(steps) else np.zeros(0, dtype=bool)
    return steps[final], values[final]


def _points(lines: Mapping[str, tuple[Floats, Floats]], objective: str) -> Floats:
    """The record points."""
    if objective in lines and len(lines[objective][0]) > 1:
        return lines[objective][0]
    return max((steps for steps, _ in lines.values()), key=len, default=np.empty(0))


def _at(points: Floats, steps: Floats, values: Floats, *, mean: bool) -> Floats:
    """A curve at the record points, NaN before its first value."""
    ends = np.searchsorted(steps, points, side="right")
    if not mean:
        filled = np.append(np.nan, values)
        return np.asarray(filled[ends])
    starts = np.append(0, ends[:-1])
    return np.array(
        [_mean(values[a:b]) if b > a else np.nan for a, b in zip(starts, ends, strict=True)]
    )


def _mean(values: Sequence[float] | Floats) -> float:
    return float(np.mean(values))
