"""The figures of a study's page in optuna-dashboard: Plotly, in the look of the static ones.

Each is drawn into one pair of axes: a browser takes seconds for the hundred pairs of a grid of
plots, and milliseconds for as many lines. The dashboard gives a figure half the page, 450 pixels
high.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.colors import LogNorm

from wdstudy.analysis.curve_grid import CurveGridInfo
from wdstudy.analysis.grid import Cell
from wdstudy.analysis.heatmap import HeatmapInfo, short
from wdstudy.analysis.products import product_lines
from wdstudy.analysis.theme import INK, LINES, MUTED, OTHER_LINE, RULE, LogPlace, log_ticks
from wdstudy.analysis.verdict import number

WRITTEN = (10, 12)
"""A heatmap of more columns or rows shows no numbers: they would not fit half a page."""

MAX_TICKS = 12
GAP = 0.18  # between weight_decay = 0 and the others, in cells
HATCH, BLANK = "#8c8c8c", "#f6f8fa"

Describe = Callable[[Cell], str]


def heatmap_figure(
    info: HeatmapInfo, title: str, note: str, running: frozenset[Cell] = frozenset()
) -> go.Figure:
    """A value over the plane: cells of a grid, or the points of scattered samples.

    Args:
        info: What is shown.
        title, note: The heading, and the smaller line under it.
        running: Cells of which a trial is being trained, marked by a dot.
    """
    draw = _points if info.grid.scattered else _grid
    traces, layout = draw(info, running)
    return _figure(traces, {**_headed(title, note), **layout})


def curves_figure(info: CurveGridInfo, title: str, note: str) -> go.Figure:
    """Every cell's curves in a box of its own, all boxes of one scale."""
    columns = {lr: i for i, lr in enumerate(info.lrs)}
    rows = {wd: i for i, wd in enumerate(reversed(info.weight_decays))}  # from the bottom
    shown = info.lines[info.lines["value"].between(*info.limits)]
    shown = shown.sort_values(["series", "x"], ascending=[False, True])  # the primary loss first
    first, last = float(shown["x"].min()), float(shown["x"].max())
    width = (last - first) or 1.0
    place = _share(info.limits, info.logarithmic)
    drawn = set(zip(shown["weight_decay"], shown["lr"], strict=True))
    boxes = {(wd, lr): (columns[lr], rows[wd]) for wd in rows for lr in columns}
    traces = [
        _boxes(boxes, {c for c in boxes if c not in drawn | info.diverged}, color=BLANK),
        _boxes(boxes, boxes.keys() & info.diverged, color="white", hatched=True),
        _boxes(boxes, boxes.keys() & {info.best}, color="rgba(0,0,0,0)", frame=3),
    ]
    for name in dict.fromkeys(shown["series"]):
        lines = shown[shown["series"] == name]
        x = lines["lr"].map(columns) + 0.06 + 0.88 * (lines["x"] - first) / width
        y = lines["weight_decay"].map(rows) + 0.06 + 0.88 * place(lines["value"])
        parts = lines.assign(px=x, py=y)
        traces.append(_line(str(name), parts, info.x))
    frame = [_rule(0, i, len(columns), i) for i in range(len(rows) + 1)]
    frame += [_rule(i, 0, i, len(rows)) for i in range(len(columns) + 1)]
    ends = info.limits
    inner = [v for v in log_ticks(*ends, most=3) if ends[0] < v < ends[1]]
    marks = inner if info.logarithmic else [ends[0] + (ends[1] - ends[0]) * s for s in (0.25, 0.75)]
    layout = _headed(title, f"{note}<br>in each box: {info.x} {first:g} … {last:g}, loss as on the "
                     f"left{' (log scale)' if info.logarithmic else ''}")  # fmt: skip
    layout["xaxis"] = _axis(
        "lr", [i + 0.5 for i in columns.values()], map(number, columns), (0, len(columns))
    )
    layout["yaxis"] = _axis(
        "",
        [r + 0.06 + 0.88 * place(v) for r in rows.values() for v in marks],
        [number(v) for _ in rows for v in marks],
        (0, len(rows)),
        size=8 if len(rows) > 6 else 9,
    )
    layout["annotations"] = [
        {"xref": "paper", "x": 1.005, "y": r + 0.5, "text": number(wd), "xanchor": "left",
         "showarrow": False, "font": {"size": 10}} for wd, r in rows.items()
    ] + [_side("weight_decay →")]  # fmt: skip
    layout["shapes"] = frame
    return _figure(traces, layout)


def _grid(info: HeatmapInfo, running: frozenset[Cell]) -> tuple[list[Any], dict[str, Any]]:
    values, lost = info.grid.table(), info.grid.table("diverged")
    lows = values.index[::-1].to_list()  # from the bottom
    zero = lows[0] == 0 and len(lows) > 1
    bottoms = {wd: i + (GAP if zero and i else 0) for i, wd in enumerate(lows)}
    lefts = {lr: i for i, lr in enumerate(values.columns)}
    boxes = {(wd, lr): (lefts[lr], bottoms[wd]) for wd in lows for lr in values.columns}
    edges = sorted({e for b in bottoms.values() for e in (b, b + 1)})
    small = len(lefts) <= WRITTEN[0] and len(lows) <= WRITTEN[1]
    z, text, hover = [], [], []
    for low in edges[:-1]:
        row = next((wd for wd, b in bottoms.items() if b == low), None)
        cells = [math.nan if row is None else float(values.loc[row, lr]) for lr in lefts]
        z.append([_scaled(info, v) for v in cells])
        text.append([short(v) if small and math.isfinite(v) else "" for v in cells])
        hover.append(
            ["" if row is None else _told(info, (row, lr), v)
             for lr, v in zip(lefts, cells, strict=True)]
        )  # fmt: skip
    heat = go.Heatmap(
        x=list(range(len(lefts) + 1)), y=edges, z=z, text=text, hovertext=hover,
        texttemplate="%{text}", hoverinfo="text", hoverongaps=False, xgap=1, ygap=1,
        textfont={"size": 10}, **_colours(info),
    )  # fmt: skip
    whole = {c for c in boxes if float(lost.loc[c[0], c[1]]) >= 0.5}
    part = {c for c in boxes if 0 < float(lost.loc[c[0], c[1]]) < 0.5}
    blank = {c for c in boxes if not math.isfinite(float(values.loc[c[0], c[1]]))} - whole
    traces = [
        heat,
        _boxes(boxes, blank, color=BLANK),
        _boxes(boxes, whole, color="#f0f0f0", hatched=True, name="diverged", info=info),
        _boxes(boxes, part, color="rgba(0,0,0,0)", hatched=True),
        *_product_traces(info, values, bottoms),
        _dots(boxes, running & boxes.keys()),
    ]
    if info.best is not None:
        traces.append(_boxes(boxes, {info.best}, color="rgba(0,0,0,0)", frame=3, name="best cell"))
    stride = math.ceil(len(lefts) / MAX_TICKS)
    kept = list(lefts.items())[::stride]
    down = [(wd, b) for i, (wd, b) in enumerate(bottoms.items())
            if i % math.ceil(len(lows) / MAX_TICKS) == 0]  # fmt: skip
    layout = {
        "xaxis": _axis("lr", [i + 0.5 for _, i in kept], [number(v) for v, _ in kept],
                       (0, len(lefts))),
        "yaxis": _axis("weight_decay", [b + 0.5 for _, b in down], [number(v) for v, _ in down],
                       (0, edges[-1])),
    }  # fmt: skip
    return traces, layout


def _points(info: HeatmapInfo, running: frozenset[Cell]) -> tuple[list[Any], dict[str, Any]]:
    """Samples as points on logarithmic axes; those at weight_decay 0 below a dotted line."""
    cells = info.grid.cells
    x, y = LogPlace(cells["lr"]), LogPlace(cells["weight_decay"])
    places = zip(cells["weight_decay"], cells["lr"], strict=True)
    at = dict(zip(places, zip(x(cells["lr"]), y(cells["weight_decay"]), strict=True), strict=True))
    known = cells[cells["value"].notna()]
    keys = list(zip(known["weight_decay"], known["lr"], strict=True))
    told = [_told(info, c, float(v)) for c, v in zip(keys, known["value"], strict=True)]
    marker = {"size": 11, "line": {"width": 0.5, "color": "white"},
              "color": [_scaled(info, float(v)) for v in known["value"]], **_colours(info)}  # fmt: skip
    traces = [
        _marks([at[c] for c in keys], marker, hovertext=told, hoverinfo="text", showlegend=False),
    ]
    lost = cells[cells["diverged"] >= 0.5]
    gone = [at[c] for c in zip(lost["weight_decay"], lost["lr"], strict=True)]
    traces.append(_marks(gone, {"symbol": "x-thin", "size": 8, "line": {"width": 1.5,
                         "color": HATCH}}, name="diverged"))  # fmt: skip
    traces.append(_marks([at[c] for c in running if c in at], _DOT, name="in training"))
    if info.best is not None:
        square = {"symbol": "square-open", "size": 20, "color": INK, "line": {"width": 2.5}}
        traces.append(_marks([at[info.best]], square, name="best cell"))
    layout: dict[str, Any] = {"shapes": []}
    for name, axis in (("x", x), ("y", y)):
        ticks = log_ticks(axis.low, axis.high) if axis.low < axis.high else [axis.low]
        shown = [*([axis.zero_at] if axis.zero_at else []), *ticks]
        words = [*(["0"] if axis.zero_at else []), *map(number, ticks)]
        ends = [math.log10(axis.zero_at or axis.low) - 0.12, math.log10(axis.high) + 0.12]
        title = "lr" if name == "x" else "weight_decay"
        layout[f"{name}axis"] = {**_axis(title, shown, words, ends), "type": "log"}
    if y.zero_at:
        layout["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1,
                             "y0": y.low / 10**0.25, "y1": y.low / 10**0.25,
                             "line": {"color": RULE, "width": 1, "dash": "dot"}}]  # fmt: skip
    return traces, layout


def _told(info: HeatmapInfo, cell: Cell, value: float) -> str:
    weight_decay, lr = cell
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
    bar = {"tickvals": [_scaled(info, v) for v in ticks], "ticktext": [number(v) for v in ticks],
           "thickness": 12, "outlinewidth": 0, "tickfont": {"size": 10}}  # fmt: skip
    ends = [_scaled(info, v) for v in (low, high)]
    names = ("zmin", "zmax") if not info.grid.scattered else ("cmin", "cmax")
    return {"colorscale": "Viridis", "reversescale": info.reverse, "colorbar": bar,
            **dict(zip(names, ends, strict=True))}  # fmt: skip


def _scaled(info: HeatmapInfo, value: float) -> float | None:
    """A value as the colour scale takes it; a 0 that is not on a logarithmic scale is below it."""
    if not math.isfinite(value):
        return None
    if isinstance(info.norm, LogNorm):
        return _rounded(math.log10(max(value, float(info.norm.vmin or value))))
    return _rounded(value)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _share(limits: tuple[float, float], logarithmic: bool) -> Callable[[Any], Any]:
    """Where a value stands between the limits, from 0 to 1."""
    scale = np.log10 if logarithmic else np.asarray
    low, high = (float(scale(v)) for v in limits)
    return lambda values: (scale(values) - low) / (high - low)


def _line(name: str, parts: pd.DataFrame, x: str) -> Any:
    """One series of all cells as one line with gaps between them."""
    colour, dashes = LINES.get(name, OTHER_LINE)
    words = name.replace("_", " ")
    px: list[float | None] = []
    py: list[float | None] = []
    told: list[str] = []
    for _, cell in parts.groupby(["weight_decay", "lr"], sort=True):
        px += [*map(_rounded, cell["px"]), None]
        py += [*map(_rounded, cell["py"]), None]
        told += [f"{v:.4g}, {x} {at:g}" for at, v in zip(cell["x"], cell["value"], strict=True)]
        told.append("")
    return go.Scatter(
        x=px, y=py, text=told, mode="lines", name=words, connectgaps=False,
        line={"color": colour, "width": 1.4, "dash": _DASHES.get(str(dashes), "dashdot")},
        hovertemplate=f"{html.escape(words)} %{{text}}<extra></extra>",
    )  # fmt: skip


_DASHES = {"-": "solid", "--": "5px,2px", ":": "dot", "-.": "dashdot"}
_DOT: dict[str, Any] = {"symbol": "circle", "size": 7, "color": "white",
                        "line": {"width": 1.5, "color": INK}}  # fmt: skip


def _boxes(
    boxes: Mapping[Cell, tuple[float, float]],
    cells: set[Cell],
    *,
    color: str,
    hatched: bool = False,
    frame: float = 0,
    name: str = "",
    info: HeatmapInfo | None = None,
) -> Any:
    """Cells as boxes: filled, hatched, or framed."""
    some = sorted(cells)
    pattern = {"shape": "/", "fgcolor": HATCH, "bgcolor": color, "size": 7, "solidity": 0.2}
    told = {"hovertext": [f"{_told(info, c, math.nan)}<br>diverged" for c in some],
            "hoverinfo": "text"} if info else {"hoverinfo": "skip"}  # fmt: skip
    return go.Bar(
        x=[boxes[c][0] + 0.5 for c in some], base=[boxes[c][1] for c in some],
        y=[1] * len(some), width=1, name=name, showlegend=bool(name and some),
        marker={"color": color, **({"pattern": pattern} if hatched else {}),
                "line": {"width": frame or 1, "color": INK if frame else "white"}}, **told,
    )  # fmt: skip


def _dots(boxes: Mapping[Cell, tuple[float, float]], cells: Iterable[Cell]) -> Any:
    places = [(boxes[c][0] + 0.88, boxes[c][1] + 0.82) for c in sorted(cells)]
    return _marks(places, _DOT, name="in training")


def _marks(places: list[Any], marker: dict[str, Any], **options: Any) -> Any:
    options = {"hoverinfo": "skip", "showlegend": bool(places), **options}
    return go.Scatter(
        x=[p[0] for p in places], y=[p[1] for p in places], mode="markers", marker=marker, **options
    )


def _product_traces(
    info: HeatmapInfo, values: pd.DataFrame, bottoms: Mapping[float, float]
) -> list[Any]:
    """Dotted lines along which lr · weight_decay is constant."""
    top = max(bottoms.values()) + 1
    x: list[float | None] = []
    y: list[float | None] = []
    for _, across, down in product_lines(info.products, values):
        x += [*map(_rounded, across[::4]), None]
        y += [*map(_rounded, top - down[::4]), None]
    if not x:
        return []
    return [go.Scatter(x=x, y=y, mode="lines", name="equal lr · weight_decay", hoverinfo="skip",
                       line={"color": INK, "width": 1, "dash": "dot"})]  # fmt: skip


def _headed(title: str, note: str) -> dict[str, Any]:
    """Title and note at the top left, the legend under them."""
    small = f'<br><span style="font-size:11px;color:{MUTED}">{note}</span>'
    lines = 1 + note.count("<br>")
    return {
        "title": {"text": f"<b>{title}</b>{small}", "x": 0.01, "xanchor": "left", "y": 1,
                  "yanchor": "top", "pad": {"t": 12}, "font": {"size": 14}},
        "margin": {"l": 72, "r": 80, "t": 62 + 15 * lines, "b": 44},
    }  # fmt: skip


def _axis(title: str, places: Any, words: Any, ends: Any, size: int = 10) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 12}, "standoff": 6},
        "tickmode": "array", "tickvals": list(places), "ticktext": list(words),
        "tickfont": {"size": size}, "range": list(ends), "showgrid": False, "zeroline": False,
        "tickangle": 0,
    }  # fmt: skip


def _side(text: str) -> dict[str, Any]:
    return {"xref": "paper", "yref": "paper", "x": 1, "y": 0.5, "xshift": 56, "text": text,
            "xanchor": "left",
            "textangle": -90, "showarrow": False, "font": {"size": 12}}  # fmt: skip


def _rule(x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    return {"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "layer": "below",
            "line": {"color": RULE, "width": 1}}  # fmt: skip


def _figure(traces: list[Any], layout: dict[str, Any]) -> go.Figure:
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
