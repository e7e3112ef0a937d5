"""How small multiples are laid out, in inches: rows of equal panels, head, labels and ticks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wdstudy.analysis.views.looks import MUTED
from wdstudy.analysis.views.scales import LogPlace, log_ticks
from wdstudy.words import number

WIDEST, PANEL = 7.2, 0.88
LEFT, RIGHT, GAP = 0.92, 0.12, 0.12
LINE, NAME, FOOT, BETWEEN = 0.2, 0.4, 0.62, 0.62
LETTER, SPACE = 0.062, 0.05
"""Inches that a letter of a tick's label takes, and that part two labels."""


@dataclass(frozen=True)
class Layout:
    """Rows of panels under a title and a legend.

    panel, tall: width and height of a panel, in inches. legend: its columns. head: the height of
    title, legend and the first panels' names.
    """

    rows: int
    columns: int
    width: float
    tall: float
    title: str
    handles: Sequence[Any]
    legend: int

    @classmethod
    def of(cls, panels: int, most: int, title: str, handles: Sequence[Any]) -> Layout:
        """So many panels, in rows of at most `most` that are evenly filled."""
        rows = math.ceil(panels / most)
        columns = math.ceil(panels / rows)
        width = min(WIDEST, LEFT + RIGHT + most * (PANEL + GAP))
        tall = 2.3 if rows == 1 else 1.6 if rows == 2 else 1.3
        labels = [str(handle.get_label()) for handle in handles]
        text = textwrap.fill(title, int(width * 10))
        return cls(rows, columns, width, tall, text, handles, legend_columns(labels, width))

    @property
    def panel(self) -> float:
        """The width of a panel."""
        return (self.width - LEFT - RIGHT - GAP * (self.columns - 1)) / self.columns

    @property
    def head(self) -> float:
        """The height of title, legend and the first panels' names."""
        lines = self.title.count("\n") + 1 + math.ceil(len(self.handles) / self.legend)
        return lines * LINE + NAME

    @property
    def height(self) -> float:
        """Of the figure."""
        return self.head + self.rows * self.tall + (self.rows - 1) * BETWEEN + FOOT

    def frame(self, figure: Figure, *, y: str, caption: str) -> None:
        """Place the panels, and around them the title, the legend, and what the axes are."""
        width, height = self.width, self.height
        figure.subplots_adjust(
            LEFT / width, FOOT / height, 1 - RIGHT / width, 1 - self.head / height,
            wspace=GAP / self.panel, hspace=BETWEEN / self.tall,
        )  # fmt: skip
        head = figure.suptitle(
            self.title, x=0.1 / width, y=1 - 0.06 / height, ha="left", va="top", size=11,
            weight="bold",
        )  # fmt: skip
        head.set_parse_math(False)
        below = (self.title.count("\n") + 1) * LINE + 0.04
        figure.legend(
            handles=self.handles, loc="upper left", bbox_to_anchor=(0.0, 1 - below / height),
            ncols=self.legend, handletextpad=0.4, columnspacing=1.3, handlelength=1.6,
            labelspacing=0.25, borderaxespad=0.2,
        )  # fmt: skip
        middle = (1 + (FOOT - self.head) / height) / 2
        figure.text(0.08 / width, middle, y, rotation=90, ha="left", va="center", size=8.5,
                    multialignment="center", parse_math=False)  # fmt: skip
        center = (1 + (LEFT - RIGHT) / width) / 2
        figure.text(center, 0.34 / height, "weight_decay", ha="center", va="center", size=9)
        text = textwrap.fill(caption, int(width * 17))
        figure.text(0.5, 0.22 / height, text, ha="center", va="top", size=7.5, color=MUTED,
                    parse_math=False)  # fmt: skip


def legend_columns(labels: Sequence[str], width: float) -> int:
    """As many columns of a legend as fit, each as wide as its longest label."""
    for count in range(len(labels), 1, -1):
        columns = np.array_split(labels, count)
        if sum(0.42 + LETTER * max(map(len, column)) for column in columns) <= width:
            return count
    return 1


def powers_of_ten(place: LogPlace) -> list[float]:
    """The decades on a logarithmic axis."""
    first = math.ceil(math.log10(place.low) - 1e-9)
    last = math.floor(math.log10(place.high) + 1e-9)
    return [float(f"1e{k}") for k in range(first, last + 1)]


def spaced_ticks(place: LogPlace, inches: float) -> list[float]:
    """Round places on a logarithmic axis of this length whose labels touch neither others nor 0."""
    if not place.low < place.high:
        return [place.low]
    margin = 0.12  # decades: as `dress_place` has it
    low = math.log10(place.zero_at or place.low) - margin
    decade = inches / (math.log10(place.high) + margin - low)

    def span(tick: float) -> tuple[float, float]:
        at, half = (math.log10(tick) - low) * decade, LETTER * len(number(tick)) / 2
        return at - half, at + half

    def fits(ticks: Sequence[float]) -> bool:
        return all(span(b)[0] - span(a)[1] >= SPACE for a, b in pairwise(ticks))

    start = margin * decade + LETTER / 2 + SPACE if place.zero_at else -math.inf
    some, decades = (
        [t for t in ticks if span(t)[0] >= start]
        for ticks in (log_ticks(place.low, place.high), powers_of_ten(place))
    )
    thinned = (decades[::-1][::stride][::-1] for stride in range(1, len(decades)))
    found = (ticks for ticks in (some, *thinned) if len(ticks) > 1 and fits(ticks))
    return next(found, decades[-1:] or some[-1:] or [place.high])


def even_places(count: int, most: int, kept: int) -> list[int]:
    """The places of `count` panels, or of too many an even sample that holds the place `kept`."""
    if count <= most:
        return [*range(count)]
    places = {int(k) for k in np.linspace(0, count - 1, most).round()}
    if kept not in places:
        places -= {min(places - {0, count - 1}, key=lambda k: abs(k - kept))}
    return sorted(places | {kept})
