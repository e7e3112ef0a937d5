"""The best weight_decay and its harmless limit against lr, and the overview of a landscape."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wdstudy.analysis.figures.axis import plot_isolation
from wdstudy.analysis.figures.heatmap import plot_heatmap
from wdstudy.analysis.figures.theme import (
    captioned,
    dress_place,
    new_axes,
    styled,
    titled,
    width_of,
)
from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.limit import Limit
from wdstudy.analysis.views.looks import BLUE, GREEN, INK, VERMILION, described
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import number, signed


@dataclass(frozen=True)
class RidgeInfo:
    """What is shown against lr, each as points `lr, weight_decay`.

    best: the best measured weight_decay at each lr, where the cells form a grid; `sure`: it gains
    beyond the noise. ridge: the bottoms of the valley, where a slope is told; band: columns
    `lr, line, low, high`, the straight line of the slope through the ridge's middle and those of
    its interval. limit: where harm begins, with its `line`, NaN where none is told. frontier: the
    largest harmless weight_decay, where no limit has a slope. lr, weight_decay: all values tried,
    for the axes.
    """

    best: pd.DataFrame
    ridge: pd.DataFrame
    band: pd.DataFrame
    limit: pd.DataFrame
    frontier: pd.DataFrame
    found: Landscape
    lr: pd.Series
    weight_decay: pd.Series
    trials: int
    seeds: int


@styled
def plot_ridge(
    trials: pd.DataFrame,
    found: Landscape,
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """The best weight_decay at each lr, and where its harm begins.

    Where the plane has a valley, the ridge's slope with its interval; else the reason why not.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        found: As from `landscape(trials, value)`.
        value: The column that `found` is about.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: there is neither a ridge nor a limit, nor a best at two lr.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = _ridge_info(trials, found, value)
    known = (info.ridge, info.limit, info.frontier)
    if info.best["lr"].nunique() < 2 and all(points.empty for points in known):
        raise StudyError(f"there is no ridge to show: {found.slope.reason}")
    ax = new_axes(ax, 6.4, 4.8)
    _draw_ridge(info, ax)
    lines = sum(label.count("\n") + 1 for label in ax.get_legend_handles_labels()[1])
    titled(ax, trials, "best weight_decay against lr", lines=lines)
    captioned(ax, "lr", described(trials.attrs, info.trials, info.seeds))
    return ax


@styled
def plot_landscape(
    trials: pd.DataFrame,
    found: Landscape,
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
) -> Figure:
    """The study at a glance: heatmap, ridge, and the best over either axis.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        found: As from `landscape(trials, value)`.
        value: The column that `found` is about.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Returns:
        A new figure.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    figure, axes = plt.subplots(2, 2, figsize=(13.5, 9.4), layout="constrained")
    tied = found.best.tied if found.best.ties >= 0 else None
    plot_heatmap(trials, value, tied=tied, ax=axes[0, 0])
    plot_ridge(trials, found, value, ax=axes[0, 1])
    plot_isolation(trials, "lr", value, ax=axes[1, 0])
    plot_isolation(trials, "weight_decay", value, ax=axes[1, 1])
    return figure


def _ridge_info(trials: pd.DataFrame, found: Landscape, value: str) -> RidgeInfo:
    grid = cell_grid(trials, value)
    cells = grid.cells
    best = grid.ranked.groupby("lr").head(1).sort_values("lr")[["lr", "weight_decay"]]
    gains = [effect.lr for effect in found.effects if effect.gain.low > 0]
    best = best.assign(sure=best["lr"].isin(gains)).reset_index(drop=True)
    told = found.slope.known
    ridge = pd.DataFrame({"lr": found.ridge.lr, "weight_decay": found.ridge.weight_decay})
    frontier = found.frontier_line
    frontier_points = pd.DataFrame({"lr": frontier.lr, "weight_decay": frontier.weight_decay})
    limit = _limit(found.limit)
    shown = frontier.slope.known and not found.limit.slope.known
    return RidgeInfo(
        best[:0] if grid.scattered else best,
        ridge if told else ridge[:0],
        _band(found),
        limit,
        frontier_points if shown else frontier_points[:0],
        found,
        cells["lr"],
        cells["weight_decay"],
        grid.trials,
        grid.seeds,
    )


def _limit(limit: Limit) -> pd.DataFrame:
    """The points of the limit and, through their middle, the line of its slopes."""
    points = pd.DataFrame({"lr": limit.lr, "weight_decay": limit.weight_decay}, dtype=float)
    if not limit.slope.known or points.empty:
        return points.assign(line=math.nan)
    x, knot = np.log10(points["lr"]), math.log10(limit.bends_at) if limit.bends else math.inf
    rise = limit.slope.value * x.clip(upper=knot)
    if limit.bends:
        rise += limit.slope_above.value * (x - knot).clip(lower=0)
    return points.assign(line=10 ** (rise + (np.log10(points["weight_decay"]) - rise).mean()))


def _band(found: Landscape) -> pd.DataFrame:
    """Straight lines through the middle of the ridge."""
    if not found.slope.known or len(found.ridge.lr) < 2:
        return pd.DataFrame(columns=["lr", "line", "low", "high"], dtype=float)
    x, y = np.log10(found.ridge.lr), np.log10(found.ridge.weight_decay)
    reach = np.linspace(x.min(), x.max(), 25)
    slopes = {"line": found.slope.value, "low": found.slope.low, "high": found.slope.high}
    lines = {name: 10 ** (y.mean() + s * (reach - x.mean())) for name, s in slopes.items()}
    return pd.DataFrame({"lr": 10**reach, **lines})


def _draw_ridge(info: RidgeInfo, ax: Axes) -> None:
    x, y = LogPlace(info.lr, far=True), LogPlace(info.weight_decay, far=True)
    cells = pd.DataFrame({"lr": info.lr, "weight_decay": info.weight_decay})
    ax.scatter(x(cells["lr"]), y(cells["weight_decay"]), s=6 if len(cells) <= 1000 else 1,
               c="#d0d7de", zorder=0, rasterized=len(cells) > 1000)  # fmt: skip
    for part, fill, label in (
        (info.best[~info.best["sure"]], "white", "best at this lr"),
        (info.best[info.best["sure"]], INK, "best at this lr, and a gain beyond the noise"),
    ):
        if not part.empty:
            ax.plot(x(part["lr"]), y(part["weight_decay"]), ls="", marker="D", ms=5, mfc=fill,
                    mec=INK, label=label)  # fmt: skip
    _draw_lines(info, ax)
    dress_place(ax, "x", x)
    dress_place(ax, "y", y)
    ax.set_ylabel("weight_decay")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.1, labelspacing=0.3
        )


def _draw_lines(info: RidgeInfo, ax: Axes) -> None:
    """Valley, limit and frontier, with their slopes in the legend."""
    found = info.found
    if not info.band.empty:
        text = f"ridge: {_slope_text(found.slope)}"
        ax.fill_between(info.band["lr"], info.band["low"], info.band["high"], color=BLUE,
                        alpha=0.18, lw=0)  # fmt: skip
        ax.plot(info.band["lr"], info.band["line"], color=BLUE, lw=2, label=text)
        ax.plot(info.ridge["lr"], info.ridge["weight_decay"], ls="", marker="o", ms=4, color=BLUE,
                label="bottom of the valley at this lr")  # fmt: skip
    if not info.limit.empty:
        style: dict[str, Any] = {"color": VERMILION, "marker": "^", "ms": 5, "lw": 1.6}
        text = f"from here on {100 * (found.limit.factor - 1):.0f} % worse than without"
        if found.limit.slope.known:
            text += f": {_limit_text(found.limit)}"
        ax.plot(info.limit["lr"], info.limit["weight_decay"], **{**style, "ls": ""})
        ax.plot(info.limit["lr"], info.limit["line"], color=VERMILION, lw=1.6, ls="--")
        ax.plot([], [], label=text, **{**style, "ls": "--" if found.limit.slope.known else ""})
    if not info.frontier.empty:
        text = f"largest without harm: {_slope_text(found.frontier)}"
        ax.plot(info.frontier["lr"], info.frontier["weight_decay"], color=GREEN, lw=1.6,
                ls=":", marker="v", ms=5, label=text)  # fmt: skip
    if not found.slope.known:
        room = max(36, int(width_of(ax) * 14))
        ax.plot([], [], ls="", label=textwrap.fill(f"no ridge: {found.slope.reason}", room))


def _limit_text(limit: Limit) -> str:
    if not limit.bends:
        return _slope_text(limit.slope)
    return (
        f"{_slope_text(limit.slope)},\n"
        f"beyond lr {number(limit.bends_at)} {_slope_text(limit.slope_above)}"
    )


def _slope_text(slope: Estimate) -> str:
    interval = ""
    if math.isfinite(slope.low):
        interval = f" (95 % {signed(slope.low)} … {signed(slope.high)})"
    return f"slope {signed(slope.value)}{interval}"
