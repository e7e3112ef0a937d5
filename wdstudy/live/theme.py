"""How the figures of a study's page in optuna-dashboard look: that of the static ones, in Plotly.

Each figure is drawn into one pair of axes: a browser takes seconds for the hundred pairs of a
grid of plots, and milliseconds for as many lines. The dashboard gives a figure half the page, 450
pixels high.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go

from wdstudy.analysis.views.looks import INK, MUTED
from wdstudy.space import Cell
from wdstudy.words import number

HATCH, BLANK, CLEAR = "#8c8c8c", "#f6f8fa", "rgba(0,0,0,0)"

Box = tuple[float, float]
"""The left and the lower edge of a cell's box, which is 1 wide and 1 high."""


def headed(title: str, note: str) -> dict[str, Any]:
    """The layout of title and note at the top left, with room for the legend under them."""
    small = f'<br><span style="font-size:11px;color:{MUTED}">{note}</span>'
    lines = 1 + note.count("<br>")
    return {
        "title": {"text": f"<b>{title}</b>{small}", "x": 0.01, "xanchor": "left", "y": 1,
                  "yanchor": "top", "pad": {"t": 12}, "font": {"size": 14}},
        "margin": {"l": 72, "r": 80, "t": 62 + 15 * lines, "b": 44},
    }  # fmt: skip


def plotly_axis(title: str, places: Any, words: Any, ends: Any, size: int = 10) -> dict[str, Any]:
    """The layout of an axis with these ticks and ends."""
    return {
        "title": {"text": title, "font": {"size": 12}, "standoff": 6},
        "tickmode": "array", "tickvals": list(places), "ticktext": list(words),
        "tickfont": {"size": size}, "range": list(ends), "showgrid": False, "zeroline": False,
        "tickangle": 0,
    }  # fmt: skip


def boxes_trace(
    boxes: Mapping[Cell, Box],
    cells: Iterable[Cell],
    *,
    color: str,
    hatched: bool = False,
    frame: float = 0,
    name: str = "",
    told: str = "",
) -> Any:
    """Some cells as boxes: filled, hatched, or framed; `name` for the legend, `told` on hover."""
    some = sorted(cells)
    pattern = {"shape": "/", "fgcolor": HATCH, "bgcolor": color, "size": 7, "solidity": 0.2}
    texts = [f"lr {number(lr)} · weight_decay {number(decay)}<br>{told}" for lr, decay in some]
    return go.Bar(
        x=[boxes[c][0] + 0.5 for c in some],
        base=[boxes[c][1] for c in some],
        y=[1] * len(some),
        width=1,
        name=name,
        showlegend=bool(name and some),
        marker={
            "color": color,
            "line": {"width": frame or 1, "color": INK if frame else "white"},
            **({"pattern": pattern} if hatched else {}),
        },
        **({"hovertext": texts, "hoverinfo": "text"} if told else {"hoverinfo": "skip"}),
    )


def marks_trace(places: list[Any], marker: dict[str, Any], **options: Any) -> Any:
    """Marks at places (x, y)."""
    options = {"hoverinfo": "skip", "showlegend": bool(places), **options}
    return go.Scatter(
        x=[p[0] for p in places], y=[p[1] for p in places], mode="markers", marker=marker, **options
    )


def plotly_figure(traces: list[Any], layout: dict[str, Any]) -> go.Figure:
    """A figure of these traces, in the look of all of them."""
    return go.Figure(
        traces,
        {
            "template": {}, "paper_bgcolor": "white", "plot_bgcolor": "white",
            "font": {"color": INK, "size": 11}, "barmode": "overlay", "bargap": 0,
            "uirevision": "kept",  # what a reader zoomed into stays when the figure is renewed
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01,
                       "yanchor": "bottom", "font": {"size": 11}},
            **layout,
        },
    )  # fmt: skip


def rounded4(value: float) -> float:
    """Four digits: a pixel needs no more, and every figure is stored."""
    return float(f"{value:.4g}")
