"""How the optimum drifts along a scale, beside what published rules ask for."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wdstudy.analysis.figures.head import framed
from wdstudy.analysis.figures.labels import Label, name_ends
from wdstudy.analysis.figures.layout import LETTER, SPACE
from wdstudy.analysis.figures.theme import dress_log, styled
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.views.drift import NEXT, DriftInfo, DriftPanel, RuleLine, drift_info
from wdstudy.analysis.views.looks import BLUE, GREEN, INK, MUTED, described
from wdstudy.analysis.views.scales import log_ticks
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import abridged, number, signed

REJECTED = "#a2abb4"
RULES: dict[str, dict[str, Any]] = {
    "fits": {"color": GREEN, "lw": 1.3, "ls": "-"},
    "open": {"color": "#6b7580", "lw": 0.9, "ls": "-"},
    "unknown": {"color": "#6b7580", "lw": 0.9, "ls": ":"},
    "rejected": {"color": REJECTED, "lw": 0.9, "ls": (0, (4, 3))},
}
TOLD = {
    "fits": "rule that fits",
    "open": "rule that can't be told from others",
    "unknown": "rule of what is not measured",
    "rejected": "rule that is rejected",
}
WIDE, PHONE = 3.75, 4.4
ACROSS, TALL, AROUND, HEAD = 1.9, 1.75, 0.95, 1.1
"""Inches: of a panel with the names of its rules, in a page and on a phone; of it alone, at least;
of what stands around it, and above all."""

PAD = 1.25
"""By so much a panel is larger than what was measured."""


@styled
def plot_drift(
    trials: pd.DataFrame,
    found: Transfer | None = None,
    value: str = "value",
    *,
    scale: str | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    columns: int = 3,
) -> Figure:
    """How the best lr, weight_decay, their product and τ move along a scale, log against log.

    A panel a quantity: dots with 95 % intervals are what each value shows alone, the line with its
    band is the law of all values, drawn on to the size that comes next, hollow squares are the best
    pairs that were trained. Thin lines are published rules, through the law's middle: those that
    the sweep rejects are pale and dashed.

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
        StudyError: there is no scale, or fewer than two of its values have results.
    """
    frame = as_trials(trials, value, lr=lr, weight_decay=weight_decay, along=True)
    found = found or transfer(frame, scale, value)
    return draw_drift(drift_info(found), found, frame, columns)


@styled
def draw_drift(info: DriftInfo, found: Transfer, trials: pd.DataFrame, columns: int = 3) -> Figure:
    """The figure of a drift that was read already."""
    count = len(info.panels)
    columns = min(columns, count)
    rows = -(-count // columns)
    wide = 5.4 if count == 1 else WIDE if columns > 1 else PHONE
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, layout="constrained",
        figsize=(wide * columns, (TALL + AROUND) * rows + HEAD),
    )  # fmt: skip
    for panel, ax in zip(info.panels, axes.flat, strict=False):
        _draw(info, panel, ax)
    for ax in axes.flat[count:]:
        ax.remove()
    _write(info, found, trials, figure)
    return figure


def _draw(info: DriftInfo, panel: DriftPanel, ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    last = info.values[-1] * (NEXT if len(panel.law) else 1.12)
    ax.set_xlim(info.values[0] / 1.12, last)
    low, high = _limits(panel)
    ax.set_ylim(low, high)
    law = panel.law
    inside = law["at"] <= info.values[-1] * 1.001
    if len(law):
        ax.fill_between(law["at"], law["low"], law["high"], color=BLUE, alpha=0.16, lw=0, zorder=2)
        ax.plot(law["at"][inside], law["middle"][inside], color=BLUE, lw=1.8, zorder=3)
        beyond = law[law["at"] >= info.values[-1] * 0.999]
        ax.plot(beyond["at"], beyond["middle"], color=BLUE, lw=1.8, ls=(0, (2, 1.5)), zorder=3)
    _draw_points(panel, ax)
    _draw_rules(panel, last, ax)
    dress_log(ax.xaxis, info.values[0], info.values[-1], at=_named(info.values, last, ACROSS))
    dress_log(ax.yaxis, low, high, at=log_ticks(low, high, 5))
    ax.set_xlabel(abridged(info.scale, 40), parse_math=False)
    ax.grid(visible=True, axis="y")
    ax.set_axisbelow(True)
    power = panel.exponent
    ax.set_title(panel.label, fontsize=9, pad=18, parse_math=False)
    told = (
        f"power {signed(power.value)}, 95 % {signed(power.low)} … {signed(power.high)}"
        if power.known
        else "its power can't be said"
    )
    ax.annotate(told, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
                fontsize=8, color=MUTED, va="bottom")  # fmt: skip


def _named(values: tuple[float, ...], last: float, inches: float) -> list[float]:
    """The values of the scale whose ticks have room: the ends, and those between from the least."""
    decade = inches / math.log10(last / values[0])

    def apart(a: float, b: float) -> bool:
        letters = len(number(a)) + len(number(b))
        return abs(math.log10(b / a)) * decade >= LETTER * letters / 2 + SPACE

    kept = [values[-1]]
    for value in values[:-1]:
        if all(apart(value, other) for other in kept):
            kept.append(value)
    return sorted(kept)


def _limits(panel: DriftPanel) -> tuple[float, float]:
    """So far that all that was measured is inside, and of uncertain ends as much as is readable."""
    middles = pd.concat([frame["middle"] for frame in (panel.law, panel.own, panel.trained)])
    low, high = float(middles.min()), float(middles.max())
    spare = max((high / low) ** 0.5, 2.0)
    ends = pd.concat([panel.law[["low", "high"]], panel.own[["low", "high"]]])
    if len(ends):
        low = max(min(low, float(ends["low"].min())), low / spare)
        high = min(max(high, float(ends["high"].max())), high * spare)
    if high < low * 3:  # what hardly moves is to be seen so
        middle = (low * high) ** 0.5
        low, high = middle / 3**0.5, middle * 3**0.5
    return low / PAD, high * PAD


def _draw_points(panel: DriftPanel, ax: Axes) -> None:
    tried, own = panel.trained, panel.own
    ax.scatter(tried["at"], tried["middle"], marker="s", s=34, fc="none", ec=MUTED, lw=1, zorder=3)
    if len(own):
        ends = [own["middle"] - own["low"], own["high"] - own["middle"]]
        ax.errorbar(own["at"], own["middle"], yerr=ends, fmt="o", ms=5, color=INK, lw=1.3,
                    capsize=2, zorder=4)  # fmt: skip


def _draw_rules(panel: DriftPanel, last: float, ax: Axes) -> None:
    """Each through the law's middle, with its name at its end."""
    x0, y0 = panel.centre
    at = np.array([ax.get_xlim()[0], last])
    labels = []
    for rule in panel.rules:
        line = y0 * (at / x0) ** rule.power
        ax.plot(at, line, **RULES[rule.verdict], zorder=1.8)
        colour = str(RULES[rule.verdict]["color"])
        labels.append(Label(float(line[-1]), _name(rule), MUTED if colour == REJECTED else colour))
    name_ends(labels, last, ax, inches=TALL, size=7, wrap=21)


def _name(rule: RuleLine) -> str:
    return f"{' / '.join(rule.names)} {signed(rule.power)}"


def _write(info: DriftInfo, found: Transfer, trials: pd.DataFrame, figure: Figure) -> None:
    handles: list[Any] = []
    if any(len(panel.own) for panel in info.panels):
        handles.append(Line2D([], [], marker="o", ls="", color=INK, ms=5,
                              label="each value alone, 95 %"))  # fmt: skip
    if any(len(panel.law) for panel in info.panels):
        handles.append(Line2D([], [], color=BLUE, lw=1.8, label="law of all values, and beyond"))
        handles.append(Patch(color=BLUE, alpha=0.16, lw=0, label="its 95 %"))
    handles.append(Line2D([], [], marker="s", ls="", mfc="none", mec=MUTED, ms=6,
                          label="best pair that was trained"))  # fmt: skip
    said = {rule.verdict for panel in info.panels for rule in panel.rules}
    handles += [Line2D([], [], **RULES[kind], label=TOLD[kind]) for kind in RULES if kind in said]
    text = described(trials.attrs, found.trials, int(trials["seed"].nunique()))
    if info.missing:
        text = f"{info.missing} · {text}"
    framed(figure, trials, f"how the best moves with {abridged(info.scale, 40)}", handles, text)
