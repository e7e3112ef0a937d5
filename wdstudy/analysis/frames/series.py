"""The series in the attributes of trials, as one tidy frame of all of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.trial import FrozenTrial

from wdstudy.curves import STEP, is_series

CURVE_COLUMNS = ["trial", "lr", "weight_decay", "seed", "step", "epoch", "series", "value"]

Series = dict[str, npt.NDArray[np.float64]]


def stride_of(placed: list[tuple[FrozenTrial, dict[str, Any]]], points: int | None) -> slice:
    """Which record points to read: the same ones of every trial, so that seeds can be averaged."""
    if points is None:
        return slice(None)
    steps = (trial.user_attrs.get(STEP) for trial, _ in placed)
    longest = max((len(values) for values in steps if isinstance(values, list)), default=0)
    stride = max(1, -(-longest // points))
    return slice((longest - 1) % stride if longest else 0, None, stride)


def wanted(
    attributes: dict[str, Any], series: Collection[str] | None, stride: slice
) -> dict[str, Any]:
    """The attributes that hold one of these series, and its steps, at some of the points."""
    return {
        name: values[stride] if isinstance(values, list) else values
        for name, values in attributes.items()
        if series is None or name in series or name == STEP
    }


def series_in(attributes: dict[str, Any]) -> Series:
    """The series among a trial's attributes, cut or filled with NaN to the length of its steps.

    A worker that is killed leaves series of unequal length; they grow from the same start.
    """
    series: Series = {}
    for name, values in attributes.items():
        if is_series(name) and isinstance(values, list) and values:
            try:
                series[name] = np.array(values, dtype=float)
            except (TypeError, ValueError):
                continue  # a foreign attribute that is no list of numbers
    series = {name: values for name, values in series.items() if values.ndim == 1}
    longest = max(series.values(), key=len, default=np.empty(0))
    length = len(series.get(STEP, longest))
    return {name: _of_length(values, length) for name, values in series.items()}


def _of_length(values: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    lacking = length - len(values)
    return np.pad(values, (0, lacking), constant_values=np.nan) if lacking > 0 else values[:length]


def stacked(parts: list[tuple[int, dict[str, Any], Series]]) -> pd.DataFrame:
    """All series of all trials, one under the other."""
    names = sorted({name for *_, series in parts for name in series if name != STEP})
    codes = {name: code for code, name in enumerate(names)}
    lengths, kinds, steps, values = [], [], [], []
    rows: list[tuple[float, ...]] = []
    for number, cell, series in parts:
        for name, column in series.items():
            if name == STEP:
                continue
            rows.append((number, cell["lr"], cell["weight_decay"], cell["seed"]))
            lengths.append(len(column))
            kinds.append(codes[name])
            steps.append(series.get(STEP, np.arange(1.0, len(column) + 1)))
            values.append(column)
    if not rows:
        return pd.DataFrame(columns=CURVE_COLUMNS)
    trial, lr, weight_decay, seed = (np.repeat(c, lengths) for c in zip(*rows, strict=True))
    return pd.DataFrame(
        {
            "trial": trial,
            "lr": lr,
            "weight_decay": weight_decay,
            "seed": seed,
            "step": np.concatenate(steps),
            "series": pd.Categorical.from_codes(np.repeat(kinds, lengths), categories=names),
            "value": np.concatenate(values),
        }
    )
