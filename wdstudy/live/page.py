"""What a study's page in optuna-dashboard shows while it runs: three figures and a note."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna_dashboard import get_note, save_note, save_plotly_graph_object

from wdstudy.analysis.frames.cells import FINISHED, cell_grid, cells_of
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.scale import scale_in
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.analysis.views.curve_grid import curve_grid_info
from wdstudy.analysis.views.heatmap import heatmap_info
from wdstudy.curves import DECAY_LOSS, FINAL_PREFIX, PRIMARY_LOSS
from wdstudy.live.along import LOSSES, Kept, figures_along, sentences_along
from wdstudy.live.curves import curves_figure
from wdstudy.live.heatmap import heatmap_figure
from wdstudy.live.note import HEADING, is_whole, live_note
from wdstudy.live.sofar import rests_on, so_far, with_planned
from wdstudy.record import StudyRecord

POINTS = 40
"""Record points of a curve: a box of the curve grid is about as many pixels wide."""

IDS = {name: f"wdstudy-{name}" for name in ("objective", "decay", "curves")}
"""Under these the dashboard keeps the figures; a push overwrites the one before."""


@dataclass(frozen=True)
class Page:
    """What is pushed: figures by name, and our part of the note in Markdown."""

    figures: Mapping[str, go.Figure]
    note: str


def push(study: optuna.Study, page: Page) -> None:
    """Put a page into the study, over the one before."""
    for name, figure in page.figures.items():
        save_plotly_graph_object(study, figure, graph_object_id=IDS[name])
    before, _, _ = get_note(study).partition(HEADING)  # what its reader wrote above is kept
    save_note(study, before + page.note)


@cache
def warm_up() -> None:
    """Draw a page for nobody: the first of a process takes several times as long as the next."""
    trials = pd.DataFrame(list(product((0.1, 1.0), (0.0, 0.1))), columns=["lr", "weight_decay"])
    trials = trials.assign(trial=range(4), state="COMPLETE", seed=0, diverged=False)
    trials["value"] = trials[FINAL_PREFIX + DECAY_LOSS] = trials["lr"] + trials["weight_decay"]
    trials.attrs = {"study": "", "objective": PRIMARY_LOSS, "minimize": True}
    curves = trials.assign(step=1.0, epoch=1.0, series=PRIMARY_LOSS)
    found = _found(trials, StudyRecord())
    for figure in _figures(trials, curves, StudyRecord(), 4, found).values():
        figure.to_json()
    live_note(trials, StudyRecord(), 4, "", "", found)


def live_page(
    study: optuna.Study, target: int, state: str, command: str, kept: Kept | None = None
) -> Page:
    """The page of a study as it is now.

    Args:
        study: A study of wdstudy.
        target: How many trials it will have.
        state: `running`, `stopped` or `finished`.
        command: The command line that writes the report.
        kept: Of a study along a scale, what the page before told of it; renewed here.
    """
    trials, record = trials_frame(study), record_of(study)
    names = {*LOSSES, str(trials.attrs["objective"])}
    curves = curves_frame(study, names, POINTS)
    scale = scale_in(trials)
    if scale is not None:
        kept = kept or Kept()
        kept.renew(trials, scale, last=state != "running")
        return Page(
            figures_along(trials, curves, record, target, scale),
            live_note(trials, record, target, state, command,
                      [*sentences_along(trials, scale, kept)]),
        )  # fmt: skip
    found = _found(trials, record)
    return Page(
        _figures(trials, curves, record, target, found),
        live_note(trials, record, target, state, command, found),
    )


def _found(trials: pd.DataFrame, record: StudyRecord) -> Landscape | None:
    """What the finished trials say, if there are any."""
    done = trials["state"].isin(FINISHED).any()
    return landscape_of_study(trials, record) if done else None


def _figures(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    record: StudyRecord,
    target: int,
    found: Landscape | None,
) -> dict[str, go.Figure]:
    """Those figures for which there is something to show."""
    objective = str(trials.attrs["objective"])
    value = with_planned(so_far(trials, curves, objective, "value"), record)
    decay = with_planned(so_far(trials, curves, DECAY_LOSS, FINAL_PREFIX + DECAY_LOSS), record)
    running = frozenset(cells_of(trials[trials["state"] == "RUNNING"]))
    best = None if found is None else cell_grid(trials).best
    tied = () if found is None else found.best.tied
    diagnostic = " (a diagnostic)" if record.spec.decay_is_diagnostic else ""
    note = rests_on(trials, target)
    whole = is_whole(trials, target)
    figures = {}
    for key, frame, column, more in (
        ("objective", value, "value", ""),
        ("decay", decay, FINAL_PREFIX + DECAY_LOSS, diagnostic),
    ):
        if frame[column].notna().any() or frame["diverged"].any():
            info = replace(heatmap_info(frame, column, None, tied=tied), best=best)
            title = (info.label if whole else info.label.replace(" at the end", " so far")) + more
            figures[key] = heatmap_figure(info, html.escape(title), note, running)
    losses = curves[curves["series"].isin(LOSSES)]
    if losses["value"].notna().any():
        lines = replace(curve_grid_info(losses, value, LOSSES), best=best)
        title = f"primary loss and decay loss{diagnostic} of every cell"
        figures["curves"] = curves_figure(lines, title, note)
    return figures
