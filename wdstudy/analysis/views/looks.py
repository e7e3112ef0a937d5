"""What figures and pages have in common: colours, line styles, the words for columns.

Lines are the blue, vermilion and green of Okabe & Ito 2008 (https://jfly.uni-koeln.de/color/),
which colour-blind readers tell apart, each with its own dashes for grey print. Surfaces are
viridis, which keeps its order in grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.colors import to_hex

from wdstudy.analysis.frames.scale import AT
from wdstudy.curves import (
    DECAY_LOSS,
    DECAY_SHARE,
    FINAL_PREFIX,
    LR_X_WD,
    PRIMARY_LOSS,
    TOTAL_LOSS,
    VAL_LOSS,
    series_named,
)
from wdstudy.words import counted

INK, MUTED, RULE = "#1f2328", "#57606a", "#d0d7de"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#8a4f7d"

LINES = {
    PRIMARY_LOSS: (BLUE, "-"),
    DECAY_LOSS: (VERMILION, "--"),
    VAL_LOSS: (GREEN, ":"),
    TOTAL_LOSS: (INK, "-."),
}
OTHER_LINE = (PURPLE, (0, (3, 1, 1, 1)))

_LABELS = {
    FINAL_PREFIX + PRIMARY_LOSS: "primary loss at the end (training)",
    DECAY_SHARE: "decay loss / total loss at the end",
    LR_X_WD: "lr · weight_decay",
}
"""Columns that are no series and no last value of one, or have a word of their own."""


def label_of(trials: pd.DataFrame, value: str) -> str:
    """A column or series in words."""
    objective = trials.attrs.get("objective") or "value"
    column = value
    if value == "value" and objective != "value":
        column = objective if objective.startswith(FINAL_PREFIX) else FINAL_PREFIX + objective
    if column in _LABELS:
        return _LABELS[column]
    if column.startswith(FINAL_PREFIX):
        return f"{series_named(column.removeprefix(FINAL_PREFIX)).label} at the end"
    return str(series_named(column))


def shades(count: int) -> list[str]:
    """A colour for each value of a scale, from dark to bright, all of which show on white."""
    viridis = mpl.colormaps["viridis"]
    return [to_hex(viridis(0.8 * k / max(count - 1, 1))) for k in range(count)]


def study_name(attrs: Mapping[str, Any]) -> str:
    """The study's name as a title has it, and the value of its scale that a frame is of."""
    name = shortened(str(attrs.get("study") or "").replace("\n", " "))
    return ", ".join(part for part in (name, shortened(str(attrs.get(AT) or ""))) if part)


def shortened(name: str, most: int = 40) -> str:
    """A name that fits a title."""
    return name if len(name) <= most else name[: most - 1] + "…"


def described(attrs: Mapping[str, Any], trials: int, seeds: int) -> str:
    """What a figure rests on: trials, seeds, optimizer, and what its weight decay is."""
    parts = [
        counted(trials, "trial"),
        counted(seeds, "seed"),
        *(str(attrs[key]) for key in ("optimizer", "decay") if attrs.get(key)),
    ]
    if attrs.get("others"):
        parts.append(f"mixes {shortened(', '.join(attrs['others']))}")
    return " · ".join(parts)
