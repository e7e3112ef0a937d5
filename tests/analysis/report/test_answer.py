"""What a report opens with: the advice, its figures, and nothing said twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_studies import grid_study

from wdstudy.analysis.figures.registry import planned_figures
from wdstudy.analysis.numbers.findings import Sentence
from wdstudy.analysis.numbers.reading import Read, read_study
from wdstudy.analysis.report.answer import Answer, answer

IMPROVING = Sentence("3 of the best 10 trials still improved.", "curves")


@pytest.fixture(scope="module")
def read() -> Read:
    return read_study(grid_study(seeds=2))


def told(read: Read, improving: Sentence | None = IMPROVING, is_improving: bool = True) -> Answer:
    drawings = list(planned_figures(read))
    numbers = {drawing.key: i for i, drawing in enumerate(drawings, 1)}
    return answer(read.found, improving, is_improving, drawings, numbers)


def test_the_advice_comes_first_with_its_numbers_and_the_figure_that_shows_it(read: Read) -> None:
    found = told(read)
    assert len(found.advice) == len(read.found.advice)
    for shown, sentence in zip(found.advice, read.found.advice, strict=True):
        assert shown.numbers.replace("\xa0", " ") == sentence.numbers
        wanted = {"best": "heatmap", "edges": "heatmap"}.get(sentence.about, "effects")
        assert shown.figure == wanted
    assert [s.figure for s in found.advice[:2]] == ["heatmap", "effects"]
    assert (found.advice[1].number, found.advice[0].number) == (1, 2)


def test_no_sentence_stands_there_twice(read: Read) -> None:
    for is_improving in (True, False):
        found = told(read, is_improving=is_improving)
        texts = [s.text for s in (*found.advice, *found.further, *found.verdict)]
        assert len(texts) == len(set(texts))
        place = found.further if is_improving else found.verdict
        assert IMPROVING.text in [str(s.text) for s in place]


def test_where_nothing_can_be_advised_the_verdict_is_the_answer() -> None:
    read = read_study(grid_study(diverges=lambda lr, wd: True))
    found = told(read, None, False)
    assert str(found.advice[0].text).startswith("Nothing can be said")
    assert found.verdict == ()
    assert not found.sure


def test_a_command_is_code_and_what_a_study_is_named_is_text(read: Read) -> None:
    sentence = Sentence("Extend lr (`wdstudy suggest <b>x</b>`), 5 % more.", "edges", "5 % & more")
    found = told(replace(read, found=replace(read.found, advice=(sentence,))))
    (shown,) = found.advice
    assert shown.text == (
        "Extend lr (<code>wdstudy suggest &lt;b&gt;x&lt;/b&gt;</code>), 5\xa0% more."
    )
    assert shown.numbers == "5\xa0% & more"  # the page escapes it


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("Weight decay surely helps.", True),
        ("Weight decay probably helps.", True),
        ("The lowest loss seen; with one seed a cell, how surely can't be said.", False),
        ("You have your answer.", False),
    ],
)
def test_what_sureness_means_is_told_where_it_is_claimed(read: Read, text: str, sure: bool) -> None:
    sentence = Sentence(text, "effects")
    assert told(replace(read, found=replace(read.found, advice=(sentence,)))).sure is sure
