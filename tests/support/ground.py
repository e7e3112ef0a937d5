"""What the tests of faults have in common: real runs, and what is in their storage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from wdstudy.__main__ import main
from wdstudy.run.cells import params_of
from wdstudy.storage.opening import open_storage

started: list[subprocess.Popen[str]] = []


def run(
    path: Path, url: str, *flags: str, before: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    """A real `wdstudy run` in a process of its own, which ends with the test at the latest.

    Args:
        path: The study file.
        url: The storage.
        flags: Of the command.
        before: A command that starts it.
        options: Of the process.
    """
    # One by one, or all trials of a small study end in the same instant.
    lanes = [] if "--lanes" in flags else ["--lanes", "1"]
    command = [sys.executable, "-m", "wdstudy", "run", str(path), "--storage", url, *lanes, *flags]
    started.append(
        subprocess.Popen([*before, *command], text=True, stderr=subprocess.PIPE, **options)
    )
    return started[-1]


def trials(url: str, name: str = "linear") -> list[FrozenTrial]:
    study = optuna.load_study(study_name=name, storage=open_storage(url, create=False))
    return study.get_trials()


def finished(url: str) -> Counter[tuple[float, float, int]]:
    """How often every cell is complete, each seed for itself."""
    return Counter(
        params.key
        for trial in trials(url)
        if trial.state == TrialState.COMPLETE and (params := params_of(trial)) is not None
    )


def complete(url: str) -> dict[int, tuple[float | None, dict[str, Any]]]:
    """What must never change again: value and attributes of every complete trial."""
    return {
        t.number: (t.value, t.user_attrs) for t in trials(url) if t.state == TrialState.COMPLETE
    }


def wait_until(url: str, condition: Callable[[list[FrozenTrial]], bool]) -> None:
    """Until the trials of the study are so."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if condition(trials(url)):
                return
        except Exception:  # the study is not there yet
            pass
        time.sleep(0.1)
    raise AssertionError("no progress")


def wait_for(url: str, n: int) -> None:
    """Until so many trials are complete."""
    wait_until(url, lambda found: sum(t.state == TrialState.COMPLETE for t in found) >= n)


def open_together(url: str, ready: Barrier, opened: SimpleQueue[str]) -> None:
    """Open a storage in the same instant as others do; what came of it goes to the queue."""
    ready.wait(60)
    try:
        open_storage(url)
        opened.put("opened")
    except Exception as error:
        opened.put(str(error))


def run_together(
    path: Path, url: str, ready: Barrier, ended: SimpleQueue[tuple[object, str]]
) -> None:
    """A run that begins in the same instant as others; how it ended goes to the queue.

    For a process of `worker_context`, which has imported all it needs before it is ready.
    """
    said = path.with_name(f"said.{os.getpid()}")
    os.chdir(path.parent)
    os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY), sys.stderr.fileno())
    ready.wait(60)
    code = main(["run", str(path), "--storage", url, "--lanes", "1", "--jobs", "1"])
    sys.stderr.flush()
    ended.put((code, said.read_text()))


def workers_of(pid: int) -> list[int]:
    """The worker processes of a run: what its fork server has forked."""
    return [worker for server in fork_servers_of(pid) for worker in _children(server)]


def fork_servers_of(pid: int) -> list[int]:
    """What forks the workers of a run; none before it has begun."""
    found = []
    for child in _children(pid):
        with suppress(OSError):  # git and others come and go
            if "forkserver" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
    return found


def _children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(autouse=True)
def ended_runs() -> Iterator[None]:
    """No run outlives its test, also if that fails."""
    yield
    while started:
        process = started.pop()
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
