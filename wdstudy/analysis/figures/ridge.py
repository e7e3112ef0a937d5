"""The ridge of best weight_decay against lr, and the overview of a landscape."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wdstudy.analysis.figures.axis import plot_isolation
from wdstudy.analysis.figures.heatmap import plot_heatmap
from wdstudy.analysis.figures.theme import captioned, dress_place, new_axes, styled, titled
from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.views.looks import BLUE, INK, VERMILION, described
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import signed


@dataclass(frozen=True)
class RidgeInfo:
    """The ridge and the frontier, each as points `lr, weight_decay`, with their slopes.

    best: the best measured weight_decay at each lr, where the cells form a grid. band: columns
    `lr, line, low, high`, the straight line of the slope through the ridge's middle and those of
    its interval. lr, weight_decay: all values tried, for the axes.
    """

    best: pd.DataFrame
    ridge: pd.DataFrame
    band: pd.DataFrame
    frontier: pd.DataFrame
    slope: Estimate
    frontier_slope: Estimate
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
    """Where the best weight_decay lies at each lr, the ridge's slope with its interval.

    Beside it the frontier: the largest weight_decay that does no harm at each lr.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        found: As from `landscape(trials, value)`.
        value: The column that `found` is about.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: there is neither a ridge nor a frontier, nor a best at two lr.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = _ridge_info(trials, found, value)
    if info.best["lr"].nunique() < 2 and info.ridge.empty and info.frontier.empty:
        raise StudyError(f"there is no ridge to show: {found.slope.reason}")
    ax = new_axes(ax, 6.4, 4.8)
    _draw_ridge(info, ax)
    lines = len(ax.get_legend_handles_labels()[0])
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
    plot_heatmap(trials, value, ax=axes[0, 0])
    plot_ridge(trials, found, value, ax=axes[0, 1])
    plot_isolation(trials, "lr", value, ax=axes[1, 0])
    plot_isolation(trials, "weight_decay", value, ax=axes[1, 1])
    return figure


def _ridge_info(trials: pd.DataFrame, found: Landscape, value: str) -> RidgeInfo:
    grid = cell_grid(trials, value)
    cells = grid.cells
    ranked = grid.ranked[grid.ranked["weight_decay"] > 0]
    best = ranked.groupby("lr").head(1).sort_values("lr")[["lr", "weight_decay"]]
    line = found.frontier_line
    return RidgeInfo(
        best[:0] if grid.scattered else best.reset_index(drop=True),
        pd.DataFrame({"lr": found.ridge.lr, "weight_decay": found.ridge.weight_decay}),
        _band(found),
        pd.DataFrame({"lr": line.lr, "weight_decay": line.weight_decay}),
        found.slope,
        found.frontier,
        cells["lr"],
        cells["weight_decay"],
        grid.trials,
        grid.seeds,
    )


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
    x, y = LogPlace(info.lr), LogPlace(info.weight_decay)
    cells = pd.DataFrame({"lr": info.lr, "weight_decay": info.weight_decay})
    ax.scatter(x(cells["lr"]), y(cells["weight_decay"]), s=6 if len(cells) <= 1000 else 1,
               c="#d0d7de", zorder=0, rasterized=len(cells) > 1000)  # fmt: skip
    if not info.best.empty:
        ax.plot(info.best["lr"], info.best["weight_decay"], ls="", marker="D", ms=5, mfc="white",
                mec=INK, label="best measured at this lr")  # fmt: skip
    if not info.band.empty:
        text = _slope_text("ridge", info.slope)
        ax.fill_between(info.band["lr"], info.band["low"], info.band["high"], color=BLUE,
                        alpha=0.18, lw=0)  # fmt: skip
        ax.plot(info.band["lr"], info.band["line"], color=BLUE, lw=2, label=text)
        ax.plot(info.ridge["lr"], info.ridge["weight_decay"], ls="", marker="o", ms=4, color=BLUE,
                label="bottom of the valley at this lr")  # fmt: skip
    if not info.frontier.empty:
        text = _slope_text("largest harmless", info.frontier_slope)
        ax.plot(info.frontier["lr"], info.frontier["weight_decay"], color=VERMILION, lw=1.6,
                ls="--", marker="^", ms=5, label=text)  # fmt: skip
    if not info.slope.known:
        _say_why(info, ax)
    dress_place(ax, "x", x)
    dress_place(ax, "y", y)
    ax.set_ylabel("weight_decay")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.1, labelspacing=0.3
        )


def _slope_text(what: str, slope: Estimate) -> str:
    if not slope.known:
        return what
    interval = ""
    if math.isfinite(slope.low):
        interval = f" (95 % {signed(slope.low)} … {signed(slope.high)})"
    return f"{what}: slope {signed(slope.value)}{interval}"


def _say_why(info: RidgeInfo, ax: Axes) -> None:
    ax.plot([], [], ls="", label=textwrap.shorten(f"no ridge: {info.slope.reason}", 90))
