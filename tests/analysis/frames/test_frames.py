from __future__ import annotations

import math

import optuna
import pandas as pd
import pytest
from made_studies import SIZES, grid_study, placed, scaled_study, study_of, trained
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from wdstudy.analysis.frames.curves import curves_frame, series_at
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.errors import StudyError


def test_a_trained_study_gives_one_row_a_trial_and_one_a_record_point() -> None:
    study = grid_study(lrs=[0.1], weight_decays=[0.0, 0.01], seeds=2, points=3)
    trials, curves = trials_frame(study), curves_frame(study)
    assert trials[["lr", "weight_decay", "lr_x_wd", "seed"]].to_numpy().tolist() == [
        [0.1, 0.0, 0.0, 0.0],
        [0.1, 0.01, 0.001, 0.0],
        [0.1, 0.0, 0.0, 1.0],
        [0.1, 0.01, 0.001, 1.0],
    ]
    assert trials["value"].tolist() == trials["final_val_loss"].tolist()
    assert trials.attrs["notes"] == []
    assert trials.attrs["minimize"] is True
    one = curves[(curves["trial"] == 3) & (curves["series"] == "decay_loss")]
    assert one["step"].tolist() == [10, 20, 30]
    assert one["epoch"].tolist() == [1, 2, 3]
    assert one["value"].tolist() == pytest.approx([0.08] * 3)
    assert set(curves["series"].unique()) == {
        "primary_loss", "decay_loss", "val_loss", "val_accuracy", "weight_norm", "learning_rate",
    }  # fmt: skip


def test_a_diverged_trial_has_no_value_and_keeps_its_curves() -> None:
    study = study_of([trained(1.0, 0.1, diverged=True, points=6)])
    trials, curves = trials_frame(study), curves_frame(study)
    assert trials["diverged"].tolist() == [True]
    assert math.isnan(trials["value"][0])
    primary = curves.loc[curves["series"] == "primary_loss", "value"]
    assert primary.notna().tolist() == [True, True, False]


def test_a_foreign_study_is_read_with_what_it_has() -> None:
    study = study_of([placed(0.1, 0.01, 0.5), placed(0.2, 0.01, math.inf, note=[1], tag="a")])
    trials = trials_frame(study)
    assert trials["value"].tolist()[0] == 0.5
    assert trials["diverged"].tolist() == [False, True]  # it told infinity
    assert math.isnan(trials["value"][1])
    assert trials["tag"].tolist()[1] == "a"
    assert "note" not in trials
    assert trials["seed"].tolist() == [0, 0]
    assert trials.attrs["notes"] == ["2 finished trials without curves"]
    assert curves_frame(study).empty


def test_other_parameters_are_columns_and_those_that_vary_are_named() -> None:
    """A plain Optuna study may vary what wdstudy has no axis for."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_categorical("lr", [0.01, 0.1])
        weight_decay = trial.suggest_categorical("weight_decay", [0.0, 0.1])
        trial.suggest_categorical("seed", [0, 1])
        trial.suggest_float("momentum", 0.0, 0.9)
        trial.suggest_float("dropout", 0.5, 0.5)
        if trial.suggest_categorical("activation", ["relu", "tanh\x1b[2J", None]) == "relu":
            trial.suggest_int("slope", 3, 3)
        return lr + weight_decay

    study.optimize(objective, n_trials=40)
    study.enqueue_trial({"lr": 0.1, "weight_decay": 0.1, "momentum": 0.95})  # not run
    trials = trials_frame(study)
    assert trials["params_momentum"].tolist() == [t.params["momentum"] for t in study.trials[:40]]
    assert trials["params_dropout"].tolist() == [0.5] * 40
    others = trials.attrs["others"]
    assert list(others) == ["activation", "momentum", "slope"]  # no seed, and nothing that is fixed
    assert others["activation"] == r"None, relu, tanh\x1b[2J"
    assert others["slope"] == "3, None"
    assert others["momentum"].startswith("40 values, 0.0")
    (best, mixed, *_) = landscape(trials).verdict
    assert "trials)" in best.text
    assert "seed" not in best.text
    assert "Something else varies too (activation: None, relu" in mixed.text


def test_series_cut_short_by_a_killed_worker_are_filled_with_nan() -> None:
    study = study_of(
        [placed(0.1, 0.01, None, TrialState.RUNNING, step=[1, 2, 3], primary_loss=[1.0, None],
                decay_loss=[1, 2, 3, 4], val_loss="junk", val_top=[[1], [2]])]
    )  # fmt: skip
    curves = curves_frame(study)
    values = {name: list(part["value"]) for name, part in curves.groupby("series", observed=True)}
    assert values["decay_loss"] == [1, 2, 3]
    assert values["primary_loss"][0] == 1
    assert pd.isna(values["primary_loss"][1:]).all()
    assert set(values) == {"decay_loss", "primary_loss"}
    assert curves["epoch"].isna().all()
    assert curves.attrs["notes"] == [
        "the study does not tell its steps per epoch: curves are shown over steps"
    ]


def test_record_points_are_counted_where_steps_are_missing() -> None:
    curves = curves_frame(study_of([placed(0.1, 0.01, 0.5, primary_loss=[1.0, 0.5])]))
    assert curves["step"].tolist() == [1, 2]
    assert curves.attrs["notes"][0] == ("1 trial without steps: record points are counted instead")


def test_trials_without_a_place_are_left_out_and_counted() -> None:
    elsewhere = create_trial(
        params={"lr": 0.1}, distributions={"lr": FloatDistribution(0.1, 1)}, value=1.0
    )
    trials = trials_frame(study_of([placed(0.1, 0.01, 0.5, step=[1]), elsewhere]))
    assert len(trials) == 1
    assert trials.attrs["notes"] == [
        "1 trial without a number lr > 0 and weight_decay ≥ 0 left out"
    ]
    with pytest.raises(StudyError, match="its parameters are: lr"):
        trials_frame(study_of([elsewhere]))


def test_several_objectives_are_refused_in_one_line() -> None:
    study = optuna.create_study(study_name="two", directions=["minimize", "minimize"])
    with pytest.raises(StudyError, match="'two' has 2 objectives"):
        trials_frame(study)
    with pytest.raises(StudyError, match="'two' has 2 objectives"):
        curves_frame(study)


def test_a_series_at_a_record_point_skips_trials_that_ended_before() -> None:
    long, short = trained(0.1, 0.01, points=4), trained(1.0, 0.01, points=4, diverged=True)
    study = study_of([long, short])
    trials, curves = trials_frame(study), curves_frame(study)
    at = series_at(trials, curves, "weight_norm", step=25)["weight_norm"]
    assert at.tolist()[0] == 4.0
    assert math.isnan(at.tolist()[1])
    last = series_at(trials, curves, "val_loss")["val_loss"].tolist()
    assert last[0] == long.user_attrs["val_loss"][-1]
    assert last[1] == short.user_attrs["val_loss"][0]  # the last it recorded
    with pytest.raises(StudyError, match="did you mean 'val_loss'"):
        series_at(trials, curves, "val_los")
    with pytest.raises(StudyError, match="at step 999"):
        series_at(trials, curves, "val_loss", step=999)


def test_a_thousand_trials_of_a_hundred_points() -> None:
    points = [float(i) for i in range(1, 101)]
    names = ("step", "primary_loss", "decay_loss", "val_loss", "weight_norm")
    attributes = dict.fromkeys(names, points)
    study = study_of([placed(0.1 + i / 1e4, 0.01, 0.5, **attributes) for i in range(1000)])
    assert (len(curves_frame(study)), len(trials_frame(study))) == (400_000, 1000)


def test_some_series_at_some_points_are_those_of_the_whole() -> None:
    study = grid_study(points=50)
    whole = curves_frame(study)
    few = curves_frame(study, ["val_loss"], points=8)
    steps = sorted(few["step"].unique())
    assert steps == [10.0 * k for k in (1, 8, 15, 22, 29, 36, 43, 50)]
    same = whole[(whole["series"] == "val_loss") & whole["step"].isin(steps)]
    assert few["value"].to_list() == same["value"].to_list()
    assert few["trial"].to_list() == same["trial"].to_list()


def test_a_scale_is_a_column_of_its_own_and_no_other_parameter() -> None:
    trials = trials_frame(scaled_study(lrs=[0.1], weight_decays=[0.0, 0.01], seeds=1))
    assert trials["batch_size"].tolist() == [size for size in SIZES for _ in range(2)]
    assert trials.attrs["scale"] == {"name": "batch_size", "values": list(SIZES)}
    assert trials.attrs["others"] == {}
    assert "params_batch_size" not in trials
    assert {"steps", "steps_per_epoch", "examples_seen", "parameters"} <= set(trials)


def test_a_study_without_a_scale_has_nothing_of_one() -> None:
    trials = trials_frame(grid_study())
    assert "scale" not in trials.attrs
