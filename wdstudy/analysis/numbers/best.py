"""The best cell, how surely it is the best, and what weight_decay = 0 would have given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say, reflected
from wdstudy.analysis.numbers.timescales import timescale_steps

REPLICATES = 400


@dataclass(frozen=True)
class Best:
    """The cell of least mean value. NaN and an unknown `loss` where nothing finished.

    loss: in units of the value, interval from the seed noise of all trained cells together.
    gap: how much worse the best of the neighbouring cells is, as a share of the loss.
    ties: other cells that the noise cannot tell from it at 95 %; -1 where noise is not known.
    timescale: 1 / (lr · weight_decay) in steps.
    """

    lr: float
    weight_decay: float
    loss: Estimate
    seeds: int
    diverged_seeds: float
    gap: Estimate
    ties: int
    timescale: float


def best_cell(cells: Cells) -> Best:
    """The best of all cells, weight_decay = 0 among them."""
    done = cells.finished
    if cells.best is None:
        none = cannot_say("no trial finished")
        return Best(math.nan, math.nan, none, 0, math.nan, none, -1, math.nan)
    best = done.loc[cells.best]
    lr, weight_decay = float(best["lr"]), float(best["weight_decay"])
    others = done.drop(index=cells.best)
    seeds = int(best["seeds"])
    return Best(
        lr,
        weight_decay,
        _loss(cells, float(best["value"]), seeds),
        seeds,
        float(best["diverged"]),
        _gap(cells, best, others),
        _ties(cells, best, others),
        timescale_steps(lr, weight_decay),
    )


def baseline_gap(cells: Cells, fallback_sd: float, rng: np.random.Generator) -> Estimate:
    """Best loss without weight_decay over best loss with it, less one; positive: it helps.

    Both are minima over cells; the interval's reflection takes the bias of that off.
    """
    done = cells.finished
    without, decayed = done[done["weight_decay"] == 0], cells.decayed
    if without.empty or decayed.empty:
        which = "0" if without.empty else "above 0"
        return cannot_say(f"no finished cell with weight_decay {which}", len(done))
    sd = cells.noise.sd if math.isfinite(cells.noise.sd) else fallback_sd
    gap = _minima(without, sd, rng) - _minima(decayed, sd, rng)
    gap = np.expm1(gap) if cells.logarithmic else gap
    reason = "" if math.isfinite(sd) else "no interval: noise not known"
    return reflected(float(gap[0]), gap[1:], len(done), reason=reason)


def diverged_share(cells: Cells) -> Estimate:
    """Share of the trials that diverged, with Wilson's interval."""
    n = len(cells.trials)
    if n == 0:
        return cannot_say("no trial finished or diverged")
    count = int(cells.trials["diverged"].sum())
    low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
    return Estimate(count / n, float(low), float(high), n)


def _minima(table: pd.DataFrame, sd: float, rng: np.random.Generator) -> Array:
    """Least z of the cells, and of replicates with the noise of their means, `[1 + R]`."""
    z = table["z"].to_numpy(dtype=float)
    error = sd / np.sqrt(table["seeds"].to_numpy(dtype=float))
    # A minimum over noisy cells lies below the true one, and replicates of it lie lower still by
    # about as much: `reflected` turns the second bias against the first.
    draws = z + error * rng.standard_normal((REPLICATES, len(z)))
    return np.concatenate([[z.min()], draws.min(axis=1)])


def _loss(cells: Cells, value: float, seeds: int) -> Estimate:
    """The mean over seeds with the interval of pooled noise."""
    noise = cells.noise
    if noise.df < 1:
        return Estimate(value, n=seeds, reason="no interval: no cell has 2 seeds")
    # Student's t, because sd is itself estimated; with what seeds share, because the loss of one
    # cell, unlike a difference of two, carries that as well.
    half = float(stats.t.ppf(0.975, noise.total_df)) * noise.total / math.sqrt(seeds)
    if cells.logarithmic:
        low, high = value * math.exp(-half), value * math.exp(half)
    else:
        low, high = value - half, value + half
    if cells.is_share:  # what a share lacks to 1 is a share as well
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(value, low, high, seeds)


def _gap(cells: Cells, best: pd.Series, others: pd.DataFrame) -> Estimate:
    """The neighbouring cells: next lr, next weight_decay or both, on either side."""
    # By places on the axes and not by distance: neighbours of a grid, however it is spaced.
    near = pd.Series(True, index=others.index)
    for axis in ("lr", "weight_decay"):
        levels = np.unique(np.append(others[axis], best[axis]))
        place = int(np.searchsorted(levels, best[axis]))
        low, high = levels[max(place - 1, 0)], levels[min(place + 1, len(levels) - 1)]
        near &= others[axis].between(low, high)
    if not near.any():
        return cannot_say("the best cell has no neighbour on a grid", len(others) + 1)
    rival = others.loc[others.loc[near, "z"].idxmin()]
    gap, n = float(rival["z"] - best["z"]), int(near.sum()) + 1
    if cells.noise.df < 1:
        return Estimate(cells.ratio(gap), n=n, reason="no interval: no cell has 2 seeds")
    half = _least_difference(cells, best["seeds"], rival["seeds"])
    return Estimate(cells.ratio(gap), cells.ratio(gap - half), cells.ratio(gap + half), n)


def _ties(cells: Cells, best: pd.Series, others: pd.DataFrame) -> int:
    if cells.noise.df < 1:
        return -1
    # One by one at 95 %: of many cells some true losers pass, so this counts ties generously.
    gaps = others["z"] - best["z"]
    return int((gaps <= _least_difference(cells, best["seeds"], others["seeds"])).sum())


def _least_difference(cells: Cells, seeds: float, other_seeds: float | pd.Series) -> float:
    """The difference of two cell means that noise alone exceeds in 5 % of pairs."""
    spread = cells.noise.sd * (1 / seeds + 1 / other_seeds) ** 0.5
    return stats.t.ppf(0.975, cells.noise.df) * spread  # type: ignore[no-any-return]
