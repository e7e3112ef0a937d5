"""The interactive part of a report: what its script needs, as plain data.

The script is ours (`templates/explorer.js`, a few kilobytes) rather than Plotly's bundle (4.8 MB):
its cells can be reached by keyboard and read by a screen reader, it follows light and dark, and a
report stays small enough to be mailed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from wdstudy.analysis.frames.cells import FINISHED, CellGrid, cell_grid, counts, rounded_values
from wdstudy.analysis.numbers.reading import Along
from wdstudy.analysis.views.heatmap import RINGS
from wdstudy.analysis.views.looks import LINES, label_of
from wdstudy.analysis.views.scales import LOG_SPAN, LogPlace
from wdstudy.curves import (
    ANGULAR_UPDATE,
    DECAY_LOSS,
    DIVERGED_AT,
    LEARNING_RATE,
    PRIMARY_LOSS,
    VAL_LOSS,
    WEIGHT_NORM,
    series_named,
)
from wdstudy.space import Cell
from wdstudy.words import number

MAX_CELLS = 1600
MAX_POINTS = 60
MAX_NUMBERS = 250_000
"""Together these keep the data below about 2 MB."""

FIRST = (VAL_LOSS, PRIMARY_LOSS, DECAY_LOSS)
LAST = (WEIGHT_NORM, ANGULAR_UPDATE)


def scale_data(along: Along) -> dict[str, Any]:
    """The same of a study along a scale: `planes`, one a value, with one scale of colours.

    Returns:
        Plain data: `scale`, its name; `at`, its values in words; `planes`, each with its `optimum`
        by the law of all, lr and weight_decay, or None; and `note`.
    """
    count = len(along.planes)
    planes = [
        explorer_data(read.trials, read.curves, read.found.best.tied, MAX_NUMBERS // count)
        for read in along.planes.values()
    ]
    for name in dict.fromkeys(s["name"] for plane in planes for s in plane["series"]):
        same = [s for plane in planes for s in plane["series"] if s["name"] == name]
        known = [np.array(s["values"], dtype=float).ravel() for s in same]
        ends = _ends(np.concatenate(known))
        for series in same:
            series.update(ends)
    for plane, place in ((planes[[*along.planes].index(p.value)], p) for p in along.found.places):
        best = [_number(place.lr.value), _number(place.weight_decay.value)]
        plane["optimum"] = None if None in best else best
    notes = dict.fromkeys(f"{number(at)}: {plane['note']}"
                          for at, plane in zip(along.planes, planes, strict=True)
                          if plane["note"])  # fmt: skip
    return {
        "scale": along.scale,
        "at": [number(at) for at in along.planes],
        "planes": planes,
        "note": " ".join(notes),
    }


def explorer_data(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    tied: Sequence[Cell] = (),
    most: int | None = None,
) -> dict[str, Any]:
    """What the explorer shows: cells, record points, and each series over both.

    Args:
        trials: As from `trials_frame`.
        curves: As from `curves_frame`; may be empty, and then only final values are shown.
        tied: The cells that the noise does not tell from the best, the best first.
        most: So many numbers of series at most; `MAX_NUMBERS` where it is None.

    Returns:
        Plain data, every number finite or None. `note` says what was left out.
    """
    grid = cell_grid(trials)
    cells, left_out = _kept(grid)
    note = ""
    if left_out:
        note = f"{len(cells):,} of {len(grid.cells):,} cells are shown: the best ten, and an even "
        note += "sample of the rest."
    x = "epoch" if len(curves) and curves["epoch"].notna().all() else "step"
    wide, steps = _on_points(cells, curves, most or MAX_NUMBERS)
    lost = _lost_from(trials, cells, steps)
    wide = {name: np.where(lost, np.nan, table) for name, table in wide.items()}
    if len(steps) < curves["step"].nunique():
        note += f" {len(steps)} of {curves['step'].nunique():,} record points are shown."
    final = [_number(v) for v in cells["value"]]
    series = [_described(name, table, trials) for name, table in wide.items()]
    if not series:
        low_is_good = bool(trials.attrs.get("minimize", True))
        table = cells[["value"]].to_numpy(dtype=float)
        series, steps = [_scale("value", label_of(trials, "value"), table, low_is_good)], [0.0]
    best = grid.best
    epochs = curves.groupby("step")["epoch"].first() if x == "epoch" else None
    return {
        "grid": not grid.scattered,
        "x": x,
        "points": [_number(epochs[s]) if epochs is not None else _number(s) for s in steps],
        "lr": [_number(v) for v in cells["lr"]],
        "weight_decay": [_number(v) for v in cells["weight_decay"]],
        "near": {axis: _near(cells[axis]) for axis in ("lr", "weight_decay")},
        "trials": _numbers_of(trials, cells),
        "seeds": [int(v) for v in cells["seeds"]],
        "replica": "trial" if trials.attrs.get("others") else "seed",
        "diverged": [_number(v) for v in cells["diverged"]],
        "final": final,
        "final_label": label_of(trials, "value"),
        "best": None if best is None else _place_of(cells, *best),
        "tied": _ringed(cells, tied),
        "series": series,
        "labels": {name: series_named(name).label for name in LINES},
        "colours": [to_hex(mpl.colormaps["viridis"](v)) for v in np.linspace(0, 1, 33)],
        "note": note.strip(),
    }


def as_script(data: Any) -> str:
    """Strict JSON that can stand inside a script element: no `<` of the data ends it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _kept(grid: CellGrid) -> tuple[pd.DataFrame, bool]:
    """All cells, or of too many the best ten and every n-th of the others."""
    cells = grid.cells.reset_index(drop=True)
    if len(cells) <= MAX_CELLS:
        return cells, False
    top = cells.index[cells.set_index(["lr", "weight_decay"]).index.isin(grid.top)]
    others = cells.index.difference(top)
    places = np.linspace(0, len(others) - 1, MAX_CELLS - len(top)).round().astype(int)
    return cells.loc[sorted({*top, *others[places]})].reset_index(drop=True), True


def _on_points(
    cells: pd.DataFrame, curves: pd.DataFrame, numbers: int
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Each series as a table `[cells, points]`, means over seeds; and the points' steps."""
    if curves.empty:
        return {}, []
    known = set(curves["series"].dropna().unique()) - {LEARNING_RATE}
    names = [n for n in FIRST if n in known]
    names += sorted(known - set(names) - set(LAST)) + [n for n in LAST if n in known]
    every = np.sort(curves["step"].dropna().unique())
    most = min(MAX_POINTS, max(8, numbers // max(1, len(cells) * len(names))))
    chosen = np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int)
    steps = every[np.unique(chosen)]
    index = pd.MultiIndex.from_frame(cells[["lr", "weight_decay"]])
    rows = curves[["lr", "weight_decay", "series", "step", "value"]]
    rows = rows.assign(
        weight_decay=rounded_values(rows["weight_decay"]), lr=rounded_values(rows["lr"])
    )
    tables = {}
    for name in names:
        part = rows[rows["series"] == name]
        if part["value"].notna().sum() == 0:
            continue
        table = part.pivot_table(index=["lr", "weight_decay"], columns="step", values="value")
        # Trials may record at steps of their own: each point shows the newest value, up to the
        # end of the trial.
        filled = (
            table.reindex(columns=every)
            .ffill(axis=1)
            .where(table.reindex(columns=every).bfill(axis=1).notna())
        )
        tables[name] = filled.reindex(index=index, columns=steps).to_numpy(dtype=float)
    return tables, [float(s) for s in steps]


def _lost_from(trials: pd.DataFrame, cells: pd.DataFrame, steps: list[float]) -> np.ndarray:
    """Which cells are lost at which points, `[cells, points]`: half their trials have diverged.

    A trial may diverge with a finite loss: what it recorded last is a number, and no result.
    """
    ends = pd.to_numeric(
        trials.get(DIVERGED_AT, pd.Series(math.inf, index=trials.index)), errors="coerce"
    )
    ends = ends.where(trials["diverged"], math.inf).fillna(0.0)
    said = trials["state"].isin(FINISHED) & counts(trials)
    # Half of them have diverged once the lower median of these steps has come.
    middle = ends[said].groupby(_places(trials[said])).quantile(0.5, interpolation="lower")
    places = pd.MultiIndex.from_frame(cells[["lr", "weight_decay"]])
    lost: np.ndarray = middle.reindex(places).to_numpy()[:, None] <= np.array(steps)[None, :]
    return lost


def _described(name: str, table: np.ndarray, trials: pd.DataFrame) -> dict[str, Any]:
    return _scale(name, label_of(trials, name), table, series_named(name).low_is_good)


def _scale(name: str, label: str, table: np.ndarray, low_is_good: bool) -> dict[str, Any]:
    """A series with the ends of its colours, the same at every record point."""
    return {
        "name": name,
        "label": label,
        **_ends(table),
        "bright_low": low_is_good,
        "values": [[_number(v) for v in row] for row in table],
    }


def _ends(table: np.ndarray) -> dict[str, Any]:
    """The ends of the colours of a table, and whether they are logarithmic."""
    known = table[np.isfinite(table)]
    low, high = (float(q) for q in np.quantile(known, [0.0, 0.98])) if known.size else (0.0, 1.0)
    positive = known[known > 0]
    logarithmic = bool(positive.size and positive.max() / positive.min() >= LOG_SPAN and low >= 0)
    if logarithmic:
        low = max(float(positive.min()), high / 1e5)
    if low == high:
        low, high = low - 0.1 * abs(low) - 1e-9, high + 0.1 * abs(high) + 1e-9
    return {"low": low, "high": high, "log": logarithmic}


def _numbers_of(trials: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """The trial numbers of every cell, in words."""
    groups = trials.groupby(_places(trials))["trial"].agg(list)
    found = groups.reindex(pd.MultiIndex.from_frame(cells[["lr", "weight_decay"]]))
    return [
        ", ".join(map(str, numbers[:8])) + (" …" if len(numbers) > 8 else "") for numbers in found
    ]


def _places(trials: pd.DataFrame) -> list[pd.Series]:
    """The cell of every trial, as keys to group by."""
    return [rounded_values(trials[axis]) for axis in ("lr", "weight_decay")]


def _near(values: pd.Series) -> list[float | int | None]:
    """The ends of an axis without what lies far out, which stands apart."""
    place = LogPlace(values, far=True)
    return [_number(place.low), _number(place.high)]


def _place_of(cells: pd.DataFrame, lr: float, weight_decay: float) -> int:
    return int(cells.index[(cells["weight_decay"] == weight_decay) & (cells["lr"] == lr)][0])


def _ringed(cells: pd.DataFrame, tied: Sequence[Cell]) -> list[int]:
    """The places of those of the tied cells that are shown and circled."""
    places = {
        cell: i for i, cell in enumerate(zip(cells["lr"], cells["weight_decay"], strict=True))
    }
    return [places[cell] for cell in tied[:RINGS] if cell in places]


def _number(value: float) -> float | int | None:
    """Five digits, whole numbers as integers, None where it is not finite."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short == int(short) and abs(short) < 2**53 else short
