"""The sentences of a report: what to do, and the verdict that it rests on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from wdstudy.analysis.figures.registry import Drawing
from wdstudy.analysis.numbers.findings import Landscape, Sentence


@dataclass(frozen=True)
class Told:
    """A sentence in the page: its text as HTML, its numbers, and the figure that shows it."""

    text: Markup
    numbers: str = ""
    figure: str = ""
    number: int = 0


@dataclass(frozen=True)
class Answer:
    """What a report opens with, and what stands under its numbers; no sentence in both.

    advice: the four plain sentences; where nothing can be advised, the verdict. further: what to
    mind beside them. verdict: the statistician's. sure: whether the advice says how sure it is, in
    words that have a stated meaning.
    """

    advice: tuple[Told, ...]
    further: tuple[Told, ...]
    verdict: tuple[Told, ...]
    sure: bool


def answer(
    found: Landscape,
    improving: Sentence | None,
    is_improving: bool,
    drawings: Sequence[Drawing],
    numbers: Mapping[str, int],
) -> Answer:
    """The sentences of a page.

    Args:
        found: The numbers.
        improving: Whether the trials were still improving, if that is known.
        is_improving: Whether they were: then it is to be minded at once.
        drawings: The figures, the most telling first.
        numbers: Key of each figure in the page → its number.
    """
    shown = [drawing for drawing in drawings if drawing.key in numbers]
    # What to do is shown by the most telling figure of it, what was found by the most particular.
    first = {field: d.key for d in reversed(shown) for field in d.about}
    last = {field: d.key for d in shown for field in d.about}
    advice = found.advice or found.verdict
    extra = () if improving is None else (improving,)
    verdict = (*(found.verdict if found.advice else ()), *(() if is_improving else extra))
    return Answer(
        tuple(_told(s, first, numbers) for s in advice),
        tuple(_told(s, last, numbers) for s in extra if is_improving),
        tuple(_told(s, last, numbers) for s in verdict),
        says_how_sure(found.advice),
    )


def told_in_page(
    sentences: Sequence[Sentence], drawings: Sequence[Drawing], numbers: Mapping[str, int]
) -> tuple[Told, ...]:
    """Sentences of a page, each with the most telling figure that shows it."""
    shown = [drawing for drawing in drawings if drawing.key in numbers]
    first = {field: d.key for d in reversed(shown) for field in d.about}
    return tuple(_told(sentence, first, numbers) for sentence in sentences)


def says_how_sure(sentences: Sequence[Sentence]) -> bool:
    """Whether some say how sure they are, in words that have a stated meaning."""
    return any(re.search(r"(?<!how )surely|probably", sentence.text) for sentence in sentences)


def unbroken(text: str) -> str:
    """A sentence whose numbers keep their percent signs on the same line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _told(sentence: Sentence, about: Mapping[str, str], numbers: Mapping[str, int]) -> Told:
    figure = about.get(sentence.about, "")
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(unbroken(sentence.text))))
    return Told(Markup(text), unbroken(sentence.numbers), figure, numbers.get(figure, 0))
