"""Heatmaps of a study's page in optuna-dashboard."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.colors import LogNorm

from wdstudy.analysis.frames.cells import DIVERGED_SHARE
from wdstudy.analysis.views.heatmap import HeatmapInfo, digits_for, short
from wdstudy.analysis.views.looks import INK, RULE
from wdstudy.analysis.views.products import product_lines
from wdstudy.analysis.views.scales import LogPlace, log_ticks
from wdstudy.live.theme import (
    BLANK,
    CLEAR,
    HATCH,
    Box,
    boxes_trace,
    headed,
    marks_trace,
    plotly_axis,
    plotly_figure,
    rounded4,
)
from wdstudy.space import Cell
from wdstudy.words import number

WRITTEN = (10, 12)
"""A heatmap of more columns or rows shows no numbers: they would not fit half a page."""

MAX_TICKS = 12
GAP = 0.18  # between weight_decay = 0 and the others, in cells

_RING: dict[str, Any] = {
    "symbol": "circle-open",
    "size": 16,
    "color": INK,
    "line": {"width": 1.2},
}
_DOT: dict[str, Any] = {
    "symbol": "circle",
    "size": 7,
    "color": "white",
    "line": {"width": 1.5, "color": INK},
}


def heatmap_figure(
    info: HeatmapInfo, title: str, note: str, running: frozenset[Cell] = frozenset()
) -> go.Figure:
    """A value over the plane: cells of a grid, or the points of scattered samples.

    Args:
        info: What is shown.
        title: The heading.
        note: The smaller line under it.
        running: Cells of which a trial is being trained, marked by a dot.
    """
    traces, layout = drawn(info, running)
    return plotly_figure(traces, {**headed(title, note), **layout})


def drawn(
    info: HeatmapInfo, running: frozenset[Cell], *, ticks: int = MAX_TICKS, small: bool = False
) -> tuple[list[Any], dict[str, Any]]:
    """A plane's traces, and the layout of its axes.

    Args:
        info: What is shown.
        running: Cells of which a trial is being trained.
        ticks: How many an axis has room for.
        small: Whether it is one of several: then no numbers stand in its cells.
    """
    draw = _points if info.grid.scattered else _grid
    return draw(info, running, ticks, small)


def _grid(
    info: HeatmapInfo, running: frozenset[Cell], ticks: int, small: bool
) -> tuple[list[Any], dict[str, Any]]:
    values, lost = info.grid.table(), info.grid.table("diverged")
    lows = values.index[::-1].to_list()  # from the bottom
    zero = lows[0] == 0 and len(lows) > 1
    bottoms = {wd: round(i + (GAP if zero and i else 0), 6) for i, wd in enumerate(lows)}
    lefts = {lr: i for i, lr in enumerate(values.columns)}
    boxes = {(lr, wd): (lefts[lr], bottoms[wd]) for lr in values.columns for wd in lows}
    edges = sorted({e for b in bottoms.values() for e in (b, round(b + 1, 6))})
    written = len(lefts) <= WRITTEN[0] and len(lows) <= WRITTEN[1] and not small
    digits = digits_for(values.to_numpy(), info.reverse)
    z, text, hover = [], [], []
    for low in edges[:-1]:
        row = next((wd for wd, b in bottoms.items() if b == low), None)
        cells = [math.nan if row is None else float(values.loc[row, lr]) for lr in lefts]
        z.append([_scaled(info, v) for v in cells])
        text.append([short(v, digits) if written and math.isfinite(v) else "" for v in cells])
        hover.append(
            [
                "" if row is None else _told(info, (lr, row), v)
                for lr, v in zip(lefts, cells, strict=True)
            ]
        )
    heat = go.Heatmap(
        x=list(range(len(lefts) + 1)),
        y=edges,
        z=z,
        text=text,
        hovertext=hover,
        texttemplate="%{text}",
        hoverinfo="text",
        hoverongaps=False,
        xgap=1,
        ygap=1,
        textfont={"size": 10},
        **_colours(info),
    )
    whole = {c for c in boxes if float(lost.loc[c[1], c[0]]) >= DIVERGED_SHARE}
    part = {c for c in boxes if 0 < float(lost.loc[c[1], c[0]]) < DIVERGED_SHARE}
    blank = {c for c in boxes if not math.isfinite(float(values.loc[c[1], c[0]]))} - whole
    traces = [
        heat,
        boxes_trace(boxes, blank, color=BLANK),
        boxes_trace(boxes, whole, color="#f0f0f0", hatched=True, name="diverged", told="diverged"),
        boxes_trace(boxes, part, color=CLEAR, hatched=True, name="some seeds diverged"),
        *_product_traces(info, values, bottoms),
        _dots(boxes, running & boxes.keys(), small=small),
        _rings(info, {c: (x + 0.5, y + 0.5) for c, (x, y) in boxes.items()}),
    ]
    if info.best is not None:
        frame = 2 if small else 3
        traces.append(boxes_trace(boxes, {info.best}, color=CLEAR, frame=frame, name="best cell"))
    stride = math.ceil(len(lefts) / ticks)
    kept = list(lefts.items())[::stride]
    down = [
        (wd, b)
        for i, (wd, b) in enumerate(bottoms.items())
        if i % math.ceil(len(lows) / ticks) == 0
    ]
    layout = {
        "xaxis": plotly_axis(
            "lr", [i + 0.5 for _, i in kept], [number(v) for v, _ in kept], (0, len(lefts))
        ),
        "yaxis": plotly_axis(
            "weight_decay", [b + 0.5 for _, b in down], [number(v) for v, _ in down], (0, edges[-1])
        ),
    }
    return traces, layout


def _points(
    info: HeatmapInfo, running: frozenset[Cell], most: int, small: bool
) -> tuple[list[Any], dict[str, Any]]:
    """Samples as points on logarithmic axes; those at weight_decay 0 below a dotted line."""
    cells = info.grid.cells
    x, y = LogPlace(cells["lr"], far=True), LogPlace(cells["weight_decay"], far=True)
    places = zip(cells["lr"], cells["weight_decay"], strict=True)
    at = dict(zip(places, zip(x(cells["lr"]), y(cells["weight_decay"]), strict=True), strict=True))
    known = cells[cells["value"].notna()]
    keys = list(zip(known["lr"], known["weight_decay"], strict=True))
    told = [_told(info, c, float(v)) for c, v in zip(keys, known["value"], strict=True)]
    marker = {
        "size": 7 if small else 11,
        "line": {"width": 0.5, "color": "white"},
        "color": [_scaled(info, float(v)) for v in known["value"]],
        **_colours(info),
    }
    traces = [
        marks_trace(
            [at[c] for c in keys], marker, hovertext=told, hoverinfo="text", showlegend=False
        ),
    ]
    lost = info.grid.lost
    gone = [at[c] for c in zip(lost["lr"], lost["weight_decay"], strict=True)]
    traces.append(
        marks_trace(
            gone,
            {"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": HATCH}},
            name="diverged",
        )
    )
    traces.append(marks_trace([at[c] for c in running if c in at], _DOT, name="in training"))
    traces.append(_rings(info, at))
    if info.best is not None:
        square = {
            "symbol": "square-open",
            "size": 13 if small else 20,
            "color": INK,
            "line": {"width": 2.5},
        }
        traces.append(marks_trace([at[info.best]], square, name="best cell"))
    layout: dict[str, Any] = {"shapes": []}
    for name, axis in (("x", x), ("y", y)):
        ticks = log_ticks(axis.low, axis.high, min(most, 8)) if axis.low < axis.high else [axis.low]
        ends = [math.log10(axis.ends[0]) - 0.12, math.log10(axis.ends[1]) + 0.12]
        words = [*axis.apart.values(), *map(number, ticks)]
        title = "lr" if name == "x" else "weight_decay"
        layout[f"{name}axis"] = {
            **plotly_axis(title, [*axis.apart, *ticks], words, ends),
            "type": "log",
        }
        layout["shapes"] += [_break(name, at) for at in axis.breaks]
    return traces, layout


def _break(name: str, at: float) -> dict[str, Any]:
    """A line across the plane, beyond which an axis is not true to scale."""
    other = "y" if name == "x" else "x"
    ends = {f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1, f"{name}0": at, f"{name}1": at}
    return {"type": "line", **ends, "line": {"color": RULE, "width": 1, "dash": "dot"}}


def _told(info: HeatmapInfo, cell: Cell, value: float) -> str:
    lr, weight_decay = cell
    place = f"lr {number(lr)} · weight_decay {number(weight_decay)}"
    if not math.isfinite(value):
        return place
    return f"{place}<br>{html.escape(info.label)}: {number(value)}"


def _colours(info: HeatmapInfo) -> dict[str, Any]:
    """The colour scale and its bar, in the words of the axes."""
    low, high = float(info.norm.vmin or 0), float(info.norm.vmax or 1)
    logarithmic = isinstance(info.norm, LogNorm)
    ticks = log_ticks(low, high, most=7) if logarithmic else []
    if len(ticks) < 2:
        ticks = np.linspace(low, high, 5).tolist()
    bar = {
        "tickvals": [_scaled(info, v) for v in ticks],
        "ticktext": [number(v) for v in ticks],
        "thickness": 12,
        "outlinewidth": 0,
        "tickfont": {"size": 10},
    }
    ends = [_scaled(info, v) for v in (low, high)]
    names = ("zmin", "zmax") if not info.grid.scattered else ("cmin", "cmax")
    return {
        "colorscale": "Viridis",
        "reversescale": info.reverse,
        "colorbar": bar,
        **dict(zip(names, ends, strict=True)),
    }


def _scaled(info: HeatmapInfo, value: float) -> float | None:
    """A value as the colour scale takes it; a 0 that is not on a logarithmic scale is below it."""
    if not math.isfinite(value):
        return None
    if isinstance(info.norm, LogNorm):
        return rounded4(math.log10(max(value, float(info.norm.vmin or value))))
    return rounded4(value)


def _rings(info: HeatmapInfo, at: Mapping[Cell, Box]) -> Any:
    """Circles about the cells that tie with the best."""
    return marks_trace([at[c] for c in info.rings if c in at], _RING, name=info.ringed)


def _dots(boxes: Mapping[Cell, Box], cells: Iterable[Cell], *, small: bool) -> Any:
    x, y = (0.5, 0.5) if small else (0.88, 0.82)  # beside the number, where there is one
    places = [(boxes[c][0] + x, boxes[c][1] + y) for c in sorted(cells)]
    return marks_trace(places, {**_DOT, "size": 5} if small else _DOT, name="in training")


def _product_traces(
    info: HeatmapInfo, values: pd.DataFrame, bottoms: Mapping[float, float]
) -> list[Any]:
    """Dotted lines along which lr · weight_decay is constant."""
    top = max(bottoms.values()) + 1
    x: list[float | None] = []
    y: list[float | None] = []
    for _, across, down in product_lines(info.products, values):
        x += [*map(rounded4, across[::4]), None]
        y += [*map(rounded4, top - down[::4]), None]
    if not x:
        return []
    return [
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            name="equal lr · weight_decay",
            hoverinfo="skip",
            opacity=0.6,
            line={"color": INK, "width": 1, "dash": "dot"},
        )
    ]
