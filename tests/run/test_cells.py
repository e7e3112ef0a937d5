from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from wdstudy import SearchSpace
from wdstudy.curves import LAST_SEEN, WORKER
from wdstudy.run.cells import missing, params_of
from wdstudy.run.heartbeat import (
    NAMELESS_SECONDS,
    STALE_SECONDS,
    Heartbeat,
    Watch,
    release,
)
from wdstudy.run.interrupts import uninterrupted
from wdstudy.run.queue import Queue, enqueue
from wdstudy.run.sampling import suggest
from wdstudy.storage.opening import open_storage
from wdstudy.workers import worker_name

SPACE = SearchSpace([0.01, 0.1, 1.0], [0, 0.001], seeds=2)


def new_study() -> optuna.Study:
    return optuna.create_study(study_name="q", storage=open_storage("sqlite:///wd.db"))


def test_a_failed_cell_is_missing_and_a_diverged_one_is_not(in_folder: Path) -> None:
    study = new_study()
    cells = SPACE.cells()
    enqueue(study, cells[:4], with_seed=True)
    queue = Queue(study, study._storage, cells)
    for state, value in (
        (TrialState.COMPLETE, 1.0),
        (TrialState.PRUNED, None),
        (TrialState.FAIL, None),
    ):
        trial = queue.claim()
        assert trial is not None
        suggest(trial, SPACE)
        study.tell(trial, value, state)
    assert missing(study.trials, cells) == [cells[2], *cells[4:]]
    assert [params_of(t) for t in study.trials] == cells[:4]


def test_an_enlarged_grid_keeps_its_cells_also_with_new_seeds_and_a_new_zero(
    in_folder: Path,
) -> None:
    study = new_study()
    small = SearchSpace([0.1, 1.0], [0.001])
    enqueue(study, small.cells(), with_seed=False)
    queue = Queue(study, study._storage, small.cells())
    while (trial := queue.claim()) is not None:
        suggest(trial, small)
        study.tell(trial, 1.0)
    lacking = missing(study.trials, SPACE.cells())
    assert len(lacking) == len(SPACE) - 2
    enqueue(study, lacking, with_seed=True)
    queue = Queue(study, study._storage, SPACE.cells())
    while (trial := queue.claim()) is not None:
        suggest(trial, SPACE)
        study.tell(trial, 1.0)
    assert {params_of(t) for t in study.trials} == set(SPACE.cells())
    assert len(study.trials) == len(SPACE)


def test_a_smaller_grid_leaves_the_cells_it_does_not_want(in_folder: Path) -> None:
    study = new_study()
    enqueue(study, SPACE.cells(), with_seed=True)
    queue = Queue(study, study._storage, SPACE.cells()[:3])
    claimed = 0
    while queue.claim() is not None:
        claimed += 1
    assert claimed == 3


def claim_all(folder: str, results: multiprocessing.Queue[list[int]]) -> None:
    os.chdir(folder)
    study = optuna.load_study(study_name="q", storage=open_storage("sqlite:///wd.db"))
    queue, mine = Queue(study, study._storage, None), []
    while (trial := queue.claim()) is not None:
        mine.append(trial.number)
    results.put(mine)


def test_two_processes_never_claim_the_same_trial(in_folder: Path) -> None:
    space = SearchSpace([0.1 * i for i in range(1, 9)], [0.1 * i for i in range(5)])
    enqueue(new_study(), space.cells(), with_seed=False)
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    workers = [context.Process(target=claim_all, args=(str(in_folder), results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    claimed = [number for _ in workers for number in results.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(claimed) == list(range(40))


def running_trial(study: optuna.Study, worker: str, seen: float) -> optuna.Trial:
    trial = study.ask()
    suggest(trial, SPACE)
    trial.set_user_attr(WORKER, worker)
    trial.set_user_attr(LAST_SEEN, seen)
    return trial


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass for whoever asks the monotonic clock."""
    passed, real = [0.0], time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])

    def wait(seconds: float) -> None:
        passed[0] += seconds

    return wait


def test_trials_of_lost_workers_are_released_and_others_are_not(
    in_folder: Path, clock: Callable[[float], None]
) -> None:
    study, watch = new_study(), Watch()
    dead = multiprocessing.get_context("spawn").Process()
    dead.start()
    dead.join()
    place = worker_name("0").rsplit(":", 2)[0]
    running_trial(study, worker_name("0"), 0)  # ours
    running_trial(study, f"{place}:{dead.pid}:0", 0)  # its process is gone
    alive = running_trial(study, "elsewhere:1:0", 0)  # gives a sign
    running_trial(study, "elsewhere:2:0", 0)  # gives none any more
    ours = {study.trials[0]._trial_id}
    assert release(study, study._storage, watch, ours) == 1
    clock(STALE_SECONDS / 2)
    assert release(study, study._storage, watch, ours) == 0
    alive.set_user_attr(LAST_SEEN, 1)
    clock(STALE_SECONDS / 2 + 1)
    assert release(study, study._storage, watch, ours) == 1
    states = [t.state for t in study.trials]
    assert states == [TrialState.RUNNING, TrialState.FAIL, TrialState.RUNNING, TrialState.FAIL]


@pytest.mark.parametrize("jump", [-86400, 86400])
def test_a_clock_that_jumps_takes_no_trial_from_its_worker(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    study, watch, real = new_study(), Watch(), time.time
    running_trial(study, "elsewhere:1:0", real() + jump)
    assert release(study, study._storage, watch) == 0
    monkeypatch.setattr(time, "time", lambda: real() - jump)
    assert release(study, study._storage, watch) == 0


def test_a_trial_that_never_said_who_trains_it_is_released_soon(
    in_folder: Path, clock: Callable[[float], None]
) -> None:
    study, watch = new_study(), Watch()
    study.ask()
    assert release(study, study._storage, watch) == 0
    clock(NAMELESS_SECONDS - 1)
    assert release(study, study._storage, watch) == 0
    clock(2)
    assert release(study, study._storage, watch) == 1


def test_the_heart_beats_while_a_trial_runs(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wdstudy.run.heartbeat.HEARTBEAT_SECONDS", 0.05)
    study = new_study()
    trial = study.ask()
    with Heartbeat(study._storage) as heart:
        heart.add(trial._trial_id, "host:1:run")
        first = study.trials[0].user_attrs[LAST_SEEN]
        deadline = time.monotonic() + 10
        while study.trials[0].user_attrs[LAST_SEEN] == first:
            assert time.monotonic() < deadline, "no beat"
            time.sleep(0.02)
        heart.remove(trial._trial_id)


def test_an_interruption_waits_for_the_end_of_what_must_not_be_halved() -> None:
    steps = []

    def critical() -> None:
        with uninterrupted():
            steps.append("begun")
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("done")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            critical()
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps == ["begun", "done"]
