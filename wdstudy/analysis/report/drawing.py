"""Figures drawn into a report: files in its folder, and pictures in its page."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wdstudy.analysis.figures.registry import Drawing
from wdstudy.analysis.frames.files import written_whole
from wdstudy.analysis.report.files import unwritable
from wdstudy.errors import FlagError, StudyError, nearest

FORMATS = ("png", "svg", "pdf")

DPI = 144
"""Sharp on paper at the size a figure has in the page."""


@dataclass(frozen=True)
class Picture:
    """A PNG in base64; width and height in CSS pixels."""

    image: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """A figure in the page; `narrow` is its picture for phones, where it has one of its own."""

    key: str
    number: int
    caption: str
    title: str
    picture: Picture
    narrow: Picture | None
    wide: bool


def check_format(format: str) -> None:
    """Refuse a format that figures can't be saved in."""
    if format not in FORMATS:
        raise FlagError(f"--format {format}: {nearest(format, FORMATS)}")


def draw_all(
    drawings: Iterable[Drawing], folder: Path, format: str
) -> tuple[list[Shown], list[tuple[str, str]]]:
    """Draw and save every figure; and what could not be drawn, with the reason."""
    shown: list[Shown] = []
    missing: list[tuple[str, str]] = []
    with warnings.catch_warnings():
        # A letter that no font has is a box, and warned of with the letter itself: it may be
        # an order to the terminal.
        warnings.filterwarnings("ignore", "Glyph ", UserWarning)
        for drawing in drawings:
            figure = drawn(drawing)
            if isinstance(figure, str):
                missing.append((drawing.key.replace("-", " "), figure))
                continue
            shown.append(_save(drawing, len(shown) + 1, figure, folder, format))
    return shown, _gathered(missing)


def _gathered(missing: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Figures that lack for the same reason, named together."""
    reasons = dict.fromkeys(reason for _, reason in missing)
    return [(", ".join(w for w, r in missing if r == reason), reason) for reason in reasons]


def drawn(drawing: Drawing) -> Figure | str:
    """The figure, or why it can't be drawn."""
    try:
        shown = drawing.draw()
    except StudyError as error:
        return str(error)
    return _figure_of(shown)


def _figure_of(shown: Axes | Figure) -> Figure:
    figure = shown if isinstance(shown, Figure) else shown.get_figure(root=True)
    assert figure is not None
    return figure


def _save(drawing: Drawing, number: int, figure: Figure, folder: Path, format: str) -> Shown:
    try:
        picture = _picture(figure)
        with written_whole(folder / f"{drawing.key}.{format}", binary=True) as file:
            if format == "png":
                file.write(base64.b64decode(picture.image))
            else:
                figure.savefig(file, format=format, metadata=_NO_DATE[format])
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        plt.close(figure)
    titles = (ax.get_title(loc="left") for ax in figure.axes)
    title = figure.get_suptitle() or next(filter(None, titles), "")
    narrow = None
    if drawing.narrow is not None:
        small = _figure_of(drawing.narrow())
        narrow = _picture(small)
        plt.close(small)
    return Shown(drawing.key, number, drawing.caption, title, picture, narrow, drawing.wide)


def _picture(figure: Figure) -> Picture:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png")
    width, height = figure.get_size_inches() * 100
    return Picture(base64.b64encode(buffer.getvalue()).decode(), int(width), int(height))


# The same study gives the same files, byte by byte.
_NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
