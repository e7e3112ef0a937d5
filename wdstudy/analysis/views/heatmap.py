"""What a heatmap of the lr × weight_decay plane shows, however it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize

from wdstudy.analysis.frames.cells import TOP, CellGrid, cell_grid, initial_loss
from wdstudy.analysis.views.looks import label_of
from wdstudy.analysis.views.products import equal_products
from wdstudy.analysis.views.scales import colour_norm
from wdstudy.curves import DECAY_LOSS, FINAL_PREFIX, series_named
from wdstudy.space import Cell

RINGS = 20
"""To circle more cells than this, of those that tie with the best, would circle the plane."""


@dataclass(frozen=True)
class HeatmapInfo:
    """What a heatmap shows.

    grid: the values. best: the cell to frame, by the study's objective; rings: those to circle, and
    ringed: what they are, in words. products: the values of lr · weight_decay to draw lines of.
    reverse: whether low values are bright.
    """

    grid: CellGrid
    best: Cell | None
    rings: tuple[Cell, ...]
    ringed: str
    products: tuple[float, ...]
    norm: Normalize
    capped: bool
    reverse: bool
    label: str
    step: float | None


def heatmap_info(
    trials: pd.DataFrame,
    value: str,
    minimize: bool | None,
    norm: Normalize | None = None,
    tied: Sequence[Cell] | None = None,
) -> HeatmapInfo:
    """What a heatmap of this column shows; arguments and errors as of `plot_heatmap`."""
    grid = cell_grid(trials, value, minimize=minimize)
    has_objective = value != "value" and "value" in trials and trials["value"].notna().any()
    judged = cell_grid(trials, "value", minimize=minimize) if has_objective else grid
    low_is_good = bool(trials.attrs.get("minimize", True)) if minimize is None else minimize
    is_decay = value.removeprefix(FINAL_PREFIX) == DECAY_LOSS
    falls = series_named(value.removeprefix(FINAL_PREFIX)).low_is_good
    is_loss = value == "value" or falls
    most = 1.5 * initial_loss(trials) if is_loss else math.nan
    if norm is None:
        shown = grid.cells["value"]
        # Without weight decay there is no decay loss: that 0 is left out of a logarithmic scale,
        # and has its lowest colour.
        norm = colour_norm(shown[shown > 0] if is_decay else shown, most)
        norm.clip = is_decay
    return HeatmapInfo(
        grid=grid,
        best=judged.best,
        rings=_rings(judged, tied),
        ringed=_ringed(judged, tied),
        products=equal_products(grid.cells),
        norm=norm,
        capped=bool(grid.cells["value"].max() > float(norm.vmax or math.inf) * 1.001),
        reverse=low_is_good if value == "value" else falls,
        label=label_of(trials, value),
        step=trials.attrs.get("step"),
    )


def _rings(judged: CellGrid, tied: Sequence[Cell] | None) -> tuple[Cell, ...]:
    if tied is not None:
        return tuple(tied[:RINGS])
    return judged.top if len(judged.top) > 1 else ()  # it alone is framed already


def _ringed(judged: CellGrid, tied: Sequence[Cell] | None) -> str:
    if tied is None:
        return f"best {len(judged.top)}"
    some = f", {RINGS} of {len(tied)}" if len(tied) > RINGS else ""
    return f"as good as the best, within the noise{some}"


def digits_for(values: Any, low_is_good: bool) -> int:
    """So many significant digits that the best cells differ by and large: 2, and at most 4."""
    known = values[np.isfinite(values)]
    best = np.sort(known if low_is_good else -known)[:TOP]
    for digits in (2, 3):
        if len({short(v, digits) for v in best}) > len(best) / 3:
            return digits
    return 4


def short(value: float, digits: int = 2) -> str:
    """A cell's number in five characters or so."""
    if value != 0 and not 1e-3 <= abs(value) < 1e4:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.{digits}g}" if abs(value) < 10**digits - 0.5 else f"{value:.0f}"
