"""Heatmaps of a study along a scale: one a value, beside each other, on one scale of colours."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from wdstudy.analysis.views.heatmap import HeatmapInfo
from wdstudy.live.heatmap import drawn
from wdstudy.live.theme import headed, plotly_figure
from wdstudy.space import Cell
from wdstudy.words import number

MOST = 9
"""Of more values than this an even sample is shown, the ends among it."""

TICKS = (6, 5, 4)
"""How many ticks an axis has room for, where so many planes stand beside each other."""

ACROSS, DOWN = (0.13, 0.03), (0.17, 0.11)
"""Between planes, as shares of the figure: room for ticks and a heading; for less of them where all
planes have the same axes."""


def panels_figure(
    scale: str,
    planes: Mapping[float, tuple[HeatmapInfo, frozenset[Cell]]],
    title: str,
    note: str,
) -> go.Figure:
    """A value over the plane of each value of a scale.

    Args:
        scale: Its name.
        planes: Value of the scale → what is shown, all on one scale of colours, and the cells of
            which a trial is being trained.
        title: The heading.
        note: The smaller line under it.
    """
    shown = _some(planes)
    if len(shown) < len(planes):
        note = f"{note}<br>{len(shown)} of {len(planes)} values of {html.escape(scale)}"
    columns = min(len(shown), 3 if len(shown) > 4 else 2)
    rows = math.ceil(len(shown) / columns)
    parts = [drawn(*planes[at], ticks=TICKS[columns - 1], small=True) for at in shown]
    alike = all(own == parts[0][1] for _, own in parts)
    traces: list[Any] = []
    layout: dict[str, Any] = {"shapes": [], "annotations": []}
    named: set[str] = set()
    for k, (at, (some, own)) in enumerate(zip(shown, parts, strict=True)):
        for trace in some:
            _placed(trace, k, named, coloured=k == len(shown) - 1)
        traces += some
        box = _box(k, columns, rows, alike=alike)
        outer = {"x": k + columns >= len(shown), "y": k % columns == 0}
        _add_axes(layout, own, k, box, outer, alike=alike)
        layout["annotations"].append(_heading(f"{scale} {number(at)}", box))
    head = headed(title, note)
    head["margin"]["t"] += 14  # the planes have headings of their own
    head["legend"] = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.06,
                      "yanchor": "bottom", "font": {"size": 11}}  # fmt: skip
    return plotly_figure(traces, {**head, **layout})


def _some(planes: Mapping[float, Any]) -> list[float]:
    every = sorted(planes)
    kept = np.unique(np.linspace(0, len(every) - 1, min(MOST, len(every))).round().astype(int))
    return [every[k] for k in kept]


def _name(axis: str, k: int) -> str:
    """What Plotly calls the axis of a plane: x, x2, x3 and so on."""
    return axis if k == 0 else f"{axis}{k + 1}"


def _placed(trace: Any, k: int, named: set[str], *, coloured: bool) -> None:
    """Put a trace into a plane's axes; each name stands once in the legend, colours once."""
    trace.xaxis, trace.yaxis = _name("x", k), _name("y", k)
    if trace.type == "heatmap":
        trace.showscale = coloured
    elif getattr(trace.marker, "colorbar", None) is not None and trace.marker.cmin is not None:
        trace.marker.showscale = coloured
    if trace.name and trace.showlegend is not False:
        trace.legendgroup = trace.name
        trace.showlegend = trace.name not in named
        named.add(trace.name)


def _box(k: int, columns: int, rows: int, *, alike: bool) -> tuple[float, float, float, float]:
    """The left, right, lower and upper end of a plane, as shares of the figure."""
    across, down = ACROSS[alike], DOWN[alike]
    width = (1 - (columns - 1) * across) / columns
    height = (1 - (rows - 1) * down) / rows
    left = k % columns * (width + across)
    upper = 1 - k // columns * (height + down)
    return left, min(left + width, 1.0), max(upper - height, 0.0), upper


def _add_axes(
    layout: dict[str, Any],
    own: dict[str, Any],
    k: int,
    box: tuple[float, float, float, float],
    outer: Mapping[str, bool],
    *,
    alike: bool,
) -> None:
    """Add the axes of a plane; what they are called stands at the outer ones."""
    for axis, ends in (("x", box[:2]), ("y", box[2:])):
        other = "y" if axis == "x" else "x"
        told = {**own[f"{axis}axis"], "domain": list(ends), "anchor": _name(other, k)}
        if not outer[axis]:
            told |= {"title": {"text": ""}, "showticklabels": not alike}
        layout[_name(axis, k).replace(axis, f"{axis}axis")] = told
    for shape in own.get("shapes", []):
        refs = {"xref": _name("x", k), "yref": _name("y", k)}
        whole = {key: f"{refs[key]} domain" for key in refs if shape.get(key) == "paper"}
        layout["shapes"].append({**shape, **refs, **whole})


def _heading(text: str, box: tuple[float, float, float, float]) -> dict[str, Any]:
    return {"xref": "paper", "yref": "paper", "x": box[0], "y": box[3], "text": html.escape(text),
            "xanchor": "left", "yanchor": "bottom", "showarrow": False,
            "font": {"size": 11}}  # fmt: skip
