"""Trials laid out over the lr × weight_decay plane: one number a cell, seeds averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from wdstudy.errors import StudyError


@dataclass(frozen=True)
class CellGrid:
    """A value over the plane. Rows are weight_decay, from high to low; columns are lr.

    Attributes:
        values: Means over the seeds of complete trials; NaN where there is none.
        spread: Standard deviations over seeds; NaN for a single seed.
        diverged: Whether every finished trial of the cell diverged.
        best: `(weight_decay, lr)` of the best cell, None where no cell has a value.
        trials, seeds: How many finished trials and seeds the grid rests on.
    """

    values: pd.DataFrame
    spread: pd.DataFrame
    diverged: pd.DataFrame
    best: tuple[float, float] | None
    trials: int
    seeds: int


def cell_grid(trials: pd.DataFrame, value: str = "value", *, minimize: bool = True) -> CellGrid:
    """Average a column of a trials frame over seeds, on the grid of its lr and weight_decay.

    Raises:
        StudyError: the frame has no such column, or no finished trial.
    """
    if value not in trials.columns:
        known = ", ".join(c for c in trials.columns if pd.api.types.is_numeric_dtype(trials[c]))
        raise StudyError(f"the trials have no column '{value}'; there are: {known}")
    finished = trials[trials["state"].isin(("COMPLETE", "PRUNED"))]
    if finished.empty:
        raise StudyError("no trial has finished yet, so there is nothing to show")
    kept = finished[finished["state"] == "COMPLETE"]
    index, columns = _axes(finished)
    values = _pivot(kept, value, "mean", index, columns)
    minimum = values.min().min() if minimize else values.max().max()
    best = None
    if not math.isnan(minimum):
        row, column = divmod(int((values.to_numpy() == minimum).argmax()), len(columns))
        best = (float(index[row]), float(columns[column]))
    diverged = finished.assign(diverged=finished["diverged"].astype(float))
    return CellGrid(
        values,
        _pivot(kept, value, "std", index, columns),
        _pivot(diverged, "diverged", "min", index, columns) == 1,
        best,
        len(finished),
        finished["seed"].nunique(),
    )


def _axes(trials: pd.DataFrame) -> tuple[pd.Index, pd.Index]:
    index = pd.Index(sorted(trials["weight_decay"].unique(), reverse=True), name="weight_decay")
    return index, pd.Index(sorted(trials["lr"].unique()), name="lr")


def _pivot(
    frame: pd.DataFrame, value: str, how: str, index: pd.Index, columns: pd.Index
) -> pd.DataFrame:
    table = frame.groupby(["weight_decay", "lr"])[value].agg(how).unstack("lr")
    return table.reindex(index=index, columns=columns).astype(float)
