"""What searching costs: one axis after the other, or at random with few trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from wdstudy.analysis.figures.theme import (
    captioned,
    dress_log,
    dress_values,
    new_axes,
    styled,
    titled,
)
from wdstudy.analysis.frames.cells import finished_trials, initial_loss
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.views.looks import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PURPLE,
    VERMILION,
    described,
    label_of,
    shortened,
)
from wdstudy.analysis.views.scales import spans_decades
from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import number

CLIP = 10.0
"""Costs above this many times the best are drawn at the edge, with their number."""

COLOURS = tuple(
    (colour, dashes)  # 5 and 4 have no common factor: 20 lines differ in one or the other
    for colour, dashes in zip((BLUE, VERMILION, GREEN, PURPLE, INK) * 4, ("-", "--", "-.", ":") * 5,
                              strict=True)
)  # fmt: skip


@dataclass(frozen=True)
class BestOfN:
    """The best of n trials drawn at random with replacement: median and central 80 %."""

    n: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trials: int


@styled
def plot_search_cost(
    trials: pd.DataFrame,
    found: Landscape,
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """What tuning one axis after the other costs above the joint best, for every start.

    Args:
        trials: As from `trials_frame`, or any frame, for the caption.
        found: As from `landscape(trials, value)`.
        value: The column that `found` is about.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: the data can't say; the message tells why.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    cost = found.apart_cost
    if not cost.by_weight_decay and not cost.by_lr:
        raise StudyError(f"the cost of tuning apart can't be told: {cost.worst.reason}")
    rows = [(f"weight_decay {number(v)}", "lr first", c) for v, c in cost.by_weight_decay]
    rows += [(f"lr {number(v)}", "weight_decay first", c) for v, c in cost.by_lr]
    ax = new_axes(ax, 6.8, max(2.8, 1.5 + 0.22 * len(rows)))
    _draw_costs(rows, found.logarithmic, ax)
    titled(ax, trials, "cost of tuning one axis after the other", lines=1)
    unit = "above the joint best" if found.logarithmic else f"above the joint best ({found.name})"
    finished = finished_trials(trials)
    text = described(trials.attrs, len(finished), finished["seed"].nunique())
    captioned(ax, f"{found.name}, {unit}", text)
    return ax


@styled
def plot_best_of_n(
    studies: pd.DataFrame | Mapping[str, pd.DataFrame],
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    ax: Axes | None = None,
) -> Axes:
    """How good the best of n trials is, had they been drawn at random from the study.

    The exact bootstrap distribution of the best of n: its median and the central 80 %. Diverged
    trials count as untrained.

    Args:
        studies: A frame as from `trials_frame`, or any, or several by name.
        value: A numeric column.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        ax: Where to draw; a new figure if None.

    Raises:
        StudyError: no trial has a value.
    """
    frames = {"": studies} if isinstance(studies, pd.DataFrame) else dict(studies)
    frames = {
        name: as_trials(frame, value, lr=lr, weight_decay=weight_decay)
        for name, frame in frames.items()
    }
    infos = {name: _best_of_n(frame, value) for name, frame in frames.items()}
    first = next(iter(frames.values()))
    ax = new_axes(ax)
    for (name, info), (colour, dashes) in zip(infos.items(), cycle(COLOURS), strict=False):
        label = shortened(name).replace("$", r"\$") or "median"
        ax.plot(info.n, info.median, color=colour, ls=dashes, lw=1.8, label=label)
        band = None if name else "80 % of draws"
        ax.fill_between(info.n, info.low, info.high, color=colour, alpha=0.15, lw=0, label=band)
    every = np.concatenate([v for info in infos.values() for v in (info.low, info.high)])
    dress_values(ax, every.min(), every.max(), logarithmic=spans_decades(every))
    most = max(info.n[-1] for info in infos.values())
    if most > 1:
        ax.set_xscale("log")
        ax.set_xlim(1, most)
        dress_log(ax.xaxis, 1, most)
    ax.set_ylabel(label_of(first, value), parse_math=False)
    ax.legend(loc="best")
    several = len(frames) > 1
    titled(ax, pd.DataFrame() if several else first, "best of n random trials")
    counts = sum(info.trials for info in infos.values())
    about = described(first.attrs, counts, int(first["seed"].nunique()))
    about = f"{counts:,} trials of {len(frames)} studies" if several else about
    captioned(ax, "n trials", about)
    return ax


def _draw_costs(rows: list[tuple[str, str, float]], logarithmic: bool, ax: Axes) -> None:
    most = min(max(cost for *_, cost in rows), CLIP) or 0.01
    for place, (_, order, cost) in enumerate(rows):
        colour, hatch = (BLUE, "") if order == "lr first" else (VERMILION, "///")
        first = order not in ax.get_legend_handles_labels()[1]
        ax.barh(place, min(cost, most), height=0.7, color="white" if hatch else colour, ec=colour,
                hatch=hatch, label=order if first else None)  # fmt: skip
        text = f"{100 * cost:.1f} %" if cost < 0.1 else f"{100 * cost:.0f} %"
        text = text if logarithmic else f"{cost:.3g}"
        ax.text(min(cost, most) + most * 0.01, place, text, va="center", fontsize=7.5, color=INK)
    if not any(cost for *_, cost in rows):
        ax.text(0.5, 0.5, "nothing, from any start", transform=ax.transAxes, ha="center",
                va="center", fontsize=10, color=MUTED)  # fmt: skip
    ax.set_yticks(range(len(rows)), [f"from {start}" for start, *_ in rows], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, most * 1.12)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    form = (lambda v, _: f"{v:.3g}") if not logarithmic else (lambda v, _: f"{100 * v:.3g} %")
    ax.xaxis.set_major_formatter(FuncFormatter(form))
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=True, axis="x")
    ax.set_axisbelow(True)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.1)


def _best_of_n(trials: pd.DataFrame, value: str) -> BestOfN:
    """Order statistics of draws with replacement: P(best of n worse than v) = P(worse than v)ⁿ."""
    finished = finished_trials(trials)
    sign = 1.0 if trials.attrs.get("minimize", True) else -1.0
    values = pd.to_numeric(finished[value], errors="coerce").astype(float) * sign
    usable = (finished["state"] == "COMPLETE") | finished["diverged"]
    known = values[usable & values.notna() & ~finished["diverged"]]
    if known.empty:
        raise StudyError("every finished trial diverged")
    lost = initial_loss(trials) if sign > 0 and "loss" in label_of(trials, value) else math.nan
    worst = np.nanmax([known.max(), lost])
    every = np.sort(np.append(known, np.full(int(finished["diverged"].sum()), worst)))
    n = np.unique(np.round(np.geomspace(1, len(every), 60)).astype(int))
    reached = np.arange(1, len(every) + 1) / len(every)
    quantiles = [1 - (1 - q) ** (1 / n) for q in (0.1, 0.5, 0.9)]
    low, median, high = (
        every[np.minimum(np.searchsorted(reached, q - 1e-12), len(every) - 1)] * sign
        for q in quantiles
    )
    return BestOfN(n, median, low, high, len(every))
