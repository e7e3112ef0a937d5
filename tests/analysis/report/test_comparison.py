from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_studies import grid_study, placed, study_of
from pages import Page

from wdstudy.analysis.report.comparison import write_reports
from wdstudy.analysis.report.files import folder_name
from wdstudy.errors import StudyError

SMALL: dict[str, Any] = {"lrs": [0.1, 1.0], "weight_decays": [0.01, 0.1]}


@pytest.fixture(autouse=True)
def no_single_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reports of the single studies are tested elsewhere."""

    def none(*args: Any) -> Iterator[Any]:
        return iter(())

    monkeypatch.setattr("wdstudy.analysis.report.page.planned_figures", none)


def test_several_studies_are_compared(tmp_path: Path) -> None:
    def worse(lr: float, weight_decay: float, seed: int) -> float:
        return 0.5 + lr + weight_decay + 0.001 * seed

    studies = [grid_study("sgd", seeds=3), grid_study("adam w", seeds=3, loss=worse)]
    paths = write_reports(studies, tmp_path)
    assert [p.parent.name for p in paths] == ["sgd", folder_name("adam w"), "comparison"]
    page = Page(paths[-1].read_text(encoding="utf-8"))
    assert "The best cell of all is 'sgd' at lr 0.1, weight_decay 0.01" in page.text
    assert "'sgd' is better than 'adam w' beyond the noise" in page.text
    links = [a["href"] or "" for t, a in page.tags if t == "a"]
    assert [(paths[-1].parent / link).resolve() for link in links] == paths[:2]
    data = json.loads((paths[-1].parent / "summary.json").read_text(), parse_constant=pytest.fail)
    assert list(data["studies"]) == ["sgd", "adam w"]


def test_a_study_named_comparison_keeps_its_folder(tmp_path: Path) -> None:
    studies = [grid_study("comparison", **SMALL), grid_study("other", **SMALL)]
    names = [p.parent.name for p in write_reports(studies, tmp_path)]
    assert names == ["comparison", "other", "comparison-2"]


def test_what_can_not_be_compared_is_one_line(tmp_path: Path) -> None:
    study = grid_study("a", **SMALL)
    with pytest.raises(StudyError, match="'a' is named twice"):
        write_reports([study, study], tmp_path)
    foreign = study_of([placed(0.1, 0.1, 1.0)], "foreign")
    with pytest.raises(StudyError, match="judged by different metrics"):
        write_reports([study, foreign], tmp_path)
    assert not list(tmp_path.iterdir())
