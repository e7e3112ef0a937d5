"""Whether weight decay widens the range of good lr, which is often its whole use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    told = [e for e in effects if e.gain.known]
    if cells.best is None or not told:
        return GoodLr(FACTOR, nothing, nothing, True, ())
    done = cells.finished
    best = done.loc[cells.best]
    lrs = np.array([e.lr for e in told])
    at = {(r.lr, r.weight_decay): r.Index for r in done.itertuples()}
    with_it = done.loc[[at[e.lr, e.best_weight_decay] for e in told]]
    without = done.loc[[at[e.lr, e.without] for e in told]]
    near = math.log(FACTOR)
    good, bare = ((t["z"] - best["z"]).to_numpy(dtype=float) <= near for t in (with_it, without))
    if not cells.noise.known:
        gained: tuple[float, ...] = ()
    else:
        reach = quantile(cells.noise.df, len(told), SURE)
        worse = (without["z"] - best["z"] - reach * difference_errors(cells, best, without)) > near
        helped = np.array([e.gain_chance < SURE for e in told])
        likely = (with_it["z"] - best["z"] + difference_errors(cells, best, with_it)) <= near
        gained = tuple(lrs[worse.to_numpy() & helped & likely.to_numpy()].tolist())
    without_it = _around(lrs, bare, best["lr"])
    in_one_piece = bool(((lrs[bare] >= without_it[0]) & (lrs[bare] <= without_it[1])).all())
    return GoodLr(FACTOR, _around(lrs, good, best["lr"]), without_it, in_one_piece, gained)


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
