from __future__ import annotations

import math
from typing import Any

import pytest
from made_studies import grid_study, placed, study_of

from wdstudy.analysis.figures.equilibrium import (
    _angle_info,
    _norm_info,
    plot_angular_update,
    plot_weight_norm,
)
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.errors import StudyError

STEPS = [10, 20, 30]
RATES = [0.1, 0.06, 0.01]


def recorded(weight_decay: float = 0.02, **spec: Any) -> tuple[Any, Any, Any]:
    trial = placed(
        0.1, weight_decay, 0.5, step=STEPS, learning_rate=RATES, weight_norm=[9.0, 5.0, 4.0],
        angular_update=[0.3, 0.2, 0.1],
    )  # fmt: skip
    study = study_of([trial], **spec)
    return trials_frame(study), curves_frame(study), record_of(study)


def test_decay_alone_predicts_what_is_left_of_the_first_norm() -> None:
    info = _norm_info(*recorded(optimizer="SGD"))
    total = 0.02 * (0.06 + 0.01) * 10  # from the first record point to the last
    assert info.points["predicted"].tolist() == pytest.approx([9 * math.exp(-total)])
    assert info.points["measured"].tolist() == [4.0]
    assert info.points["total"].tolist() == pytest.approx([0.02 * (0.1 + 0.06 + 0.01) * 10])


def test_adamw_predicts_its_equilibrium_norm() -> None:
    info = _norm_info(*recorded(optimizer="AdamW", optimizer_options={}))
    assert info.points["predicted"].tolist() == pytest.approx([math.sqrt(80 * 0.1 / 0.04)])


def test_the_independent_form_is_divided_by_the_peak_lr() -> None:
    plain = _norm_info(*recorded(0.02, optimizer="AdamW", optimizer_options={}))
    spec = {"optimizer": "AdamW", "optimizer_options": {}, "decay": "independent"}
    same = _norm_info(*recorded(0.002, **spec))
    assert same.points.to_numpy().tolist()[0] == pytest.approx(plain.points.to_numpy().tolist()[0])


def test_angles_are_compared_while_the_lr_is_high() -> None:
    info = _angle_info(*recorded(optimizer="SGD", optimizer_options={"momentum": 0.5}))
    assert info.points["measured"].tolist() == [0.2]  # lr 0.06, at least half of 0.1
    assert info.points["predicted"].tolist() == pytest.approx([math.sqrt(2 * 0.06 * 0.02 / 1.5)])
    adamw = {"optimizer": "AdamW", "optimizer_options": {"betas": [0.8, 0.99]}}
    info = _angle_info(*recorded(**adamw))
    expected = math.sqrt(2 * 0.06 * 0.02 * 0.2 / 1.8)
    assert info.points["predicted"].tolist() == pytest.approx([expected])


def test_both_are_drawn_with_formula_and_diagonal() -> None:
    for plot in (plot_weight_norm, plot_angular_update):
        ax = plot(*recorded(optimizer="SGD"))
        assert ax.get_xlabel().startswith("predicted: ")
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert "measured = predicted" in ax.get_legend_handles_labels()[1]


def test_what_is_not_known_is_one_line() -> None:
    study = grid_study()
    frames = trials_frame(study), curves_frame(study), record_of(study)
    with pytest.raises(StudyError, match="no finished trial has recorded angular_update"):
        plot_angular_update(*frames)
    with pytest.raises(StudyError, match="no formula predicts the angular update of Muon"):
        plot_angular_update(*recorded(optimizer="Muon"))
    trials, curves, spec = recorded(optimizer="AdamW", optimizer_options={})
    with pytest.raises(StudyError, match="how many weights are decayed"):
        plot_weight_norm(trials, curves, {**spec.as_data(), "parameters": {}})
