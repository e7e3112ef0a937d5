"""What the sweep says about itself: is the best inside it, where does it diverge, where to next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import difference_errors, quantile
from wdstudy.analysis.numbers.estimate import Mask

NEAR = 0.05  # scattered cells within this share of the range from its end are at the edge
STEP = (0.5, 1.0)  # decades to extend by: two steps of the grid, within these bounds
LIKELY = 1.0  # standard errors by which an edge that holds most of the top is better than inside
WORTH = math.log(1.1)  # a refined range holds the cells within this of the best log loss


@dataclass(frozen=True)
class Edge:
    """Where the best lies on one axis, apart from weight_decay = 0.

    where: "lower" or "upper" if the best cell, or most of the top k, is at that end of the range;
    "single" if there is nothing to compare. firm: worse inside by more than the noise.
    extend_to: the end of the range to try next; NaN if the best is inside, or at the edge neither
    firmly nor with most of the top.
    """

    axis: Literal["lr", "weight_decay"]
    where: Literal["lower", "upper", "inside", "single", "unknown"]
    low: float
    high: float
    at_lower: float
    at_upper: float
    top: int
    firm: bool
    extend_to: float = math.nan


@dataclass(frozen=True)
class StableLr:
    """At one weight_decay: the largest lr below which nothing diverged, and the least that did.

    NaN `diverges_at`: nothing diverged, so `lr` is the largest tried. NaN `lr`: all diverged.
    Scattered weight_decay are gathered in bins and given by their geometric mean.
    """

    weight_decay: float
    lr: float
    diverges_at: float
    n: int


@dataclass(frozen=True)
class Suggestion:
    """The next space to sweep: (low, high) of each axis, and the reasons for it.

    action: "extend" if a best lies at an edge, "refine" around the best, "none" without a best.
    """

    action: Literal["extend", "refine", "none"]
    lr: tuple[float, float]
    weight_decay: tuple[float, float]
    why: tuple[str, ...]


def edges(cells: Cells) -> tuple[Edge, Edge]:
    """Where the best lies on each axis."""
    return _edge(cells, "lr", "x"), _edge(cells, "weight_decay", "y")


def stable_lr(cells: Cells) -> tuple[StableLr, ...]:
    """The largest stable lr at every weight_decay."""
    trials = cells.trials
    if trials.empty:
        return ()
    found = []
    for _, group in trials.groupby(_columns(trials)):
        bad = group.loc[group["diverged"], "lr"]
        first = float(bad.min()) if len(bad) else math.nan
        good = group.loc[~group["diverged"], "lr"]
        good = good[good < first] if len(bad) else good
        weight_decay = group["weight_decay"]
        middle = float(weight_decay.iloc[0])
        if weight_decay.nunique() > 1:
            middle = float(np.exp(np.log(weight_decay).mean()))
        found.append(
            StableLr(middle, float(good.max()) if len(good) else math.nan, first, len(group))
        )
    return tuple(found)


def suggest_range(cells: Cells, found: tuple[Edge, Edge]) -> Suggestion:
    """Extend the axes whose best is at an edge; if there is none, close in on the best."""
    nothing = (math.nan, math.nan)
    if cells.decayed.empty:
        return Suggestion("none", nothing, nothing, ("no cell with weight_decay above 0 finished",))
    ranges, why = [], []
    out = [edge for edge in found if math.isfinite(edge.extend_to)]
    for edge, axis in zip(found, ("x", "y"), strict=True):
        low, high = edge.low, edge.high
        if edge in out:
            low, high = min(low, edge.extend_to), max(high, edge.extend_to)
            why.append(f"the best {edge.axis} is at the {edge.where} edge")
        elif not out and edge.where == "inside":
            low, high = _around(cells, axis)
            why.append(f"the cells within {math.expm1(WORTH):.0%} of the best {edge.axis}")
        ranges.append((low, high))
    return Suggestion("extend" if out else "refine", ranges[0], ranges[1], tuple(why))


def _edge(cells: Cells, axis: Literal["lr", "weight_decay"], name: str) -> Edge:
    done = cells.decayed
    tried = cells.table.loc[cells.table["weight_decay"] > 0, name].to_numpy(dtype=float)
    if done.empty:
        return Edge(axis, "unknown", math.nan, math.nan, math.nan, math.nan, 0, False)
    levels = np.unique(tried)
    low, high = float(levels[0]), float(levels[-1])
    if len(levels) < 2:
        return Edge(axis, "single", 10**low, 10**high, math.nan, math.nan, len(done), False)
    margin = NEAR * (high - low) if _scattered(cells.table, name) else 1e-9
    t, z = done[name].to_numpy(dtype=float), done["z"].to_numpy(dtype=float)
    lower, upper = t <= low + margin, t >= high - margin
    top = min(10, max(1, math.ceil(len(done) / 4)))
    order = np.argsort(z, kind="stable")
    at_lower, at_upper = (float(side[order[:top]].mean()) for side in (lower, upper))
    where: Literal["lower", "upper", "inside"] = "inside"
    if np.ptp(z) == 0:
        pass  # no end is better than another
    elif lower[order[0]] or (at_lower > 0.5 and not upper[order[0]]):
        where = "lower"
    elif upper[order[0]] or at_upper > 0.5:
        where = "upper"
    side, share = (lower, at_lower) if where == "lower" else (upper, at_upper)
    firm = where != "inside" and _beyond_noise(cells, done, order, ~side)
    most = share > 0.5 and _beyond_noise(cells, done, order, ~side, LIKELY)
    worth = where != "inside" and (firm or most or not cells.noise.known)
    extend_to = _extended(levels, where) if worth else math.nan
    return Edge(axis, where, 10**low, 10**high, at_lower, at_upper, top, firm, extend_to)


def _beyond_noise(
    cells: Cells, done: pd.DataFrame, order: npt.NDArray[np.intp], inside: Mask, errors: float = 0
) -> bool:
    """Whether every cell away from the edge is worse than the best by more than the noise.

    errors: by so many standard errors; 0 for as many as all these cells ask for.
    """
    if not inside.any() or not cells.noise.known:
        return False
    best, rivals = done.iloc[order[0]], done[inside]
    errors = errors or quantile(cells.noise.df, len(rivals))
    reach = errors * difference_errors(cells, best, rivals)
    return bool((rivals["z"] - best["z"] > reach).all())


def _extended(levels: npt.NDArray[np.float64], where: str) -> float:
    """The end of the range to try next: 1, 2, 3 or 5 times a power of ten."""
    step = levels[1] - levels[0] if where == "lower" else levels[-1] - levels[-2]
    reach = float(np.clip(2 * step, *STEP))
    end = float(levels[0] - reach if where == "lower" else levels[-1] + reach)
    power = math.floor(end)
    digit = min((1, 2, 3, 5, 10), key=lambda d: abs(math.log10(d) - (end - power)))
    return float(f"{digit}e{power}")


def _around(cells: Cells, name: str) -> tuple[float, float]:
    """The range of the cells nearly as good as the best, one step wider on either side."""
    done = cells.decayed
    levels = np.unique(cells.table.loc[cells.table["weight_decay"] > 0, name])
    level = done["z"].min() + (WORTH if cells.logarithmic else 0.1 * np.ptp(done["z"]))
    good = done.loc[done["z"] <= level, name]
    low = levels[max(int(np.searchsorted(levels, good.min())) - 1, 0)]
    high = levels[min(int(np.searchsorted(levels, good.max())) + 1, len(levels) - 1)]
    return float(f"{10**low:.2g}"), float(f"{10**high:.2g}")


def _scattered(table: pd.DataFrame, name: str) -> bool:
    """Whether most places on an axis hold one cell only."""
    return bool(table[name].nunique() > max(2, 0.6 * len(table)))


def _columns(trials: pd.DataFrame) -> pd.Series:
    """A key of each trial: its weight_decay, or a bin of them where they are scattered."""
    y = trials["y"]
    positive = y[np.isfinite(y)]
    if positive.nunique() <= 30 and positive.nunique() <= max(2, 0.6 * len(positive)):
        return y.rename("column")
    bins = pd.qcut(positive, min(8, max(1, len(positive) // 10)), labels=False, duplicates="drop")
    return bins.reindex(y.index, fill_value=-1).rename("column")
