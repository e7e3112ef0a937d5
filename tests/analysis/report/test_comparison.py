from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_studies import designed_study, grid_study, placed, scaled_study, study_of
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from pages import Page

from wdstudy.analysis.numbers.spoken import percent
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
    assert {"effects", "limit", "advice"} <= data["studies"]["sgd"].keys()
    heads = "weight decay gains most slope against lr (95 %)"
    assert heads in page.text
    gain = max((e["gain"] for e in data["studies"]["sgd"]["effects"]), key=lambda g: g["low"] or 0)
    assert percent(gain["value"]) in page.text


def told(studies: list[optuna.Study], folder: Path) -> dict[str, Any]:
    """The summary of a comparison."""
    page = write_reports(studies, folder)[-1]
    found: dict[str, Any] = json.loads((page.parent / "summary.json").read_text())
    shown = Page(page.read_text(encoding="utf-8")).text
    for name, difference in found["differences"].items():
        assert f"{name} {' '.join(difference['values'].values())}" in shown  # a row of the table
    assert all(" ".join(warning.split()) in shown.replace("\xa0", " ")
               for warning in found["warnings"])  # fmt: skip
    return found


def with_record(study: optuna.Study, **fields: Any) -> optuna.Study:
    study.set_user_attr("wdstudy", {**study.user_attrs["wdstudy"], **fields})
    return study


def test_all_that_differs_is_named_and_what_it_means(tmp_path: Path) -> None:
    other = {"optimizer": "AdamW", "optimizer_options": {"eps": 1e-8}, "decay_kind": "decoupled",
             "epochs": 10, "batch_size": 32, "settings": {"noise": 0.5}}  # fmt: skip
    space = {"lr": [0.1, 1.0], "weight_decay": [0.01, 0.1], "seeds": [0]}
    a = with_record(
        grid_study("a", **SMALL, space=space),
        versions={"torch": "2.7", "numpy": "2"}, device="cpu", steps_per_epoch=10,
    )  # fmt: skip
    b = with_record(
        grid_study("b", **SMALL, **other, space={**space, "seeds": [0, 1]}),
        versions={"torch": "2.8", "numpy": "2"}, device="NVIDIA A100", steps_per_epoch=20,
        parameters={"total": 200, "decayed": 80},
    )  # fmt: skip
    found = told([a, b], tmp_path)
    assert {name: list(d["values"].values()) for name, d in found["differences"].items()} == {
        "optimizer": ["SGD", "AdamW"],
        "optimizer option momentum": ["0.9", "none"],
        "optimizer option eps": ["none", "1e-08"],
        "decay kind": ["coupled", "decoupled"],
        "epochs": ["5", "10"],
        "batch size": ["none", "32"],
        "setting noise": ["none", "0.5"],
        "steps per epoch": ["10", "20"],
        "total parameters": ["100", "200"],
        "seeds": ["0", "0, 1"],
        "torch": ["2.7", "2.8"],
        "device": ["cpu", "NVIDIA A100"],
    }
    trained, swept, ground = found["warnings"]
    assert "no comparison of the optimizers alone" in trained
    assert "epochs (5 in 'a', 10 in 'b')" in trained
    assert "total parameters (100 in 'a', 200 in 'b')" in trained
    assert "momentum" not in trained  # it is the optimizer's own
    assert "seeds" in swept
    assert "(torch, device)" in ground


def test_a_study_gone_on_with_on_other_ground_is_told_of(tmp_path: Path) -> None:
    ground = {"versions": {"torch": "2.7", "numpy": "2"}, "device": "cpu"}
    later = [{"versions": {"torch": "2.8", "numpy": "2"}, "device": "cpu", "commit": "abc"}]
    whole = with_record(grid_study("whole", **SMALL), **ground)
    mixed = with_record(grid_study("mixed", **SMALL), **ground, later=later)
    found = told([whole, mixed], tmp_path)
    assert {name: list(d["values"].values()) for name, d in found["differences"].items()} == {
        "torch": ["2.7", "2.7, 2.8"],
        "commit": ["none", "abc"],
    }
    assert "(torch, commit)" in found["warnings"][0]


def test_what_no_terminal_may_be_shown_is_spelled_out_and_no_letter_is_warned_of(
    tmp_path: Path,
) -> None:
    order = "\x1b[31m"
    fields = {"objective": "val_loss" + order, "optimizer": "SGD" + order}
    studies = [grid_study(name, **SMALL, **fields, settings={"a": name}) for name in ("学", "b")]
    for study in studies:
        with_record(study, device=order, versions={"torch" + order: study.study_name})
    pages = write_reports(studies, tmp_path)  # warnings are errors
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "\x1b" not in text
        assert r"SGD\x1b[31m" in text


def test_the_optimizer_alone_is_no_warning(tmp_path: Path) -> None:
    studies = [grid_study("a", **SMALL), grid_study("b", **SMALL, optimizer="RMSprop")]
    found = told(studies, tmp_path)
    assert list(found["differences"]) == ["optimizer"]
    assert found["warnings"] == []


def test_other_data_under_the_same_name_is_told_by_the_fingerprint(tmp_path: Path) -> None:
    def printed(name: str, data: float, losses: float) -> optuna.Study:
        marks = {"data": [[[64, 8], data]], "losses": [losses], "model": "ab"}
        return with_record(grid_study(name, **SMALL), fingerprint=marks)

    studies = [printed("a", 1.0, 0.1), printed("b", 1.5, 0.2), printed("c", 1.00001, 0.3)]
    found = told(studies, tmp_path)["differences"]
    assert found == {
        "the data itself": {"kind": "training", "values": {"a": "A", "b": "B", "c": "A"}}
    }


def test_studies_without_a_record_and_mixed_ones_are_named(tmp_path: Path) -> None:
    rows = [
        create_trial(
            params={"lr": 0.1, "weight_decay": w, "momentum": m},
            distributions=dict.fromkeys(
                ("lr", "weight_decay", "momentum"), FloatDistribution(0, 1)
            ),
            value=w + m,
        )
        for w in (0.1, 0.2)
        for m in (0.0, 0.5)
    ]
    plain = study_of([placed(0.1, 0.1, 1.0)], "plain")
    unknown, mixed = told([plain, study_of(rows, "mixed")], tmp_path)["warnings"]
    assert "No description of 'plain', 'mixed' was recorded" in unknown
    assert "In 'mixed' something else varies too (momentum: 0, 0.5)" in mixed


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


def test_a_design_is_compared_by_what_it_asked_and_stands_for_no_random_trials(
    tmp_path: Path,
) -> None:
    page = write_reports([designed_study("own"), grid_study("grid", seeds=2)], tmp_path)[-1]
    found = json.loads((page.parent / "summary.json").read_text())["differences"]
    assert found["lr"]["values"]["own"] == "as its design placed them"
    assert found["sampler"]["values"] == {"own": "design", "grid": "grid"}
    assert found["design best"]["values"]["own"] == "0.02"
    assert {path.stem for path in (page.parent / "figures").iterdir()} == {"heatmaps"}


def test_of_a_study_along_a_scale_the_plane_of_the_largest_value_is_compared(
    tmp_path: Path,
) -> None:
    pages = write_reports([scaled_study(sizes=(8, 16), seeds=1), grid_study("other")], tmp_path)
    text = Page(pages[-1].read_text(encoding="utf-8")).text
    assert "'made' is a study along batch_size: what is compared is its plane at batch_size 16" in (
        text
    )
    data = json.loads((pages[-1].parent / "summary.json").read_text(encoding="utf-8"))
    assert data["studies"]["made"]["trials"] == 42
