"""On which sides of its best a plane rises, along lr and along weight_decay.

A fit finds a bottom also where the loss is level. So a bottom is read along an axis only where the
cells themselves show both its banks.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from wdstudy.analysis.frames.cells import DIVERGED_SHARE
from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import Column, columns, mean_variances, quantile
from wdstudy.analysis.numbers.ridge import RISE, Valley, side_rise, valley
from wdstudy.analysis.numbers.scatterridge import valley_strips

NEAR = math.log(1.25)
"""An lr whose best cell comes within this of the best of all is one that is trained with."""

ERRORS = 2.0
"""Standard errors by which the loss rises along lr, which hardly ever does not matter."""

Banks = Literal["both", "low", "high", "none"]


def decay_banks(cells: Cells) -> Banks:
    """Where the loss rises along weight_decay, at the best lr and at those beside it.

    "low": only towards small weight_decay, so the best lies beyond the largest; "high": only
    towards large ones, so weight decay only harms, or its best lies below the least.
    """
    if cells.scattered:
        valleys, count = valley_strips(cells)
        return "both" if valleys and valleys >= count / 3 else "none"
    near = _near(cells)
    if not near:
        return "none"
    rng = np.random.default_rng(0)
    found = [valley(column, rng) for column in near]
    if any(isinstance(one, Valley) for one in found):
        return "both"
    sides: dict[object, Banks] = {"large": "low", "small": "high"}
    told = [sides[one] for one in found if one in sides]
    return max(("low", "high"), key=told.count) if told else "none"


def _near(cells: Cells) -> list[Column]:
    """The column of the best lr, and its neighbours where these are about as good."""
    some = [column for column in columns(cells) if np.isfinite(_least(column))]
    if not some:
        return []
    least = np.array([_least(column) for column in some])
    best = int(least.argmin())
    beside = some[max(best - 1, 0) : best + 2]
    return [column for column in beside if _least(column) <= least[best] + NEAR]


def _least(column: Column) -> float:
    z = column.z[(column.weight_decay > 0) & np.isfinite(column.z)]
    return float(z.min()) if len(z) else math.inf


def lr_banks(cells: Cells) -> Banks:
    """Where the loss rises along lr, at the best weight_decay of each."""
    table = cells.table
    lost = table["diverged"] >= DIVERGED_SHARE
    z, error, x = [], [], []
    for _, part in table.assign(lost=lost).groupby("column"):
        done = part[part["z"].notna()]
        if done.empty and not part["lost"].any():
            continue
        x.append(float(part["x"].mean()))
        if done.empty:
            z.append(math.inf)
            error.append(0.0)
            continue
        best = done.loc[[done["z"].idxmin()]]
        z.append(float(best["z"].iloc[0]))
        error.append(float(mean_variances(cells, best, rest=False).iloc[0]))
    height, variance = np.array(z)[np.argsort(x)], np.array(error)[np.argsort(x)]
    if np.isfinite(height).sum() < 3 or not cells.noise.known:
        return "none"
    best_at = int(height.argmin())
    gap, both = height - height[best_at], np.sqrt(variance + variance[best_at])
    reach = quantile(cells.noise.df, len(gap) - 1)
    low, high = (
        bool((away - np.maximum(RISE, reach * error) > 0).any())  # one lr that shows it surely
        or side_rise(away, error, ERRORS) > 0  # or several together
        for away, error in (
            (gap[:best_at][::-1], both[:best_at][::-1]),
            (gap[best_at + 1 :], both[best_at + 1 :]),
        )
    )
    return "both" if low and high else "low" if low else "high" if high else "none"
