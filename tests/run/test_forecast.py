"""What a run says that it will take, held against what it took."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from displays import Lines
from small_tasks import blobs, mlp
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.curves import TRAIN_SECONDS
from wdstudy.recorder import LossRecorder
from wdstudy.run.alone import run_study
from wdstudy.run.forecast import Forecast
from wdstudy.run.prepared import prepare
from wdstudy.run.runner import Runner
from wdstudy.run.status import Status
from wdstudy.space import TrialParams
from wdstudy.training.probe import LaneChoice

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wdstudy.db"
ONE = LaneChoice(1, "")


def forecast(spec: StudySpec, most: int = 1, url: str = URL) -> Forecast:
    prepared = prepare(spec, url)
    return Forecast.of(prepared, Runner(prepared, Lines()).take_stock(), ONE, most)


def slow(train: float, val: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss whose time is known: the machine's own is lost in it."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        time.sleep(train if output.requires_grad else val)
        return nn.functional.cross_entropy(output, y)

    return loss


@pytest.mark.parametrize(("train", "val"), [(0.02, 0.0), (0.0, 0.05), (0.01, 0.02)])
def test_the_time_counts_steps_and_validation(
    in_folder: Path, make_spec: MakeSpec, train: float, val: float
) -> None:
    spec = make_spec(task=Task(mlp, blobs, slow(train, val)), epochs=4)
    told = forecast(spec)
    assert told.seconds is not None
    study = run_study(spec, URL, lanes=1)
    took = sum(t.user_attrs[TRAIN_SECONDS] for t in study.trials)
    assert told.seconds == pytest.approx(took, rel=0.5)
    assert told.steps == sum(t.user_attrs["step"][-1] for t in study.trials)


def test_processes_share_the_time_and_nothing_left_takes_none(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    told = forecast(spec, most=3)
    assert told.seconds is not None
    assert told.wall_seconds == pytest.approx(told.seconds / 3)
    run_study(spec, URL, lanes=1)
    done = forecast(spec, most=3)
    assert (done.trials, done.steps, done.size, done.wall_seconds) == (0, 0, 0, 0.0)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 2), (11, 3), (1000, 5)])
def test_a_short_run_is_measured_by_fewer_steps(
    in_folder: Path, make_spec: MakeSpec, epochs: int, steps: int
) -> None:
    trained = []

    def loss(output: Tensor, y: Tensor) -> Tensor:
        trained.append(output.requires_grad)
        return nn.functional.cross_entropy(output, y)

    prepared = prepare(make_spec(task=Task(mlp, blobs, loss), epochs=epochs), URL)
    left = Runner(prepared, Lines()).take_stock()
    trained.clear()
    Forecast.of(prepared, left, ONE, 1)
    assert sum(trained) == 1 + steps  # the first one is not counted, as it allocates


@pytest.mark.parametrize("epochs", [1, 40, 400])
def test_the_disk_is_told_within_a_factor_of_two(
    in_folder: Path, make_spec: MakeSpec, epochs: int
) -> None:
    """By what the second half of a grid adds, for an empty database has a size too."""
    space = SearchSpace(log_range(1e-3, 1e-2, 4), [0, *log_range(1e-5, 1e-3, 4)], 1)
    spec = make_spec(space=space, epochs=epochs, batch_size=blobs()[0][0].shape[0])
    run_study(spec, URL, lanes=20)
    before = size(in_folder)
    more = make_spec(
        space=SearchSpace(space.lr, space.weight_decay, 2), epochs=epochs,
        batch_size=blobs()[0][0].shape[0],
    )  # fmt: skip
    told = forecast(more)
    run_study(more, URL, lanes=20)
    assert told.size is not None
    assert 0.5 < told.size / (size(in_folder) - before) < 2


def size(folder: Path) -> int:
    """Of the database with what its log holds."""
    with sqlite3.connect(folder / "wdstudy.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return (folder / "wdstudy.db").stat().st_size


def test_a_loop_is_told_by_the_trials_that_it_has_done(in_folder: Path) -> None:
    def loop(params: TrialParams, recorder: LossRecorder) -> None:
        weight = nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([weight], params.lr, weight_decay=params.weight_decay)
        recorder.watch(optimizer)
        loss = weight.square().sum()
        loss.backward()
        recorder.step(loss)
        optimizer.step()
        time.sleep(0.1)
        recorder.point(val_loss=loss)

    def spec(lr: list[float]) -> StudySpec:
        return StudySpec(train=loop, space=SearchSpace(lr, [0, 0.1]), name="loop")

    first = forecast(spec([0.1]))
    assert (first.seconds, first.size) == (None, None)
    assert "its time is known after the first trial" in str(first)
    run_study(spec([0.1]), URL)
    then = forecast(spec([0.1, 0.2, 0.3]))
    assert then.trials == 4
    assert then.seconds == pytest.approx(4 * 0.1, rel=0.5)


def test_what_is_left_begins_as_expected_and_ends_as_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of 1,000 steps that takes three times what was expected of it."""
    clock = [0.0]
    monkeypatch.setattr("wdstudy.run.status.time.monotonic", lambda: clock[0])
    status = Status(12, done=2, started=0.0)
    assert status.seconds_left() is None
    status.expect(100.0, 1000)
    assert status.seconds_left() == pytest.approx(100.0)
    told = []
    for step in range(0, 1000, 50):
        clock[0] = 0.3 * step
        status.steps = step
        told.append((status.seconds_left() or 0.0) / (300 - clock[0] or 1.0))
    assert told == sorted(told)
    assert told[10] > 0.9
    status.done = 12
    assert status.seconds_left() == 0.0
    assert status.left() == ""


def test_trials_that_diverge_leave_nothing_to_wait_for() -> None:
    status = Status(10)
    status.expect(100.0, 10_000)
    status.steps, status.done = 10, 10
    assert status.seconds_left() == 0.0


def test_where_nothing_is_known_the_first_trial_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("wdstudy.run.status.time.monotonic", lambda: clock[0])
    status = Status(5, started=0.0)
    status.expect(None, 0)
    assert status.left() == ""
    clock[0], status.done = 60.0, 1
    assert status.seconds_left() == pytest.approx(240.0)
    assert math.isclose(status.elapsed, 60.0)


def test_what_fails_while_it_is_measured_is_left_to_the_trials(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    """As memory that runs out with the lanes that were asked for, which a run mends."""
    calls = [0]

    def loss(output: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        if len(output.shape) == 2 and calls[0] > limit[0]:
            raise torch.OutOfMemoryError("out of memory")
        return nn.functional.cross_entropy(output, y)

    limit = [10**9]
    prepared = prepare(make_spec(task=Task(mlp, blobs, loss)), URL)
    limit[0] = calls[0]
    told = Forecast.of(prepared, 4, ONE, 1)
    assert told.seconds is None
    assert told.trials == 4
