"""Batches of lanes through the whole run: pruned, diverged, too large, not stackable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from displays import Lines
from optuna.trial import TrialState
from small_tasks import blobs, mlp
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, run_study
from wdstudy.errors import SpecError
from wdstudy.run.prepared import prepare
from wdstudy.run.runner import Runner
from wdstudy.training.data import TaskData
from wdstudy.training.probe import choose_lanes, why_not_stacked
from wdstudy.training.step import StackedStep

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"
SPACE = SearchSpace([0.01, 0.03, 0.1, 0.3], [0, 0.01], seeds=2)
CPU = torch.device("cpu")


def results(study: optuna.Study) -> dict[tuple[float, float, int], float | None]:
    return {
        (t.params["lr"], t.params["weight_decay"], t.params["seed"]): t.value
        for t in study.trials
        if t.state.is_finished()
    }


@pytest.mark.parametrize("lanes", [3, 8, 100])
def test_a_study_of_lanes_is_the_study_of_single_trials(
    in_folder: Path, make_spec: MakeSpec, lanes: int
) -> None:
    alone = results(run_study(make_spec(space=SPACE, name="alone"), URL, lanes=1))
    together = run_study(make_spec(space=SPACE, name="together"), URL, lanes=lanes)
    found = results(together)
    assert found.keys() == alone.keys()
    for cell, value in alone.items():
        assert found[cell] == pytest.approx(value, rel=1e-4)
    assert all(len(t.user_attrs["primary_loss"]) == 2 for t in together.trials)


def test_lanes_that_diverge_or_are_pruned_leave_and_the_others_are_as_alone(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    class Odd(optuna.pruners.BasePruner):
        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            return trial.params["weight_decay"] > 0 and len(trial.intermediate_values) == 2

    space = SearchSpace([0.01, 0.1, 1e25], [0, 0.01])
    sgd = make_spec(space=space, epochs=5, pruner=Odd(), name="pruned")
    whole = run_study(make_spec(space=space, epochs=5, name="whole"), URL, lanes=1)
    study = run_study(sgd, URL, lanes=6)
    for trial in study.trials:
        lr, weight_decay = trial.params["lr"], trial.params["weight_decay"]
        points = len(trial.user_attrs["step"])
        if lr == 1e25:
            assert trial.state == TrialState.PRUNED
            assert trial.user_attrs["diverged_at"] > 0
        elif weight_decay > 0:
            assert trial.state == TrialState.PRUNED
            assert "diverged_at" not in trial.user_attrs
            assert points == 2
        else:
            assert trial.state == TrialState.COMPLETE
            twin = next(t for t in whole.trials if t.params == trial.params)
            assert trial.user_attrs["val_loss"] == pytest.approx(
                twin.user_attrs["val_loss"], rel=1e-4
            )


def test_out_of_memory_halves_the_lanes_and_loses_nothing(
    in_folder: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that needs more memory than there is for more than three lanes."""
    step = StackedStep.step
    calls = [0]

    def hungry(self: StackedStep) -> None:
        calls[0] += 1
        if self._lanes.size > 3 and calls[0] % 4 == 0:  # in the middle of an epoch
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(self)

    monkeypatch.setattr(StackedStep, "step", hungry)
    lines = Lines()
    study = run_study(make_spec(space=SPACE), URL, lines, lanes=8)
    assert lines.lines == [
        "out of memory with 8 lanes: going on with 4",
        "out of memory with 4 lanes: going on with 2",
    ]
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 16
    alone = results(run_study(make_spec(space=SPACE, name="alone"), URL, lanes=1))
    assert results(study) == pytest.approx(alone, rel=1e-4)
    assert all(len(t.user_attrs["step"]) == 2 for t in study.trials)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.inner(x)
        return output if output.sum() > 0 else -output


def test_a_model_that_cannot_be_stacked_trains_one_lane_at_a_time(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    task = Task(Branching, blobs, nn.functional.cross_entropy)
    lines = Lines()
    study = run_study(make_spec(task=task), URL, lines, lanes=4)
    assert len(lines.lines) == 1
    assert "lanes can't be stacked, so they train one at a time" in lines.lines[0]
    assert "data-dependent control flow" in lines.lines[0]
    assert Path(__file__).name in lines.lines[0]
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 4
    silent = Lines()
    run_study(make_spec(task=task, name="auto"), URL, silent)
    assert silent.lines == []


def test_auto_takes_lanes_where_they_pay_and_one_where_they_do_not(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wdstudy.training.probe

    spec = make_spec(epochs=10_000)
    assert spec.task is not None
    data = TaskData(spec.task.data(), 32, CPU)
    costs = {1: 10.0, 2: 11.0, 3: 10.5, 4: 6.0, 8: 3.0, 16: 2.0, 32: 3.0, 64: 1.0, 20: 1.9, 50: 9}
    monkeypatch.setattr(wdstudy.training.probe, "_seconds_a_step", lambda *a, **_: costs[a[3]])
    choice = choose_lanes(spec, data, CPU, trials=1000, most=64)
    assert (choice.lanes, choice.seconds) == (16, 2.0)
    assert choose_lanes(spec, data, CPU, trials=1000, most=4).lanes == 4
    assert choose_lanes(spec, data, CPU, trials=1000, most=3).lanes == 1
    assert choose_lanes(spec, data, CPU, trials=1000, most=1).lanes == 1
    assert choose_lanes(spec, data, CPU, trials=1000, most=20).lanes == 20  # all of them
    assert choose_lanes(spec, data, CPU, trials=1000, most=50).lanes == 13  # 4 times, not 16 and 2


@pytest.mark.parametrize(
    ("shared", "each", "tried"),
    [
        (10.0, 0.1, [1, 2, 4, 8, 16, 32, 64]),
        (1.0, 9.0, [1, 2, 4]),
        (5.0, 5.0, [1, 2, 4, 8, 16, 32]),
    ],
)
def test_no_more_lanes_are_tried_than_may_pay(
    make_spec: MakeSpec,
    monkeypatch: pytest.MonkeyPatch,
    shared: float,
    each: float,
    tried: list[int],
) -> None:
    import wdstudy.training.probe

    sizes = []

    def seconds(*given: Any, **_: Any) -> float:
        sizes.append(given[3])
        return shared / given[3] + each

    spec = make_spec(epochs=10_000)
    assert spec.task is not None
    monkeypatch.setattr(wdstudy.training.probe, "_seconds_a_step", seconds)
    choose_lanes(spec, TaskData(spec.task.data(), 32, CPU), CPU, trials=100_000, most=64)
    assert sizes == tried


def test_measuring_leaves_the_training_as_it_was(in_folder: Path, make_spec: MakeSpec) -> None:
    spec = make_spec(name="a")
    prepared, lines = prepare(spec, URL), Lines()
    runner = Runner(prepared, lines)
    left = runner.take_stock()
    runner.enqueue()
    assert prepared.lanes(left, None, say=lines.say).lanes >= 1
    runner.work(prepared.lanes(left, 1, say=lines.say))
    again = run_study(make_spec(name="b"), URL, lanes=1)
    assert [t.values for t in runner.study.trials] == [t.values for t in again.trials]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: nn.Sequential(nn.Linear(10, 3), nn.BatchNorm1d(3)), "more than 1 value"),
        (lambda: nn.Linear(9, 3), "can't be trained on: .*shapes cannot be multiplied"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_its_batches_is_told_before_anything_is_written(
    in_folder: Path, make_spec: MakeSpec, model: Any, says: str
) -> None:
    task = Task(model, blobs, nn.functional.cross_entropy)
    with pytest.raises(SpecError, match=says):
        run_study(make_spec(task=task, batch_size=1), URL)
    assert list(in_folder.iterdir()) == []


def test_why_not_stacked_is_silent_about_what_can_be(make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert why_not_stacked(spec, TaskData(blobs(), 32, CPU), CPU) is None
