from __future__ import annotations

import json

import numpy as np
import pytest
from made_studies import grid_study, placed, study_of, trained
from optuna.trial import TrialState

from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.report import explorer
from wdstudy.analysis.report.explorer import as_script, explorer_data


def test_cells_carry_means_over_seeds_at_every_record_point() -> None:
    study = grid_study(seeds=2, points=5, diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    data = explorer_data(trials_frame(study), curves_frame(study))
    assert data["grid"]
    assert data["x"] == "epoch"
    assert data["points"] == [1, 2, 3, 4, 5]
    place = list(zip(data["weight_decay"], data["lr"], strict=True)).index((0.01, 0.1))
    assert data["best"] == place
    series = {s["name"]: s for s in data["series"]}
    assert list(series) == [
        "val_loss", "primary_loss", "decay_loss", "val_accuracy", "weight_norm",
    ]  # fmt: skip
    assert series["val_loss"]["values"][place][-1] == pytest.approx(0.1005)
    assert data["final"][place] == pytest.approx(0.1005)
    assert data["trials"][place] == "6, 18"
    lost = list(zip(data["weight_decay"], data["lr"], strict=True)).index((0.1, 1.0))
    assert data["diverged"][lost] == 1
    assert series["val_loss"]["values"][lost][1:] == [None] * 4
    assert data["final"][lost] is None
    assert data["note"] == ""


def test_cells_that_tie_with_the_best_are_known_by_their_place() -> None:
    study = grid_study()
    trials, curves = trials_frame(study), curves_frame(study)
    data = explorer_data(trials, curves, [(1.0, 0.01), (0.1, 0.001), (0.5, 0.5)])
    cells = list(zip(data["lr"], data["weight_decay"], strict=True))
    assert [cells[i] for i in data["tied"]] == [(1.0, 0.01), (0.1, 0.001)]
    assert explorer_data(trials, curves)["tied"] == []


def test_every_trial_shows_its_newest_value_until_it_ends() -> None:
    slow = placed(0.1, 0.01, 1.0, step=[10, 20], val_loss=[4.0, 3.0])
    fast = placed(0.2, 0.01, 1.0, step=[5, 10, 15], val_loss=[9.0, 8.0, 7.0])
    study = study_of([slow, fast])
    data = explorer_data(trials_frame(study), curves_frame(study))
    assert data["points"] == [5, 10, 15, 20]
    assert data["series"][0]["values"] == [[None, 4, 4, 3], [9, 8, 7, None]]


def test_without_curves_the_final_value_is_shown() -> None:
    study = study_of([placed(0.1, 0.01, 1.0), placed(0.2, 0.01, 2.0)])
    data = explorer_data(trials_frame(study), curves_frame(study))
    assert [s["values"] for s in data["series"]] == [[[1], [2]]]
    assert len(data["points"]) == 1


def test_too_many_cells_are_sampled_and_the_best_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "MAX_CELLS", 20)
    monkeypatch.setattr(explorer, "MAX_NUMBERS", 20 * 5 * 8)
    axis = np.logspace(-2, 0, 8).tolist()
    study = grid_study(lrs=axis, weight_decays=axis, points=40)
    trials = trials_frame(study)
    data = explorer_data(trials, curves_frame(study))
    assert len(data["lr"]) == 20
    assert data["final"][data["best"]] == pytest.approx(trials["value"].min(), rel=1e-4)
    assert data["points"][-1] == 40
    assert data["note"] == (
        "20 of 64 cells are shown: the best ten, and an even sample of the rest. "
        "8 of 40 record points are shown."
    )


def test_the_script_is_strict_json_that_can_not_end_its_element() -> None:
    study = study_of([trained(0.1, 0.01), trained(1.0, 0.1, diverged=True)], "</script><b>")
    text = as_script(explorer_data(trials_frame(study), curves_frame(study)) | {"x": "</script>"})
    assert "<" not in text
    assert json.loads(text)["x"] == "</script>"
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_script(float("nan"))


def test_a_cell_that_diverged_with_a_finite_loss_has_no_value_from_there_on() -> None:
    lost = placed(
        0.2, 0.01, None, TrialState.PRUNED, step=[5, 10], val_loss=[3.0, 90.0], diverged_at=10
    )
    study = study_of([placed(0.1, 0.01, 1.0, step=[5, 10, 15], val_loss=[4.0, 3.0, 1.0]), lost])
    data = explorer_data(trials_frame(study), curves_frame(study))
    assert data["series"][0]["values"] == [[4, 3, 1], [3, None, None]]
    assert data["diverged"] == [0, 1]
