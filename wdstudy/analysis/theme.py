"""How figures look: colours, line styles, log axes that can be read, captions.

Lines are the blue, vermilion and green of Okabe & Ito 2008 (https://jfly.uni-koeln.de/color/),
which colour-blind readers tell apart, each with its own dashes for grey print. Surfaces are
viridis, which keeps its order in grey.
"""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from wdstudy.analysis.estimate import Array
from wdstudy.analysis.verdict import number
from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, VAL_LOSS

INK, MUTED, RULE = "#1f2328", "#57606a", "#d0d7de"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#8a4f7d"

LINES = {
    PRIMARY_LOSS: (BLUE, "-"),
    DECAY_LOSS: (VERMILION, "--"),
    VAL_LOSS: (GREEN, ":"),
    "total_loss": (INK, "-."),
}
OTHER_LINE = (PURPLE, (0, (3, 1, 1, 1)))

LOG_SPAN = 8.0
"""A positive quantity whose largest value is this many times its smallest is shown by its log."""

STYLE: dict[str, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.8,
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}

MOST_NAMED = 9
"""An axis of more values has ticks at round places instead of at each."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LABELS = {
    "final_val_loss": "validation loss at the end",
    "final_primary_loss": "primary loss at the end (training)",
    "final_decay_loss": "decay loss at the end",
    "decay_share": "decay loss / total loss at the end",
    "lr_x_wd": "lr · weight_decay",
    "val_loss": "validation loss",
    "angular_update": "angular update (radians a step)",
    "weight_norm": "weight norm (L2)",
}


def styled(plot: Callable[_P, _R]) -> Callable[_P, _R]:
    """Draw in the style of this module, whatever the caller's own style is."""

    @functools.wraps(plot)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        # A backend that is loaded inside the context forgets afterwards that it is interactive,
        # and a notebook whose first figure this is would show no figure after it.
        plt.draw_if_interactive()  # type: ignore[no-untyped-call]
        with plt.rc_context(STYLE):  # type: ignore[arg-type]
            return plot(*args, **kwargs)

    return drawn


def new_axes(ax: Axes | None, width: float = 6.4, height: float = 4.4) -> Axes:
    """The caller's Axes, or those of a new figure."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def label_of(trials: pd.DataFrame, value: str) -> str:
    """A column or series in words."""
    objective = trials.attrs.get("objective") or "value"
    column = value
    if value == "value" and objective != "value":
        column = objective if objective.startswith("final_") else "final_" + objective
    if column in _LABELS:
        return _LABELS[column]
    words = column.removeprefix("final_").replace("_", " ")
    words = words.replace("val ", "validation ") if words.startswith("val ") else words
    return words + (" at the end" if column.startswith("final_") else "")


def width_of(ax: Axes) -> float:
    """The width of an Axes in inches, about: the layout is not made yet, or half made."""
    figure, place = ax.get_figure(root=True), ax.get_subplotspec()
    assert figure is not None
    if place is None:
        return float(ax.get_position().width * figure.get_figwidth())
    return 0.75 * figure.get_figwidth() / place.get_gridspec().ncols


def titled(ax: Axes, trials: pd.DataFrame, title: str, lines: float = 0) -> None:
    """The study's name, then what the picture shows, with room for `lines` of notes below it.

    A name is never read as a formula.
    """
    name = str(trials.attrs.get("study", "")).replace("\n", " ")
    shown = f"{shortened(name)}: {title}" if name else title
    text = textwrap.fill(shown, max(24, int(width_of(ax) * 11)))
    ax.set_title(text, loc="left", pad=8 + 14 * lines, parse_math=False)


def shortened(name: str, most: int = 40) -> str:
    """A name that fits a title."""
    return name if len(name) <= most else name[: most - 1] + "…"


def described(attrs: Mapping[str, Any], trials: int, seeds: int) -> str:
    """What a figure rests on: trials, seeds, optimizer, and what its weight decay is."""
    parts = [
        f"{trials:,} trial{'s' if trials != 1 else ''}",
        f"{seeds} seed{'s' if seeds != 1 else ''}",
        *(str(attrs[key]) for key in ("optimizer", "decay") if attrs.get(key)),
    ]
    return " · ".join(parts)


def captioned(ax: Axes, label: str, text: str) -> None:
    """The label of the horizontal axis, and under it, smaller, what the figure rests on."""
    ax.set_xlabel(label)
    ax.annotate(
        textwrap.fill(text, max(30, int(width_of(ax) * 21))),
        (0.5, 0),
        xycoords=ax.xaxis.label,
        xytext=(0, -3),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7.5,
        color=MUTED,
        parse_math=False,
    )


def spans_decades(values: pd.Series | Array) -> bool:
    """Whether values are shown by their logarithm."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return bool(known.size and known.min() > 0 and known.max() / known.min() >= LOG_SPAN)


def colour_norm(values: pd.Series | Array, most: float = math.nan) -> Normalize:
    """The scale of colours: logarithmic where the values span much, `most` at its end."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not known.size:
        return Normalize(0, 1)
    low, high = float(known.min()), float(known.max())
    if low < most < high:
        high = most
    if low == high:
        low, high = low - abs(low) * 0.1 - 1e-9, high + abs(high) * 0.1 + 1e-9
    return LogNorm(low, high) if low > 0 and high / low >= LOG_SPAN else Normalize(low, high)


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round places on a logarithmic axis: decades, or 1-3 or 1-2-5 where it is short.

    >>> log_ticks(0.002, 3)
    [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{d}e{e}") for e in range(first, last + 1) for d in digits]
        ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]


def dress_log(
    axis: Axis,
    low: float,
    high: float,
    zero_at: float | None = None,
    at: Sequence[float] = (),
) -> None:
    """Ticks of a logarithmic axis in the words of the verdict (3e-4, 0.1); 0 where it is placed.

    They stand at round places, or `at` the values that were tried.
    """
    ticks = list(at) or (log_ticks(low, high) if 0 < low < high else [low])
    if len(ticks) < 2 and low < high:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(FixedLocator([*([zero_at] if zero_at else []), *ticks]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: "0" if v == zero_at else number(v)))


def dress_values(ax: Axes, low: float, high: float, *, logarithmic: bool) -> None:
    """The vertical axis of losses, with a faint grid."""
    ax.grid(visible=True, axis="y")
    ax.set_axisbelow(True)
    if not logarithmic:
        pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        ax.set_ylim(low - pad, high + pad)
        return
    ax.set_yscale("log")
    low, high = low / 1.15, high * 1.2
    ax.set_ylim(low, high)
    dress_log(ax.yaxis, low, high)


def _can_be_ticks(values: Array) -> bool:
    """Whether the values of a grid are few and even enough to be named one by one."""
    if not 2 <= len(values) <= MOST_NAMED:
        return False
    gaps = np.diff(np.log(values))
    return bool(gaps.min() > 0.6 * gaps.mean())


class LogPlace:
    """A logarithmic axis that has a place for 0, one step below its smallest value."""

    def __init__(self, values: pd.Series) -> None:
        positive = np.unique(values[values > 0].to_numpy(dtype=float))
        self._tried = positive.tolist() if _can_be_ticks(positive) else []
        self.low = float(positive[0]) if len(positive) else 1.0
        self.high = float(positive[-1]) if len(positive) else 1.0
        self.zero_at = self.low / 10**0.5 if bool((values == 0).any()) else None

    def __call__(self, values: pd.Series) -> pd.Series:
        """Where the values stand."""
        return values.where(values > 0, self.zero_at or math.nan)

    def dress(self, ax: Axes, which: str) -> None:
        """Scale, limits and ticks of the axis `which`, with a gap between 0 and the rest."""
        axis: Axis = getattr(ax, f"{which}axis")
        getattr(ax, f"set_{which}scale")("log")
        low, high = (self.zero_at or self.low) / 10**0.12, self.high * 10**0.12
        getattr(ax, f"set_{which}lim")(low, high)
        dress_log(axis, self.low, self.high, self.zero_at, self._tried)
        if self.zero_at:
            line = ax.axvline if which == "x" else ax.axhline
            line(self.low / 10**0.25, color=RULE, lw=1, ls=(0, (2, 2)), zorder=0)
