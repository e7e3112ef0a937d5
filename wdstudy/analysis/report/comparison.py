"""A report that sets several studies side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from wdstudy.analysis.figures.comparison import common_value, plot_comparison
from wdstudy.analysis.figures.registry import Drawing
from wdstudy.analysis.figures.search import plot_best_of_n
from wdstudy.analysis.frames.cells import cells_of, finished_trials
from wdstudy.analysis.frames.design import designed
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.analysis.numbers.reading import Read, read_study
from wdstudy.analysis.numbers.spoken import shared
from wdstudy.analysis.report.answer import unbroken
from wdstudy.analysis.report.differences import Difference, cautions, differences
from wdstudy.analysis.report.drawing import check_format, draw_all
from wdstudy.analysis.report.files import folder_name, make_folder, whole_folder, write_text
from wdstudy.analysis.report.page import render, write_read
from wdstudy.analysis.report.summary import as_json
from wdstudy.analysis.views.looks import label_of
from wdstudy.errors import StudyError
from wdstudy.words import counted, number, signed

FOLDER = "comparison"


def write_reports(
    studies: Sequence[optuna.Study], out: str | Path = "reports", format: str = "png"
) -> list[Path]:
    """Write each study's report, and of several studies one that compares them.

    Args:
        studies: One study or more.
        out: The folder in which a folder for each is made, and `comparison`.
        format: Of the files in `figures/`.

    Returns:
        The paths of the pages, that of the comparison last.

    Raises:
        StudyError: a study has no finished trial; or they have no metric in common.
        StorageError: the folder can't be written.
    """
    check_format(format)
    names = [study.study_name for study in studies]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StudyError(f"the study '{twice}' is named twice; name different ones to compare")
    reads = [read_study(study) for study in studies]
    frames = {read.name: read.trials for read in reads}
    value = common_value(frames)
    pages = [write_read(read, out, format) for read in reads]
    if len(reads) > 1:
        found = {read.name: _landscape(read, value) for read in reads}
        differing = differences({read.name: read.record for read in reads})
        unknown = [read.name for read in reads if not read.record.schema]
        careful = [*cautions(differing, unknown), *_one_of_many(reads), *_mixed(frames)]
        folder = _folder(frames, Path(out))
        with whole_folder(folder):
            pages.append(
                _write_comparison(frames, found, value, differing, careful, folder, format)
            )
    return pages


def _folder(frames: dict[str, pd.DataFrame], out: Path) -> Path:
    """Where the comparison goes: a study may be called `comparison` too."""
    taken = {folder_name(name) for name in frames}
    names = (FOLDER, *(f"{FOLDER}-{i}" for i in range(2, 99)))
    return out / next(name for name in names if name not in taken)


def _write_comparison(
    frames: dict[str, pd.DataFrame],
    found: dict[str, Landscape],
    value: str,
    differing: Sequence[Difference],
    careful: Sequence[str],
    folder: Path,
    format: str,
) -> Path:
    make_folder(folder / "figures")
    shown, missing = draw_all(_drawings(frames, value), folder / "figures", format)
    links = {name: f"../{folder_name(name)}/report.html" for name in frames}
    verdict = list(_verdict(frames, found, value))
    data = {
        "value": value,
        "verdict": verdict,
        "warnings": careful,
        "differences": {d.name: {"kind": d.kind, "values": d.values} for d in differing},
        "studies": {n: f.as_data() for n, f in found.items()},
    }
    write_text(folder / "summary.json", as_json(data))
    page = render(
        "comparison.html.j2",
        names=list(frames),
        value=label_of(next(iter(frames.values())), value),
        verdict=[unbroken(sentence) for sentence in verdict],
        warnings=[unbroken(sentence) for sentence in careful],
        differences=differing,
        rows=[_row(name, links[name], frames[name], found[name]) for name in frames],
        figures=shown,
        missing=missing,
    )
    return write_text(folder / "report.html", page)


def _one_of_many(reads: Sequence[Read]) -> Iterator[str]:
    """The studies along a scale, of which one plane is compared."""
    for read in reads:
        if read.along is not None:
            scale = read.along.scale
            yield (
                f"'{read.name}' is a study along {scale}: what is compared is its plane at {scale} "
                f"{number(read.at)}, the largest."
            )


def _mixed(frames: dict[str, pd.DataFrame]) -> Iterator[str]:
    """The studies whose cells hold trials that differ in more than lr, weight_decay and seed."""
    for name, frame in frames.items():
        if others := frame.attrs["others"]:
            told = "; ".join(f"{parameter}: {values}" for parameter, values in others.items())
            yield (
                f"In '{name}' something else varies too ({told}): its trials have their cell by lr "
                "and weight_decay alone, and what the others do counts as noise."
            )


def _landscape(read: Read, value: str) -> Landscape:
    """The numbers of the study's own objective, or of the loss that it is compared by."""
    return read.found if value == "value" else landscape(read.trials, value)


def _drawings(frames: dict[str, pd.DataFrame], value: str) -> Iterator[Drawing]:
    yield Drawing(
        "heatmaps",
        "All studies on one scale of colours: cells of one colour are equally good.",
        lambda: plot_comparison(frames, value),
        wide=True,
    )
    if any(designed(frame) is not None for frame in frames.values()):
        return  # the trials of a design stand for no random ones
    yield Drawing(
        "best-of-n",
        "How good the best of n randomly drawn trials is: the lower line finds a good cell with "
        "fewer trials."
        if all(frame.attrs.get("minimize", True) for frame in frames.values())
        else "How good the best of n randomly drawn trials is.",
        lambda: plot_best_of_n(frames, value),
    )


def _verdict(
    frames: dict[str, pd.DataFrame], found: dict[str, Landscape], value: str
) -> Iterator[str]:
    """The studies in order of their best cells, and whether the noise tells them apart."""
    known = {n: f for n, f in found.items() if f.best.loss.known}
    for name in found.keys() - known.keys():
        yield f"Nothing can be said of '{name}': none of its trials finished with a finite value."
    order = sorted(known, key=lambda name: known[name].best.loss.value)
    for place, name in enumerate(order):
        best = known[name].best
        rank = "The best cell of all is" if place == 0 else "Then"
        loss, replica = number(best.loss.value), _replica(frames[name])
        if math.isfinite(best.loss.low):
            loss += f" (95 % {number(best.loss.low)} … {number(best.loss.high)})"
        yield (
            f"{rank} '{name}' at lr {number(best.lr)}, weight_decay {number(best.weight_decay)}: "
            f"{known[name].name} {loss}, {counted(best.seeds, replica)}."
        )
    for first, second in pairwise(order):
        a, b = known[first].best.loss, known[second].best.loss
        if not (math.isfinite(a.high) and math.isfinite(b.low)):
            yield (
                f"Whether '{first}' is better than '{second}' beyond the noise can't be said: "
                "that needs 2 seeds or more in each."
            )
        elif a.high < b.low:
            yield f"'{first}' is better than '{second}' beyond the noise: the intervals are apart."
        else:
            yield f"The noise does not tell '{first}' from '{second}': their intervals overlap."
    if value != "value":
        yield (
            f"The studies have objectives of their own; they are compared by {value}, "
            "which all of them recorded."
        )
    if len({frozenset(cells_of(finished_trials(frame))) for frame in frames.values()}) > 1:
        yield "The studies cover different cells, so a part of any difference may come from that."


def _replica(frame: pd.DataFrame) -> str:
    return "trial" if frame.attrs["others"] else "seed"


def _row(name: str, link: str, frame: pd.DataFrame, found: Landscape) -> dict[str, Any]:
    best, diverged = found.best, found.diverged_share
    return {
        "name": name,
        "link": link,
        "optimizer": frame.attrs.get("optimizer") or "not known",
        "decay": frame.attrs.get("decay") or "not known",
        "trials": f"{found.trials:,}",
        "best": f"lr {number(best.lr)}, weight_decay {number(best.weight_decay)}"
        if best.loss.known
        else "none",
        "value": number(best.loss.value) if best.loss.known else "none",
        "gain": _gain(found),
        "slope": _slope(found),
        "diverged": f"{100 * diverged.value:.0f} %" if diverged.known else "–",
    }


def _gain(found: Landscape) -> str:
    """What weight decay gains at most, at an lr where that is beyond the noise."""
    sure = [effect for effect in found.effects if effect.gain.low > 0]
    if sure:
        most = max(sure, key=lambda effect: effect.gain.value)
        return f"{shared(most.gain)} at lr {number(most.lr)}"
    return "not shown" if any(e.gain.known for e in found.effects) else "can't say"


def _slope(found: Landscape) -> str:
    """The slope of the ridge, else that of where harm begins."""
    limit, slope = found.limit.slope, found.slope
    for what, line in (("ridge", slope), ("where harm begins", limit)):
        if line.known:
            return f"{what} {signed(line.value)} ({signed(line.low)} … {signed(line.high)})"
    return "can't say"
