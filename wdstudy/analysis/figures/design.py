"""How a design got there: its trials in order over the plane, what was open, what it cost."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wdstudy.analysis.figures.progress import (
    COLOURS,
    draw_costs,
    draw_questions,
    draw_scouts,
    legend_above,
)
from wdstudy.analysis.figures.theme import captioned, dress_place, styled
from wdstudy.analysis.frames.design import BEFORE
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.views.design import DesignInfo, design_info
from wdstudy.analysis.views.looks import (
    INK,
    PURPLE,
    VERMILION,
    described,
    label_of,
    shortened,
)
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.space import LR, WEIGHT_DECAY

WIDTHS = ((3.3,), (5.2, 3.3))
"""Inches that the panels of one column, and of each of two, have for a legend."""

NUMBERED = 150
"""A plane of more cells shows stages only: the numbers of batches would touch each other."""


@styled
def plot_design(trials: pd.DataFrame, *, columns: int = 2) -> Figure:
    """How a study that designs itself got to its answer.

    Every cell of the plane, coloured by what its first batch was for, with the batch's number;
    hollow ones diverged, ringed ones got more seeds, and a line follows the best cell. Above it the
    scouts, the short runs that show where training works. Beside it how far each question was open,
    in widths asked for, and what each stage cost.

    Args:
        trials: As from `trials_frame` of a designed study.
        columns: 2, or 1 for what is read on a phone.

    Returns:
        The figure.

    Raises:
        StudyError: no design placed the trials, or none of them has finished.
    """
    trials = as_trials(trials)
    return draw_design(design_info(trials), trials, columns)


@styled
def draw_design(info: DesignInfo, trials: pd.DataFrame, columns: int = 2) -> Figure:
    """The figure of a design that was read already."""
    found = info.designed
    figure, axes = _panels(columns, scouted=len(found.scouts) > 0)
    if "scouts" in axes:
        draw_scouts(found, info.cells[LR], label_of(trials, "value"), axes["scouts"])
    _draw_plane(info, axes["plane"], WIDTHS[columns > 1][0])
    finished = int(found.batches["done"].sum())
    captioned(axes["plane"], "lr", described(trials.attrs, finished, int(trials["seed"].nunique())))
    draw_questions(info, axes["open"], WIDTHS[columns > 1][-1])
    draw_costs(found, axes["cost"])
    name = shortened(str(trials.attrs.get("study", "")).replace("\n", " "))
    title = textwrap.fill(f"{name}: how the design got there".removeprefix(": "), 46 * columns)
    head = figure.suptitle(title, x=0.01, ha="left", size=11, weight="bold")
    head.set_parse_math(False)
    return figure


def _panels(columns: int, *, scouted: bool) -> tuple[Figure, dict[str, Axes]]:
    """A figure, and its panels by name."""
    left = [("scouts", 1.2)] * scouted + [("plane", 4.6)]
    right = [("open", 3.4), ("cost", 2.2)]
    parts = [left, right] if columns > 1 else [[*left, *right]]
    wide, tall = (10.6, 6.8) if columns > 1 else (4.3, 12.6)
    tall -= 0 if scouted else 1.2
    figure = plt.figure(figsize=(wide, tall), layout="constrained")
    whole = figure.add_gridspec(1, len(parts), width_ratios=(6.2, 4.4)[: len(parts)])
    axes: dict[str, Axes] = {}
    for place, part in enumerate(parts):
        grid = whole[place].subgridspec(len(part), 1, height_ratios=[size for _, size in part])
        axes |= {name: figure.add_subplot(grid[row]) for row, (name, _) in enumerate(part)}
    return figure, axes


def _draw_plane(info: DesignInfo, ax: Axes, inches: float) -> None:
    """Every cell at its place, and the way of the best one."""
    cells = info.cells
    x, y = LogPlace(cells[LR], far=True), LogPlace(cells[WEIGHT_DECAY], far=True)
    size = 105 if len(cells) <= 90 else 70 if len(cells) <= NUMBERED else 28
    _draw_way(info, x, y, ax)
    for stage, part in cells.groupby("stage", sort=False):
        colour = COLOURS.get(str(stage), PURPLE)
        faces = ["white" if lost else colour for lost in part["diverged"]]
        ax.scatter(x(part[LR]), y(part[WEIGHT_DECAY]), s=size, c=faces, ec=colour, lw=1.1, zorder=3)
    again = cells[cells["again"].map(lambda stages: isinstance(stages, tuple))]
    ax.scatter(x(again[LR]), y(again[WEIGHT_DECAY]), s=size + 75, fc="none", ec=VERMILION, lw=1.3,
               zorder=2.5)  # fmt: skip
    if len(cells) <= NUMBERED:
        for place, right, up in zip(
            cells.itertuples(), x(cells[LR]), y(cells[WEIGHT_DECAY]), strict=True
        ):
            colour = COLOURS.get(str(place.stage), PURPLE) if place.diverged else "white"
            ax.text(right, up, f"{place.batch or ''}", color=colour, fontsize=6.5, ha="center",
                    va="center_baseline", zorder=4)  # fmt: skip
    dress_place(ax, "x", x)
    dress_place(ax, "y", y)
    ax.set_ylabel("weight_decay")
    best = info.steps[-1].best
    if best is not None:
        ax.scatter(*_at([best], x, y), s=size + 210, marker="s", fc="none", ec=INK, lw=2, zorder=3)
    _explain(info, len(again) > 0, ax, inches)


def _draw_way(info: DesignInfo, x: LogPlace, y: LogPlace, ax: Axes) -> None:
    """A line through the cells that were the best after each batch."""
    bests = [step.best for step in info.steps if step.best is not None]
    ways = [cell for cell, before in zip(bests, [None, *bests], strict=False) if cell != before]
    if len(ways) > 1:
        right, up = _at(ways, x, y)
        for colour, width in (("white", 4.0), (INK, 1.6)):
            ax.plot(right, up, color=colour, lw=width, alpha=0.7, zorder=2)


def _at(cells: Sequence[Any], x: LogPlace, y: LogPlace) -> tuple[pd.Series, pd.Series]:
    frame = pd.DataFrame(cells, columns=[LR, WEIGHT_DECAY], dtype=float)
    return x(frame[LR]), y(frame[WEIGHT_DECAY])


def _explain(info: DesignInfo, again: bool, ax: Axes, inches: float) -> None:
    """What the marks mean, above the plane."""
    dot: dict[str, Any] = {"marker": "o", "ls": "", "ms": 7.5}
    handles = [
        Line2D([], [], **dot, color=COLOURS.get(str(stage), PURPLE), label=_words(str(stage)))
        for stage in info.cells["stage"].unique()
    ]
    if info.cells["diverged"].any():
        handles.append(Line2D([], [], **dot, mfc="white", mec=INK, label="diverged"))
    if again:
        handles.append(Line2D([], [], marker="o", ls="", ms=10, mfc="none", mec=VERMILION,
                              label="more seeds"))  # fmt: skip
    handles.append(Line2D([], [], marker="s", lw=1.4, color=INK, mfc="none", mew=2, ms=8,
                          label="best cell, and its way there"))  # fmt: skip
    legend_above(ax, handles, inches)


def _words(stage: str) -> str:
    """A stage in the words of a legend."""
    words = {"find": "find a good cell", "map": "map its columns", BEFORE: "there before"}
    return words.get(stage, stage)
