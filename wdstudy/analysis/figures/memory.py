"""The loss against τ, the memory of the weights, for every value of a scale: do they collapse?"""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wdstudy.analysis.figures.head import framed
from wdstudy.analysis.figures.theme import dress_changes, dress_log, height_of, styled
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.views.looks import MUTED, RULE, described, shades
from wdstudy.analysis.views.memory import MemoryInfo, MemoryLine, memory_info
from wdstudy.analysis.views.scales import STEP, log_ticks
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import abridged, number

LABELS = {"tau_share": "τ, in runs", "tau_epochs": "τ, in epochs"}
HIGHEST = 4.0
"""Cells of so many times the best loss are beyond the picture."""

LEAST = 1.1  # and it reaches this far at least: noise is not blown up


@styled
def plot_memory(
    trials: pd.DataFrame,
    found: Transfer | None = None,
    value: str = "value",
    *,
    scale: str | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    columns: int = 2,
) -> Figure:
    """The loss over the best of its value against τ, a line a value.

    τ, the steps in which the weights forget, is 1 / (lr · weight_decay), or 1 / weight_decay where
    that is independent of lr. It is counted in runs, and beside it in epochs where that
    is something else. Where all lines have their bottom at one τ, that is what stays along the
    scale. Each line is of the best lr of its value; of scattered samples, of the best of each τ.
    The marks at the bottom are the τ of the optimum, as the law of all values has it, with 95 %.

    Args:
        trials: As from `trials_frame` of a study along a scale, or any frame.
        found: As from `transfer(trials)`; computed where it is None.
        value: The column to judge by.
        scale: The column of the scale; as the study says where it is None.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        columns: Panels in a row; 1 for what is read on a phone.

    Returns:
        The figure.

    Raises:
        StudyError: there is no scale, or the trials don't tell their steps.
    """
    frame = as_trials(trials, value, lr=lr, weight_decay=weight_decay, along=True)
    found = found or transfer(frame, scale, value)
    return draw_memory(memory_info(found), found, frame, columns)


@styled
def draw_memory(
    info: MemoryInfo, found: Transfer, trials: pd.DataFrame, columns: int = 2
) -> Figure:
    """The figure of what was read already."""
    count = len(info.units)
    wide = 4.4 if columns < 2 else 5.4 if count > 1 else 7.0
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, layout="constrained",
        figsize=(wide * columns, 3.3 * rows + 1.0),
    )  # fmt: skip
    colours = dict(zip((line.value for line in info.lines), shades(len(info.lines)), strict=True))
    for unit, ax in zip(info.units, axes.flat, strict=True):
        _draw(info, unit, colours, ax)
        ax.set_ylabel(f"{info.name.removeprefix('final ')}, over the best")
    handles = [
        Line2D(
            [], [], color=colours[line.value], marker="o", ms=4, lw=1.6, label=_named(info, line)
        )
        for line in info.lines
    ]
    if any(line.tau_share.known for line in info.lines):
        handles.append(Line2D([], [], color=MUTED, marker="|", ms=9, mew=2, lw=2,
                              label="τ of the optimum, 95 %"))  # fmt: skip
    text = described(trials.attrs, found.trials, int(trials["seed"].nunique()))
    title = f"{info.name} against the memory of the weights, along {abridged(info.scale, 40)}"
    framed(figure, trials, title, handles, text)
    return figure


def _named(info: MemoryInfo, line: MemoryLine) -> str:
    at = f", lr {number(line.lr)}" if math.isfinite(line.lr) else ""
    return f"{abridged(info.scale, 24)} {number(line.value)}{at}"


def _draw(info: MemoryInfo, unit: str, colours: dict[float, str], ax: Axes) -> None:
    every = np.concatenate([line.points[unit].to_numpy() for line in info.lines])
    known = every[np.isfinite(every)]
    low, high = float(known.min()), float(known.max())
    never = high * STEP  # where there is no weight decay, nothing is forgotten
    ax.set_xscale("log")
    has_never = bool(np.isinf(every).any())
    ax.set_xlim(low / 1.4, (never if has_never else high) * 1.4)
    top = _top(info)
    _draw_marks(info, unit, colours, top, ax)
    for line in info.lines:
        _draw_line(line, unit, never, colours[line.value], top, ax)
    _dress_heights(info, top, ax)
    apart = {never: "∞"} if has_never else {}
    if has_never:
        ax.axvline(high * STEP**0.5, color=RULE, lw=1, ls=(0, (2, 2)), zorder=0)
    dress_log(ax.xaxis, low, high, apart, log_ticks(low, high, 7))
    ax.set_xlabel(f"{LABELS[unit]}{'' if not has_never else '  (∞: no weight decay)'}")


def _top(info: MemoryInfo) -> float:
    """The highest ratio that is shown."""
    ratios = pd.concat([line.points["ratio"] for line in info.lines])
    if not info.logarithmic:
        return float(ratios.max())
    return max(float(ratios[ratios <= HIGHEST].max()), LEAST)


def _draw_line(
    line: MemoryLine, unit: str, never: float, colour: str, top: float, ax: Axes
) -> None:
    points = line.points
    at = points[unit].replace(math.inf, never)
    inside = points["ratio"] <= top * 1.001
    finite = np.isfinite(points[unit])
    ax.plot(
        at[finite], points["ratio"][finite].clip(upper=top * 10), color=colour, lw=1.6, zorder=3
    )
    some = points[inside]
    ends: Any = None
    if some[["low", "high"]].notna().to_numpy().all():
        ends = [some["ratio"] - some["low"], some["high"] - some["ratio"]]
    beyond = at[~inside]
    ax.plot(beyond, [top] * len(beyond), marker="^", ms=5, ls="", color=colour, zorder=3.2)
    ax.errorbar(at[inside], some["ratio"], yerr=ends, fmt="o", ms=4, color=colour, lw=1, zorder=3.2)


def _draw_marks(
    info: MemoryInfo, unit: str, colours: dict[float, str], top: float, ax: Axes
) -> None:
    """The τ of each optimum with its interval, one under the other at the bottom."""
    known = [line for line in info.lines if getattr(line, unit).known]
    for k, line in enumerate(known):
        tau, height = getattr(line, unit), 0.03 + 0.032 * (len(known) - 1 - k)
        look: dict[str, Any] = {"color": colours[line.value], "zorder": 2.5,
                                "transform": ax.get_xaxis_transform()}  # fmt: skip
        ax.plot([tau.low, tau.high], [height] * 2, lw=2, solid_capstyle="butt", **look)
        ax.plot([tau.value], [height], marker="|", ms=9, mew=2, ls="", **look)


def _dress_heights(info: MemoryInfo, top: float, ax: Axes) -> None:
    """Ratios on a logarithmic axis, with room below for the marks."""
    ax.grid(visible=True, axis="y")
    ax.set_axisbelow(True)
    marks = sum(line.tau_share.known for line in info.lines)
    room = 0.05 + 0.034 * marks  # of the panel's height
    if not info.logarithmic:
        ax.set_ylim(-room * top / (1 - room), top * 1.05)
        return
    log_top = math.log(top) * 1.06
    below = -room * log_top / (1 - room)
    ax.set_yscale("log")
    ax.set_ylim(math.exp(below), math.exp(log_top))
    dress_changes(ax, 0.0, log_top, height_of(ax) * (1 - room))
