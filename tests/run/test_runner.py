from __future__ import annotations

import json
import math
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

from wdstudy import LossRecorder, SearchSpace, StudySpec, Task, TrialParams, run_study
from wdstudy.curves import LossCurves
from wdstudy.errors import DataError, SpecError, StudyError
from wdstudy.run.prepared import prepare
from wdstudy.run.runner import Runner
from wdstudy.run.triallog import TrialLog, reports
from wdstudy.storage.forwarding import Forwarding
from wdstudy.storage.opening import open_storage
from wdstudy.training.probe import LaneChoice

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


def test_a_study_holds_what_the_contract_says(in_folder: Path, make_spec: MakeSpec) -> None:
    study = run_study(make_spec(optimizer="adamw", angular_update=True), URL)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    assert {(t.params["lr"], t.params["weight_decay"]) for t in study.trials} == {
        (0.01, 0.0), (0.01, 0.01), (0.1, 0.0), (0.1, 0.01),
    }  # fmt: skip
    plain = optuna.load_study(study_name="small", storage=URL)
    for trial in plain.trials:
        attributes = trial.user_attrs
        json.dumps(attributes, allow_nan=False)
        series = LossCurves.from_attributes(attributes)
        assert set(series) == {
            "step", "primary_loss", "decay_loss", "weight_norm", "learning_rate",
            "angular_update", "val_loss", "val_accuracy",
        }  # fmt: skip
        assert {len(series[name]) for name in series} == {2}
        assert trial.value == attributes["final_val_loss"] == series["val_loss"][-1]
        assert attributes["final_primary_loss"] == series["primary_loss"][-1]
        assert attributes["lr_x_wd"] == trial.params["lr"] * trial.params["weight_decay"]
        assert attributes["seed"] == 0
        assert "diverged_at" not in attributes
        assert {"initial_loss", "decay_share", "train_seconds", "worker", "last_seen"} <= set(
            attributes
        )
        assert trial.intermediate_values[6] == trial.value
    record = plain.user_attrs["wdstudy"]
    assert record["steps_per_epoch"] == 3
    assert record["parameters"] == {"total": 227, "trained": 227, "decayed": 227}
    assert record["spec"]["optimizer"] == "AdamW"
    assert record["versions"]["torch"] == torch.__version__


def test_the_same_command_again_trains_nothing(in_folder: Path, make_spec: MakeSpec) -> None:
    run_study(make_spec(), URL)
    lines = Lines()
    study = run_study(make_spec(), URL, lines)
    assert len(study.trials) == 4
    assert lines.lines == ["'small': 4 finished trials kept, 0 to train"]


def test_an_enlarged_grid_trains_only_what_is_new(in_folder: Path, make_spec: MakeSpec) -> None:
    first = run_study(make_spec(), URL).trials
    larger = SearchSpace(lr=[0.01, 0.1, 1.0], weight_decay=[0, 0.01], seeds=2)
    study = run_study(make_spec(space=larger), URL)
    assert [t.values for t in study.trials[:4]] == [t.values for t in first]
    assert len(study.trials) == 12
    assert study.user_attrs["wdstudy"]["spec"]["space"]["lr"] == [0.01, 0.1, 1.0]


def test_another_spec_is_refused_with_what_differs(in_folder: Path, make_spec: MakeSpec) -> None:
    run_study(make_spec(), URL)
    with pytest.raises(StudyError, match=r"epochs=2, now 3; .*--name"):
        run_study(make_spec(epochs=3), URL)
    wider = Task(lambda: nn.Linear(10, 3), blobs, nn.functional.cross_entropy)
    with pytest.raises(StudyError, match="parameters="):
        run_study(make_spec(task=wider), URL)
    optuna.create_study(study_name="foreign", storage=URL).add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(StudyError, match="was not made by wdstudy"):
        run_study(make_spec(name="foreign"), URL)


def test_a_diverged_trial_is_pruned_marked_and_never_best(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    study = run_study(make_spec(space=SearchSpace([0.1, 1e30], [0])), URL)
    states = {t.params["lr"]: t for t in study.trials}
    gone = states[1e30]
    assert gone.state == TrialState.PRUNED
    assert gone.user_attrs["diverged_at"] >= 1
    assert "final_primary_loss" not in gone.user_attrs  # a null spoils the dashboard's plots
    assert gone.intermediate_values == {}
    assert study.best_trial.params["lr"] == 0.1


def test_pruners_see_every_record_point(in_folder: Path, make_spec: MakeSpec) -> None:
    class Third(optuna.pruners.BasePruner):
        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            return trial.number >= 2 and len(trial.intermediate_values) == 2

    study = run_study(make_spec(epochs=4, pruner=Third()), URL)
    states = [t.state for t in study.trials]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED] * 2
    assert [len(t.user_attrs["step"]) for t in study.trials] == [4, 4, 2, 2]
    assert all("diverged_at" not in t.user_attrs for t in study.trials)


def test_a_sampler_makes_its_trials_beside_the_baseline_with_replicas(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    space = SearchSpace([0.01, 0.1], [0, 1e-4, 1e-1], seeds=2)
    spec = make_spec(space=space, sampler="random", trials=6)
    study = run_study(spec, URL)
    cells = [(t.params["lr"], t.params["weight_decay"], t.params["seed"]) for t in study.trials]
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    assert sorted(c for c in cells if c[1] == 0) == [
        (0.01, 0, 0), (0.01, 0, 1), (0.1, 0, 0), (0.1, 0, 1),
    ]  # fmt: skip
    sampled = [c for c in cells if c[1] > 0]
    assert len(sampled) == 6
    assert len({c[:2] for c in sampled}) == 3
    assert len(run_study(spec, URL).trials) == 10


def failing(times: int) -> tuple[Callable[[Tensor, Tensor], Tensor], list[int]]:
    calls = [0]

    def loss(output: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        # Trying it out calls this three times, its fingerprint as often; a trial 2 x 3 times to
        # train and twice to validate.
        if 15 <= calls[0] < 15 + times:
            raise ValueError("a bad batch")
        return nn.functional.cross_entropy(output, y)

    return loss, calls


def test_a_failed_trial_is_told_and_its_cell_is_trained_by_the_next_run(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    loss, _ = failing(times=1)
    lines = Lines()
    runner = Runner(prepare(make_spec(task=Task(mlp, blobs, loss)), URL), lines)
    runner.enqueue()
    runner.work(LaneChoice(1, ""))
    assert [t.state for t in runner.study.trials].count(TrialState.FAIL) == 1
    assert runner.status.failed == 1
    assert "a bad batch" in runner.study.trials[1].user_attrs["error"]
    assert "test_runner.py" in lines.lines[0]
    again = run_study(make_spec(task=Task(mlp, blobs, loss)), URL, lanes=1)
    done = [t.params for t in again.trials if t.state == TrialState.COMPLETE]
    assert len(done) == 4


def test_trial_after_trial_failing_stops_the_run(in_folder: Path, make_spec: MakeSpec) -> None:
    loss, _ = failing(times=3)
    with pytest.raises(StudyError, match=r"trial after trial failed: .*a bad batch; mend it"):
        run_study(make_spec(task=Task(mlp, blobs, loss)), URL, lanes=1)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        (
            {"objective": "val_f1"},
            SpecError,
            "'val_f1' is not recorded; it is one of .*val_accuracy",
        ),
        ({"batch_size": 100}, DataError, "96 examples and a batch needs 100"),
        ({"name": ""}, SpecError, "has no name"),
        ({"task": Task(lambda: 1 / 0, blobs, mlp)}, SpecError, "model can't be built: .*division"),  # type: ignore[arg-type,return-value]
        ({"task": Task(mlp, lambda: 1 / 0, mlp)}, DataError, "can't be loaded: .*division"),  # type: ignore[arg-type,return-value]
    ],
)
def test_what_is_wrong_is_found_before_anything_is_written(
    in_folder: Path,
    make_spec: MakeSpec,
    changes: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        run_study(make_spec(**changes), URL)
    assert list(in_folder.iterdir()) == []


def test_a_metric_can_be_the_objective(in_folder: Path, make_spec: MakeSpec) -> None:
    study = run_study(make_spec(objective="val_accuracy", direction="maximize"), URL)
    assert study.best_value == max(t.user_attrs["final_val_accuracy"] for t in study.trials)


def own_loop(params: TrialParams, recorder: LossRecorder) -> None:
    torch.manual_seed(params.seed)
    model = mlp()
    (x, y), (x_val, y_val) = blobs()
    optimizer = torch.optim.SGD(model.parameters(), lr=params.lr, weight_decay=params.weight_decay)
    recorder.watch(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        recorder.step(loss)
        optimizer.step()
        recorder.point(val_loss=nn.functional.cross_entropy(model(x_val), y_val))


def test_somebodys_own_loop_is_a_study_too(in_folder: Path) -> None:
    spec = StudySpec(space=SearchSpace([0.1, 1e20], [0, 0.01]), train=own_loop, name="own")
    study = run_study(spec, URL)
    by_lr = {lr: [t for t in study.trials if t.params["lr"] == lr] for lr in (0.1, 1e20)}
    for trial in by_lr[0.1]:
        assert trial.state == TrialState.COMPLETE
        assert trial.user_attrs["step"] == [1, 2, 3]
        assert trial.value == trial.user_attrs["final_val_loss"]
    for trial in by_lr[1e20]:
        assert trial.state == TrialState.PRUNED
        assert trial.user_attrs["diverged_at"] == 2
    decays = {t.params["weight_decay"]: t.user_attrs["final_decay_loss"] for t in by_lr[0.1]}
    assert decays[0.0] == 0.0
    assert decays[0.01] > 0


@pytest.mark.parametrize("caught", [Exception, BaseException])
@pytest.mark.parametrize("then", ["goes on", "fails over it"])
def test_no_except_of_a_loop_swallows_the_end_of_its_trial(
    in_folder: Path, caught: type[BaseException], then: str
) -> None:
    """Many loops catch what a step throws; a trial that has diverged or is pruned ends all the
    same, and what such a loop records after it is not taken.
    """
    tried, points = [], []

    def loop(params: TrialParams, recorder: LossRecorder) -> None:
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=params.weight_decay)
        recorder.watch(optimizer)
        for step in range(4):
            bad = params.lr > 1 and step == 1
            tried.append((params.lr, step))
            try:
                loss = model(blobs()[0][0]).square().mean() * (math.nan if bad else 1.0)
                loss.backward()
                recorder.step(loss)
                recorder.point(val_loss=1.0)
                points.append((params.lr, step))
            except caught:
                if then == "fails over it":
                    raise RuntimeError("no more") from None

    class Never(optuna.pruners.BasePruner):
        def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
            return trial.params["lr"] < 0.05 and trial.last_step == 3

    space = SearchSpace([0.01, 0.1, 10], [0.01])
    study = run_study(StudySpec(space, train=loop, name="own", pruner=Never()), URL)
    gone, kept, pruned = (
        next(t for t in study.trials if t.params["lr"] == lr) for lr in (10, 0.1, 0.01)
    )
    assert (gone.state, gone.user_attrs["diverged_at"]) == (TrialState.PRUNED, 2)
    assert gone.user_attrs["step"] == [1, 2]
    assert kept.state == TrialState.COMPLETE
    assert pruned.state == TrialState.PRUNED
    assert "diverged_at" not in pruned.user_attrs
    assert pruned.user_attrs["step"] == [1, 2, 3]
    assert [step for lr, step in points if lr == 10] == [0]
    assert [step for lr, step in points if lr == 0.01] == [0, 1]
    if caught is Exception:  # which does not see it: the loop is left at once
        assert [step for lr, step in tried if lr == 10] == [0, 1]


def test_a_loop_diverges_at_the_step_at_which_a_task_does(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    """One rule: the first step whose loss is not finite, wherever the record point lies."""
    space = SearchSpace([1e30], [0.01])
    task = run_study(make_spec(space=space, epochs=2), URL).trials[0]

    def loop(params: TrialParams, recorder: LossRecorder) -> None:
        own_loop(params, _Late(recorder))

    class _Late:
        """A recorder of which only the last record point is taken."""

        def __init__(self, recorder: LossRecorder) -> None:
            self.watch, self.step, self._recorder = recorder.watch, recorder.step, recorder

        def point(self, **values: Tensor) -> None:
            if self._recorder.steps == 3:
                self._recorder.point(**values)

    own = run_study(StudySpec(space, train=loop, name="own"), URL).trials[0]
    assert own.user_attrs["step"] == [3]
    assert own.user_attrs["diverged_at"] == task.user_attrs["diverged_at"] == 2


def test_a_loop_that_records_nothing_is_told_so(in_folder: Path) -> None:
    spec = StudySpec(space=SearchSpace([0.1], [0]), train=lambda params, recorder: None, name="own")
    with pytest.raises(StudyError, match=r"recorded no val_loss; call recorder\.point\(val_loss="):
        run_study(spec, URL)


def test_a_stop_in_the_middle_leaves_nothing_running(in_folder: Path, make_spec: MakeSpec) -> None:
    calls = [0]

    def loss(output: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] == 16:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(output, y)

    with pytest.raises(KeyboardInterrupt):
        run_study(make_spec(task=Task(mlp, blobs, loss)), URL, lanes=1)
    study = optuna.load_study(study_name="small", storage=URL)
    states = [t.state for t in study.trials]
    assert states.count(TrialState.COMPLETE) == 1
    assert states.count(TrialState.RUNNING) == 0
    assert math.isfinite(study.best_value)


class EndsTheFirst(Forwarding):
    """A storage in which somebody ends the first trial in the moment in which it is claimed."""

    ended = False

    def set_trial_state_values(self, trial_id: int, state: TrialState, *values: Any) -> bool:
        claimed = self.storage.set_trial_state_values(trial_id, state, *values)
        if state == TrialState.RUNNING and not self.ended:
            self.ended = True
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return claimed


@pytest.mark.parametrize("scheme", ["sqlite", "journal"])
def test_a_trial_that_is_ended_as_it_is_claimed_is_left(
    in_folder: Path, make_spec: MakeSpec, scheme: str
) -> None:
    storage = EndsTheFirst(open_storage(f"{scheme}:///wd"))
    study = run_study(make_spec(), storage)
    assert storage.ended
    assert sum(t.state == TrialState.COMPLETE for t in study.trials) == 4


@pytest.mark.parametrize(("pruned", "reported"), [(False, [1.0, 2.0]), (True, [1.0, 1e18, 2.0])])
def test_a_loss_that_explodes_is_reported_to_pruners_only(
    pruned: bool, reported: list[float]
) -> None:
    """One report of 1e18 would flatten the dashboard's History."""
    trial = optuna.create_study().ask()
    log = TrialLog(trial, TrialParams(1, 0), "val_loss", eager=pruned, diverged_factor=10)
    log.initial_loss = 1.0
    for step, loss in enumerate([1.0, 1e18, 2.0]):
        log.log({"step": step, "val_loss": loss})
    log.complete()
    (found,) = trial.study.trials
    assert list(found.intermediate_values.values()) == reported
    assert found.user_attrs["val_loss"] == [1.0, 1e18, 2.0]


def test_of_a_large_study_without_a_pruner_a_hundred_trials_report() -> None:
    assert all(reports(number, 100) for number in range(100))
    for planned in (101, 450, 1000, 5000):
        assert 50 <= sum(reports(number, planned) for number in range(planned)) <= 100
    study = optuna.create_study()
    for eager, reported in ((False, 0), (True, 2)):  # a pruner needs every trial's
        trial = study.ask()
        log = TrialLog(trial, TrialParams(1, 0), "val_loss", eager=eager, reporting=False)
        for step in (1, 2):
            log.log({"step": step, "val_loss": 1.0})
        log.complete()
        found = study.trials[-1]
        assert len(found.intermediate_values) == reported
        assert found.user_attrs["val_loss"] == [1.0, 1.0]


def test_a_loop_that_counts_no_loss_is_told_so(in_folder: Path) -> None:
    def loop(params: TrialParams, recorder: LossRecorder) -> None:
        weight = nn.Parameter(torch.ones(1))
        recorder.watch(torch.optim.SGD([weight], params.lr, weight_decay=params.weight_decay))
        recorder.point(val_loss=1.0)

    spec = StudySpec(space=SearchSpace([0.1], [0]), train=loop, name="own")
    with pytest.raises(StudyError, match=r"recorded no step; call recorder\.step\(loss\)"):
        run_study(spec, URL)


@pytest.mark.parametrize(
    ("uses", "says"),
    [
        ("both", ""),
        ("independent", ""),
        ("lr", "the loop never uses params.weight_decay: is the map one of what it trains?"),
        ("nothing", "the loop never uses params.lr and never uses params.weight_decay"),
        ("another", "the loop has weight_decay 0, 0.5 in its optimizer where the trial's is 0.01"),
    ],
)
def test_a_loop_that_overlooks_its_parameters_is_told_once(
    in_folder: Path, uses: str, says: str
) -> None:
    def loop(params: TrialParams, recorder: LossRecorder) -> None:
        lr = 0.1 if uses == "nothing" else params.lr
        decay = {
            "both": lambda: params.weight_decay,
            "another": lambda: params.weight_decay and 0.5,
            "independent": lambda: params.weight_decay / params.lr,
        }
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.AdamW([weight], lr, weight_decay=decay.get(uses, lambda: 0.3)())
        recorder.watch(optimizer)
        recorder.watch(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr, weight_decay=0.0))
        loss = weight.square().mean()
        loss.backward()
        recorder.step(loss)
        optimizer.step()
        recorder.point(val_loss=loss)

    lines = Lines()
    run_study(StudySpec(SearchSpace([0.01, 0.1], [0.01]), train=loop, name="own"), URL, lines)
    assert len(lines.lines) == bool(says)
    if says:
        assert lines.lines[0].startswith(says)
