"""Trials gathered into the cells of the lr × weight_decay plane, seeds averaged.

This is the one place where that is done: which trials count, what a cell's value is, which cells
are lost and which is the best. Figures and numbers both read it, so the cell that a heatmap frames
is the cell that the verdict names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from wdstudy.analysis.frames.scale import check_one_plane
from wdstudy.curves import DIVERGED_AT, INITIAL_LOSS
from wdstudy.errors import StudyError, nearest
from wdstudy.space import LR, SEED, WEIGHT_DECAY, Cell, rounded

FINISHED = ("COMPLETE", "PRUNED")
DIVERGED_SHARE = 0.5
"""A cell of whose trials so large a share diverged has no value."""

TOP = 10
DENSE = 0.5  # of the places of a grid: where fewer are filled, the cells are scattered samples

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CellGrid:
    """A value over the plane.

    Attributes:
        rows: One row a finished trial with a place on the plane: `lr, weight_decay` (rounded),
            `seed` (numbered from 0), `value` (NaN unless complete and finite), `diverged`,
            `pruned` (for another reason), `cell` (an index of `cells`).
        cells: One row a cell, by lr and weight_decay: `lr, weight_decay, value` (the mean over
            seeds), `spread` (their standard deviation), `seeds` (how many have a value) and
            `diverged`: the share among the trials that count, which are those with a value and
            the diverged. Where it is `DIVERGED_SHARE` or more, there is no value.
        minimize: Whether low values are good.
    """

    rows: pd.DataFrame
    cells: pd.DataFrame
    minimize: bool

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The cells that have a value, the best first; of equal ones that of the lower lr."""
        known = self.cells.dropna(subset="value")
        return known.sort_values("value", ascending=self.minimize, kind="stable")

    @property
    def best(self) -> Cell | None:
        """The best cell, None where no cell has a value."""
        return self.top[0] if self.top else None

    @property
    def top(self) -> tuple[Cell, ...]:
        """The best ten, or the better half where that is fewer: to ring most says nothing."""
        most = self.ranked[: min(TOP, max(1, len(self.cells) // 2))]
        return tuple(zip(most[LR], most[WEIGHT_DECAY], strict=True))

    @property
    def trials(self) -> int:
        """How many trials count."""
        return int(counts(self.rows).sum())

    @property
    def seeds(self) -> int:
        """How many seeds they have."""
        return int(self.rows.loc[counts(self.rows), SEED].nunique())

    @property
    def lost(self) -> pd.DataFrame:
        """The cells that diverged."""
        return self.cells[self.cells["diverged"] >= DIVERGED_SHARE]

    @property
    def scattered(self) -> bool:
        """Whether the cells are samples of the plane, rather than a grid."""
        places = self.cells[LR].nunique() * self.cells[WEIGHT_DECAY].nunique()
        return bool(len(self.cells) < DENSE * places)

    def table(self, column: str = "value") -> pd.DataFrame:
        """A column over the grid: rows weight_decay, from high to low, columns lr."""
        table = self.cells.pivot(index=WEIGHT_DECAY, columns=LR, values=column)
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
        StudyError: the frame has no such column, or no finished trial, or trials of several values
            of a scale.
    """
    check_one_plane(trials)
    finished_trials(trials)
    if value not in trials.columns or not pd.api.types.is_numeric_dtype(trials[value]):
        known = [c for c in trials.columns if pd.api.types.is_numeric_dtype(trials[c])]
        raise StudyError(f"the trials have no numbers '{value}'; {nearest(value, known)}")
    low_is_good = bool(trials.attrs.get("minimize", True)) if minimize is None else minimize
    return gather(trials, value, minimize=low_is_good)


def gather(trials: pd.DataFrame, value: str, *, minimize: bool) -> CellGrid:
    """The cells of a frame with one row a trial, which may lack all but lr and weight_decay.

    Args:
        trials: `lr`, `weight_decay` and `value`; uses `state`, `seed`, `diverged` and
            `diverged_at` where they are there.
        value: The column of the value.
        minimize: Whether the best cell is the lowest.

    Raises:
        StudyError: one of the three columns is missing.
    """
    for column in (LR, WEIGHT_DECAY, value):
        if column not in trials.columns:
            raise StudyError(
                f"the trials have no column '{column}'; {nearest(column, map(str, trials.columns))}"
            )
    rows = _rows(trials, value)
    rows["cell"] = rows.groupby([LR, WEIGHT_DECAY], sort=True).ngroup()
    if SEED in trials:  # the same trial twice is no second seed
        rows = rows[~rows.duplicated(["cell", SEED, "value"]) | rows["value"].isna()]
        rows = rows.reset_index(drop=True)
    else:
        rows[SEED] = rows.groupby("cell").cumcount()
    groups = rows.assign(diverged=rows["diverged"].where(counts(rows))).groupby("cell")
    cells = groups.agg(
        lr=(LR, "first"),
        weight_decay=(WEIGHT_DECAY, "first"),
        value=("value", "mean"),
        spread=("value", "std"),
        seeds=("value", "count"),
        diverged=("diverged", "mean"),
    )
    cells["diverged"] = cells["diverged"].astype(float).fillna(0.0)
    cells.loc[cells["diverged"] >= DIVERGED_SHARE, ["value", "spread"]] = math.nan
    return CellGrid(rows, cells, minimize)


def counts(rows: pd.DataFrame) -> pd.Series:
    """Which rows of a `CellGrid` say something of their cell: with a value, or diverged."""
    return rows["value"].notna() | rows["diverged"]


def finished_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that are complete or pruned, diverged ones among them.

    Raises:
        StudyError: there is none.
    """
    finished = trials[states(trials).isin(FINISHED)]
    if finished.empty:
        raise StudyError(
            f"the study '{trials.attrs.get('study', '')}' has no finished trial yet; "
            "run it first, or wait"
        )
    return finished


def states(trials: pd.DataFrame) -> pd.Series:
    """Optuna's states of trials, whatever program's words they are in; COMPLETE if none is told."""
    if "state" not in trials:
        return pd.Series("COMPLETE", index=trials.index)
    words = trials["state"].astype(str).str.upper().str.split(".").str[-1]
    return words.replace(dict.fromkeys(("FINISHED", "DONE", "SUCCESS", "TERMINATED"), "COMPLETE"))


def initial_loss(trials: pd.DataFrame) -> float:
    """The median loss at initialisation, NaN where it was not recorded."""
    if INITIAL_LOSS not in trials.columns:
        return math.nan
    losses = _numbers(trials[INITIAL_LOSS])
    return float(losses[np.isfinite(losses)].median())


def cells_of(trials: pd.DataFrame) -> list[Cell]:
    """The cell of every row."""
    return list(zip(rounded_values(trials[LR]), rounded_values(trials[WEIGHT_DECAY]), strict=True))


def rounded_values(values: pd.Series) -> pd.Series:
    """`rounded` for a column."""
    unique = {v: rounded(v) for v in values.unique()}
    return values.map(unique).astype(np.float64)


def _rows(trials: pd.DataFrame, value: str) -> pd.DataFrame:
    """The finished trials that have a place on the plane."""
    rows = pd.DataFrame({name: _numbers(trials[name]) for name in (LR, WEIGHT_DECAY)})
    state = states(trials)
    number, complete = _numbers(trials[value]), state == "COMPLETE"
    rows[SEED] = pd.factorize(trials[SEED])[0] if SEED in trials else 0
    rows["diverged"] = _diverged(trials, number.to_numpy(), complete.to_numpy())
    rows["value"] = number.where(complete & ~rows["diverged"] & np.isfinite(number))
    rows["pruned"] = (state == "PRUNED") & ~rows["diverged"]
    placed = np.isfinite(rows[[LR, WEIGHT_DECAY]]).all(axis=1)
    placed &= (rows[LR] > 0) & (rows[WEIGHT_DECAY] >= 0)
    kept = rows[placed & state.isin(FINISHED)].reset_index(drop=True)
    return kept.assign(**{name: rounded_values(kept[name]) for name in (LR, WEIGHT_DECAY)})


def _diverged(trials: pd.DataFrame, number: npt.NDArray[np.float64], complete: Mask) -> Mask:
    """Which trials diverged: those that say so, and those that end without a finite value.

    A trial that says that it did not, and has no number in this column, only lacks the number.
    """
    said = np.zeros(len(trials), dtype=bool)
    denied = said.copy()
    if "diverged" in trials:
        flags = trials["diverged"].astype(object)
        known = flags.notna().to_numpy()
        said |= known & np.array([bool(f) for f in flags.where(flags.notna(), False)], dtype=bool)
        denied |= known & ~said
    if DIVERGED_AT in trials:
        said |= trials[DIVERGED_AT].notna().to_numpy()
    lost = complete & (np.isinf(number) | (np.isnan(number) & ~denied))
    return np.asarray(said | lost)


def _numbers(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values, errors="coerce").astype(float)
