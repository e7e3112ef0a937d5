"""The command line as a real process, and the study that it leaves."""

from __future__ import annotations

import subprocess
import sys
import time

import optuna
from optuna.trial import TrialState

from wdstudy.storage.opening import open_storage

URL = "sqlite:///wdstudy.db"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "wdstudy", *map(str, arguments)]


def study(name: str = "linear") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(URL, create=False))


def wait_for_trials(process: subprocess.Popen[str], n: int) -> None:
    """Until n trials are complete while the process still runs."""
    deadline, opened = time.monotonic() + 60, None
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        try:
            opened = opened or study()  # once: that takes longer than to read its trials
            found = opened.get_trials(deepcopy=False)
            if sum(t.state == TrialState.COMPLETE for t in found) >= n:
                return
        except Exception:  # the study is not there yet
            opened = None
        time.sleep(0.05)
    raise AssertionError("the run makes no progress")
