"""Database servers that drop what is asked of them, in the middle of it."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from commands import command
from ground import finished, run, wait_for
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from servers import PASSWORD, Server

from wdstudy.storage.ids import id_of_study, id_of_trial
from wdstudy.storage.opening import open_storage
from wdstudy.storage.patient import PatientStorage

pytestmark = pytest.mark.slow


def lose_once(storage: PatientStorage, nth: int, url: str) -> list[str]:
    """Let the server end a connection right before its n-th statement; which that was."""
    import psycopg

    asked: list[str] = []
    lost: list[str] = []

    def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)
        if len(asked) == nth:
            lost.append(statement)
            with psycopg.connect(url, autocommit=True) as other:
                pid = cursor.connection.info.backend_pid
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    database = storage._database
    assert database is not None
    sqlalchemy.event.listen(database.engine, "before_cursor_execute", before)
    return lost


READS: dict[str, Callable[[BaseStorage, int, int], Any]] = {
    "trials": lambda storage, study, trial: storage.get_all_trials(study),
    "running": lambda storage, study, trial: storage.get_all_trials(
        study, states=(TrialState.RUNNING,)
    ),
    "trial": lambda storage, study, trial: storage.get_trial(trial),
    "studies": lambda storage, study, trial: storage.get_all_studies(),
    "attributes": lambda storage, study, trial: storage.get_study_user_attrs(study),
}


@pytest.mark.parametrize("read", READS)
def test_a_connection_lost_inside_a_read_is_made_again(postgres: str, read: str) -> None:
    study = optuna.create_study(storage=open_storage(postgres))
    trial = study.ask({"lr": optuna.distributions.FloatDistribution(0, 1)})
    asks = READS[read]
    whole = asks(open_storage(postgres), id_of_study(study), id_of_trial(trial))
    for nth in itertools.count(1):
        storage = open_storage(postgres)
        lost = lose_once(storage, nth, postgres)
        found = asks(storage, id_of_study(study), id_of_trial(trial))
        assert found == whole
        if not lost:
            assert nth > 2
            break


def test_a_server_that_is_killed_again_and_again_is_waited_for(
    study_file: Callable[..., Path], postgres: str, postgres_server: Server
) -> None:
    process = run(study_file(pause=0.1), postgres, "--jobs", "2")
    for done in (1, 3, 5):
        wait_for(postgres, done)
        postgres_server.kill()
        postgres_server.start()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert set(finished(postgres).values()) == {1}
    assert len(finished(postgres)) == 12


def test_a_server_that_is_away_at_the_start_is_waited_for(
    study_file: Callable[..., Path], postgres: str, postgres_server: Server
) -> None:
    postgres_server.stop()
    try:
        process = run(study_file(), postgres, "--jobs", "1")
        assert process.stderr is not None
        assert "out of reach" in process.stderr.readline()
    finally:
        postgres_server.start()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert "is back" in said
    assert len(finished(postgres)) == 12


def test_a_server_without_a_connection_left_is_waited_for(
    study_file: Callable[..., Path], postgres: str
) -> None:
    import psycopg

    with ExitStack() as taken:
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(postgres))
        process = run(study_file(), postgres, "--jobs", "1")
        assert process.stderr is not None
        assert "too many clients already): trying again for 300 s" in process.stderr.readline()
        asked = command("list", "--storage", postgres)
        told = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        assert told.returncode == 2  # who reads is told at once
        assert "check that the server runs" in told.stderr
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert len(finished(postgres)) == 12


def test_a_wrong_password_is_not_waited_for(study_file: Callable[..., Path], postgres: str) -> None:
    wrong = postgres.replace(PASSWORD, "another")
    _, said = (process := run(study_file(), wrong)).communicate(timeout=60)
    assert process.returncode == 2
    assert "out of reach" not in said
    assert "password authentication failed" in said
    assert "another@" not in said
