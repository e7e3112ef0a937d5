from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.samplers import BruteForceSampler, GridSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from wdstudy import SearchSpace, StudySpec, Task, log_range, run_study
from wdstudy.errors import MissingPackageError, SpecError, StudyError
from wdstudy.run.plan import Plan
from wdstudy.run.sampling import resolve_pruner, resolve_sampler, suggest

SPACE = SearchSpace(log_range(1e-4, 1, 5), [0, *log_range(1e-6, 1e-1, 6)], seeds=[5, 6])


def sampled(sampler: str | optuna.samplers.BaseSampler, n: int) -> list[FrozenTrial]:
    """A study of n trials on a bowl whose bottom is at lr 0.01, weight_decay 1e-4."""
    study = optuna.create_study(sampler=resolve_sampler(sampler, SPACE, seed=0))
    study.enqueue_trial({"lr": 1.0, "weight_decay": 0.0, "seed": 6})  # the baseline at 0
    from math import log10

    for _ in range(n + 1):
        trial = study.ask()
        p = suggest(trial, SPACE)
        bowl = (log10(p.lr) + 2) ** 2 + (log10(p.weight_decay or 1e-9) + 4) ** 2
        study.tell(trial, bowl)
    return study.trials[1:]


@pytest.mark.parametrize("name", ["tpe", "qmc", "random"])
def test_weight_decay_is_sampled_by_its_logarithm_beside_a_baseline_at_0(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        trials = sampled(name, 60)
    decays = [t.params["weight_decay"] for t in trials]
    assert all(1e-6 <= d <= 1e-1 for d in decays)
    # On a linear scale from 0 nine in ten would lie in the highest decade.
    assert sum(d < 1e-2 for d in decays) > 30
    assert {t.params["seed"] for t in trials} == {5}, "a seed is not searched for"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gp", "cmaes", "tpe"])
def test_adaptive_samplers_find_the_bottom_of_a_bowl(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        trials = sampled(name, 50)
    best = min(t.value for t in trials if t.value is not None)
    assert best < 0.1
    later = sorted(t.value for t in trials[25:] if t.value is not None)[12]
    earlier = sorted(t.value for t in trials[:10] if t.value is not None)[5]
    assert later < earlier / 2, "it learns, so it sees the trials that were told"


def test_a_sampler_object_is_taken_as_it_is() -> None:
    trials = sampled(optuna.samplers.RandomSampler(seed=3), 5)
    assert len({t.params["lr"] for t in trials}) == 5


def test_unknown_names_show_the_near_ones() -> None:
    with pytest.raises(SpecError, match="did you mean 'tpe'"):
        resolve_sampler("tep", SPACE, 0)
    with pytest.raises(SpecError, match="did you mean 'median'"):
        resolve_pruner("medain")
    with pytest.raises(SpecError, match="needs arguments"):
        resolve_pruner("percentile")
    with pytest.raises(SpecError, match="holds only 0"):
        resolve_sampler("tpe", SearchSpace([0.1], [0]), 0)


def test_pruners_by_name_and_object() -> None:
    assert isinstance(resolve_pruner("successive_halving"), optuna.pruners.SuccessiveHalvingPruner)
    assert isinstance(resolve_pruner(None), optuna.pruners.NopPruner)
    pruner = optuna.pruners.MedianPruner()
    assert resolve_pruner(pruner) is pruner


def test_a_sampler_whose_package_is_missing_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wdstudy.run.sampling.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"'cmaes' .*wdstudy\[samplers\]"):
        resolve_sampler("cmaes", SearchSpace([0.1, 1], [0, 1]), seed=0)


def test_a_plan_says_what_is_swept() -> None:
    task = Task(model=lambda: None, data=lambda: None, loss=lambda output, y: output)  # type: ignore[arg-type, return-value]
    spec = StudySpec(task=task, space=SPACE, optimizer="sgd")
    assert str(Plan(spec)) == "5 lr × 7 weight_decay × 2 seeds"
    sampled = replace(spec, sampler="tpe", trials=60)
    assert str(Plan(sampled)) == (
        "60 trials of tpe over lr 0.0001 … 1, weight_decay 1e-06 … 0.1, and 10 without weight_decay"
    )
    assert "RandomSampler" in str(Plan(replace(spec, sampler=optuna.samplers.RandomSampler())))


def test_samplers_that_walk_a_grid_of_their_own_are_refused(
    in_folder: Path, make_spec: Callable[..., StudySpec]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of them is experimental
        brute = BruteForceSampler()
    for sampler in (brute, GridSampler({"lr": [0.1], "weight_decay": [0.0]})):
        with pytest.raises(SpecError, match=r"walks a grid of its own.*sampler='grid'"):
            run_study(make_spec(sampler=sampler), "sqlite:///wd.db")
    assert not Path("wd.db").exists()


def test_a_sampler_that_fails_is_one_line_and_leaves_nothing_running(
    in_folder: Path, make_spec: Callable[..., StudySpec]
) -> None:
    class Broken(RandomSampler):
        def sample_relative(self, *args: object) -> dict[str, float]:
            raise ZeroDivisionError("no more places")

    with pytest.raises(StudyError, match=r"sampler Broken can't place a trial: .*no more places"):
        run_study(make_spec(sampler=Broken(), trials=2), "sqlite:///wd.db")
    trials = optuna.load_study(study_name="small", storage="sqlite:///wd.db").trials
    assert TrialState.RUNNING not in {t.state for t in trials}
