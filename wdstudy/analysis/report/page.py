"""From studies to folders: one HTML file that opens offline, figures, tables and numbers."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import optuna
import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.frames.frames import curves_frame, record_of, trials_frame, write_frame
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.analysis.report.explorer import as_script, explorer_data
from wdstudy.analysis.report.figures import ABOUT, Plan, drawn, planned_figures
from wdstudy.analysis.report.references import REFERENCES
from wdstudy.analysis.report.text import (
    caveats,
    decay_meaning,
    estimates,
    headline,
    how_it_was_run,
    still_improving,
    trial_table,
)
from wdstudy.analysis.views.looks import label_of
from wdstudy.errors import FlagError, StorageError, nearest
from wdstudy.record import StudyRecord

FORMATS = ("png", "svg", "pdf")

DPI = 144
"""Sharp on paper at the size a figure has in the page."""

_STEM = 60


@dataclass(frozen=True)
class Shown:
    """A figure in the page: `image` is PNG in base64; width and height in CSS pixels."""

    key: str
    number: int
    caption: str
    title: str
    image: str
    width: int
    height: int
    wide: bool


@dataclass(frozen=True)
class Read:
    """A study as a report reads it."""

    name: str
    trials: pd.DataFrame
    curves: pd.DataFrame
    record: StudyRecord
    found: Landscape


def write_report(study: optuna.Study, out: str | Path = "reports", format: str = "png") -> Path:
    """Write a study's report into a folder of its name.

    The folder holds `report.html`, which needs nothing beside it, and `figures/`, `trials.csv`,
    `curves.csv` and `summary.json`.

    Args:
        study: A study with at least one finished trial, of wdstudy or of another program.
        out: The folder in which a folder of the study's name is made.
        format: Of the files in `figures/`; the page holds its own.

    Returns:
        The path of `report.html`.

    Raises:
        StudyError: no trial has finished, or none has lr and weight_decay.
        SpecError: the format is not known.
        StorageError: the folder can't be written.
    """
    check_format(format)
    return write_read(read_study(study), out, format)


def write_read(read: Read, out: str | Path, format: str) -> Path:
    """Write the report of a study that is already read."""
    folder = Path(out) / folder_name(read.name)
    make_folder(folder / "figures")
    plans = planned_figures(read.trials, read.curves, read.found, read.record)
    shown, missing = draw_all(plans, folder / "figures", format)
    write_frame(read.trials, folder / "trials.csv")
    write_frame(read.curves, folder / "curves.csv")
    write_text(folder / "summary.json", _summary(read))
    page = render("report.html.j2", **_page(read, shown, missing))
    return write_text(folder / "report.html", page)


def read_study(study: optuna.Study) -> Read:
    """Frames and numbers of a study.

    Raises:
        StudyError: no trial has finished, or none has lr and weight_decay.
    """
    trials, curves, record = trials_frame(study), curves_frame(study), record_of(study)
    if not len(trials):
        trials.attrs["study"] = study.study_name
    finished_trials(trials)
    return Read(study.study_name, trials, curves, record, landscape_of_study(trials, record))


def folder_name(study_name: str) -> str:
    """A name for the study's folder that stays inside the output folder, one for each study."""
    safe = re.sub(r"[^\w.-]+", "-", study_name).strip("-.")
    if safe and safe == study_name and len(safe) <= _STEM:
        return safe
    # Two names must not meet in one folder after cleaning.
    mark = hashlib.sha256(study_name.encode()).hexdigest()[:6]
    return f"{safe[:_STEM].strip('-.') or 'study'}-{mark}"


def unbroken(text: str) -> str:
    """A sentence whose numbers keep their percent signs on the same line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def check_format(format: str) -> None:
    """Refuse a format that figures can't be saved in."""
    if format not in FORMATS:
        raise FlagError(f"--format {format}: {nearest(format, FORMATS)}")


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    try:
        draft = path.with_name(path.name + ".part")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    return path


def draw_all(
    plans: Iterable[Plan], folder: Path, format: str
) -> tuple[list[Shown], list[tuple[str, str]]]:
    """Draw and save every figure; and what could not be drawn, with the reason."""
    shown: list[Shown] = []
    missing: list[tuple[str, str]] = []
    for plan in plans:
        figure = drawn(plan)
        if isinstance(figure, str):
            missing.append((plan.key.replace("-", " "), figure))
            continue
        shown.append(_save(plan, len(shown) + 1, figure, folder, format))
    return shown, _gathered(missing)


def _gathered(missing: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Figures that lack for the same reason, named together."""
    reasons = dict.fromkeys(reason for _, reason in missing)
    return [(", ".join(w for w, r in missing if r == reason), reason) for reason in reasons]


def render(template: str, **values: Any) -> str:
    """A page with its style and script inside. Everything that is not ours is escaped."""
    return (
        _environment()
        .get_template(template)
        .render(style=_asset("report.css"), script=_asset("report.js"), **values)
    )


def _save(plan: Plan, number: int, figure: Figure, folder: Path, format: str) -> Shown:
    buffer = io.BytesIO()
    try:
        figure.savefig(buffer, dpi=DPI, format="png")
        if format == "png":
            (folder / f"{plan.key}.png").write_bytes(buffer.getvalue())
        else:
            figure.savefig(folder / f"{plan.key}.{format}", metadata=_NO_DATE[format])
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        plt.close(figure)
    width, height = figure.get_size_inches() * 100
    title = next((ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")), "")
    image = base64.b64encode(buffer.getvalue()).decode()
    return Shown(plan.key, number, plan.caption, title, image, int(width), int(height), plan.wide)


# The same study gives the same files, byte by byte.
_NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def _page(read: Read, shown: Sequence[Shown], missing: Sequence[tuple[str, str]]) -> dict[str, Any]:
    numbers = {figure.key: figure.number for figure in shown}
    sentences = [(str(s), s.about) for s in read.found.verdict]
    improving = still_improving(read.trials, read.curves)
    sentences += [(improving, "curves")] if improving else []
    explorer = explorer_data(read.trials, read.curves)
    return {
        "name": read.name,
        "headline": headline(read.trials, read.record),
        "verdict": [
            (unbroken(text), ABOUT.get(about), numbers.get(ABOUT.get(about, "")))
            for text, about in sentences
        ],
        "figures": shown,
        "missing": missing,
        "explorer": as_script(explorer),
        "explorer_note": explorer["note"],
        "explorer_script": _asset("explorer.js"),
        "meaning": decay_meaning(read.record),
        "setup": how_it_was_run(read.trials, read.record),
        "caveats": caveats(read.trials, read.curves),
        "estimates": estimates(read.found, read.record),
        "table": trial_table(read.trials),
        "value_label": label_of(read.trials, "value"),
        "references": REFERENCES,
    }


def _summary(read: Read) -> str:
    data = {
        "study": read.name,
        "trials": {str(k): int(v) for k, v in read.trials["state"].value_counts().items()},
        "diverged": int(read.trials["diverged"].sum()),
        "objective": read.trials.attrs.get("objective"),
        "minimize": read.trials.attrs.get("minimize"),
        "landscape": read.found.as_data(),
        "still_improving": still_improving(read.trials, read.curves),
        "caveats": caveats(read.trials, read.curves),
        "record": read.record.as_data(),
    }
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


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


def _unwritable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the report can't be written to '{folder}' ({error.strerror or error}); name another --out"
    )
