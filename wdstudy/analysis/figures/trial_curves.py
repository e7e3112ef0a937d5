"""The curves of one trial: primary, decay and total loss."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from wdstudy.analysis.figures.theme import captioned, dress_values, new_axes, styled, titled
from wdstudy.analysis.frames.given import as_curves
from wdstudy.analysis.views.looks import LINES
from wdstudy.analysis.views.scales import spans_decades
from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, TOTAL_LOSS, VAL_LOSS, series_named
from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import number


@dataclass(frozen=True)
class ComponentsInfo:
    """The losses of one trial; `losses` has one column each, indexed by epoch or step."""

    trial: int
    lr: float
    weight_decay: float
    seed: int
    losses: pd.DataFrame


@styled
def plot_components(
    curves: pd.DataFrame,
    trial: int | None = None,
    *,
    trials: pd.DataFrame | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """Primary, decay and total loss of one trial, and its validation loss.

    Args:
        curves: As from `curves_frame`, or any frame of record points.
        trial: Its number; the best trial, or without `trials` the first, where it is None.
        trials: As from `trials_frame`.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: the trial has no curves.
    """
    curves = as_curves(curves, lr=lr, weight_decay=weight_decay)
    info = _components_info(curves, best_trial(curves, trials) if trial is None else trial)
    ax = new_axes(ax)
    _draw_components(info, ax)
    which = "the best trial" if trial is None and trials is not None else f"trial {info.trial}"
    titled(ax, curves, f"loss components of {which}")
    about = f"trial {info.trial} · lr {number(info.lr)} · weight_decay {number(info.weight_decay)}"
    kind = [str(curves.attrs[k]) for k in ("optimizer", "decay") if curves.attrs.get(k)]
    captioned(ax, str(info.losses.index.name), " · ".join([about, f"seed {info.seed}", *kind]))
    return ax


def best_trial(curves: pd.DataFrame, trials: pd.DataFrame | None) -> int:
    """The best trial that has curves; the first one where no value is known."""
    if curves.empty:
        raise StudyError("no trial has curves")
    numbers = curves["trial"].unique()
    if trials is None:
        return int(numbers[0])
    known = trials[trials["trial"].isin(numbers) & trials["value"].notna()]
    if known.empty:
        return int(numbers[0])
    value = known["value"]
    place = value.idxmin() if trials.attrs.get("minimize", True) else value.idxmax()
    return int(known.loc[place, "trial"])


def _components_info(curves: pd.DataFrame, trial: int) -> ComponentsInfo:
    rows = curves[(curves["trial"] == trial) & curves["series"].isin([*LINES])]
    if rows["value"].notna().sum() == 0:
        raise StudyError(f"trial {trial} has recorded no losses")
    x = "epoch" if rows["epoch"].notna().all() else "step"
    losses = rows.pivot_table(index=x, columns="series", values="value", observed=True)
    losses.columns = losses.columns.astype(str)
    if PRIMARY_LOSS in losses and DECAY_LOSS in losses:
        losses[TOTAL_LOSS] = losses[PRIMARY_LOSS] + losses[DECAY_LOSS]
    first = rows.iloc[0]
    return ComponentsInfo(
        trial, float(first["lr"]), float(first["weight_decay"]), int(first["seed"]), losses
    )


def _draw_components(info: ComponentsInfo, ax: Axes) -> None:
    order = [s for s in (TOTAL_LOSS, PRIMARY_LOSS, DECAY_LOSS, VAL_LOSS) if s in info.losses]
    for name in order:
        line = info.losses[name].dropna()
        colour, dashes = LINES[name]
        marker = "o" if len(line) == 1 else ""
        label = series_named(name).label + (" (0 throughout)" if (line == 0).all() else "")
        ax.plot(line.index, line, color=colour, ls=dashes, lw=1.8, marker=marker, label=label)
    values = info.losses[order].stack()
    values = values[values > 0] if (values > 0).any() else values
    dress_values(ax, float(values.min()), float(values.max()), logarithmic=spans_decades(values))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("loss")
    ax.legend(loc="best")
