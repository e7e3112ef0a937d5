"""Studies along a scale, really trained: what is stored, what trains together, what goes on."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from commands import command, study, wait_for_trials
from displays import Lines
from lane_tasks import mlp_with_dropout, vectors
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from scaled_tasks import CROSS, along, batches, keys, net
from small_tasks import blobs, mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from wdstudy import Scale, SearchSpace, StudySpec, Task, run_study
from wdstudy.curves import SIZES, LossCurves
from wdstudy.record import StudyRecord
from wdstudy.run.cells import params_of
from wdstudy.run.stack import StackTrainer

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


def series_of(trials: list[FrozenTrial]) -> dict[tuple[float, ...], LossCurves]:
    return {
        params.key: LossCurves.from_attributes(t.user_attrs)
        for t in trials
        if (params := params_of(t)) is not None
    }


def test_the_scale_is_a_parameter_of_every_trial_and_stands_in_the_record(in_folder: Path) -> None:
    spec = along(batches(32, 16, follow={"lr": 0.5}), seeds=2)
    run_study(spec, URL)
    plain = optuna.load_study(study_name="small", storage=URL)
    assert keys(plain.trials) == Counter(params.key for params in spec.space.cells())
    assert {t.state for t in plain.trials} == {TrialState.COMPLETE}
    for trial in plain.trials:
        assert set(trial.params) == {"lr", "weight_decay", "seed", "batch_size"}
        axis = trial.distributions["batch_size"]
        assert isinstance(axis, FloatDistribution)
        assert axis.log
        assert axis.low <= 16 <= 32 <= axis.high
    record = StudyRecord.of(plain.user_attrs)
    assert record.damage == ()
    assert record.spec.scale == {
        "name": "batch_size", "values": [32, 16], "follow": {"lr": 0.5}, "budget": "epochs",
    }  # fmt: skip
    assert (record.spec.batch_size, record.steps_per_epoch) == (32, 3), "of the first value"
    assert record.spec.space == SearchSpace([0.01, 0.1], [0, 0.01], 2), "as it was written"


def test_a_study_without_a_scale_is_stored_without_one(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    found = run_study(make_spec(), URL)
    assert all(set(t.params) == {"lr", "weight_decay"} for t in found.trials)
    assert "scale" not in found.user_attrs["wdstudy"]["spec"]
    assert set(SIZES) <= found.trials[1].user_attrs.keys()


def counted(data: Any, size: int, epochs: int, *, drop_last: bool) -> tuple[int, int, int]:
    """Steps, steps of an epoch and examples of a plain PyTorch loop, counted as it goes."""
    loader = DataLoader(TensorDataset(*data), size, shuffle=True, drop_last=drop_last)
    steps = examples = 0
    for _ in range(epochs):
        for x, _ in loader:
            steps += 1
            examples += len(x)
    return steps, len(loader), examples


@pytest.mark.parametrize("independent", [False, True])
def test_sizes_and_timescales_are_those_that_plain_loops_count(
    in_folder: Path, independent: bool
) -> None:
    decay = "independent" if independent else "pytorch"
    spec = along(batches(20, 50), optimizer="adamw", decay=decay, epochs=3)
    for trial in run_study(spec, URL).trials:
        told, p = trial.user_attrs, trial.params
        steps, epoch, examples = counted(blobs()[0], int(p["batch_size"]), 3, drop_last=True)
        assert (told["steps"], told["steps_per_epoch"]) == (steps, epoch)
        assert told["examples_seen"] == examples
        assert told["parameters"] == sum(w.numel() for w in mlp().parameters())
        assert told["step"][-1] == steps
        assert len(told["step"]) == 3, "a record point an epoch of its own"
        if not p["weight_decay"]:
            assert "tau_share" not in told
            continue
        shrink = p["weight_decay"] * (1 if independent else p["lr"])
        assert told["tau_epochs"] == pytest.approx(1 / shrink / epoch)
        assert told["tau_share"] == pytest.approx(1 / shrink / steps)


def test_examples_of_a_loader_that_keeps_its_last_batch_are_counted_as_they_come(
    in_folder: Path,
) -> None:
    train, val = blobs()

    def data(size: int) -> Any:
        return DataLoader(TensorDataset(*train), size, shuffle=True), val

    spec = along(Scale("loaded", [36, 40], data=data), task=Task(mlp, loss=CROSS))
    for trial in run_study(spec, URL).trials:
        steps, epoch, examples = counted(train, int(trial.params["loaded"]), 2, drop_last=False)
        told = trial.user_attrs
        assert (told["steps"], told["steps_per_epoch"], told["examples_seen"]) == (
            steps, epoch, examples,
        )  # fmt: skip


def test_a_budget_of_steps_holds_those_of_the_first_value(in_folder: Path) -> None:
    spec = along(batches(32, 13, 96, budget="steps"), schedule="linear", epochs=2)
    for trial in run_study(spec, URL).trials:
        size = trial.params["batch_size"]
        assert trial.user_attrs["steps"] == trial.user_attrs["step"][-1] == 2 * 3
        assert trial.user_attrs["examples_seen"] == 6 * size
        assert trial.user_attrs["learning_rate"][-1] == pytest.approx(trial.params["lr"] / 6)


def test_every_value_is_trained_as_its_spec_says(in_folder: Path) -> None:
    """The trials of a scale are those of a study of each value alone, bit for bit."""
    scale = Scale("width", [4, 8], model=net, follow={"lr": 0.5})
    spec = along(scale, task=Task(data=blobs, loss=CROSS))
    found = series_of(run_study(spec, URL, lanes=1).trials)
    for value in scale.values:
        alone = series_of(run_study(spec.at(value), optuna.storages.InMemoryStorage()).trials)
        for key, curves in alone.items():
            assert curves.to_attributes() == found[*key, value].to_attributes()


@pytest.mark.parametrize(
    "scale",
    [
        batches(16, 48),
        Scale("rate", [0.1, 0.5], model=lambda rate: nn.Sequential(
            nn.Linear(10, 16), nn.Tanh(), nn.Dropout(rate), nn.Linear(16, 3)).double()),
        Scale("beta", [0, 0.9], optimizer=lambda beta: partial(torch.optim.SGD, momentum=beta)),
        Scale("train_examples", [96, 48]),
    ],
    ids=lambda scale: str(scale.name),
)  # fmt: skip
def test_lanes_are_of_one_value_and_train_as_each_alone(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, scale: Scale
) -> None:
    """The law of lanes, at every value: in double precision to 1e-9."""
    stacks = []
    train = StackTrainer.train
    monkeypatch.setattr(
        StackTrainer, "train", lambda self, stack: (stacks.append(stack), train(self, stack))[1]
    )
    spec = along(scale, lr=[0.01, 0.03, 0.1], seeds=2, task=Task(mlp_with_dropout, vectors, CROSS))
    together = series_of(run_study(spec, optuna.storages.InMemoryStorage(), lanes=4).trials)
    of_lanes = [[(log.params.seed, log.params.scale) for log in stack] for stack in stacks]
    assert {len(stack) for stack in of_lanes} == {4, 2}
    assert all(len(set(stack)) == 1 for stack in of_lanes)
    assert [stack[0] for stack in of_lanes[:2]] == [(0, v) for v in scale.values], "in turn"
    alone = series_of(run_study(spec, optuna.storages.InMemoryStorage(), lanes=1).trials)
    assert together.keys() == alone.keys()
    for key, curves in alone.items():
        for name in curves:
            np.testing.assert_allclose(together[key][name], curves[name], rtol=1e-9, atol=1e-12)


def test_values_that_are_added_are_trained_and_those_removed_are_kept(in_folder: Path) -> None:
    before = run_study(along(batches(32, 16)), URL).trials
    lines = Lines()
    spec = along(batches(32, 48, 96))
    after = run_study(spec, URL, lines).trials
    assert "'small' has trials of batch_size 16 as well: they are kept" in lines.lines
    assert "'small': 4 finished trials kept, 8 to train" in lines.lines
    assert [t.user_attrs for t in after[:8]] == [t.user_attrs for t in before]
    assert Counter(t.params["batch_size"] for t in after) == {32: 4, 16: 4, 48: 4, 96: 4}
    record = StudyRecord.of(optuna.load_study(study_name="small", storage=URL).user_attrs)
    assert record.spec.scale is not None
    assert record.spec.scale["values"] == [32, 16, 48, 96]
    assert len(run_study(spec, URL).trials) == len(after), "and then there is nothing to do"


def test_data_is_loaded_once_for_all_values_or_once_for_each(in_folder: Path) -> None:
    calls: list[int] = []

    def data(value: int = 0) -> Any:
        calls.append(value)
        return blobs()

    for scale in (batches(16, 32, 48), Scale("train_examples", [32, 64])):
        run_study(along(scale, name=scale.name, task=Task(mlp, data, CROSS)), URL)
        assert calls == [0]
        calls.clear()
    own = Scale("part", [1, 2], data=data, model=net)
    run_study(along(own, name="own", task=Task(loss=CROSS)), URL)
    assert calls == [1, 2]


@pytest.mark.parametrize("sampler", ["tpe", optuna.samplers.RandomSampler(1)], ids=["tpe", "own"])
def test_a_sampler_draws_in_the_window_of_each_value_in_turn(in_folder: Path, sampler: Any) -> None:
    scale = batches(16, 48, follow={"lr": 1})
    spec = along(scale, sampler=sampler, trials=12, epochs=1)
    found = run_study(spec, URL, lanes=2).trials
    drawn = [t for t in found if t.params["weight_decay"]]
    assert Counter(t.params["batch_size"] for t in drawn) == {16: 6, 48: 6}
    assert Counter(t.params["batch_size"] for t in found) == {16: 8, 48: 8}, "with the baseline"
    for trial in drawn:
        share = trial.params["batch_size"] / 16
        assert 0.01 * share <= trial.params["lr"] <= 0.1 * share
    places = {(t.params["lr"] / t.params["batch_size"]) for t in drawn}
    assert len(places) == 12, "each value has places of its own"
    assert len(run_study(spec, URL).trials) == len(found)


def test_a_pruner_compares_trials_of_one_value(in_folder: Path) -> None:
    """Losses of the second value are all above those of the first: nothing of it is pruned."""

    class Watched(optuna.pruners.BasePruner):
        def __init__(self) -> None:
            self.seen: list[set[float]] = []

        def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
            mine = [*study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), trial]
            self.seen.append({t.params["batch_size"] for t in mine})
            return False

    pruner = Watched()
    run_study(along(batches(16, 48), pruner=pruner), URL)
    assert pruner.seen
    assert all(len(values) == 1 for values in pruner.seen)
    spec = along(batches(16, 48), name="median", pruner=optuna.pruners.MedianPruner(1, 0))
    assert {t.state for t in run_study(spec, URL).trials} <= {
        TrialState.COMPLETE, TrialState.PRUNED,
    }  # fmt: skip


def test_tau_is_swept_at_every_value_by_its_own_steps(in_folder: Path, make_spec: MakeSpec) -> None:
    space = SearchSpace([0.01, 0.1], tau=[0.5, 2, float("inf")], scale=batches(16, 48))
    found = run_study(make_spec(space=space), URL)
    rows = [(t.params, t.user_attrs) for t in found.trials]
    shares = Counter(round(told["tau_share"], 5) for _, told in rows if "tau_share" in told)
    assert shares == {0.5: 4, 2: 4}
    assert sum(p["weight_decay"] == 0 for p, _ in rows) == 4
    record = StudyRecord.of(found.user_attrs)
    assert record.spec.space is not None
    assert record.spec.space.tau == (0.5, 2, float("inf"))
    assert len(run_study(make_spec(space=space), URL).trials) == len(found.trials) == 12


FILE = """
import time
from torch import nn
from small_tasks import blobs
from wdstudy import Scale, SearchSpace, StudySpec, Task

def loss(output, y):
    time.sleep(0.02)
    return nn.functional.cross_entropy(output, y)

STUDY = StudySpec(
    task=Task(data=blobs, loss=loss), epochs=2, batch_size=32, optimizer="sgd", device="cpu",
    space=SearchSpace([0.01, 0.1, 1], [0, 0.01, 0.1], scale=Scale(
        "width", [4, 8], model=lambda w: nn.Sequential(nn.Linear(10, w), nn.Linear(w, 3)))),
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("lanes", ["1", "3"])
def test_a_scaled_run_that_is_killed_goes_on_with_values_added(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, lanes: str
) -> None:
    support = Path(__file__).parents[1] / "support"
    monkeypatch.setenv("PYTHONPATH", str(support), prepend=":")
    Path("linear.py").write_text(FILE)
    run = command("run", "linear.py", "--no-live", "--jobs", "2", "--lanes", lanes)
    process = subprocess.Popen(run, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for_trials(process, 4)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = {t.number: t.user_attrs for t in study().trials if t.state == TrialState.COMPLETE}
    more = [*run, "--scale", "width=4,8,12"]
    done = subprocess.run(more, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    after = study().trials
    complete = [t for t in after if t.state == TrialState.COMPLETE]
    assert set(keys(complete).values()) == {1}
    assert Counter(t.params["width"] for t in complete) == {4: 9, 8: 9, 12: 9}
    assert {n: after[n].user_attrs for n in before} == before
    assert not [t for t in after if not t.state.is_finished()]
