"""From studies to folders: one HTML file that opens offline, figures, tables and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from jinja2 import Environment, PackageLoader

from wdstudy.analysis.figures.registry import Drawing, planned_figures
from wdstudy.analysis.frames.files import write_frame
from wdstudy.analysis.numbers.findings import Sentence
from wdstudy.analysis.numbers.reading import Read, read_frame, read_study
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.analysis.report.answer import answer, says_how_sure, told_in_page
from wdstudy.analysis.report.design import story
from wdstudy.analysis.report.drawing import Shown, check_format, draw_all
from wdstudy.analysis.report.explorer import as_script, explorer_data, scale_data
from wdstudy.analysis.report.files import folder_name, make_folder, whole_folder, write_text
from wdstudy.analysis.report.numbers import HARMS, effect_rows, number_rows
from wdstudy.analysis.report.references import REFERENCES
from wdstudy.analysis.report.scale import course
from wdstudy.analysis.report.setup import how_it_was_run
from wdstudy.analysis.report.summary import as_json, summary
from wdstudy.analysis.report.text import (
    caveats,
    decay_meaning,
    headline,
    improves,
    still_improving,
    trial_table,
)
from wdstudy.analysis.views.design import DesignInfo, design_if_any
from wdstudy.analysis.views.looks import label_of
from wdstudy.space import LR, WEIGHT_DECAY

GLANCE = ("effects", "heatmap")
"""The figures beside the answer."""

HOW = ("design",)
"""Those that show how a design got there."""

ALONG = ("planes", "drift", "memory", "runs")
"""Those of a scale, whose others are of its largest value."""


def write_report(
    study: optuna.Study | pd.DataFrame,
    out: str | Path = "reports",
    format: str = "png",
    *,
    name: str = "sweep",
    value: str = "value",
    curves: pd.DataFrame | None = None,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
    scale: str | None = None,
) -> Path:
    """Write a study's report into a folder of its name.

    Of a study along a scale it says how the best moves, and shows the plane of each value.

    The folder holds `report.html`, which needs nothing beside it, and `figures/`, `trials.csv`,
    `curves.csv` and `summary.json`.

    Args:
        study: A study with at least one finished trial, of wdstudy or of another program; or a
            frame of one row a run, which the keywords are for.
        out: The folder in which a folder of the study's name is made.
        format: Of the files in `figures/`; the page holds its own.
        name: What the frame is called.
        value: The frame's column to judge by.
        curves: The curves of the frame's runs.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.
        scale: The column of the scale; as the frame's `attrs` say where it is None.

    Returns:
        The path of `report.html`.

    Raises:
        StudyError: no trial has finished, or none has lr and weight_decay.
        SpecError: the format is not known.
        StorageError: the folder can't be written.
    """
    check_format(format)
    if isinstance(study, pd.DataFrame):
        read = read_frame(study, name, value, curves, lr=lr, weight_decay=weight_decay,
                          scale=scale)  # fmt: skip
        return write_read(read, out, format)
    return write_read(read_study(study), out, format)


def write_read(read: Read, out: str | Path, format: str) -> Path:
    """Write the report of a study that is already read."""
    folder = Path(out) / folder_name(read.name)
    with whole_folder(folder):
        return _write(read, folder, format)


def _write(read: Read, folder: Path, format: str) -> Path:
    make_folder(folder / "figures")
    design = design_if_any(read.trials)
    drawings = list(planned_figures(read, design))
    shown, missing = draw_all(drawings, folder / "figures", format)
    write_frame(read.whole.trials, folder / "trials.csv")
    write_frame(read.whole.curves, folder / "curves.csv")
    write_text(folder / "summary.json", as_json(summary(read, design)))
    page = render("report.html.j2", **_page(read, design, drawings, shown, missing))
    return write_text(folder / "report.html", page)


def render(template: str, **values: Any) -> str:
    """A page with its style and script inside. Everything that is not ours is escaped."""
    return (
        _environment()
        .get_template(template)
        .render(style=_asset("report.css"), script=_asset("report.js"), **values)
    )


def _page(
    read: Read,
    design: DesignInfo | None,
    drawings: Sequence[Drawing],
    shown: Sequence[Shown],
    missing: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """What the template shows."""
    figures = {figure.key: figure.number for figure in shown}
    whole = read.whole
    apart = (*HOW, *(GLANCE if read.along is None else ALONG))
    improving = still_improving(read.trials, read.curves)
    sentence = Sentence(improving, "curves") if improving else None
    along, scale = read.along, None
    explorer = (
        explorer_data(read.trials, read.curves, read.found.best.tied)
        if along is None
        else scale_data(along)
    )
    told = answer(read.found, sentence, improves(read.trials, read.curves), drawings, figures)
    opening = told.advice
    if along is not None:
        chapters = course(along)
        opening = told_in_page(along.found.advice, drawings, figures)
        scale = {
            "course": chapters,
            "lawful": all(place.weight_decay.known for place in along.found.places),
            "told": {c.title: told_in_page(c.advice, (), {}) for c in chapters.chapters},
            "figures": [figure for figure in shown if figure.key in ALONG],
        }
    rows, silent = number_rows(read.found, read.record)
    return {
        "name": read.name,
        "headline": headline(whole.trials, whole.record),
        "answer": told,
        "opening_sentences": opening,
        "sure": told.sure or (along is not None and says_how_sure(along.found.advice)),
        "scale": scale,
        "glance": [figure for figure in shown if figure.key in GLANCE and along is None],
        "story": None if design is None else story(design, read.trials),
        "design_figures": [figure for figure in shown if figure.key in HOW],
        "figures": [figure for figure in shown if figure.key not in apart],
        "missing": missing,
        "explorer": as_script(explorer),
        "explorer_note": explorer["note"],
        "ringed": bool(read.found.best.tied),
        "explorer_script": _asset("explorer.js"),
        "meaning": decay_meaning(read.record),
        "setup": how_it_was_run(whole.trials, whole.record),
        "caveats": caveats(whole.trials, whole.curves),
        "effects": effect_rows(read.found),
        "harms": [percent(factor - 1) for factor in HARMS],
        "estimates": rows,
        "silent": silent,
        "table": trial_table(whole.trials),
        "value_label": label_of(read.trials, "value"),
        "references": REFERENCES,
    }


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("wdstudy.analysis.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
