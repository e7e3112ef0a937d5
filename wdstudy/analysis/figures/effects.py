"""What weight decay does at each lr: one small curve an lr, all on one scale of changes."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wdstudy.analysis.figures.layout import Layout, even_places, powers_of_ten, spaced_ticks
from wdstudy.analysis.figures.theme import dress_changes, dress_place, styled
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.numbers.effects import Change, LrEffect
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.views.looks import BLUE, INK, MUTED, RULE, VERMILION, described, study_name
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.errors import StudyError
from wdstudy.space import LR, SEED, WEIGHT_DECAY
from wdstudy.words import number

TITLE = "what weight decay changes at each lr"
COLUMNS = 7
MOST = 21
"""Of more lr than this, an even sample is shown, that of the best cell among it."""

HIGHEST, LOWEST = math.log(10), -math.log(100)
"""The scale ends here at the latest, in log ratios; what lies beyond is marked at its end."""

LEAST = math.log(1.05)  # and it reaches this far at least: noise is not blown up
BAND, BAND_REACH = "#dfe3e8", math.log(2)

Effect = Literal["helps", "harms", "neither"]
LOOKS: dict[Effect, dict[str, Any]] = {
    "helps": {"marker": "o", "color": BLUE, "s": 20},
    "harms": {"marker": "s", "color": VERMILION, "s": 17},
    "neither": {"marker": "o", "facecolor": "white", "edgecolor": "#8a939c", "s": 15, "lw": 1.1},
}
TOLD = {
    "helps": "helps, beyond the noise",
    "harms": "harms, beyond the noise",
    "neither": "neither is shown",
}


@dataclass(frozen=True)
class Panel:
    """The effect at one lr.

    points: by rising weight_decay, `weight_decay, change, low, high, effect, diverged`. A change is
    the log of the loss over that without weight decay, its band NaN where noise is not known.
    onset: the weight_decay from which on the loss is a stated factor above; NaN where it is not.
    missing: why there are no points; else empty.
    """

    lr: float
    points: pd.DataFrame
    onset: float
    missing: str = ""


@dataclass(frozen=True)
class EffectsInfo:
    """What is shown: a panel an lr.

    without: what is compared with: 0, or the least weight_decay where 0 was not tried.
    limits: the ends of the scale, in log ratios. factor: that of the onsets, 1.1 for 10 %.
    best: lr and weight_decay of the best cell. left_out: how many lr are not shown.
    """

    panels: tuple[Panel, ...]
    without: float
    limits: tuple[float, float]
    factor: float
    best: tuple[float, float]
    name: str
    left_out: int

    @property
    def banded(self) -> bool:
        """Whether the noise is known."""
        return any(panel.points["low"].notna().any() for panel in self.panels)

    @property
    def points(self) -> pd.DataFrame:
        """The points of all panels."""
        return pd.concat([panel.points for panel in self.panels])


@styled
def plot_effects(
    trials: pd.DataFrame,
    found: Landscape,
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    columns: int = COLUMNS,
) -> Figure:
    """What weight decay changes at each lr, against no weight decay, in percent of the loss.

    One small curve an lr, on one scale of ratios: −50 % and +100 % lie equally far from 0. Where
    the band, which holds for all weight_decay of an lr together at 95 %, lies on one side of 0,
    weight decay helps or harms beyond the noise. A dashed line stands where harm begins.

    Args:
        trials: As from `trials_frame`, or any frame; for title and caption.
        found: As from `landscape(trials, value)`.
        value: The column that `found` is about.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        columns: At most so many curves in a row.

    Returns:
        A new figure.

    Raises:
        StudyError: at no lr two weight_decay can be compared; the message tells why.
    """
    trials = as_trials(trials, value, lr=lr, weight_decay=weight_decay)
    info = _effects_info(found)
    name = study_name(trials.attrs)
    title = f"{name}: {TITLE}" if name else TITLE
    layout = Layout.of(len(info.panels), columns, title, _handles(info))
    figure, axes = plt.subplots(
        layout.rows, layout.columns, sharex=True, sharey=True, squeeze=False,
        figsize=(layout.width, layout.height),
    )  # fmt: skip
    place = LogPlace(info.points["weight_decay"])
    for panel, ax in zip(info.panels, axes.flat, strict=False):
        _draw_panel(panel, info, place, layout, ax)
    _dress(info, place, layout, axes)
    caption = described(trials.attrs, found.trials, int(trials[SEED].nunique()))
    if info.left_out:
        caption += f" · {len(info.panels)} of {len(info.panels) + info.left_out} lr"
    against = "no weight decay" if info.without == 0 else f"weight_decay {number(info.without)}"
    layout.frame(figure, y=f"change of the {info.name}\nagainst {against}", caption=caption)
    return figure


def _effects_info(found: Landscape) -> EffectsInfo:
    if not any(effect.changes for effect in found.effects):
        raise StudyError(f"what weight decay does at each lr can't be shown: {_why_not(found)}")
    lrs = [effect.lr for effect in found.effects]
    best = lrs.index(found.best.lr) if found.best.lr in lrs else 0
    shown = [found.effects[k] for k in even_places(len(lrs), MOST, best)]
    factor = found.limit.factor if math.isfinite(found.limit.factor) else 1.25
    panels = tuple(_panel(effect, factor) for effect in shown)
    compared = [effect.without for effect in shown if effect.changes]
    return EffectsInfo(
        panels,
        max(compared),
        _limits(pd.concat([panel.points for panel in panels])),
        factor,
        (found.best.lr, found.best.weight_decay),
        found.name,
        len(found.effects) - len(shown),
    )


def _why_not(found: Landscape) -> str:
    if not found.logarithmic:
        return "some values are not positive, so a change is no share of them"
    if found.effects:
        return next(effect.gain.reason for effect in found.effects)
    return "at no lr two weight_decay finished, to compare with each other"


def _panel(effect: LrEffect, factor: float) -> Panel:
    rows = [_point(change, effect.without) for change in effect.changes]
    columns = ["weight_decay", "change", "low", "high", "effect", "diverged"]
    least = "without weight decay" if effect.without == 0 else "with the least weight_decay"
    missing = "" if rows else f"diverged {least}: nothing to compare with"
    return Panel(
        effect.lr,
        pd.DataFrame(rows, columns=columns).astype({"change": float, "low": float, "high": float}),
        effect.harms_from[factor].value,
        missing,
    )


def _point(change: Change, without: float) -> tuple[float, float, float, float, Effect, bool]:
    loss = change.loss
    if math.isinf(loss.value):
        return change.weight_decay, math.nan, math.nan, math.nan, "harms", True
    effect: Effect = "neither"
    if change.weight_decay != without and loss.excludes_zero:
        effect = "helps" if loss.high < 0 else "harms"
    ends = (math.log1p(v) if v > -1 else -math.inf for v in (loss.value, loss.low, loss.high))
    middle, low, high = (
        ends if math.isfinite(loss.low) else (math.log1p(loss.value), *[math.nan] * 2)
    )
    return change.weight_decay, middle, low, high, effect, False


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """All changes, and of their bands what is no wider than a doubling."""
    low = np.nanmin([*points["change"], *points["low"].clip(lower=-BAND_REACH), -LEAST])
    high = np.nanmax([*points["change"], *points["high"].clip(upper=BAND_REACH), LEAST])
    low, high = max(float(low), LOWEST), min(float(high), HIGHEST)
    margin = 0.07 * (high - low)
    return low - margin, high + margin


def _draw_panel(panel: Panel, info: EffectsInfo, place: LogPlace, layout: Layout, ax: Axes) -> None:
    ax.set_title(f"lr {number(panel.lr)}", fontsize=8.5, loc="center", pad=10,
                 weight="bold" if panel.lr == info.best[0] else "normal")  # fmt: skip
    ax.axhline(1, color=INK, lw=0.9, zorder=1)
    if panel.missing:
        text = textwrap.fill(panel.missing, max(11, int(layout.panel * 13)))
        ax.text(0.55, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=7,
                color=MUTED, bbox={"fc": "white", "ec": "none", "pad": 2})  # fmt: skip
        return
    points, (low, high) = panel.points, np.exp(info.limits)
    x = place(points["weight_decay"])
    ax.fill_between(x, np.exp(points["low"]), np.exp(points["high"]), color=BAND, lw=0, zorder=0.5)
    y = np.exp(points["change"])
    ax.plot(x, y, color=MUTED, lw=1, zorder=2)
    inside = (points["change"] <= HIGHEST) & (points["change"] >= LOWEST)
    base = points["weight_decay"] == info.without
    for effect, look in LOOKS.items():
        part = inside & ~base & (points["effect"] == effect)
        ax.scatter(x[part], y[part], zorder=3, clip_on=False, **look)
    ax.scatter(x[base], y[base], s=9, c=INK, zorder=3, clip_on=False)
    for marker, edge, out in (("^", high, points["change"] > HIGHEST),
                              ("v", low, points["change"] < LOWEST)):  # fmt: skip
        colours = [VERMILION if e == "harms" else BLUE if e == "helps" else MUTED
                   for e in points["effect"][out]]  # fmt: skip
        ax.scatter(x[out], np.full(int(out.sum()), edge), marker=marker, s=26, c=colours, zorder=3,
                   clip_on=False)  # fmt: skip
    lost = points["diverged"].astype(bool)
    ax.scatter(x[lost], np.full(int(lost.sum()), 1.03), marker="x", s=16, lw=1.1, c=VERMILION,
               transform=ax.get_xaxis_transform(), clip_on=False)  # fmt: skip
    if math.isfinite(panel.onset):
        ax.axvline(panel.onset, color=VERMILION, lw=1, ls=(0, (4, 3)), zorder=1)
    best = (points["weight_decay"] == info.best[1]) & (panel.lr == info.best[0])
    ax.scatter(x[best], y[best], marker="s", s=75, facecolor="none", edgecolor=INK, lw=1.6,
               zorder=4, clip_on=False)  # fmt: skip


def _dress(info: EffectsInfo, place: LogPlace, layout: Layout, axes: Any) -> None:
    first = axes[0, 0]
    dress_place(first, "x", place)
    for ax in axes.flat[: len(info.panels)]:
        ax.grid(visible=True, axis="y")
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=7.5, length=2, labelbottom=True)
        ax.tick_params(which="minor", length=2)
        if place.zero_at and ax is not first:
            ax.axvline(place.low / 10**0.25, color=RULE, lw=1, ls=(0, (2, 2)), zorder=0)
    ticks = [*([place.zero_at] if place.zero_at else []), *spaced_ticks(place, layout.panel)]
    first.set_xticks(ticks, ["0" if tick == place.zero_at else number(tick) for tick in ticks])
    decades = powers_of_ten(place)
    first.set_xticks(decades, [""] * len(decades), minor=True)  # the scale, where no label fits
    first.set_yscale("log")
    first.set_ylim(*np.exp(info.limits))
    dress_changes(first, *info.limits, inches=layout.tall)
    for ax in axes.flat[len(info.panels) :]:
        ax.remove()


def _handles(info: EffectsInfo) -> list[Any]:
    """What the marks mean, those alone that occur."""
    points = info.points
    drawn = points[~points["diverged"].astype(bool)]
    decayed = drawn[drawn["weight_decay"] != info.without]
    handles: list[Any] = [
        Line2D([], [], ls="", marker=look["marker"], ms=4.5, label=TOLD[effect],
               mfc=look.get("facecolor", look.get("color")),
               mec=look.get("edgecolor", look.get("color")))
        for effect, look in LOOKS.items() if (decayed["effect"] == effect).any() and info.banded
    ]  # fmt: skip
    if info.banded:
        handles.append(Patch(fc=BAND, label="95 % band of an lr"))
    else:
        handles.append(Line2D([], [], ls="", label="no band: the noise is not known"))
    if any(math.isfinite(panel.onset) for panel in info.panels):
        text = f"from here on {100 * (info.factor - 1):.0f} % worse"
        handles.append(Line2D([], [], color=VERMILION, lw=1, ls=(0, (4, 3)), label=text))
    if any(panel.lr == info.best[0] for panel in info.panels):
        handles.append(
            Line2D([], [], ls="", marker="s", ms=7, mfc="none", mec=INK, mew=1.5, label="best cell")
        )
    if points["diverged"].any():
        handles.append(Line2D([], [], ls="", marker="x", ms=4.5, c=VERMILION, label="diverged"))
    if (drawn["change"] > HIGHEST).any() or (drawn["change"] < LOWEST).any():
        handles.append(
            Line2D([], [], ls="", marker="^", ms=5, color=MUTED, label="beyond the scale")
        )
    return handles
