"""The report of a study along a scale, in words, tables, JSON and its explorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from known_scales import ScaledSweep, bowl, only_harms
from made_studies import SIZES, grid_study, scaled_study
from pages import Page

from wdstudy import predict, transfer
from wdstudy.analysis.figures.registry import planned_figures
from wdstudy.analysis.numbers.reading import Along, Read, read_frame, read_study
from wdstudy.analysis.report.explorer import scale_data
from wdstudy.analysis.report.page import write_report
from wdstudy.analysis.report.scale import course
from wdstudy.analysis.report.scaletables import next_of
from wdstudy.analysis.report.summary import summary
from wdstudy.words import number

KEYS = {
    "": "scale values name trials places exponents straight shape rules test advice notes next "
    "planes",
    "places": "value lr weight_decay product tau_share tau_epochs limit own_lr own_weight_decay "
    "banks best_lr best_weight_decay loss trials",
    "shape": "shared p depth cells misfit",
    "rules": "rule powers verdict text",
    "test": "value lr weight_decay best loss regret kept reason",
    "next": "scale value lr weight_decay limit kept stake beyond",
    "planes": "value landscape",
}


@pytest.fixture(scope="module")
def read() -> Read:
    return read_study(scaled_study("sizes", points=3, batch_size=8, model="net"))


@pytest.fixture(scope="module")
def whole(read: Read) -> Along:
    assert read.along is not None
    return read.along


@pytest.fixture(scope="module")
def data(read: Read) -> dict[str, Any]:
    found = summary(read)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def sweep(plane: Any, **changes: Any) -> Along:
    trials = ScaledSweep(**changes).trials(plane, np.random.default_rng(0))
    found = read_frame(trials, "sweep").along
    assert found is not None
    return found


@pytest.mark.parametrize("path", KEYS)
def test_keys_that_are_told_of_stay(data: dict[str, Any], path: str) -> None:
    part = data["transfer"][path] if path else data["transfer"]
    part = part[0] if isinstance(part, list) else part
    assert set(part) == set(KEYS[path].split())
    assert not {key for key in part if key not in str(summary.__doc__)}


def test_the_numbers_are_those_of_transfer_and_of_each_plane(
    data: dict[str, Any], whole: Along
) -> None:
    told, found = data["transfer"], transfer(whole.trials)
    assert told["exponents"]["lr"]["value"] == pytest.approx(found.exponents["lr"].value)
    assert told["next"]["lr"]["value"] == pytest.approx(predict(found, 128).lr.value)
    assert [plane["value"] for plane in told["planes"]] == [*SIZES]
    assert data["landscape"] == told["planes"][-1]["landscape"]
    assert data["trials"] == {"COMPLETE": len(whole.trials)}
    assert summary(read_study(grid_study()))["transfer"] is None


@pytest.mark.usefixtures("one_figure")
def test_the_page_opens_with_what_moves_and_the_pairs(tmp_path: Path) -> None:
    path = write_report(scaled_study("sizes", points=3, batch_size=8, model="net"), tmp_path)
    page = Page(path.read_text(encoding="utf-8"))
    text = page.text
    order = ["What to do", "Each time batch_size doubles, the best lr surely grows",
             "The best pair at each batch_size", "How the best moves with batch_size",
             "The optimum at each batch_size", "Published rules", "Its own test",
             "The size that comes next", "Explorer", "Figures at batch_size 64"]  # fmt: skip
    body = text[text.index("References") :]  # after the contents
    places = [body.index(words) for words in order]
    assert places == sorted(places)
    assert "python -m wdstudy predict sizes --at batch_size=128" in text
    assert "along batch_size 8 … 64" in text
    links = {a.get("href") for tag, a in page.tags if tag == "a"}
    assert "https://arxiv.org/abs/2205.10287" in links
    assert sum(tag == "details" for tag, _ in page.tags) == len(SIZES)
    trials = pd.read_csv(path.parent / "trials.csv")
    assert sorted(trials["batch_size"].unique()) == [*SIZES]
    setup = text[text.index("How the study was run") :]
    assert "scale batch_size 8, 16, 32, 64" in setup
    assert "batch size 8" not in setup  # it is another at each


def test_the_figures_of_a_scale_come_before_those_of_its_largest_value(read: Read) -> None:
    keys = [drawing.key for drawing in planned_figures(read)]
    assert keys[:6] == ["planes", "drift", "memory", "runs", "effects", "heatmap"]
    assert "planes" not in [drawing.key for drawing in planned_figures(read_study(grid_study()))]


def test_the_pairs_are_those_of_the_law_and_of_the_size_that_comes_next(whole: Along) -> None:
    table = course(whole).pairs
    assert table.heads == ("batch_size", "lr", "weight_decay")
    rows = {row[0].text: row[1:] for row in table.rows}
    assert [*rows] == ["8", "16", "32", "64", "128"]
    for place in whole.found.places:
        lr, decay = rows[number(place.value)]
        assert (lr.text, decay.text) == (number(place.lr.value), number(place.weight_decay.value))
    assert table.rows[-1][0].interval == "not trained"
    ahead = predict(whole.found, 128)
    assert rows["128"][0].interval == f"{number(ahead.lr.low)} … {number(ahead.lr.high)}"


def test_where_weight_decay_only_harms_the_limit_is_told() -> None:
    along = sweep(only_harms(-0.5, 1), values=(32, 64, 128, 256))
    told = course(along)
    assert told.pairs.heads == ("batch_size", "lr", "weight_decay up to")
    assert "harmless up to" in told.optima.heads
    assert "Of weight_decay: weight decay only harms" in told.ahead[0]
    assert "it does no harm up to" in told.ahead[0]
    assert told.exponents.words
    reasons = {row[0].text: row[-1].text for row in told.exponents.rows}
    unknown = "weight_decay; lr · weight_decay; τ as a share of the run; τ in epochs"
    assert "only harms" in reasons[unknown]
    assert reasons["the harmless limit"] == ""
    assert told.line == ""  # a frame is in no storage


def test_where_nothing_can_be_said_the_reasons_are() -> None:
    along = sweep(bowl(0.5, 0.5), values=(32, 128, 512), noise=0.3, seeds=1)
    told = course(along)
    assert told.which == "trained at each"
    assert [row[1].text for row in told.pairs.rows] == [
        number(place.best_lr) for place in along.found.places
    ]
    assert {row[1].text for row in told.exponents.rows} == {"can't say"}
    assert told.ahead == (f"For batch_size 1024 nothing can be predicted: {next_of(along)}.",)
    assert told.test[0].startswith("There is no test:")


def test_tau_is_told_in_the_form_of_the_study(whole: Along) -> None:
    assert course(whole).memory == "1 / (lr · weight_decay)"
    study = scaled_study(decay="independent", decay_kind="decoupled", sizes=(8, 16, 32))
    along = read_study(study).along
    assert along is not None
    told = course(along)
    assert (told.memory, told.independent) == ("1 / weight_decay", True)
    place = along.found.places[0]
    assert place.tau_share.value * place.weight_decay.value * 320 == pytest.approx(1)


def test_two_sizes_show_no_law_and_predict_nothing() -> None:
    along = sweep(bowl(0.5, 0.5), values=(32, 64))
    assert isinstance(next_of(along), str)
    assert "a third" in str(next_of(along))


def test_a_plane_is_told_of_as_a_study_of_its_own_would_be(whole: Along) -> None:
    for chapter, (size, plane) in zip(course(whole).chapters, whole.planes.items(), strict=True):
        assert chapter.title == f"batch_size {number(size)}"
        assert chapter.advice == plane.found.advice
        assert len(chapter.effects) == len(plane.found.effects)


def test_the_explorer_has_a_plane_a_value_and_one_scale_of_colours(whole: Along) -> None:
    data = scale_data(whole)
    assert data["scale"] == "batch_size"
    assert data["at"] == ["8", "16", "32", "64"]
    assert len(data["planes"]) == 4
    for name in {s["name"] for plane in data["planes"] for s in plane["series"]}:
        same = [s for plane in data["planes"] for s in plane["series"] if s["name"] == name]
        assert len({(s["low"], s["high"], s["log"]) for s in same}) == 1
    first = whole.trials[whole.trials["batch_size"] == 8].groupby(["lr", "weight_decay"])["value"]
    assert min(data["planes"][0]["final"]) == pytest.approx(first.mean().min(), rel=1e-4)
    json.dumps(data, allow_nan=False)


@pytest.mark.usefixtures("one_figure")
def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    trials = ScaledSweep(values=(32, 64, 128), size=(5, 5), name=evil).trials(
        bowl(0.5, 0.5), np.random.default_rng(0)
    )
    page = Page(write_report(trials, tmp_path, name=evil).read_text(encoding="utf-8"))
    assert evil in page.text
    assert not any("onerror" in attributes for _, attributes in page.tags)
