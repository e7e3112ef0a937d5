"""What is read of a design: what was asked, its scouts, its batches, and why it stopped."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import optuna
import pytest
from made_studies import BATCHES, SCOUTS, designed_study, grid_study, placed, study_of, trained
from optuna.trial import TrialState

from wdstudy.analysis.frames.design import BEFORE, STAGES, designed, placed_in_order
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.design import batch
from wdstudy.design.sampler import LandscapeSampler


def test_batches_are_told_in_their_order_with_what_they_took() -> None:
    found = designed(trials_frame(designed_study()))
    assert found is not None
    table = found.batches
    assert table["batch"].tolist() == [1, 2, 3, 4, 5]
    assert table["stage"].tolist() == [stage for stage, *_ in BATCHES]
    assert table["reason"].tolist() == [reason for _, reason, *_ in BATCHES]
    assert table["trials"].tolist() == [len(cells) for *_, cells, _ in BATCHES]
    assert table["seconds"].tolist() == table["trials"].tolist()  # each took a second
    stages = found.stages.set_index("stage")
    assert stages.index.tolist() == ["find", "map", "seeds"]
    assert stages["trials"].sum() == len(designed_study().trials)
    assert stages.loc["map", "batches"] == 2


def test_what_was_asked_and_how_it_ended() -> None:
    found = designed(trials_frame(designed_study(asked={"best": 0.01, "trials": 40})))
    assert found is not None
    assert found.asked == {"best": 0.01, "trials": 40}
    assert (found.lr, found.weight_decay) == ((1e-7, 1e3), (1e-7, 1e2))
    assert (found.stopped, found.why) == ("answered", "choosing better would gain about 1 %")
    assert len(found.scouts) == len(SCOUTS)
    assert found.scout_seconds == pytest.approx(sum(row["seconds"] for row in SCOUTS))
    assert found.scouts["diverged"].sum() == 3
    going_on = designed(trials_frame(designed_study(stop=None, scouts=None)))
    assert going_on is not None
    assert not going_on.stopped
    assert going_on.scouts.empty
    assert math.isnan(going_on.scout_seconds)


def test_a_grid_is_no_design_and_says_nothing_of_one() -> None:
    trials = trials_frame(grid_study())
    assert designed(trials) is None
    assert "design" not in trials.attrs
    named = trials.assign(stage="train", reason="", batch=32)  # somebody's columns of these names
    assert designed(named) is None


def test_trials_that_were_there_before_come_first_and_failed_ones_do_not_count() -> None:
    study = designed_study()
    study.add_trial(trained(0.5, 0.5))
    failed = placed(0.5, 0.1, None, TrialState.FAIL, stage="map", reason="what", batch=2)
    study.add_trial(failed)
    trials = trials_frame(study)
    found = designed(trials)
    assert found is not None
    first = found.batches.iloc[0]
    assert (first["batch"], first["stage"], first["trials"]) == (0, BEFORE, 1)
    assert found.batches.loc[2, "trials"] == len(BATCHES[1][2])
    order = placed_in_order(trials)
    assert order["batch"].is_monotonic_increasing
    assert len(order) == len(trials) - 1


def test_a_sampler_that_places_one_by_one_makes_a_batch_of_what_it_wants_for_one_reason() -> None:
    study = optuna.create_study(sampler=LandscapeSampler())
    for _ in range(6):
        trial = study.ask()
        lr = trial.suggest_float("lr", 1e-4, 10, log=True)
        weight_decay = trial.suggest_float("weight_decay", 0, 10)
        study.tell(trial, 1 + math.log10(lr / 0.1) ** 2 + weight_decay)
    found = designed(trials_frame(study))
    assert found is not None
    table = found.batches
    assert table["trials"].sum() == 6
    reasons = [trial.user_attrs["reason"] for trial in study.trials]
    changes = 1 + sum(a != b for a, b in pairwise(reasons))
    assert table["batch"].tolist() == list(range(1, changes + 1))
    assert found.asked == {}


HOSTILE: list[dict[str, Any]] = [
    {"wdstudy_scouts": "no table"},
    {"wdstudy_scouts": [1, None, {"lr": "x"}, {"lr": 0.1, "weight_decay": 0, "value": "NaN"}]},
    {"wdstudy_design_stop": ["answered"]},
    {"wdstudy_design_stop": {"reason": 5, "why": None}},
    {"wdstudy_design_stop": {"reason": "answered", "why": "a\x1b[2Jb"}},
]


@pytest.mark.parametrize("attributes", HOSTILE)
def test_what_is_damaged_is_left_out(attributes: dict[str, Any]) -> None:
    study = designed_study()
    for name, value in attributes.items():
        study.set_user_attr(name, value)
    found = designed(trials_frame(study))
    assert found is not None
    assert len(found.batches) == len(BATCHES)
    assert found.why.isprintable()
    assert (found.scouts["lr"] > 0).all()


def test_odd_stages_and_batches_of_trials_are_read_as_far_as_they_go() -> None:
    odd = [{"stage": "map", "reason": 3, "batch": "x"}, {"stage": "a\nb", "batch": 2.0},
           {"reason": "alone"}, {"stage": "find", "batch": -4}]  # fmt: skip
    rows = [placed(0.1, 10.0**-k, 1.0 + k, **attributes) for k, attributes in enumerate(odd)]
    found = designed(trials_frame(study_of(rows, sampler="design")))
    assert found is not None
    assert found.batches["trials"].sum() == len(odd)
    assert all(str(text).isprintable() for text in found.batches["stage"])


def test_the_stages_are_those_of_the_design() -> None:
    assert ("scout", *STAGES) == tuple(batch.STAGES)
