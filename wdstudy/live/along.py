"""What the live page of a study along a scale shows: each value's plane, and how the best moves."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd
import plotly.graph_objects as go

from wdstudy.analysis.frames.cells import FINISHED, cell_grid, cells_of, gather, initial_loss
from wdstudy.analysis.frames.scale import along
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.views.curve_grid import curve_grid_info
from wdstudy.analysis.views.heatmap import heatmap_info
from wdstudy.analysis.views.looks import label_of
from wdstudy.analysis.views.scales import colour_norm
from wdstudy.curves import DECAY_LOSS, FINAL_PREFIX, PRIMARY_LOSS, series_named
from wdstudy.errors import StudyError
from wdstudy.live.curves import curves_figure
from wdstudy.live.note import is_whole
from wdstudy.live.panels import panels_figure
from wdstudy.live.sofar import rests_on, so_far, with_planned
from wdstudy.record import StudyRecord
from wdstudy.words import counted, number

LOSSES = (PRIMARY_LOSS, DECAY_LOSS)

GROWN = 1.2
"""How the best moves is told anew when there are so many times the trials: it takes a second."""


@dataclass
class Kept:
    """How the best moves, as it was told last, from so many trials; `why` it could not be."""

    found: Transfer | None = None
    why: str = ""
    trials: int = 0

    def renew(self, trials: pd.DataFrame, scale: str, *, last: bool) -> None:
        """Tell it anew if enough trials came since, or if no more will."""
        done = int(trials["state"].isin(FINISHED).sum())
        if done == self.trials or (done < GROWN * self.trials and not last):
            return
        self.trials, self.why = done, ""
        try:
            self.found = transfer(trials, scale)
        except StudyError as error:
            self.found, self.why = None, str(error)


def figures_along(
    trials: pd.DataFrame, curves: pd.DataFrame, record: StudyRecord, target: int, scale: str
) -> dict[str, go.Figure]:
    """Those figures for which there is something to show.

    Args:
        trials: As from `trials_frame`, of all values.
        curves: As from `curves_frame`, of all values.
        record: As from `record_of`.
        target: How many trials the study will have.
        scale: The column of the scale.
    """
    parts = along(trials, scale)
    diagnostic = " (a diagnostic)" if record.spec.decay_is_diagnostic else ""
    figures = {}
    for key, series, column, more in (
        ("objective", str(trials.attrs["objective"]), "value", ""),
        ("decay", DECAY_LOSS, FINAL_PREFIX + DECAY_LOSS, diagnostic),
    ):
        now = {at: so_far(part, curves, series, column) for at, part in parts.items()}
        some = {at: f for at, f in now.items() if f[column].notna().any() or f["diverged"].any()}
        if some:
            if _planned(record) == target:  # a run at some values alone has a window of its own
                some = {at: with_planned(frame, record, at) for at, frame in some.items()}
            figures[key] = _planes(scale, some, column, trials, target, more)
    lines = curves[curves["series"].isin(LOSSES) & curves["value"].notna()]
    at = _shown(parts, lines)
    if at is not None:
        part = parts[at]
        own = lines[lines["trial"].isin(part["trial"])]
        shown = so_far(part, curves, str(trials.attrs["objective"]), "value")
        if _planned(record) == target:
            shown = with_planned(shown, record, at)
        info = replace(curve_grid_info(own, shown, LOSSES), best=cell_grid(shown).best)
        title = f"primary loss and decay loss{diagnostic} of every cell at {scale} {number(at)}"
        figures["curves"] = curves_figure(info, html.escape(title), rests_on(trials, target))
    return figures


def _planned(record: StudyRecord) -> int:
    """How many trials the study's whole space holds; 0 where that is not known."""
    space, scale = record.spec.space, record.spec.scale or {}
    return 0 if space is None else len(space) * len(scale.get("values") or ())


def _planes(
    scale: str,
    frames: dict[float, pd.DataFrame],
    column: str,
    trials: pd.DataFrame,
    target: int,
    more: str,
) -> go.Figure:
    """A column over the plane of each value, on one scale of colours."""
    values = pd.concat([cell_grid(frame, column).cells["value"] for frame in frames.values()])
    is_decay = column == FINAL_PREFIX + DECAY_LOSS
    falls = column == "value" or series_named(column.removeprefix(FINAL_PREFIX)).low_is_good
    most = 1.5 * initial_loss(trials) if falls else math.nan
    norm = colour_norm(values[values > 0] if is_decay else values, most)
    norm.clip = is_decay
    planes = {}
    for at, frame in frames.items():
        done = trials[trials["trial"].isin(frame["trial"])]
        best = gather(done, "value", minimize=bool(trials.attrs["minimize"])).best
        info = replace(heatmap_info(frame, column, None, norm, tied=()), best=best)
        planes[at] = (info, frozenset(cells_of(done[done["state"] == "RUNNING"])))
    label = label_of(trials, column)
    title = label if is_whole(trials, target) else label.replace(" at the end", " so far")
    return panels_figure(scale, planes, html.escape(title + more), rests_on(trials, target))


def _shown(parts: dict[float, pd.DataFrame], lines: pd.DataFrame) -> float | None:
    """The value whose curves are shown: the one in training, else the largest that has some."""
    drawn = set(lines["trial"])
    some = [at for at, part in parts.items() if drawn & set(part["trial"])]
    training = [at for at in some if (parts[at]["state"] == "RUNNING").any()]
    return max(training or some, default=None)


def sentences_along(trials: pd.DataFrame, scale: str, kept: Kept) -> Iterator[tuple[str, str]]:
    """What is said so far, each sentence with its numbers.

    Args:
        trials: Of all values.
        scale: The column of the scale.
        kept: How the best moves, as told last.
    """
    low = bool(trials.attrs["minimize"])
    for at, part in along(trials, scale).items():
        grid = gather(part, "value", minimize=low)
        if grid.best is None:
            yield f"{scale} {number(at)}: no cell has a value yet.", ""
            continue
        lr, decay = grid.best
        loss = label_of(trials, "value").removesuffix(" at the end")
        best = number(float(grid.ranked["value"].iloc[0]))
        yield (
            f"{scale} {number(at)}: the best of {counted(len(grid.ranked), 'cell')} is lr "
            f"{number(lr)}, weight_decay {number(decay)} ({loss} {best}).",
            "",
        )
    if kept.found is None:
        if kept.why:
            yield f"{kept.why[0].upper()}{kept.why[1:]}.", ""
        return
    done = int(trials["state"].isin(FINISHED).sum())
    if done != kept.trials:
        yield f"How the best moves, as of {counted(kept.trials, 'trial')}:", ""
    for sentence in kept.found.advice:
        yield sentence.text, sentence.numbers
