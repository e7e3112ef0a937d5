"""Several worker processes on one machine, killed and stopped for real."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import command, study, wait_for_trials
from ground import workers_of
from optuna.trial import TrialState

from wdstudy.__main__ import main

StudyFile = Callable[..., Path]


def complete_cells(name: str = "linear") -> list[tuple[float, float]]:
    return [(t.params["lr"], t.params["weight_decay"]) for t in study(name).trials
            if t.state == TrialState.COMPLETE]  # fmt: skip


def test_two_processes_train_every_cell_once(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(study_file(pause=0.02)), "--jobs", "2"]) == 0
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12
    assert len({t.user_attrs["worker"] for t in study().trials}) == 2
    said = capfd.readouterr().err
    assert "2 processes" in said
    assert "12/12 trials" in said


def test_processes_and_lanes_give_what_one_trial_after_the_other_gives(
    study_file: StudyFile,
) -> None:
    path = str(study_file())
    assert main(["run", path, "--jobs", "2", "--lanes", "3", "--name", "both"]) == 0
    assert main(["run", path, "--jobs", "1", "--lanes", "1", "--name", "alone"]) == 0
    values = [
        {(t.params["lr"], t.params["weight_decay"]): t.value for t in study(name).trials}
        for name in ("both", "alone")
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_worker_that_is_killed_is_replaced_and_its_cells_are_trained(
    study_file: StudyFile,
) -> None:
    path = study_file(pause=0.1)
    process = subprocess.Popen(
        command("run", path, "--jobs", "2", "--lanes", "1"), text=True, stderr=subprocess.PIPE
    )
    wait_for_trials(process, 1)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "a worker was lost (exit code -9): starting another" in said
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_when_the_parent_goes_the_workers_go_and_the_study_can_go_on(
    study_file: StudyFile, how: int
) -> None:
    path = study_file(pause=0.15)
    process = subprocess.Popen(
        command("run", path, "--jobs", "2", "--lanes", "1"), text=True, stderr=subprocess.PIPE
    )
    wait_for_trials(process, 1)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.1)
    before = len(complete_cells())
    assert 1 <= before < 12
    path.write_text(path.read_text().replace("0.15", "0.0"))
    assert main(["run", str(path)]) == 0
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12


@pytest.mark.slow
def test_a_study_that_fails_in_a_worker_is_told_by_the_parent(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    # The first batch of a process, tried before the study is made, is the only one that works.
    text = path.read_text().replace("time.sleep(0.0)", "count[0] += 1; assert count[0] < 5")
    path.write_text("count = [0]\n" + text)
    assert main(["run", str(path), "--jobs", "2", "--lanes", "1"]) == 2
    said = capfd.readouterr().err
    assert "linear.py', line" in said
    assert "AssertionError" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--lanes", "0"], "--lanes 0: give a number of at least 1, or auto"),
        (["--lanes", "many"], "--lanes many: give a number"),
        (["--jobs", "0"], "--jobs 0: give a number"),
        (["--jobs", "1000"], "--jobs 1000: this machine has"),
        (["--devices", "cuda:7"], "no device 'cuda:7' on this machine; there are: "),
    ],
)
def test_bad_numbers_are_one_line(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert main(["run", str(study_file()), *flags]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert os.listdir() == ["linear.py"]
