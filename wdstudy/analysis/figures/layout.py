"""How small multiples are laid out, in inches: rows of equal panels, head, labels and ticks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure

from wdstudy.analysis.views.looks import MUTED
from wdstudy.analysis.views.scales import LogPlace, log_ticks
from wdstudy.words import number

WIDTH = 7.2
LEFT, RIGHT, GAP = 0.92, 0.12, 0.12
TITLE, LEGEND, NAME, FOOT, BETWEEN = 0.22, 0.2, 0.36, 0.62, 0.62
LETTER, SPACE = 0.062, 0.05
"""Inches that a letter of a tick's label takes, and that part two labels."""


@dataclass(frozen=True)
class Layout:
    """Rows of panels. panel, tall: width and height of one, in inches."""

    rows: int
    columns: int
    panel: float
    tall: float
    head: float

    @classmethod
    def of(cls, panels: int, most: int) -> Layout:
        """So many panels, in rows that are evenly filled."""
        rows = math.ceil(panels / most)
        columns = math.ceil(panels / rows)
        panel = (WIDTH - LEFT - RIGHT - GAP * (columns - 1)) / columns
        return cls(rows, columns, panel, {1: 2.3, 2: 1.6}.get(rows, 1.3), TITLE + 2 * LEGEND + NAME)

    @property
    def width(self) -> float:
        """Of the figure."""
        return WIDTH

    @property
    def height(self) -> float:
        """Of the figure."""
        return self.head + self.rows * self.tall + (self.rows - 1) * BETWEEN + FOOT

    def frame(
        self, figure: Figure, *, title: str, handles: Sequence[Any], y: str, caption: str
    ) -> None:
        """Place the panels, and around them the title, the legend, and what the axes are."""
        width, height = figure.get_size_inches()
        figure.subplots_adjust(
            LEFT / width, FOOT / height, 1 - RIGHT / width, 1 - self.head / height,
            wspace=GAP / self.panel, hspace=BETWEEN / self.tall,
        )  # fmt: skip
        head = figure.suptitle(
            title, x=0.1 / width, y=1 - 0.06 / height, ha="left", va="top", size=11, weight="bold"
        )
        head.set_parse_math(False)
        inches = sum(0.45 + 0.068 * len(str(handle.get_label())) for handle in handles)
        lines = 1 if inches < width - 0.3 else 2
        figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1 - (TITLE + 0.02) / height),
            ncols=math.ceil(len(handles) / lines), handletextpad=0.4, columnspacing=1.3,
            handlelength=1.6, labelspacing=0.25, borderaxespad=0.2,
        )  # fmt: skip
        middle = (1 + (FOOT - self.head) / height) / 2
        figure.text(0.08 / width, middle, y, rotation=90, ha="left", va="center", size=8.5,
                    multialignment="center", parse_math=False)  # fmt: skip
        center = (1 + (LEFT - RIGHT) / width) / 2
        figure.text(center, 0.34 / height, "weight_decay", ha="center", va="center", size=9)
        figure.text(center, 0.12 / height, textwrap.shorten(caption, int(width * 17)), ha="center",
                    va="center", size=7.5, color=MUTED, parse_math=False)  # fmt: skip


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
    ends = math.ceil(math.log10(place.low) - 1e-9), math.floor(math.log10(place.high) + 1e-9)
    powers = [float(f"1e{k}") for k in range(ends[0], ends[1] + 1)]
    some, decades = (
        [t for t in ticks if span(t)[0] >= start]
        for ticks in (log_ticks(place.low, place.high), powers)
    )
    thinned = (decades[::-1][::stride][::-1] for stride in range(1, len(decades)))
    found = (ticks for ticks in (some, *thinned) if len(ticks) > 1 and fits(ticks))
    return next(found, some[-1:] or [place.high])
