"""Trials gathered over the lr × weight_decay plane: one row a cell, seeds averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.curves import INITIAL_LOSS
from wdstudy.errors import StudyError, nearest

FINISHED = ("COMPLETE", "PRUNED")
TOP = 10
DENSE = 0.5  # of the places of a grid: where fewer are filled, the cells are scattered samples

Cell = tuple[float, float]
"""`(weight_decay, lr)`, as rows and columns of a table."""


@dataclass(frozen=True)
class CellGrid:
    """A value over the plane.

    Attributes:
        cells: Columns `weight_decay, lr, value, spread, seeds, diverged`, one row a cell; `value`
            the mean over the seeds of complete trials, `spread` their standard deviation,
            `diverged` the share of its trials that diverged. Where that is half or more, there is
            no value, as in `landscape`.
        best, top: The best cell, None where no cell has a value, and the best ten,
            or the better half where that is fewer.
        trials, seeds: How many finished trials and seeds the grid rests on.
    """

    cells: pd.DataFrame
    best: Cell | None
    top: tuple[Cell, ...]
    trials: int
    seeds: int

    @property
    def scattered(self) -> bool:
        """Whether the cells are samples of the plane, rather than a grid."""
        places = self.cells["lr"].nunique() * self.cells["weight_decay"].nunique()
        return bool(len(self.cells) < DENSE * places)

    def table(self, column: str = "value") -> pd.DataFrame:
        """A column over the grid: rows weight_decay, from high to low, columns lr."""
        table = self.cells.pivot(index="weight_decay", columns="lr", values=column)
        return table.sort_index(ascending=False).astype(float)


def cell_grid(
    trials: pd.DataFrame, value: str = "value", *, minimize: bool | None = None
) -> CellGrid:
    """Average a column of a trials frame over the seeds of every cell.

    Args:
        trials: As from `trials_frame`.
        value: A numeric column.
        minimize: Whether the best cell is the lowest; as the study says where it is None.

    Raises:
        StudyError: the frame has no such column, or no finished trial.
    """
    finished = finished_trials(trials)
    if value not in trials.columns or not pd.api.types.is_numeric_dtype(trials[value]):
        known = [c for c in trials.columns if pd.api.types.is_numeric_dtype(trials[c])]
        raise StudyError(f"the trials have no numbers '{value}'; {nearest(value, known)}")
    number = pd.to_numeric(finished[value]).astype(float).replace([math.inf, -math.inf], math.nan)
    rows = pd.DataFrame(
        {
            "weight_decay": rounded(finished["weight_decay"]),
            "lr": rounded(finished["lr"]),
            "value": number.where((finished["state"] == "COMPLETE") & ~finished["diverged"]),
            "diverged": finished["diverged"].astype(float),
        }
    )
    cells = (
        rows.groupby(["weight_decay", "lr"])
        .agg(
            value=("value", "mean"),
            spread=("value", "std"),
            seeds=("value", "count"),
            diverged=("diverged", "mean"),
        )
        .reset_index()
    )
    cells.loc[cells["diverged"] >= 0.5, ["value", "spread"]] = math.nan
    if minimize is None:
        minimize = bool(trials.attrs.get("minimize", True))
    known = cells.dropna(subset="value").sort_values("value", ascending=minimize, kind="stable")
    most = min(TOP, max(1, len(cells) // 2))  # to ring most cells of a small grid says nothing
    top = tuple(zip(known["weight_decay"][:most], known["lr"][:most], strict=True))
    return CellGrid(
        cells, top[0] if top else None, top, len(finished), int(finished["seed"].nunique())
    )


def finished_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that are complete or pruned, diverged ones among them.

    Raises:
        StudyError: there is none.
    """
    finished = trials[trials["state"].isin(FINISHED)]
    if finished.empty:
        raise StudyError(
            f"the study '{trials.attrs.get('study', '')}' has no finished trial yet; "
            "run it first, or wait"
        )
    return finished


def initial_loss(trials: pd.DataFrame) -> float:
    """The median loss at initialisation, NaN where it was not recorded."""
    if INITIAL_LOSS not in trials.columns:
        return math.nan
    return float(pd.to_numeric(trials[INITIAL_LOSS], errors="coerce").median())


def rounded(values: pd.Series) -> pd.Series:
    """Nine digits: a float that was computed in another way is still the same cell."""
    unique = {v: float(f"{v:.9g}") for v in values.unique()}
    return values.map(unique).astype(np.float64)
