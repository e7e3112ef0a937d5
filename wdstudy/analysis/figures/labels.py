"""Names of lines beside their ends, apart from each other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from wdstudy.analysis.numbers.estimate import Array

POINTS = 72.0  # an inch
LEADER = 9.0
"""Points from the end of a line to its name."""


class Label(NamedTuple):
    """A name beside the end of a line: its height there in data coordinates, and its colour.

    ink: of the letters, where those of a bright line could not be read.
    """

    height: float
    text: str
    colour: str
    ink: str = ""


def name_ends(
    labels: Sequence[Label],
    x: float,
    ax: Axes,
    *,
    inches: float,
    size: float = 8,
    wrap: int = 40,
) -> None:
    """Write names beside the right ends of lines, each with a thin line to its own.

    Args:
        labels: What to write; heights outside of the axes are brought to their ends.
        x: Where the lines end.
        ax: With its limits and scales as they stay.
        inches: The height of the axes, about.
        size: Of the letters.
        wrap: Letters of a line.
    """
    texts = [textwrap.fill(label.text, wrap) for label in labels]
    lines = np.array([text.count("\n") + 1 for text in texts], dtype=float)
    low, high = ax.get_ylim()
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = [float(np.clip(label.height, min(low, high), max(low, high))) for label in labels]
    wanted = np.array([to_axes.transform((x, height))[1] for height in heights])
    placed = spread(wanted, lines * size * 1.25 / POINTS / inches)
    for label, text, at, end in zip(labels, texts, wanted, placed, strict=True):
        shift = (end - at) * inches * POINTS
        ax.annotate(
            text, (x, at), (LEADER, shift), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="center", ha="left", fontsize=size,
            color=label.ink or label.colour,
            annotation_clip=False, parse_math=False, linespacing=1.05,
            arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.9, "shrinkA": 1,
                        "shrinkB": 0, "relpos": (0, 0.5)},
        )  # fmt: skip


def spread(wanted: Array, sizes: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """The middles of intervals of these sizes that lie apart, as near to those wanted as may be.

    The least squares of that is an isotonic regression, once the sizes are taken off.
    """
    order = np.argsort(wanted, kind="stable")
    size = sizes[order]
    before = np.cumsum(size) - size / 2
    blocks: list[tuple[float, int]] = []  # mean and count, whose means rise
    for gap in wanted[order] - before:
        mean, count = float(gap), 1
        while blocks and blocks[-1][0] > mean:
            last, many = blocks.pop()
            mean, count = (mean * count + last * many) / (count + many), count + many
        blocks.append((mean, count))
    free = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
    placed = np.empty_like(wanted)
    placed[order] = np.clip(free, low, max(high - float(size.sum()), low)) + before
    return placed
