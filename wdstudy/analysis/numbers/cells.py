"""The cells of a sweep as the numbers take them: low is good, in logarithms, with their noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.cells import DENSE, counts, gather, initial_loss
from wdstudy.analysis.numbers.estimate import Array, Estimate
from wdstudy.analysis.numbers.noise import Noise
from wdstudy.analysis.numbers.replicates import noise_of
from wdstudy.words import MINUS

BASIN = 0.5  # a cell below this share of the way from the best log loss to the plateau is trained
FEWEST = 3  # cells of one lr that make a column
PER_COLUMN = 12  # scattered cells that stand for a column: a quadratic has six coefficients


@dataclass(frozen=True)
class Cells:
    """What the trials say, cell by cell.

    trials: one row a usable trial: lr, weight_decay, value, seed, diverged, x, y, z, cell, column.
    table: one row a cell, by number: lr, weight_decay, x, y, value (mean over seeds), z, seeds,
        diverged (share), column. A cell of which half the trials or more diverged has no value.
        A column holds the cells of one lr; of scattered cells those of neighbouring lr.
    scattered: most lr hold too few cells for columns: they are samples of the plane.
    best: the number of the best cell; None where none has a value.
    x = log10 lr, y = log10 weight_decay (-inf at 0), z = log value, or the value itself where some
    value is not positive (`logarithmic` is then false). plateau: z of an untrained model.
    sign: what stands before the value's name, because high values are good: "1 − " or "−".
    """

    trials: pd.DataFrame
    table: pd.DataFrame
    best: int | None
    noise: Noise
    logarithmic: bool
    plateau: float
    initial: float
    pruned: int
    scattered: bool
    sign: str = ""

    @property
    def is_share(self) -> bool:
        """Whether the value is what a share lacks to 1."""
        return self.sign.startswith("1")

    @property
    def finished(self) -> pd.DataFrame:
        """The cells that have a value."""
        return self.table[self.table["z"].notna()]

    @property
    def decayed(self) -> pd.DataFrame:
        """The cells that have a value and a positive weight_decay."""
        return self.finished[self.finished["weight_decay"] > 0]

    def basin(self) -> pd.DataFrame:
        """The decayed cells that are trained: well below the plateau."""
        cells = self.decayed
        if cells.empty:
            return cells
        best, worst = float(cells["z"].min()), float(cells["z"].max())
        top = min(self.plateau, worst) if math.isfinite(self.plateau) else worst
        return cells[cells["z"] <= best + BASIN * max(top - best, 0.0)]

    def share(self, value: float, low: float, high: float, n: int) -> Estimate:
        """An estimate of a difference of z, as shares of the loss."""
        return Estimate(self.ratio(value), self.ratio(low), self.ratio(high), n)

    def ratio(self, difference: float) -> float:
        """A difference of z as a share of the loss; where z is no logarithm, as it is."""
        return math.expm1(difference) if self.logarithmic else difference


def measured(
    trials: pd.DataFrame, value: str, *, minimize: bool = True, capped: bool = True
) -> Cells:
    """The cells of a frame with one row a trial, as the numbers take them.

    Args:
        trials: As from `trials_frame`; all but lr, weight_decay and the value may be missing.
        value: The column of the value.
        minimize: Whether low values are good.
        capped: Whether the value compares to initial_loss.

    Raises:
        StudyError: one of the three columns is missing.
    """
    grid = gather(trials, value, minimize=minimize)
    sign = "" if minimize else _flip_of(grid.rows["value"])
    rows = grid.rows[counts(grid.rows)].assign(value=lambda r: _flipped(r["value"], sign))
    table = grid.cells.drop(columns="spread").assign(value=lambda t: _flipped(t["value"], sign))
    table = table[table.index.isin(rows["cell"])]
    least = _least(rows["value"], sign)
    logarithmic = math.isfinite(least)
    for cells in (rows, table):
        cells["z"] = np.log(cells["value"].clip(lower=least)) if logarithmic else cells["value"]
        with np.errstate(divide="ignore"):
            cells["x"], cells["y"] = np.log10(cells["lr"]), np.log10(cells["weight_decay"])
    scattered = _scattered(table)
    table["column"] = _columns(table, scattered=scattered)
    rows["column"] = rows["cell"].map(table["column"])
    initial = initial_loss(trials) if capped and not sign else math.nan
    plateau = (math.log(initial) if initial > 0 else math.nan) if logarithmic else initial
    return Cells(
        rows.reset_index(drop=True),
        table,
        None if grid.best is None else int(grid.ranked.index[0]),
        noise_of(rows, table),
        logarithmic,
        plateau,
        initial,
        int(grid.rows["pruned"].sum()),
        scattered,
        sign,
    )


def _flip_of(value: pd.Series) -> str:
    """How a value that is good when high becomes one that is good when low.

    Of a share (an accuracy) that is what it lacks to 1, of anything else the negative.
    """
    known = value.dropna()
    is_share = len(known) and bool(known.between(0, 1).all())
    return f"1 {MINUS} " if is_share else MINUS


def _least(value: pd.Series, sign: str) -> float:
    """The value below which none is taken in logarithms; NaN where there are none to take.

    Of an accuracy that reaches 1 nothing is left to 1: that counts as half of the least that is,
    half an example, say.
    """
    known = value.dropna()
    positive = known[known > 0]
    if not len(positive):
        return math.nan
    if len(positive) == len(known):
        return float(positive.min())
    return float(positive.min()) / 2 if sign.startswith("1") and (known >= 0).all() else math.nan


def _flipped(value: pd.Series, sign: str) -> pd.Series:
    return value if not sign else (1 if sign.startswith("1") else 0) - value


def _scattered(table: pd.DataFrame) -> bool:
    """Whether most cells stand at an lr with fewer than three of them, and none in a column."""
    count = table.groupby("x")["x"].transform("count")
    if (count > FEWEST).any():  # no sampler draws one lr so often: these were placed
        return False
    places = table["x"].nunique() * table["weight_decay"].nunique()
    few = bool((count >= FEWEST).mean() < 0.6) and table["x"].nunique() > FEWEST
    return few and len(table) < DENSE * places


def _columns(table: pd.DataFrame, *, scattered: bool) -> pd.Series:
    """The number of each cell's column, from the least lr on."""
    if not scattered:
        return pd.Series(np.unique(table["x"], return_inverse=True)[1], index=table.index)
    count = max(1, len(table) // PER_COLUMN)
    rank = table["x"].rank(method="first") - 1
    return (rank * count // max(len(table), 1)).astype(int)


def additive_rss(z: Array, factors: list[np.ndarray]) -> float:
    """Sum of squares left by a sum of one constant per level of each factor, by backfitting."""
    left = z - z.mean()
    for _ in range(200):
        before = float(left @ left)
        for levels in factors:
            left = left - (np.bincount(levels, left) / np.maximum(np.bincount(levels), 1))[levels]
        if before - float(left @ left) <= 1e-12 * before:
            break
    return float(left @ left)
