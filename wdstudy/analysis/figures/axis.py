"""Every trial against one axis, the best over the other axis, and loss against the product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from wdstudy.analysis.figures.theme import (
    captioned,
    dress_log,
    dress_place,
    dress_values,
    new_axes,
    styled,
    titled,
)
from wdstudy.analysis.frames.cells import cell_grid, finished_trials, initial_loss
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.views.looks import BLUE, INK, MUTED, VERMILION, described, label_of
from wdstudy.analysis.views.scales import LogPlace, spans_decades
from wdstudy.curves import FINAL_PREFIX, LR_X_WD, PRIMARY_LOSS, VAL_LOSS
from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY

AxisName = Literal["lr", "weight_decay"]
OTHER: dict[str, AxisName] = {"lr": "weight_decay", "weight_decay": "lr"}


@dataclass(frozen=True)
class AxisInfo:
    """Trials against one axis: `points` with columns `x, value, colour`, and the `lost` x.

    line: the best over the other axis, `x` → value. initial: the loss at initialisation.
    """

    points: pd.DataFrame
    lost: pd.Series
    line: pd.Series
    initial: float
    logarithmic: bool
    trials: int
    seeds: int


@styled
def plot_axis(
    trials: pd.DataFrame,
    axis: AxisName = "lr",
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """Every finished trial against lr or weight_decay, coloured by the other axis.

    Diverged trials stand as crosses at the top, so that no result is hidden.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        axis: The axis to draw against.
        value: A numeric column.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = _axis_info(trials, axis, value)
    ax = new_axes(ax)
    _draw_points(info, axis, OTHER[axis], trials[axis], ax)
    _finish(info, trials, value, f"every trial against {axis}", axis, ax)
    return ax


@styled
def plot_isolation(
    trials: pd.DataFrame,
    axis: AxisName = "lr",
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """The best over the other axis, against one axis: what tuning both is worth at each value.

    Args:
        trials: As from `trials_frame`, or any frame; cells are means over seeds.
        axis: The axis to isolate.
        value: A numeric column.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: fewer than two values of the axis have a finished trial.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = _isolation_info(trials, axis, value)
    if info.line.index.nunique() < 2:
        raise StudyError(f"only one {axis} has a finished trial, so there is nothing to compare")
    ax = new_axes(ax)
    place = LogPlace(trials[axis], far=True)
    x = pd.Series(info.line.index, dtype=float)
    ax.scatter(place(info.points["x"]), info.points["value"], s=14, c="#c4cbd3", label="every cell",
               rasterized=len(info.points) > 1000)  # fmt: skip
    style: dict[str, Any] = {"color": BLUE, "marker": "o", "ms": 5, "lw": 1.8}
    positive = (x > 0).to_numpy()
    ax.plot(place(x[positive]), info.line[positive], label=f"best over {OTHER[axis]}", **style)
    ax.plot(place(x[~positive]), info.line[~positive], **style)
    dress_place(ax, "x", place)
    _mark_lost(info, place, ax)
    _dress(info, ax)
    ax.legend(loc="best")
    _finish(info, trials, value, f"best over {OTHER[axis]}, against {axis}", axis, ax)
    return ax


@styled
def plot_product(
    trials: pd.DataFrame,
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """Every trial against lr · weight_decay, coloured by lr.

    Where the product alone decides, trials of all colours fall on one curve.

    Args:
        trials: As from `trials_frame`, or any frame with these columns.
        value: A numeric column.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = _axis_info(trials, LR_X_WD, value)
    ax = new_axes(ax)
    _draw_points(info, LR_X_WD, "lr", trials[LR_X_WD], ax)
    _finish(info, trials, value, "loss against lr · weight_decay", "lr · weight_decay", ax)
    return ax


def _axis_info(trials: pd.DataFrame, axis: str, value: str) -> AxisInfo:
    finished = finished_trials(trials)
    colour = OTHER.get(axis, "lr")
    known = finished[finished[value].notna() & ~finished["diverged"]]
    known = known[known["state"] == "COMPLETE"]
    if known.empty:
        raise StudyError("every finished trial diverged")
    points = pd.DataFrame({"x": known[axis], "value": known[value], "colour": known[colour]})
    return AxisInfo(
        points.reset_index(drop=True),
        finished.loc[finished["diverged"], axis],
        pd.Series(dtype=float),
        _initial(trials, value),
        spans_decades(points["value"]),
        len(finished),
        int(finished["seed"].nunique()),
    )


def _isolation_info(trials: pd.DataFrame, axis: AxisName, value: str) -> AxisInfo:
    grid = cell_grid(trials, value)
    cells = grid.cells.dropna(subset="value")
    if cells.empty:
        raise StudyError("every finished trial diverged")
    levels = cells[axis]
    if grid.scattered and levels[levels > 0].nunique() > 24:
        # Of samples, the best of each of 12 bins; drawn where that sample lies.
        edges = np.quantile(np.log10(levels[levels > 0]), np.linspace(0, 1, 13)[1:-1])
        keys = np.where(levels > 0, np.digitize(np.log10(levels.clip(1e-300)), edges), -1)
        groups: Any = pd.Series(keys, index=cells.index)
    else:
        groups = levels
    ranked = grid.ranked.assign(group=groups).drop_duplicates("group")
    best = ranked.set_index(axis)["value"].sort_index()
    return AxisInfo(
        pd.DataFrame({"x": levels, "value": cells["value"], "colour": cells[OTHER[axis]]}),
        grid.lost[axis],
        best,
        _initial(trials, value),
        spans_decades(cells["value"]),
        grid.trials,
        grid.seeds,
    )


def _initial(trials: pd.DataFrame, value: str) -> float:
    """The loss at initialisation where the value is a loss of the data."""
    objective = str(trials.attrs.get("objective", ""))
    is_loss = value in (FINAL_PREFIX + VAL_LOSS, FINAL_PREFIX + PRIMARY_LOSS) or (
        value == "value" and objective in (VAL_LOSS, PRIMARY_LOSS)
    )
    return initial_loss(trials) if is_loss else math.nan


def _draw_points(info: AxisInfo, axis: str, colour: str, values: pd.Series, ax: Axes) -> None:
    place, shade = LogPlace(values, far=True), LogPlace(info.points["colour"])
    colours = shade(info.points["colour"])
    low, high = shade.zero_at or shade.low, shade.high
    norm = LogNorm(low, high) if low < high else Normalize(low * 0.9, low * 1.1)
    size = float(np.clip(9000 / max(len(info.points), 1), 8, 42))
    points = ax.scatter(
        place(info.points["x"]), info.points["value"], c=colours, s=size, norm=norm,
        cmap="cividis", edgecolors="white", rasterized=len(info.points) > 1000,
        linewidths=0.4 if len(info.points) <= 1000 else 0,
    )  # fmt: skip
    figure = ax.get_figure(root=True)
    assert figure is not None
    if low < high:
        bar = figure.colorbar(points, ax=ax, pad=0.02, aspect=28, label=colour)
        bar.outline.set_visible(False)
        dress_log(bar.ax.yaxis, shade.low, shade.high, shade.apart)
    dress_place(ax, "x", place)
    _mark_lost(info, place, ax)
    _dress(info, ax)


def _mark_lost(info: AxisInfo, place: LogPlace, ax: Axes) -> None:
    """Crosses above the picture for the diverged."""
    if info.lost.empty:
        return
    transform = ax.get_xaxis_transform()
    ax.scatter(place(info.lost), np.full(len(info.lost), 1.02), transform=transform, marker="x",
               c=VERMILION, s=22, lw=1.1, clip_on=False)  # fmt: skip
    ax.text(1.0, 1.045, f"× {len(info.lost)} diverged", transform=ax.transAxes, ha="right",
            va="bottom", fontsize=8, color=VERMILION)  # fmt: skip


def _dress(info: AxisInfo, ax: Axes) -> None:
    """Value axis up to the loss at initialisation, or the worst below one and a half of it."""
    values = info.points["value"]
    low, high = float(values.min()), float(values.max())
    if math.isfinite(info.initial) and info.initial > low:
        high = min(high, 1.5 * info.initial)
        if high > 0.5 * info.initial:
            high = max(high, info.initial)
            ax.axhline(info.initial, color=MUTED, lw=0.9, ls=(0, (4, 3)), zorder=0)
            ax.annotate("at initialisation", (0.005, info.initial), xytext=(0, 2), fontsize=7.5,
                        xycoords=("axes fraction", "data"), textcoords="offset points",
                        color=MUTED, bbox={"fc": "white", "ec": "none", "alpha": 0.85, "pad": 0.6},
                        zorder=0.5)  # under the points  # fmt: skip
    dress_values(ax, low, high, logarithmic=info.logarithmic)


def _finish(
    info: AxisInfo, trials: pd.DataFrame, value: str, title: str, label: str, ax: Axes
) -> None:
    ax.set_ylabel(label_of(trials, value), parse_math=False, color=INK)
    titled(ax, trials, title, lines=0 if info.lost.empty else 1)
    captioned(ax, label, described(trials.attrs, info.trials, info.seeds))
