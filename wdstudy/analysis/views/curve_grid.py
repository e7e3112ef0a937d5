"""What a curve grid shows, however it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.cells import DENSE, DIVERGED_SHARE, CellGrid, cell_grid, rounded_values
from wdstudy.analysis.views.looks import described
from wdstudy.analysis.views.scales import spans_decades
from wdstudy.analysis.views.tiles import COLUMN, IN_COLUMNS
from wdstudy.errors import StudyError, nearest
from wdstudy.space import Cell

MAX_GRID = 12
"""Curves of more rows or columns than this are too small to read: a sub-grid is drawn."""

BINS = 8
"""Scattered samples are gathered in as many bins an axis."""


@dataclass(frozen=True)
class CurveGridInfo:
    """What a curve grid shows.

    lines: columns `weight_decay, lr, series, x, value`, means over seeds. lrs, weight_decays:
    the columns from left to right, the rows from top to bottom. x: "epoch" or "step".
    """

    lines: pd.DataFrame
    lrs: tuple[float, ...]
    weight_decays: tuple[float, ...]
    x: str
    diverged: frozenset[Cell]
    best: Cell | None
    limits: tuple[float, float]
    logarithmic: bool
    note: str


def curve_grid_info(
    curves: pd.DataFrame, trials: pd.DataFrame | None, series: Sequence[str]
) -> CurveGridInfo:
    """What a curve grid shows; arguments and errors as of `plot_curve_grid`."""
    shown = curves[curves["series"].isin(list(series))].dropna(subset=["value"])
    if shown.empty:
        known = sorted(map(str, curves["series"].dropna().unique()))
        raise StudyError(
            f"no trial has recorded {' or '.join(series)}; {nearest(series[0], known)}"
        )
    attrs = curves.attrs
    shown = shown.assign(**{axis: rounded_values(shown[axis]) for axis in ("lr", "weight_decay")})
    grid = cell_grid(trials) if trials is not None else None
    cells = grid.cells if grid is not None else shown
    x = "epoch" if shown["epoch"].notna().all() else "step"
    note = described(attrs, curves["trial"].nunique(), curves["seed"].nunique())
    places = cells[["lr", "weight_decay"]].drop_duplicates()
    every = [np.unique(cells[axis]) for axis in ("lr", "weight_decay")]
    if len(places) < DENSE * len(every[0]) * len(every[1]):
        best = None if grid is None else grid.best
        if kept := _columns_of(places, best):
            cells = cells[cells["lr"].isin(kept[0]) & cells["weight_decay"].isin(kept[1])]
            left = len(places) - len(cells[["lr", "weight_decay"]].drop_duplicates())
            note += f" · {left} of {len(places)} cells, beside these columns, left out" * bool(left)
        else:
            shown, cells = _binned(shown, cells, grid)
            note += f" · scattered samples: of each of {BINS} × {BINS} bins, the best trial"
        every = [np.unique(cells[axis]) for axis in ("lr", "weight_decay")]
    lrs, weight_decays = (_thin(values.tolist()) for values in every)
    if len(lrs) < len(every[0]) or len(weight_decays) < len(every[1]):
        note += f" · {len(lrs)} × {len(weight_decays)} of {len(every[0])} × {len(every[1])} cells"
    shown = shown[shown["lr"].isin(lrs) & shown["weight_decay"].isin(weight_decays)]
    keys = ["weight_decay", "lr", "series", x]
    lines = shown.groupby(keys, observed=True)["value"].mean().reset_index()
    logarithmic = spans_decades(shown.loc[shown["value"] > 0, "value"])
    lost = cells[cells["diverged"] >= DIVERGED_SHARE] if grid is not None else cells[:0]
    diverged = frozenset(zip(lost["lr"], lost["weight_decay"], strict=True))
    places = pd.MultiIndex.from_frame(lines[["lr", "weight_decay"]])
    best = _best_of(cells, grid) if grid is not None else None
    trained = lines[~places.isin(list(diverged))] if diverged else lines
    return CurveGridInfo(
        lines.rename(columns={x: "x"}),
        tuple(lrs),
        tuple(weight_decays[::-1]),
        x,
        diverged,
        best if best is not None and best[0] in lrs and best[1] in weight_decays else None,
        _limits((lines if trained.empty else trained)["value"], logarithmic),
        logarithmic,
        note,
    )


def _best_of(cells: pd.DataFrame, grid: CellGrid) -> Cell | None:
    """The best cell by the study's objective, where it stands in the picture."""
    if grid.best is None or grid.ranked.index[0] not in cells.index:
        return None
    place = cells.loc[grid.ranked.index[0]]
    return float(place["lr"]), float(place["weight_decay"])


def _columns_of(places: pd.DataFrame, best: Cell | None) -> tuple[set[float], set[float]] | None:
    """The lr that hold columns, and the weight decays of most of these; None of samples.

    The best cell is always among them.
    """
    size = places.groupby("lr")["lr"].transform("count")
    if float((size >= COLUMN).mean()) < IN_COLUMNS:
        return None
    lrs = places.loc[size >= COLUMN, "lr"].value_counts().index[:MAX_GRID]
    rows = places.loc[places["lr"].isin(lrs), "weight_decay"].value_counts().index[:MAX_GRID]
    found = set(lrs), set(rows)
    for axis, value in zip(found, best or (), strict=False):
        axis.add(value)
    return found


def _binned(
    shown: pd.DataFrame, cells: pd.DataFrame, grid: CellGrid | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and cells moved to the middle of their bin; of each bin the best one stays."""
    places = cells.drop_duplicates(["lr", "weight_decay"])
    if grid is not None:
        places = places.loc[grid.ranked.index.append(places.index.difference(grid.ranked.index))]
    moved = places.assign(lr_bin=_middle(places["lr"]), decay_bin=_middle(places["weight_decay"]))
    kept = moved.drop_duplicates(["lr_bin", "decay_bin"])
    names = {"lr_bin": "lr", "decay_bin": "weight_decay"}
    keys = kept[["lr", "weight_decay", "lr_bin", "decay_bin"]]
    curves = shown.merge(keys, on=["lr", "weight_decay"])
    return (
        curves.drop(columns=["lr", "weight_decay"]).rename(columns=names),
        kept.drop(columns=["lr", "weight_decay"]).rename(columns=names),
    )


def _middle(values: pd.Series) -> pd.Series:
    """The geometric middle of each value's bin, to two digits; 0 stays apart."""
    positive = values[values > 0]
    edges = np.linspace(np.log10(positive.min()), np.log10(positive.max()) + 1e-9, BINS + 1)
    number_of = np.clip(np.digitize(np.log10(positive), edges) - 1, 0, BINS - 1)
    middle = 10 ** ((edges[:-1] + edges[1:]) / 2)
    named = [float(f"{m:.2g}") for m in middle]
    return pd.Series([named[i] for i in number_of], index=positive.index).reindex(
        values.index, fill_value=0.0
    )


def _thin(values: list[float]) -> list[float]:
    if len(values) <= MAX_GRID:
        return values
    kept = np.unique(np.linspace(0, len(values) - 1, MAX_GRID).round().astype(int))
    return [values[i] for i in kept]


def _limits(values: pd.Series, logarithmic: bool) -> tuple[float, float]:
    """Limits that a few exploding or vanishing values don't set."""
    if not logarithmic:
        low, high = float(values.min()), float(values.quantile(0.995))
        pad = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
        return low - pad, high + pad
    positive = values[values > 0]
    low, high = float(positive.quantile(0.01)), float(positive.quantile(0.995))
    high = float(positive.max()) if positive.max() < 10 * high else high
    return max(float(positive.min()), low / 10, high / 1e6) / 1.5, high * 1.5
