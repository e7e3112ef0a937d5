"""The cells of a sweep as the numbers take them: low is good, in logarithms, with their noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.frames.cells import counts, gather, initial_loss
from wdstudy.analysis.numbers.estimate import Array
from wdstudy.words import MINUS

BASIN = 0.5  # a cell below this share of the way from the best log loss to the plateau is trained
ENOUGH_DF = 8


@dataclass(frozen=True)
class Noise:
    """Standard deviation of log loss from seed to seed, and its degrees of freedom.

    sd, df: what differs from cell to cell; for comparing cells, which share their seeds.
    total, total_df: with what a seed does to all cells alike; for the loss of one cell. If seeds
    do so beyond chance (F test), only their number less one counts.
    """

    sd: float = math.nan
    df: int = 0
    total: float = math.nan
    total_df: int = 0


@dataclass(frozen=True)
class Cells:
    """What the trials say, cell by cell.

    trials: one row a usable trial: lr, weight_decay, value, seed, diverged, x, y, z, cell.
    table: one row a cell, by number: lr, weight_decay, x, y, value (mean over seeds), z, seeds,
        diverged (share). A cell of which half the trials or more diverged has no value.
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
    logarithmic = bool((rows["value"].dropna() > 0).all())
    for cells in (rows, table):
        cells["z"] = np.log(cells["value"]) if logarithmic else cells["value"]
        with np.errstate(divide="ignore"):
            cells["x"], cells["y"] = np.log10(cells["lr"]), np.log10(cells["weight_decay"])
    initial = initial_loss(trials) if capped and not sign else math.nan
    plateau = (math.log(initial) if initial > 0 else math.nan) if logarithmic else initial
    return Cells(
        rows.reset_index(drop=True),
        table,
        None if grid.best is None else int(grid.ranked.index[0]),
        _noise(rows, table, plateau),
        logarithmic,
        plateau,
        initial,
        int(grid.rows["pruned"].sum()),
        sign,
    )


def _flip_of(value: pd.Series) -> str:
    """How a value that is good when high becomes one that is good when low.

    Of a share (an accuracy) that is what it lacks to 1, of anything else the negative.
    """
    known = value.dropna()
    is_share = len(known) and bool(known.between(0, 1, inclusive="left").all())
    return f"1 {MINUS} " if is_share else MINUS


def _flipped(value: pd.Series, sign: str) -> pd.Series:
    return value if not sign else (1 if sign.startswith("1") else 0) - value


def _noise(rows: pd.DataFrame, table: pd.DataFrame, plateau: float) -> Noise:
    """Spread of z within cells, what a seed does to all cells alike taken off.

    Of trained cells if they carry ENOUGH_DF (an untrained model hardly depends on its seed), else
    of all.
    """
    z = table["z"]
    if z.notna().sum() == 0:
        return Noise()
    top = np.nanmin([plateau, z.max()])
    trained = table.index[z <= z.min() + BASIN * max(top - z.min(), 0.0)]
    noise = _pooled(rows, trained)
    return noise if noise.df >= ENOUGH_DF else _pooled(rows, table.index[z.notna()])


def _pooled(rows: pd.DataFrame, cells: pd.Index) -> Noise:
    """The spread within these cells, beside what seeds share."""
    used = rows[rows["cell"].isin(cells) & rows["z"].notna()]
    used = used[used.groupby("cell")["z"].transform("count") >= 2]
    own, seeds = pd.factorize(used["cell"])[0], pd.factorize(used["seed"])[0]
    df = len(used) - len(np.unique(own)) - max(len(np.unique(seeds)) - 1, 0)
    if df < 1:
        return Noise()
    rss = additive_rss(used["z"].to_numpy(dtype=float), [own, seeds])
    shared = len(np.unique(seeds)) - 1
    both, both_df = additive_rss(used["z"].to_numpy(dtype=float), [own]), df + shared
    excess = max(both - rss, 0.0) / max(shared, 1) / max(rss / df, 1e-300)
    alike = shared > 0 and stats.f.sf(excess, shared, df) < 0.05
    total_df = shared if alike else both_df
    return Noise(math.sqrt(rss / df), df, math.sqrt(both / both_df), total_df)


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
