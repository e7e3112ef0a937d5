"""LandscapeSampler in anybody's study: optimize, ask and tell, other parameters and processes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from known_planes import Plane, Trainer
from optuna.trial import Trial, TrialState

from wdstudy.design.batch import STAGES
from wdstudy.design.design import Design
from wdstudy.design.sampler import LandscapeSampler
from wdstudy.errors import SpecError
from wdstudy.space import TrialParams

CELL_ONLY = Design(best=0.05, effects=None, limit=None)
"""A question that few trials answer."""


def objective(plane: Plane | None = None, *, sign: int = 1) -> Callable[[Trial], float]:
    """A loss on a plane, NaN where it diverges; each trial has luck of its own."""

    def train(trial: Trial) -> float:
        lr = trial.suggest_float("lr", 1e-5, 10, log=True)
        decay = trial.suggest_float("weight_decay", 0, 10)
        trainer = Trainer(plane or Plane(sd=0.005), np.random.default_rng(trial.number))
        (outcome,) = trainer.train([TrialParams(lr, decay)])
        return sign * outcome.value

    return train


def study_of(design: Design = CELL_ONLY, **options: str) -> optuna.Study:
    return optuna.create_study(sampler=LandscapeSampler(design), **options)  # type: ignore[arg-type]


def places(study: optuna.Study) -> list[tuple[float, float]]:
    return [(t.params["lr"], t.params["weight_decay"]) for t in study.trials]


@pytest.fixture(scope="module")
def finished() -> optuna.Study:
    """A study that was optimized until its sampler ended it."""
    study = study_of()
    study.optimize(objective(), n_trials=80)
    return study


def test_optimize_ends_with_the_design_and_a_good_cell(finished: optuna.Study) -> None:
    assert 8 < len(finished.trials) < 60
    stop = finished.sampler.stopped(finished)  # type: ignore[attr-defined]
    assert stop is not None
    assert stop.reason == "answered"
    best = finished.best_params
    assert Plane().at(best["lr"], best["weight_decay"]) < Plane().least + 0.1


def test_every_trial_says_why_it_was_placed(finished: optuna.Study) -> None:
    for trial in finished.trials:
        assert trial.user_attrs["stage"] in STAGES
        assert trial.user_attrs["reason"]
        assert "\n" not in trial.user_attrs["reason"]
    assert finished.trials[0].user_attrs["stage"] == "find"


def test_diverged_trials_are_looked_at_no_more(finished: optuna.Study) -> None:
    """Optuna fails trials of NaN: their place is not suggested again, nor waited for."""
    failed = [t for t in finished.trials if t.state == TrialState.FAIL]
    assert failed
    assert len({t.params["lr"] for t in failed}) < 6
    lost = [(t.params["lr"], t.params["weight_decay"]) for t in failed]
    assert len({*lost}) == len(lost)


def test_several_asked_at_once_stand_at_several_places() -> None:
    study = study_of(Design())
    asked = [study.ask() for _ in range(5)]
    for trial in asked:
        trial.suggest_float("lr", 1e-5, 10, log=True)
        trial.suggest_float("weight_decay", 0, 10)
    assert len({*places(study)}) == 5
    for trial in asked:
        study.tell(trial, Plane().at(trial.params["lr"], trial.params["weight_decay"]) + 3)
    more = study.ask()
    more.suggest_float("lr", 1e-5, 10, log=True)
    more.suggest_float("weight_decay", 0, 10)
    assert len({*places(study)}) == 6


def test_whoever_asks_on_after_the_stop_gets_seeds_of_the_best(finished: optuna.Study) -> None:
    study = study_of()
    study.add_trials(finished.trials)
    trial = study.ask()
    objective()(trial)
    best = finished.best_params
    assert trial.params == pytest.approx(best)


def test_a_study_goes_on_with_another_sampler_of_the_same_design(finished: optuna.Study) -> None:
    """As after a kill: nothing is remembered but the trials."""
    half = finished.trials[:9]
    places_after = []
    for _ in range(2):
        study = study_of()
        study.add_trials(half)
        study.optimize(objective(), n_trials=1)
        places_after.append(places(study)[-1])
    assert places_after[0] == places_after[1] == pytest.approx(places(finished)[9])


def test_what_stands_for_zero_is_known_after_a_kill_too() -> None:
    def train(trial: Trial) -> float:
        lr = trial.suggest_float("lr", 1e-4, 1, log=True)
        decay = trial.suggest_float("weight_decay", 1e-6, 1, log=True)
        return math.exp(Plane().at(lr, decay))

    whole, resumed = study_of(), study_of()
    whole.optimize(train, n_trials=9)
    for number in range(9):  # each in a process of its own
        resumed.sampler = LandscapeSampler(CELL_ONLY)
        resumed.optimize(train, n_trials=1)
        assert places(resumed)[-1] == places(whole)[number]


def test_high_values_can_be_good() -> None:
    study = study_of(direction="maximize")
    study.optimize(objective(sign=-1), n_trials=8)
    low = study_of()
    low.optimize(objective(), n_trials=8)
    assert places(study) == places(low)


def test_a_logarithmic_weight_decay_has_its_least_for_zero() -> None:
    def train(trial: Trial) -> float:
        lr = trial.suggest_float("lr", 1e-4, 1, log=True)
        decay = trial.suggest_float("weight_decay", 1e-6, 1, log=True)
        return math.exp(Plane().at(lr, decay))

    study = study_of(Design())
    study.optimize(train, n_trials=9, catch=())
    decays = [t.params["weight_decay"] for t in study.trials]
    assert min(decays) == 1e-6
    assert decays.count(1e-6) >= 4
    assert max(decays) > 1e-5


def test_weight_decay_may_be_suggested_first() -> None:
    study = study_of()
    for _ in range(4):
        trial = study.ask()
        trial.suggest_float("weight_decay", 0, 10)
        lr = trial.suggest_float("lr", 1e-3, 1, log=True)
        study.tell(trial, math.exp(Plane().at(lr, 0.0)))
        assert 1e-3 <= lr <= 1
    assert len({*places(study)}) == 4


def test_parameters_may_have_other_names_and_others_beside_them() -> None:
    sampler = LandscapeSampler(CELL_ONLY, lr="learning_rate", weight_decay="l2")
    study = optuna.create_study(sampler=sampler)

    def train(trial: Trial) -> float:
        lr = trial.suggest_float("learning_rate", 1e-4, 1, log=True)
        decay = trial.suggest_float("l2", 0, 1)
        width = trial.suggest_int("width", 8, 64)
        kind = trial.suggest_categorical("kind", ["relu", "gelu"])
        return math.exp(Plane().at(lr, decay)) + 1e-6 * width + (kind == "relu") * 1e-6

    study.optimize(train, n_trials=8)
    placed = [(t.params["learning_rate"], t.params["l2"]) for t in study.trials]
    assert len({*placed}) == 8
    assert len({t.params["width"] for t in study.trials}) > 3
    assert len({t.params["kind"] for t in study.trials}) == 2


def test_a_parameter_that_is_no_number_is_named() -> None:
    study = study_of()
    trial = study.ask()
    with pytest.raises(SpecError, match="LandscapeSampler: lr is Categorical"):
        trial.suggest_categorical("lr", [0.1, 0.01])


def test_enqueued_places_are_trained_and_used() -> None:
    study = study_of()
    study.enqueue_trial({"lr": 0.02, "weight_decay": 0.004})
    study.optimize(objective(), n_trials=3)
    assert places(study)[0] == (0.02, 0.004)
    assert len({*places(study)}) == 3


@pytest.mark.slow
def test_seeds_that_are_suggested_are_those_of_replicas() -> None:
    study = study_of(Design(effects=None, limit=None))

    def train(trial: Trial) -> float:
        trial.suggest_int("seed", 3, 12)
        return objective(Plane(sd=0.05))(trial)

    study.optimize(train, n_trials=60)
    keys = [(t.params["lr"], t.params["weight_decay"], t.params["seed"]) for t in study.trials]
    assert len({*keys}) == len(keys)
    assert {t.params["seed"] for t in study.trials} >= {3, 4}


@pytest.mark.slow
def test_seeds_that_run_out_end_the_study() -> None:
    study = study_of(Design())

    def train(trial: Trial) -> float:
        trial.suggest_int("seed", 0, 0)
        return objective(Plane(sd=0.05))(trial)

    study.optimize(train, n_trials=90)
    keys = [(t.params["lr"], t.params["weight_decay"], t.params["seed"]) for t in study.trials]
    assert len({*keys}) == len(keys)
    assert len(keys) < 90
    stop = study.sampler.stopped(study)  # type: ignore[attr-defined]
    assert stop is not None
    assert "seed" in stop.why


@pytest.mark.slow
def test_the_whole_design_is_answered_in_anybodys_study() -> None:
    study = study_of(Design())
    study.optimize(objective(), n_trials=150)
    assert len(study.trials) < 120
    assert study.sampler.stopped(study) is not None  # type: ignore[attr-defined]


WORKER = """
import sys
sys.path[:0] = sys.argv[2:]
import optuna
from known_planes import Plane
from test_sampler import CELL_ONLY, objective
from wdstudy.design.sampler import LandscapeSampler

optuna.logging.set_verbosity(optuna.logging.WARNING)
sampler = LandscapeSampler(CELL_ONLY)
study = optuna.load_study(study_name="two", storage=sys.argv[1], sampler=sampler)
study.optimize(objective(), n_trials=60)
"""


@pytest.mark.slow
def test_two_processes_share_a_storage_and_both_end(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/two.db"
    optuna.create_study(study_name="two", storage=storage)
    here = Path(__file__).parent
    command = [sys.executable, "-c", WORKER, storage, str(here), str(here.parent / "support")]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for worker in workers:
        _, said = worker.communicate(timeout=400)
        assert worker.returncode == 0, said.decode()
    study = optuna.load_study(
        study_name="two", storage=storage, sampler=LandscapeSampler(CELL_ONLY)
    )
    assert len(study.trials) < 80
    assert all(t.state.is_finished() for t in study.trials)
    assert study.sampler.stopped(study) is not None  # type: ignore[attr-defined]
    best = study.best_params
    assert Plane().at(best["lr"], best["weight_decay"]) < Plane().least + 0.1
