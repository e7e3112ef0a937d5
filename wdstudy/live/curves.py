"""The curve grid of a study's page in optuna-dashboard."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from wdstudy.analysis.views.curve_grid import CurveGridInfo
from wdstudy.analysis.views.looks import LINES, OTHER_LINE, RULE
from wdstudy.analysis.views.scales import log_ticks
from wdstudy.curves import series_named
from wdstudy.live.theme import (
    BLANK,
    CLEAR,
    boxes_trace,
    headed,
    plotly_axis,
    plotly_figure,
    rounded4,
)
from wdstudy.words import number

PAD = 0.06  # of a box, around its curves

_DASHES = {"-": "solid", "--": "5px,2px", ":": "dot", "-.": "dashdot"}


def curves_figure(info: CurveGridInfo, title: str, note: str) -> go.Figure:
    """Every cell's curves in a box of its own, all boxes of one scale."""
    columns = {lr: i for i, lr in enumerate(info.lrs)}
    rows = {wd: i for i, wd in enumerate(reversed(info.weight_decays))}  # from the bottom
    shown = info.lines[info.lines["value"].between(*info.limits)]
    shown = shown.sort_values(["series", "x"], ascending=[False, True])  # the primary loss first
    first, last = float(shown["x"].min()), float(shown["x"].max())
    width = (last - first) or 1.0
    place = _share(info.limits, info.logarithmic)
    drawn = set(zip(shown["lr"], shown["weight_decay"], strict=True))
    boxes = {(lr, wd): (columns[lr], rows[wd]) for lr in columns for wd in rows}
    traces = [
        boxes_trace(boxes, {c for c in boxes if c not in drawn | info.diverged}, color=BLANK),
        boxes_trace(boxes, boxes.keys() & info.diverged, color="white", hatched=True),
        boxes_trace(boxes, boxes.keys() & {info.best}, color=CLEAR, frame=3),
    ]
    for name in dict.fromkeys(shown["series"]):
        lines = shown[shown["series"] == name]
        x = lines["lr"].map(columns) + PAD + (1 - 2 * PAD) * (lines["x"] - first) / width
        y = lines["weight_decay"].map(rows) + PAD + (1 - 2 * PAD) * place(lines["value"])
        parts = lines.assign(px=x, py=y)
        traces.append(_line(str(name), parts, info.x))
    frame = [_rule(0, i, len(columns), i) for i in range(len(rows) + 1)]
    frame += [_rule(i, 0, i, len(rows)) for i in range(len(columns) + 1)]
    marks = _marks_of(info)
    layout = headed(title, f"{note}<br>in each box: {info.x} {first:g} … {last:g}, loss as on the "
                     f"left{' (log scale)' if info.logarithmic else ''}")  # fmt: skip
    layout["xaxis"] = plotly_axis(
        "lr", [i + 0.5 for i in columns.values()], map(number, columns), (0, len(columns))
    )
    layout["yaxis"] = plotly_axis(
        "",
        [r + PAD + (1 - 2 * PAD) * place(v) for r in rows.values() for v in marks],
        [number(v) for _ in rows for v in marks],
        (0, len(rows)),
        size=8 if len(rows) > 6 else 9,
    )
    layout["annotations"] = [
        {"xref": "paper", "x": 1.005, "y": r + 0.5, "text": number(wd), "xanchor": "left",
         "showarrow": False, "font": {"size": 10}} for wd, r in rows.items()
    ] + [_side("weight_decay →")]  # fmt: skip
    layout["shapes"] = frame
    return plotly_figure(traces, layout)


def _marks_of(info: CurveGridInfo) -> list[float]:
    """Two or three places on the axis of losses; its ends would touch those of the next box."""
    low, high = info.limits
    if info.logarithmic:
        ticks = [v for v in log_ticks(low, high, most=3) if low < v < high]
        if ticks:
            return ticks
    return [low + (high - low) * share for share in (0.25, 0.75)]


def _share(limits: tuple[float, float], logarithmic: bool) -> Callable[[Any], Any]:
    """Where a value stands between the limits, from 0 to 1."""
    scale = np.log10 if logarithmic else np.asarray
    low, high = (float(scale(v)) for v in limits)
    return lambda values: (scale(values) - low) / (high - low)


def _line(name: str, parts: pd.DataFrame, x: str) -> Any:
    """One series of all cells as one line with gaps between them."""
    colour, dashes = LINES.get(name, OTHER_LINE)
    words = series_named(name).label
    px: list[float | None] = []
    py: list[float | None] = []
    told: list[str] = []
    for _, cell in parts.groupby(["weight_decay", "lr"], sort=True):
        px += [*map(rounded4, cell["px"]), None]
        py += [*map(rounded4, cell["py"]), None]
        told += [f"{v:.4g}, {x} {at:g}" for at, v in zip(cell["x"], cell["value"], strict=True)]
        told.append("")
    return go.Scatter(
        x=px, y=py, text=told, mode="lines", name=words, connectgaps=False,
        line={"color": colour, "width": 1.4, "dash": _DASHES.get(str(dashes), "dashdot")},
        hovertemplate=f"{html.escape(words)} %{{text}}<extra></extra>",
    )  # fmt: skip


def _side(text: str) -> dict[str, Any]:
    return {"xref": "paper", "yref": "paper", "x": 1, "y": 0.5, "xshift": 56, "text": text,
            "xanchor": "left",
            "textangle": -90, "showarrow": False, "font": {"size": 12}}  # fmt: skip


def _rule(x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    return {"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "layer": "below",
            "line": {"color": RULE, "width": 1}}  # fmt: skip
