"""A journal under several writers, one of whom is slow, killed or told no."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

import wdstudy.storage.lock
from wdstudy.storage.ids import id_of_trial
from wdstudy.storage.lock import JournalLock
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


@pytest.mark.slow
def test_that_another_writes_for_long_is_said(
    stalled: Future[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wdstudy.storage.lock, "LOCK_SECONDS", 0.2)
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


@pytest.mark.parametrize("written_as", ["sub/study.journal", "nowhere"])
def test_a_lock_that_leads_nowhere_is_broken_after_a_while(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, written_as: str
) -> None:
    """Optuna's own holds the path as it was given, which is none from inside the folder."""
    Path("sub").mkdir()
    monkeypatch.setitem(globals(), "URL", "journal:///sub/study.journal")
    optuna.create_study(study_name="a", storage=impatient())
    Path("sub/study.journal.lock").symlink_to(written_as)
    written = ThreadPoolExecutor(1).submit(impatient().create_new_study, [], "b")
    try:
        assert written.result(20 * GRACE) == 1
        assert not Path("sub/study.journal.lock").is_symlink()
    finally:
        Path("sub/study.journal.lock").unlink(missing_ok=True)  # who waits for it goes on


def test_the_lock_that_a_killed_writer_leaves_leads_to_its_journal(in_folder: Path) -> None:
    Path("sub").mkdir()
    url = "journal:///sub/study.journal"
    optuna.create_study(study_name="a", storage=open_storage(url))
    dies = (
        "import os; from wdstudy.storage.opening import open_storage; "
        f"storage = open_storage({url!r}); os.fsync = lambda _: os.kill(os.getpid(), 9); "
        "storage.set_study_user_attr(0, 'a', 1)"
    )
    assert subprocess.run([sys.executable, "-c", dies]).returncode == -9
    assert os.path.samefile("sub/study.journal.lock", "sub/study.journal")


def test_a_file_put_in_the_place_of_the_locked_one_is_locked(in_folder: Path) -> None:
    """Whoever waits for a journal that is mended meanwhile writes to what it was mended to."""
    journal, other = Path("study.journal"), Path("other")
    journal.touch()
    other.touch()
    first, second = JournalLock(journal), JournalLock(journal)
    first.acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.acquire)
        time.sleep(0.1)
        other.replace(journal)
        first.release()
        assert waiting.result(10)
    with journal.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second.release()
