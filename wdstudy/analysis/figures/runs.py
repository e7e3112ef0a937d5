"""Loss curves over the share of the run, at the best pair of every value of a scale."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from wdstudy.analysis.figures.labels import Label, name_ends
from wdstudy.analysis.figures.theme import (
    captioned,
    dress_values,
    height_of,
    new_axes,
    styled,
    titled,
)
from wdstudy.analysis.frames.given import as_curves, as_trials
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.views.looks import INK, described, shades
from wdstudy.analysis.views.runs import RunsInfo, runs_info
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import abridged, number


@styled
def plot_runs(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    found: Transfer | None = None,
    *,
    scale: str | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    narrow: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The loss over the share of the run, at the best pair of every value of a scale.

    What the study is judged by, if it was recorded along the run; else the validation loss, or the
    primary loss. Means over the seeds.

    Args:
        trials: As from `trials_frame` of a study along a scale, or any frame.
        curves: As from `curves_frame`.
        found: As from `transfer(trials)`; computed where it is None.
        scale: The column of the scale; as the study says where it is None.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        narrow: Whether a new figure is one to read on a phone.
        ax: Where to draw; a new figure if None.

    Returns:
        The Axes.

    Raises:
        StudyError: there is no scale, or the best pairs have no curves.
    """
    frame = as_trials(trials, lr=lr, weight_decay=weight_decay, along=True)
    lines = as_curves(curves, lr=lr, weight_decay=weight_decay)
    found = found or transfer(frame, scale)
    info = runs_info(frame, lines, found)
    ax = new_axes(ax, *((4.5, 3.8) if narrow else (7.0, 4.3)))
    _draw(info, ax)
    titled(ax, frame, f"{info.label} at the best pair of each {abridged(info.scale, 40)}")
    trials_shown = sum(line.seeds for line in info.lines)
    text = described(frame.attrs, trials_shown, max(line.seeds for line in info.lines))
    if info.lacking:
        text += f" · no curves at {', '.join(map(number, info.lacking))}"
    captioned(ax, "share of the run", text)
    return ax


def _draw(info: RunsInfo, ax: Axes) -> None:
    values = pd.concat([line.points["value"] for line in info.lines])
    positive = values[values > 0] if info.logarithmic else values
    dress_values(ax, float(positive.min()), float(positive.max()), logarithmic=info.logarithmic)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    labels = []
    for line, colour in zip(info.lines, shades(len(info.lines)), strict=True):
        points = line.points
        ax.plot(points["share"], points["value"], color=colour, lw=1.7,
                marker="o" if len(points) == 1 else "")  # fmt: skip
        text = (
            f"{number(line.value)}: lr {number(line.lr)}, weight_decay {number(line.weight_decay)}"
        )
        labels.append(Label(float(points["value"].iloc[-1]), text, colour, INK))
    name_ends(labels, 1.0, ax, inches=height_of(ax), size=7.5, wrap=24)
    ax.set_ylabel(f"{info.label}{' (log scale)' if info.logarithmic else ''}", parse_math=False)
