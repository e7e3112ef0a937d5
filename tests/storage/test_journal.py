"""A journal under several writers, one of whom is slow, killed or told no."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

import wdstudy.storage.journal
from wdstudy.storage.ids import id_of_trial
from wdstudy.storage.opening import open_storage
from wdstudy.storage.patient import PatientStorage

URL = "journal:///study.journal"
GRACE = 0.5


@pytest.fixture
def stalled(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Future[None]:
    """A writer whose flush to the disk takes five times as long as Optuna waits for a lock."""
    began, flush = threading.Event(), os.fsync

    def slow(file: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            began.set()
            time.sleep(5 * GRACE)
        flush(file)

    optuna.create_study(study_name="a", storage=impatient()).ask()
    monkeypatch.setattr(os, "fsync", slow)
    pool = ThreadPoolExecutor(1)
    written = pool.submit(impatient().write_trial, 0, {"slow": 1})
    assert began.wait(10)
    pool.shutdown(wait=False)
    return written


def impatient() -> PatientStorage:
    storage = open_storage(URL)
    storage._at_once._file._lock.grace_period = GRACE  # type: ignore[union-attr]
    return storage


def attributes() -> dict[str, Any]:
    for line in Path("study.journal").read_text().splitlines():
        json.loads(line)
    return open_storage(URL).get_trial(0).user_attrs


def test_whoever_stalls_while_he_writes_is_waited_for(stalled: Future[None]) -> None:
    impatient().write_trial(0, {"other": 2})
    assert stalled.done()  # nobody has written beside him
    assert stalled.exception() is None
    assert attributes() == {"slow": 1, "other": 2}


def test_a_lock_that_was_broken_is_no_error_of_who_had_it(
    stalled: Future[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError("this file system knows no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    impatient().write_trial(0, {"other": 2})
    assert not stalled.done()
    assert stalled.exception() is None
    assert attributes() == {"slow": 1, "other": 2}
    assert not Path("study.journal.lock").is_symlink()


def test_that_another_writes_for_long_is_said(
    stalled: Future[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wdstudy.storage.journal, "LOCK_SECONDS", 0.2)
    storage, said = impatient(), []
    storage.say = said.append
    storage.write_trial(0, {"other": 2})
    assert "another process is writing" in said[0]
    assert "is back" in said[1]
    assert stalled.exception() is None
    assert attributes() == {"slow": 1, "other": 2}


def test_a_trial_that_has_ended_is_complained_of_once(in_folder: Path) -> None:
    storage, other = open_storage(URL), open_storage(URL)
    study = optuna.create_study(study_name="a", storage=storage)
    trial = study.ask()
    other.set_trial_state_values(id_of_trial(trial), TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError):
        storage.write_trial(id_of_trial(trial), {"a": 1, "b": 2}, {1: 0.5, 2: 0.4})
    assert storage.get_trial(id_of_trial(trial)).user_attrs == {}
    study.ask().set_user_attr("c", 3)  # nor does the next trial suffer from it


def test_a_lock_that_a_killed_process_left_is_broken(in_folder: Path) -> None:
    optuna.create_study(study_name="a", storage=impatient())
    Path("study.journal.lock").symlink_to("study.journal")
    optuna.create_study(study_name="b", storage=impatient())
    assert not Path("study.journal.lock").is_symlink()
