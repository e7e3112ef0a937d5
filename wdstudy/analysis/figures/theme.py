"""How figures are dressed: style, titles, captions, log axes that can be read."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from wdstudy.analysis.views.looks import INK, MUTED, RULE, study_name
from wdstudy.analysis.views.scales import LogPlace, log_ticks
from wdstudy.words import MINUS, number

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

_P = ParamSpec("_P")
_R = TypeVar("_R")


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


def width_of(ax: Axes) -> float:
    """The width of an Axes in inches, about: the layout is not made yet, or half made."""
    figure, place = ax.get_figure(root=True), ax.get_subplotspec()
    assert figure is not None
    if place is None:
        return float(ax.get_position().width * figure.get_figwidth())
    return 0.75 * figure.get_figwidth() / place.get_gridspec().ncols


def height_of(ax: Axes) -> float:
    """The height of an Axes in inches, about, as `width_of`."""
    figure, place = ax.get_figure(root=True), ax.get_subplotspec()
    assert figure is not None
    if place is None:
        return float(ax.get_position().height * figure.get_figheight())
    return 0.75 * figure.get_figheight() / place.get_gridspec().nrows


def titled(ax: Axes, trials: pd.DataFrame, title: str, lines: float = 0) -> None:
    """The study's name, then what the picture shows, with room for `lines` of notes below it.

    A name is never read as a formula.
    """
    name = study_name(trials.attrs)
    shown = f"{name}: {title}" if name else title
    text = textwrap.fill(shown, max(24, int(width_of(ax) * 11)))
    ax.set_title(text, loc="left", pad=8 + 14 * lines, parse_math=False)


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


def dress_log(
    axis: Axis,
    low: float,
    high: float,
    apart: Mapping[float, str] | None = None,
    at: Sequence[float] = (),
) -> None:
    """Ticks of a logarithmic axis in the words of the verdict (3e-4, 0.1).

    They stand at round places, or `at` the values that were tried; and where 0 and others that
    stand `apart` have their place, with its name.
    """
    others = dict(apart or {})
    ticks = list(at) or (log_ticks(low, high) if 0 < low < high else [low])
    if len(ticks) < 2 and low < high:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(FixedLocator([*others, *ticks]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: others.get(v) or number(v)))


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


def dress_place(ax: Axes, which: str, place: LogPlace) -> None:
    """Scale, limits and ticks of the axis `which`, with gaps between it and what stands apart."""
    axis: Axis = getattr(ax, f"{which}axis")
    getattr(ax, f"set_{which}scale")("log")
    low, high = place.ends
    getattr(ax, f"set_{which}lim")(low / 10**0.12, high * 10**0.12)
    dress_log(axis, place.low, place.high, place.apart, place.tried)
    line = ax.axvline if which == "x" else ax.axhline
    for end in place.breaks:
        line(end, color=RULE, lw=1, ls=(0, (2, 2)), zorder=0)


def dress_changes(ax: Axes, low: float, high: float, inches: float) -> None:
    """Ticks of an axis of ratios, so many inches long, at round changes: −50 %, 0, +100 %."""
    apart = 0.2 * (high - low) / inches
    ticks = sorted({0.0, *_ticks(low, high, apart, 1), *_ticks(low, high, apart, -1)})
    ax.set_yticks([1 + tick for tick in ticks], [_signed_percent(tick) for tick in ticks])
    ax.yaxis.minorticks_off()


_UP = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 3, 9)
_DOWN = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 0.9, 0.95, 0.99)


def _ticks(low: float, high: float, apart: float, sign: int) -> Iterator[float]:
    """Round changes on one side of 0, so far apart or more."""
    last = 0.0
    for size in _UP if sign > 0 else _DOWN:
        at = math.log1p(sign * size)
        if low <= at <= high and abs(at - last) >= apart:
            last = at
            yield sign * size


def _signed_percent(change: float) -> str:
    return "0" if change == 0 else f"{100 * change:+.3g} %".replace("-", MINUS)
