"""The smaller panels of a design's figure: its scouts, its questions, what its stages cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from wdstudy.analysis.figures.layout import powers_of_ten
from wdstudy.analysis.figures.theme import dress_log
from wdstudy.analysis.frames.design import BEFORE, Designed
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.analysis.views.design import DesignInfo
from wdstudy.analysis.views.looks import BLUE, GREEN, INK, MUTED, PURPLE, VERMILION
from wdstudy.analysis.views.scales import LogPlace, log_ticks, spans_decades
from wdstudy.design.batch import Question
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import briefly, counted, number

COLOURS = {"scout": "#8c8c8c", "find": BLUE, "map": GREEN, "seeds": VERMILION, BEFORE: MUTED}
"""A stage → its colour."""

QUESTIONS = {
    "best": ("which cell is best", BLUE, "-"),
    "effects": ("what weight decay gains", VERMILION, "--"),
    "limit": ("where its harm begins", GREEN, "-."),
}
"""A question → its words, and the look of its line."""

LEAST, UNKNOWN = 0.2, 12.0
"""The ends of the axis of questions, in widths asked for; at the upper nothing is known yet."""


def draw_scouts(found: Designed, lrs: pd.Series, label: str, ax: Axes) -> None:
    """The loss of the short runs along lr; shaded, where trials were placed."""
    plain = found.scouts[found.scouts[WEIGHT_DECAY] == 0]
    plain = (plain if len(plain) else found.scouts).sort_values(LR)
    ladder = found.scouts.drop(plain.index)
    ax.axvspan(lrs.min() / 1.8, lrs.max() * 1.8, color=BLUE, alpha=0.1, lw=0)
    ax.plot(plain[LR], plain["value"], color=MUTED, lw=1, marker="o", ms=3.5)
    ax.plot(ladder[LR], ladder["value"], ls="", marker="_", ms=8, color=MUTED)
    known = found.scouts["value"].dropna()
    if len(known) and spans_decades(known):
        ax.set_yscale("log")
        low, high = float(known.min()), float(known.max())
        dress_log(ax.yaxis, low, high, at=log_ticks(low, high, 3))
    else:
        ax.yaxis.set_major_locator(MaxNLocator(2))
    lost = plain.loc[plain["diverged"], LR]
    if len(lost):
        ax.plot(lost, [0.88] * len(lost), ls="", marker="x", ms=5, color=MUTED,
                transform=ax.get_xaxis_transform())  # fmt: skip
        ax.text(math.sqrt(lost.min() * lost.max()), 0.58, "diverged", fontsize=8, ha="center",
                color=MUTED, transform=ax.get_xaxis_transform())  # fmt: skip
    falls = not len(known) or plain["value"].dropna().iloc[:1].sum() > known.mean()
    ax.text(lrs.min() / 1.5, 0.07 if falls else 0.93, "trials", transform=ax.get_xaxis_transform(),
            fontsize=8, color=BLUE, va="bottom" if falls else "top")  # fmt: skip
    ax.set_xscale("log")
    both = pd.concat([plain[LR], lrs])
    ax.set_xlim(both.min() / 3, both.max() * 3)
    decades = powers_of_ten(LogPlace(both))
    ax.xaxis.set_major_locator(FixedLocator(decades[:: math.ceil(len(decades) / 6)]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
    ax.tick_params(labelsize=8)
    share = found.scouts["share"].median()
    of = f", {percent(share)} as long" if math.isfinite(share) else ""
    ax.set_title(f"Scouts: short runs{of}", fontsize=9, pad=4)
    ax.set_ylabel(label.removesuffix(" at the end").replace(" ", "\n", 1), fontsize=8,
                  parse_math=False)  # fmt: skip


def draw_questions(info: DesignInfo, ax: Axes, inches: float) -> None:
    """How far each question was open after each batch, in widths asked for."""
    names = dict.fromkeys(q.name for step in info.steps for q in step.questions)
    for place, name in enumerate(names):
        words, colour, dashes = QUESTIONS.get(name, (name, INK, ":"))
        path = [(s.trials, q) for s in info.steps for q in s.questions if q.name == name]
        # Lines of which nothing is known yet lie side by side, not on each other.
        level = [_level(q) * (0.93**place if q.width == math.inf else 1) for _, q in path]
        gone = ", given up" if path[-1][1].given_up else ""
        ax.plot([n for n, _ in path], level, color=colour, ls=dashes, lw=1.7, marker="o", ms=3.5,
                label=words + gone, clip_on=False)  # fmt: skip
    ax.axhline(1, color=INK, lw=1.2)
    ax.axhspan(LEAST / 1.2, 1, color=GREEN, alpha=0.07, lw=0)
    ax.set_yscale("log")
    ax.set_ylim(LEAST / 1.2, UNKNOWN * 1.1)
    ticks = {LEAST: f"{LEAST:g} or less", 0.5: "0.5", 1.0: "1", 2.0: "2", 5.0: "5",
             UNKNOWN: "not known"}  # fmt: skip
    ax.yaxis.set_major_locator(FixedLocator([*ticks]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: ticks.get(v, "")))
    ax.grid(visible=True, axis="y")
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8)
    most = info.steps[-1].trials
    ax.set_xlim(0, most * 1.02)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("finished trials")
    ax.set_ylabel("open, in widths asked for")
    if not names:
        ax.text(0.5, 0.5, "what was asked is not recorded", transform=ax.transAxes, ha="center",
                va="center", color=MUTED)  # fmt: skip
        return
    ax.text(most, 0.97, "answered", ha="right", va="top", fontsize=8, color=INK)
    legend_above(ax, ax.get_legend_handles_labels()[0], inches)


def _level(question: Question) -> float:
    """Where a question stands on the axis; what is answered but for rounding, at the line."""
    share = question.width / question.asked
    most = 1.0 if question.answered and not question.given_up else UNKNOWN
    return min(max(share, LEAST), most)


def draw_costs(found: Designed, ax: Axes) -> None:
    """What the scouts and each stage took, a bar each: time where it is known, else trials."""
    rows = [(str(s.stage), counted(int(s.trials), "trial"), float(s.seconds), int(s.trials))
            for s in found.stages.itertuples()]  # fmt: skip
    if len(found.scouts):
        short = found.scouts["share"].sum()
        runs = counted(len(found.scouts), "short run")
        rows.insert(0, ("scout", runs, found.scout_seconds, short))
    timed = all(math.isfinite(seconds) for _, _, seconds, _ in rows)
    lengths = [seconds if timed else size for _, _, seconds, size in rows]
    most = max([*lengths, 1e-9])
    for place, ((_, runs, seconds, _), length) in enumerate(zip(rows, lengths, strict=True)):
        told = f"{runs}, {briefly(seconds)}" if math.isfinite(seconds) else runs
        ax.barh(place, length, height=0.62, color=COLOURS.get(rows[place][0], PURPLE))
        inside = length > 0.55 * most
        side, colour = ("right", "white") if inside else ("left", INK)
        end = length + most * (-0.015 if inside else 0.015)
        ax.text(end, place, told, va="center", ha=side, fontsize=8, color=colour)
    ax.set_yticks(range(len(rows)), [stage for stage, *_ in rows])
    ax.invert_yaxis()
    ax.set_xlim(0, most * 1.02)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(NullLocator())
    ax.spines["bottom"].set_visible(False)
    what = "training time" if timed else "trials"
    ax.set_title(f"What each stage cost ({what})", fontsize=9, pad=4)


def legend_above(ax: Axes, handles: Sequence[Any], inches: float) -> None:
    """A legend between title and picture, in as many columns as this width has room for."""
    widest = max(0.48 + 0.066 * len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(inches / widest)))
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), fontsize=8, ncols=columns,
        borderaxespad=0.1, handletextpad=0.4, columnspacing=1.1, handlelength=1.8,
    )  # fmt: skip
