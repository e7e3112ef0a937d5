"""The best cell, how surely it is the best, and what weight_decay = 0 would have given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import difference_errors, mean_variances, quantile
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say
from wdstudy.analysis.numbers.noise import FEWEST_DF, NO_SEEDS, TINY, TWO_SEEDS_DIFFER
from wdstudy.analysis.numbers.timescales import timescale_steps
from wdstudy.space import Cell

REPLICATES = 400
EQUAL, NEAR = math.log(1.02), math.log(1.1)  # of the loss; of the range of values with no log
LEAST_KEPT = 0.75  # of a lead: more is taken off than fresh seeds do (benchmarks/verdicts.py)


@dataclass(frozen=True)
class Best:
    """The cell of least mean value. NaN and an unknown `loss` where nothing finished.

    loss: in units of the value, as the mean over as many new seeds would be: the least of many
        noisy cells looks better than it is, and that is taken off. seen: the mean as measured.
    gap: how much worse the best of the neighbouring cells is, as a share of the loss.
    ties: other cells that do about as well: seen within 2 % of it, or within 10 % where the noise
        can't tell them from it at 95 %, all cells counted; -1 where noise is not known. tied: these
        cells, the best first. rivals: all that the noise can't tell from it, however bad they look.
    regret: what the best of the rivals would be better by, as a share of the loss (of the
        range of values that are not all positive), on average over what the noise leaves possible;
        its `high` is the 95 % quantile.
    timescale: 1 / (lr · weight_decay) in steps.
    """

    lr: float
    weight_decay: float
    loss: Estimate
    seen: float
    seeds: int
    diverged_seeds: float
    gap: Estimate
    ties: int
    tied: tuple[Cell, ...]
    rivals: tuple[Cell, ...]
    regret: Estimate
    timescale: float


def best_cell(cells: Cells, rng: np.random.Generator) -> Best:
    """The best of all cells, weight_decay = 0 among them."""
    if cells.best is None:
        none = cannot_say("no trial finished")
        return Best(
            math.nan, math.nan, none, math.nan, 0, math.nan, none, -1, (), (), none, math.nan
        )
    done = cells.finished
    best = done.loc[cells.best]
    lr, weight_decay = float(best["lr"]), float(best["weight_decay"])
    others = done.drop(index=cells.best).sort_values("z", kind="stable")
    rivals = _open(cells, best, others)
    tied = _tied(cells, best, others, rivals)
    return Best(
        lr,
        weight_decay,
        _loss(cells, best, rivals),
        float(best["value"]),
        int(best["seeds"]),
        float(best["diverged"]),
        _gap(cells, best, others),
        -1 if rivals is None else len(tied),
        _places(tied),
        () if rivals is None else _places(rivals),
        _regret(cells, best, rivals, rng),
        timescale_steps(lr, weight_decay),
    )


def baseline_gap(cells: Cells, rng: np.random.Generator) -> Estimate:
    """Best loss without weight_decay over best loss with it, less one; positive: it helps.

    One is the least of few cells and the other of many, so the second has had more luck: each is
    drawn to the cells that may be as good, and the interval is that of the least of these.
    """
    done = cells.finished
    without, decayed = done[done["weight_decay"] == 0], cells.decayed
    if without.empty or decayed.empty:
        which = "0" if without.empty else "above 0"
        return cannot_say(f"no finished cell with weight_decay {which}", len(done))
    few, many = (_leaders(cells, table, rng) for table in (without, decayed))
    if few is None or many is None:
        gap = float(without["z"].min() - decayed["z"].min())
        return Estimate(cells.ratio(gap), n=len(done), reason="no interval: noise not known")
    gaps = few[1] - many[1]
    low, high = np.quantile(gaps, [0.0125, 0.9875])
    gap = float(np.clip(few[0] - many[0], low, high))
    return cells.share(gap, float(low), float(high), len(done))


def diverged_share(cells: Cells) -> Estimate:
    """Share of the trials that diverged, with Wilson's interval."""
    n = len(cells.trials)
    if n == 0:
        return cannot_say("no trial finished or diverged")
    count = int(cells.trials["diverged"].sum())
    low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
    return Estimate(count / n, float(low), float(high), n)


def _with(best: pd.Series, others: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([best.to_frame().T.astype(float), others])


def _leaders(
    cells: Cells, table: pd.DataFrame, rng: np.random.Generator
) -> tuple[float, Array] | None:
    """The least z of some cells, drawn to those that may be as good, and draws of it `[R]`."""
    best = table.loc[table["z"].idxmin()]
    tied = _open(cells, best, table.drop(index=best.name))
    if tied is None:
        return None
    middle, error = _posterior(cells, _with(best, tied), LEAST_KEPT)
    draws = middle + error * rng.standard_normal((REPLICATES, len(middle)))
    return float(middle[0]), draws.min(axis=1)


def _posterior(cells: Cells, among: pd.DataFrame, least: float) -> tuple[Array, Array]:
    """What cells truly have, `[n]`, and its standard error, when each may owe its z to luck.

    A cell is drawn towards the mean of all of them, by the share of its spread that is its noise
    (Efron & Morris 1975, doi:10.1080/01621459.1975.10479864). least: the share that it keeps in any
    case.
    """
    z = among["z"].to_numpy(dtype=float)
    noise = np.maximum(mean_variances(cells, among, rest=False).to_numpy(dtype=float), TINY)
    if len(z) < 3:
        return z, np.sqrt(noise)
    weight = 1 / noise
    middle = float((weight * z).sum() / weight.sum())
    # How far the cells themselves differ (DerSimonian & Laird 1986), rather than their seeds.
    excess = float((weight * (z - middle) ** 2).sum()) - (len(z) - 1)
    spread = max(excess / float(weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    weight = 1 / (noise + spread)
    middle = float((weight * z).sum() / weight.sum())
    keep = spread / (spread + noise)
    keep = np.maximum(keep, least)
    return middle + keep * (z - middle), np.sqrt(keep * noise + (1 - keep) ** 2 / weight.sum())


def _loss(cells: Cells, best: pd.Series, tied: pd.DataFrame | None) -> Estimate:
    """The mean over seeds, less its luck, with the interval of its column's noise."""
    noise, value, seeds = cells.noise, float(best["value"]), int(best["seeds"])
    if not noise.replicated or tied is None:
        return Estimate(value, n=seeds, reason=f"no interval: {NO_SEEDS}")
    own = noise.of(int(best["column"]))
    parts = [
        (noise.variance(int(best.name), int(best["column"])), own.df),
        (noise.shift * own.sd**2, noise.shift_df),
        (noise.common, noise.common_df),
    ]
    variance = sum(v for v, _ in parts)
    # Satterthwaite 1946, doi:10.2307/3002019: the degrees of freedom of a sum of variances.
    df = variance**2 / max(sum(v**2 / d for v, d in parts if v > 0 and d > 0), 1e-300)
    luck = float(_posterior(cells, _with(best, tied), LEAST_KEPT)[0][0]) - float(best["z"])
    middle = _moved(cells, value, luck)
    if df < FEWEST_DF:
        return Estimate(middle, n=seeds, reason=f"no interval: {TWO_SEEDS_DIFFER}")
    half = quantile(df) * math.sqrt(2 * variance / seeds)  # of this mean, and of that of new seeds
    low, high = _moved(cells, value, luck - half), _moved(cells, value, luck + half)
    if cells.is_share:  # what a share lacks to 1 is a share as well
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(middle, low, high, seeds)


def _moved(cells: Cells, value: float, by: float) -> float:
    return value * math.exp(by) if cells.logarithmic else value + by


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
    rivals = others[near]
    gaps, n = rivals["z"] - best["z"], len(rivals) + 1
    if not cells.noise.known:
        return Estimate(cells.ratio(float(gaps.min())), n=n, reason="no interval: noise not known")
    reach = quantile(cells.noise.df, len(rivals)) * difference_errors(cells, best, rivals)
    ends = float(gaps.min()), float((gaps - reach).min()), float((gaps + reach).min())
    return cells.share(*ends, n)


def _places(cells: pd.DataFrame) -> tuple[Cell, ...]:
    return tuple(zip(cells["lr"], cells["weight_decay"], strict=True))


def _open(cells: Cells, best: pd.Series, others: pd.DataFrame) -> pd.DataFrame | None:
    """The cells that may be as good, or better, at 95 % of all of them together."""
    if not cells.noise.known:
        return None
    reach = quantile(cells.noise.df, len(others)) * difference_errors(cells, best, others)
    return others[others["z"] - best["z"] <= reach]


def _tied(
    cells: Cells, best: pd.Series, others: pd.DataFrame, rivals: pd.DataFrame | None
) -> pd.DataFrame:
    """The cells that did about as well: what is far worse is no tie, whatever noise it has."""
    if rivals is None:
        return others.iloc[:0]
    scale = 1.0 if cells.logarithmic else float(np.ptp(cells.finished["z"]))
    gap = others["z"] - best["z"]
    near = others.index.isin(rivals.index) & (gap <= NEAR * scale)
    return others[(gap <= EQUAL * scale) | near]


def _regret(
    cells: Cells, best: pd.Series, tied: pd.DataFrame | None, rng: np.random.Generator
) -> Estimate:
    """How much better than the named best the truly best of the tied may be."""
    if tied is None:
        return cannot_say(NO_SEEDS)
    if tied.empty:
        return Estimate(0.0, 0.0, 0.0, 1)
    among = _with(best, tied)
    middle, error = _posterior(cells, among, 0.0)
    draws = middle + error * rng.standard_normal((REPLICATES, len(middle)))
    regret: Array = draws[:, 0] - draws.min(axis=1)
    if not cells.logarithmic:  # of the range of the values, which have no share
        regret = regret / (float(np.ptp(cells.finished["z"])) or math.inf)
    ends = float(regret.mean()), 0.0, float(np.quantile(regret, 0.95))
    return cells.share(*ends, len(among))
