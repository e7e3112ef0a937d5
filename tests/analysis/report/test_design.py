"""How a design got there, in words, tables and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_studies import BATCHES, designed_study, grid_study, trained
from pages import Page

from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.reading import read_study
from wdstudy.analysis.report.design import Story, state_of, story, story_data
from wdstudy.analysis.report.page import write_report
from wdstudy.analysis.report.summary import summary
from wdstudy.analysis.views.design import design_info
from wdstudy.design.batch import Question

KEYS = {
    "": "asked scouts stages batches path questions stopped",
    "scouts": "runs seconds rows",
    "stages": "stage trials done seconds batches",
    "batches": "batch stage reason trials done seconds",
    "path": "batch trials best",
    "questions": "name asked width answered says given_up trials",
    "stopped": "reason why",
}


def told_of(study: optuna.Study) -> Story:
    trials = trials_frame(study)
    return story(design_info(trials), trials)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    found = summary(read_study(designed_study()))["design"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return dict(found)


@pytest.mark.parametrize("path", KEYS)
def test_keys_that_are_told_of_stay(data: dict[str, Any], path: str) -> None:
    part = data[path] if path else data
    part = part[0] if isinstance(part, list) else part
    assert set(part) == set(KEYS[path].split())
    assert not {key for key in part if key not in str(summary.__doc__)}


def test_the_numbers_are_those_of_the_batches(data: dict[str, Any]) -> None:
    assert [b["trials"] for b in data["batches"]] == [len(cells) for *_, cells, _ in BATCHES]
    assert data["path"][-1] == {"batch": 5, "trials": 37, "best": [0.3, 0.01]}
    assert data["asked"] == {"best": 0.02, "effects": 0.05, "limit": 0.5}
    assert data["stopped"]["reason"] == "answered"
    going_on = design_info(trials_frame(designed_study(stop=None)))
    assert story_data(going_on)["stopped"] is None
    assert summary(read_study(grid_study()))["design"] is None


def test_the_paragraphs_say_what_was_asked_done_and_why_it_ended() -> None:
    study = designed_study(asked={"best": 0.01, "limit": 0.5, "trials": 60, "seconds": 1200.0})
    told = told_of(study)
    asked, scouted, way, stop = told.paragraphs
    assert "would gain less than 1 %" in asked
    assert "within 0.5 decades" in asked
    assert "at each good lr what weight decay gains" not in asked
    assert "allowed 60 trials and 20 min" in asked
    assert scouted.startswith("16 short runs, each 5 % as long as a trial, came first")
    assert "validation loss was best at lr 1; they diverged at lr 10 and above" in scouted
    assert "It placed 37 trials of full length in 5 batches" in way
    assert way.endswith("lr 0.3, weight_decay 0.01 after batch 3.")
    assert stop.startswith("It stopped because all that it was asked is answered: choosing")


def test_what_is_not_there_is_not_told() -> None:
    told = told_of(designed_study(scouts=None, asked={}, stop=None))
    assert len(told.paragraphs) == 2
    assert told.questions == ()
    assert told.paragraphs[-1].startswith("It has not stopped yet")
    assert [row[0].partition(":")[0] for row in told.stages] == ["find", "map", "seeds"]


def test_trials_that_the_design_did_not_place_are_told_apart() -> None:
    study = designed_study()
    study.add_trial(trained(0.5, 0.5))
    told = told_of(study)
    assert "beside 1 trial that the design did not place" in told.paragraphs[2]
    assert "weight_decay 0.5 before the design began" in told.paragraphs[2]
    assert told.batches[0][:2] == ("–", "before")


@pytest.mark.parametrize(
    ("question", "stopped", "says"),
    [
        (Question("best", 0.02, 0.01, True, "fine"), "answered", "answered: fine"),
        (
            Question("best", 0.02, 0.05, False, "wide", trials=12.0),
            "",
            "open, about 12 trials more",
        ),
        (Question("best", 0.02, 0.05, False, "wide", trials=12.0), "hopeless", "open: wide"),
        (Question("best", 0.02, 0.05, False, "wide"), "", "open: wide"),
        (Question("best", 0.02, 0.05, True, "wide", "too dear"), "hopeless", "given up: too dear"),
    ],
)
def test_a_state_in_words(question: Question, stopped: str, says: str) -> None:
    assert state_of(question, stopped).startswith(says)


@pytest.mark.usefixtures("one_figure")
def test_the_page_has_the_section_for_a_design_only(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    study = designed_study(stop=("answered", evil))
    pages = [Page(write_report(s, tmp_path).read_text()) for s in (study, grid_study())]
    assert "How the design got there" in pages[0].text
    assert "placed by its design" in pages[0].text
    assert evil in pages[0].text
    assert not any("onerror" in attributes for _, attributes in pages[0].tags)
    for stage, reason, *_ in BATCHES:
        assert f"{stage} {reason}" in pages[0].text
    assert "How the design got there" not in pages[1].text
    setup = pages[0].text[pages[0].text.index("How the study was run") :]
    assert "lr 0.03, 0.1, 0.18, 0.3, 1, 3; within 1e-7 … 1000" in setup
