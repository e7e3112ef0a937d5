"""Trials gathered into cells: which numbers may be used, their means over seeds, their noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.numbers.estimate import Array, Mask
from wdstudy.errors import StudyError

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
    x = log10 lr, y = log10 weight_decay (-inf at 0), z = log value, or the value itself where some
    value is not positive (`logarithmic` is then false). plateau: z of an untrained model.
    """

    trials: pd.DataFrame
    table: pd.DataFrame
    noise: Noise
    logarithmic: bool
    plateau: float
    initial: float
    pruned: int

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


def gather(trials: pd.DataFrame, value: str, *, capped: bool = True) -> Cells:
    """The cells of a frame with one row a trial; `capped`: the value compares to initial_loss."""
    for column in ("lr", "weight_decay", value):
        if column not in trials.columns:
            have = ", ".join(map(str, trials.columns)) or "none"
            raise StudyError(f"the trials have no column {column!r}; the columns are: {have}")
    rows, pruned = _usable(trials, value)
    logarithmic = bool((rows["value"].dropna() > 0).all())
    rows["z"] = np.log(rows["value"]) if logarithmic else rows["value"]
    with np.errstate(divide="ignore"):
        rows["x"] = np.log10(rows["lr"]).round(9)
        rows["y"] = np.log10(rows["weight_decay"]).round(9)
    rows["cell"] = rows.groupby(["x", "y"], sort=True).ngroup()
    table = rows.groupby("cell").agg(
        lr=("lr", "first"),
        weight_decay=("weight_decay", "first"),
        x=("x", "first"),
        y=("y", "first"),
        value=("value", "mean"),
        seeds=("value", "count"),
        diverged=("diverged", "mean"),
    )
    table.loc[table["diverged"] >= 0.5, "value"] = np.nan
    table["z"] = np.log(table["value"]) if logarithmic else table["value"]
    initial = _initial(trials) if capped else math.nan
    plateau = (math.log(initial) if initial > 0 else math.nan) if logarithmic else initial
    noise = _noise(rows, table, plateau)
    return Cells(rows, table, noise, logarithmic, plateau, initial, pruned)


def _usable(trials: pd.DataFrame, value: str) -> tuple[pd.DataFrame, int]:
    """Trials that finished or diverged, and how many were pruned for another reason."""
    number = {name: pd.to_numeric(trials[name], errors="coerce").astype(float)
              for name in ("lr", "weight_decay")}  # fmt: skip
    rows = pd.DataFrame(number).reset_index(drop=True)
    rows["value"] = pd.to_numeric(trials[value], errors="coerce").to_numpy(dtype=float)
    rows["seed"] = trials["seed"].to_numpy() if "seed" in trials else 0
    rows["seed"] = pd.factorize(rows["seed"])[0]
    state = trials["state"] if "state" in trials else pd.Series("COMPLETE", index=trials.index)
    state = state.astype(str).str.upper().str.split(".").str[-1].to_numpy()
    rows["diverged"] = _diverged(trials, rows["value"], state == "COMPLETE")
    placed = (rows["lr"] > 0) & np.isfinite(rows["lr"]) & (rows["weight_decay"] >= 0)
    placed &= np.isfinite(rows["weight_decay"])
    finished = (state == "COMPLETE") & ~rows["diverged"] & np.isfinite(rows["value"])
    rows.loc[~finished, "value"] = np.nan
    pruned = int((placed & (state == "PRUNED") & ~rows["diverged"]).sum())
    return rows[placed & (finished | rows["diverged"])].reset_index(drop=True), pruned


def _diverged(trials: pd.DataFrame, value: pd.Series, complete: Mask) -> Mask:
    """Which trials diverged: those that say so, and those that finished without a finite value."""
    said = np.zeros(len(trials), dtype=bool)
    if "diverged" in trials:
        said |= np.array([flag is not None and flag == flag and bool(flag)
                          for flag in trials["diverged"]], dtype=bool)  # fmt: skip
    if "diverged_at" in trials:
        said |= trials["diverged_at"].notna().to_numpy()
    return np.asarray(said | (complete & ~np.isfinite(value.to_numpy())))


def _initial(trials: pd.DataFrame) -> float:
    """Median loss at initialisation, NaN if not recorded."""
    if "initial_loss" not in trials:
        return math.nan
    losses = pd.to_numeric(trials["initial_loss"], errors="coerce").to_numpy(dtype=float)
    losses = losses[np.isfinite(losses)]
    return float(np.median(losses)) if len(losses) else math.nan


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
