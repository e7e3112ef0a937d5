"""What stands around several panels: a title and a legend above them, what they rest on below."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from wdstudy.analysis.figures.layout import LINE, legend_columns
from wdstudy.analysis.views.looks import MUTED, study_name

SMALL = 0.15  # inches a line of the caption


def framed(
    figure: Figure, trials: pd.DataFrame, title: str, handles: Sequence[Any], caption: str
) -> None:
    """Write title, legend and caption of a figure of constrained layout, which makes room for them.

    Args:
        figure: Its panels take what is left between the two.
        trials: Whose study's name comes before the title.
        title: What is shown.
        handles: Of the legend; may be none.
        caption: What it rests on.
    """
    width, height = (float(inches) for inches in figure.get_size_inches())
    name = study_name(trials.attrs)
    text = textwrap.fill(f"{name}: {title}" if name else title, int(width * 10))
    head = figure.suptitle(text, x=0.08 / width, y=1 - 0.06 / height, ha="left", va="top", size=11,
                           weight="bold")  # fmt: skip
    head.set_parse_math(False)
    above = (text.count("\n") + 1) * LINE + 0.06
    if handles:
        columns = legend_columns([str(handle.get_label()) for handle in handles], width)
        legend = figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1 - above / height),
            ncols=columns, handletextpad=0.5, columnspacing=1.4, handlelength=1.8,
            labelspacing=0.25, borderaxespad=0.2,
        )  # fmt: skip
        for entry in legend.get_texts():
            entry.set_parse_math(False)
        above += math.ceil(len(handles) / columns) * LINE + 0.1
    told = textwrap.fill(caption, int(width * 17))
    below = (told.count("\n") + 1) * SMALL + 0.06
    figure.text(0.5, 0.04 / height, told, ha="center", va="bottom", size=7.5, color=MUTED,
                parse_math=False)  # fmt: skip
    # The layout makes no room for what has its place. Yet none of the three is kept out of it:
    # a notebook cuts a figure to what is in its layout.
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, below / height, 1, 1 - (above + below) / height))  # type: ignore[call-arg]
