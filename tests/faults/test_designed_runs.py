"""Designed studies with real kills, several runs at once and Ray: nobody coordinates them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from ground import complete, finished, run, trials, wait_for, wait_until, workers_of
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import DESIGN_STOP, SCOUTS
from wdstudy.run.cells import params_of
from wdstudy.storage.opening import open_storage

StudyFile = Callable[..., Path]
URL = "sqlite:///wdstudy.db"
DESIGN = ["--design", "--epochs", "30", "--trials"]
PAUSE = 0.006  # of a batch: 60 steps a trial


def attributes(url: str = URL) -> dict[str, Any]:
    storage = open_storage(url, create=False)
    return optuna.load_study(study_name="linear", storage=storage).user_attrs


def assert_designed(url: str, most: int, before: dict[int, Any]) -> None:
    """Every cell and seed once, all of the budget and no more, and what was there is as before."""
    after = complete(url)
    assert {number: after[number] for number in before} == before
    found = trials(url)
    assert not [t for t in found if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    done = [t for t in found if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    keys = Counter(params.key for t in done if (params := params_of(t)) is not None)
    assert set(keys.values()) == {1}
    assert len(done) == most
    assert attributes(url)[DESIGN_STOP]["reason"] == "budget"
    assert all({"stage", "reason", "batch"} <= t.user_attrs.keys() for t in done)


def end(process: subprocess.Popen[str], seconds: float = 240) -> str:
    said = process.communicate(timeout=seconds)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


@pytest.mark.slow
@pytest.mark.parametrize("lanes", ["1", "4"])
def test_a_designed_run_that_is_killed_goes_on_with_the_same_command(
    study_file: StudyFile, lanes: str
) -> None:
    path = study_file(pause=PAUSE)
    flags = [*DESIGN, "18", "--jobs", "1", "--lanes", lanes]
    process = run(path, URL, *flags)
    wait_for(URL, 5)
    process.kill()
    process.wait()
    before, scouts = complete(URL), attributes()[SCOUTS]
    assert len(before) < 18
    said = end(run(path, URL, *flags))
    assert "scouting" not in said
    assert attributes()[SCOUTS] == scouts
    assert_designed(URL, 18, before)


@pytest.mark.slow
def test_scouts_that_were_done_before_a_kill_are_kept(study_file: StudyFile) -> None:
    path = study_file(pause=0.05)  # a batch of scouts takes seconds
    flags = [*DESIGN, "6", "--jobs", "1"]
    process = run(path, URL, *flags)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if attributes().get(SCOUTS):
                break
        except Exception:  # the study is not there yet
            pass
        time.sleep(0.05)
    process.kill()
    process.wait()
    before = attributes()[SCOUTS]
    assert {row["weight_decay"] for row in before} == {0.0}
    assert not trials(URL)
    said = end(run(path, URL, *flags))
    assert said.count("scouting: ") == 1
    after = attributes()[SCOUTS]
    assert after[: len(before)] == before
    assert any(row["weight_decay"] > 0 for row in after)
    assert_designed(URL, 6, {})


@pytest.mark.slow
def test_a_worker_of_a_designed_run_is_killed_and_its_cells_are_trained_again(
    study_file: StudyFile,
) -> None:
    process = run(study_file(pause=0.03), URL, *DESIGN, "14", "--jobs", "2")

    def victims(found: list[FrozenTrial]) -> list[int]:
        """The worker processes that train just now."""
        known = [t.user_attrs.get("worker", "") for t in found if t.state == TrialState.RUNNING]
        return [pid for pid in workers_of(process.pid) if any(f":{pid}:" in w for w in known)]

    wait_until(URL, lambda found: len(finished(URL)) >= 2 and bool(victims(found)))
    os.kill(victims(trials(URL))[0], signal.SIGKILL)  # two seconds a trial: it still does
    said = end(process)
    assert "a worker was lost" in said
    assert_designed(URL, 14, {})


@pytest.mark.slow
def test_two_designed_runs_on_one_storage_share_what_is_asked(
    study_file: StudyFile, shared_url: str
) -> None:
    path = study_file(pause=PAUSE)
    runs = [run(path, shared_url, *DESIGN, "24", "--jobs", "1") for _ in range(2)]
    said = [end(process) for process in runs]
    assert_designed(shared_url, 24, {})
    done = [t for t in trials(shared_url) if t.state != TrialState.FAIL]
    assert len({t.user_attrs["worker"] for t in done}) == 2, said  # each had its part
    numbers = {t.user_attrs["batch"] for t in done}
    assert numbers == set(range(1, len(numbers) + 1))
    for number in numbers:  # one batch a number, of one plan
        assert len({t.user_attrs["reason"] for t in done if t.user_attrs["batch"] == number}) == 1
    assert all("stopped: " in lines for lines in said)


@pytest.mark.slow
def test_a_designed_run_on_ray(study_file: StudyFile) -> None:
    path = study_file(pause=PAUSE)
    command = [sys.executable, "-m", "wdstudy", "run", str(path), "--launcher", "ray"]
    flags = [*DESIGN, "16", "--jobs", "2", "--lanes", "1", "--storage", URL]
    process = subprocess.Popen([*command, *flags], text=True, stderr=subprocess.PIPE)
    said = end(process)
    assert "designs itself: best within" in said
    assert "scouts of 10 steps took" in said
    assert "batch 1, " in said
    assert "2 Ray jobs" in said
    assert "16/16 trials" in said
    assert said.count("stopped: ") == 1
    assert_designed(URL, 16, {})
    process = subprocess.Popen([*command, *flags], text=True, stderr=subprocess.PIPE)
    assert "nothing is trained" in end(process)
    assert_designed(URL, 16, {})


@pytest.mark.slow
def test_a_time_budget_holds_over_all_workers(study_file: StudyFile) -> None:
    """It is counted from the run's start, and a trial that has begun is trained to its end."""
    flags = ["--design", "--epochs", "30", "--budget", "20s", "--jobs", "2"]
    said = end(run(study_file(pause=0.02), URL, *flags))  # more than a second a trial
    begun = [t.datetime_start for t in trials(URL) if t.datetime_start is not None]
    assert 2 <= len(begun) <= 2 * 20
    assert (max(begun) - min(begun)).total_seconds() <= 20
    assert attributes()[DESIGN_STOP]["reason"] == "budget", said
    assert not [t for t in trials(URL) if t.state == TrialState.RUNNING]
    assert "about 20 s" in said
    assert "20 s allow " in said
