"""Whether weight decay widens the range of good lr, which is often its whole use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import difference_errors, quantile
from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.estimate import Mask

FACTOR = 1.25
SURE = 0.01


@dataclass(frozen=True)
class GoodLr:
    """The lr, in one piece, whose loss comes within `factor` of the best of all.

    with_decay: at the best weight_decay of each lr; without: at weight_decay = 0, or the least.
        (low, high); NaN where there is none.
    in_one_piece: whether no other lr is good without it.
    gained: the lr that are surely not good without weight decay, surely better with it, and good.
    """

    factor: float
    with_decay: tuple[float, float]
    without: tuple[float, float]
    in_one_piece: bool
    gained: tuple[float, ...]


def good_lr(cells: Cells, effects: Sequence[LrEffect]) -> GoodLr:
    """The ranges of good lr with and without weight decay."""
    nothing = (math.nan, math.nan)
    at = {(r.lr, r.weight_decay): float(r.z) for r in cells.finished.itertuples()}
    told = [e for e in effects if (e.lr, e.best_weight_decay) in at]
    if cells.best is None or not told:
        return GoodLr(FACTOR, nothing, nothing, True, ())
    best = cells.finished.loc[cells.best]
    lrs, level = np.array([e.lr for e in told]), float(best["z"]) + math.log(FACTOR)
    good = np.array([at[e.lr, e.best_weight_decay] <= level for e in told])
    # Where nothing finished without weight decay, it diverged, which is not good.
    bare = np.array([at.get((e.lr, e.without), math.inf) <= level for e in told])
    gained = _gained(cells, best, told) if cells.noise.known else ()
    without_it = _around(lrs, bare, best["lr"])
    in_one_piece = bool(((lrs[bare] >= without_it[0]) & (lrs[bare] <= without_it[1])).all())
    return GoodLr(FACTOR, _around(lrs, good, best["lr"]), without_it, in_one_piece, gained)


def _gained(cells: Cells, best: pd.Series, told: Sequence[LrEffect]) -> tuple[float, ...]:
    """The lr that weight decay surely makes good."""
    done = cells.finished
    cell = {(r.lr, r.weight_decay): r.Index for r in done.itertuples()}
    reach, near = quantile(cells.noise.df, len(told), SURE), math.log(FACTOR)
    found = []
    for effect in told:
        with_it = done.loc[[cell[effect.lr, effect.best_weight_decay]]]
        error = float(difference_errors(cells, best, with_it).iloc[0])
        if float(with_it["z"].iloc[0] - best["z"]) + error > near:
            continue
        if (effect.lr, effect.without) not in cell:
            found.append(effect.lr)
            continue
        without = done.loc[[cell[effect.lr, effect.without]]]
        error = float(difference_errors(cells, best, without).iloc[0])
        worse = float(without["z"].iloc[0] - best["z"]) - reach * error > near
        if worse and effect.gain_chance < SURE:
            found.append(effect.lr)
    return tuple(found)


def _around(lrs: np.ndarray, good: Mask, best: float) -> tuple[float, float]:
    """The piece of good lr that holds the best, or that lies nearest to it."""
    if not good.any():
        return math.nan, math.nan
    distance = np.where(good, np.abs(np.log(lrs / best)), np.inf)
    low = high = int(distance.argmin())
    while low > 0 and good[low - 1]:
        low -= 1
    while high < len(lrs) - 1 and good[high + 1]:
        high += 1
    return float(lrs[low]), float(lrs[high])
