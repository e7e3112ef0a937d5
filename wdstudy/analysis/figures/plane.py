"""What heatmaps of grids and of samples have in common: hatches, lines of products, colours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib import patheffects as effects
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter

from wdstudy.analysis.figures.theme import dress_log
from wdstudy.analysis.views.heatmap import HeatmapInfo
from wdstudy.analysis.views.looks import INK
from wdstudy.words import number

DOTS = (0, (1, 2))
HATCH: dict[str, Any] = {"facecolor": "#f0f0f0", "edgecolor": "#8c8c8c", "hatch": "////", "lw": 0}
PART: dict[str, Any] = {"fill": False, "edgecolor": "#8c8c8c", "hatch": "//", "lw": 0}
"""A cell that diverged, and one of which some seeds did."""


def label_product(x: float, y: float, product: float, ax: Axes) -> None:
    """The value of a line, on a light ground."""
    ax.text(
        x, y, number(product), fontsize=6.5, ha="center", va="center", color=INK, zorder=4,
        bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
    )  # fmt: skip


def draw_product(x: Any, y: Any, product: float, ax: Axes) -> None:
    """A dotted line along which lr · weight_decay is constant, and its value."""
    outline = [effects.withStroke(linewidth=2.2, foreground=(1, 1, 1, 0.55))]
    ax.plot(x, y, color=INK, lw=0.9, ls=DOTS, path_effects=outline, zorder=2.4)
    # A boundary between columns is where no number stands.
    middle = int(np.argmin(np.abs(x - round(float(np.median(x))))))
    label_product(x[middle], y[middle], product, ax)


def contrast(info: HeatmapInfo, value: float) -> str:
    """White or ink, whichever shows on the cell's colour."""
    if not math.isfinite(value):
        return INK
    share = float(info.norm(value))
    return INK if (1 - share if info.reverse else share) > 0.6 else "white"


def dress_colours(info: HeatmapInfo, bar: Colorbar | None) -> None:
    """The ticks and the label of a bar of colours."""
    assert bar is not None
    bar.outline.set_visible(False)
    low, high = float(info.norm.vmin or 0), float(info.norm.vmax or 1)
    if isinstance(info.norm, LogNorm):
        dress_log(bar.ax.yaxis, low, high)
    else:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
    scale = ", log scale" if isinstance(info.norm, LogNorm) else ""
    bar.set_label(info.label + scale, parse_math=False)
