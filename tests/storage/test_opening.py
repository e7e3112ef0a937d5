from __future__ import annotations

import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from wdstudy import open_study
from wdstudy.errors import StorageError, StudyError
from wdstudy.storage import opening, servers, sqlite
from wdstudy.storage.opening import open_storage, study_names
from wdstudy.storage.url import masked, resolve_url


@pytest.fixture(params=["sqlite:///wd.db", "journal:///wd.journal"])
def url(request: pytest.FixtureRequest, in_folder: Path) -> str:
    return str(request.param)


def test_a_study_is_written_and_read_back(url: str) -> None:
    storage = open_storage(url)
    study = optuna.create_study(study_name="a/ b✓", storage=storage)
    study.enqueue_trial({"lr": 0.1})
    assert study_names(open_storage(url, create=False)) == ["a/ b✓"]
    assert len(open_study("a/ b✓", url).trials) == 1
    with pytest.raises(StudyError, match=r"no study 'c' in .*Known: a/ b✓"):
        open_study("c", url)


@pytest.mark.parametrize(
    "states", [None, ("RUNNING",), ("WAITING",), ("RUNNING", "WAITING"), ("COMPLETE", "WAITING")]
)
def test_trials_are_read_by_state_as_optuna_reads_them(
    url: str, states: tuple[str, ...] | None
) -> None:
    ours = open_storage(url)
    study = optuna.create_study(study_name="a", storage=ours)
    study.tell(study.ask(), 1.0)
    study.ask({"lr": optuna.distributions.FloatDistribution(0, 1)}).set_user_attr("a", [1])
    study.enqueue_trial({"lr": 0.5})
    asked = None if states is None else tuple(optuna.trial.TrialState[name] for name in states)
    plain = optuna.load_study(study_name="a", storage=ours.storage)
    assert study.get_trials(states=asked) == plain.get_trials(states=asked)


def test_reading_creates_no_file(url: str, in_folder: Path) -> None:
    with pytest.raises(StorageError, match="run a study first"):
        open_storage(url, create=False)
    assert list(in_folder.iterdir()) == []


def test_sqlite_writes_ahead(in_folder: Path) -> None:
    storage = open_storage("sqlite:///wd.db")
    optuna.create_study(storage=storage)
    with sqlite3.connect("wd.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with storage.storage._backend.engine.connect() as used:  # type: ignore[attr-defined]
        assert used.exec_driver_sql("PRAGMA synchronous").scalar() == 1


def test_the_default_is_optunas_variable_or_a_file_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", "journal:///x.journal")
    assert resolve_url() == "journal:///x.journal"
    monkeypatch.delenv("OPTUNA_STORAGE")
    assert resolve_url() == "sqlite:///wdstudy.db"


def test_passwords_are_masked() -> None:
    assert masked("postgresql://me:hunter2@host/db") == "postgresql://me:***@host/db"
    with pytest.raises(StorageError) as error:
        open_storage("postgress://me:hunter2@host/db")
    assert "hunter2" not in str(error.value)
    assert "did you mean 'postgresql'" in str(error.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("wd.db", "did you mean 'sqlite:///wd.db'"),
        ("runs.journal", "did you mean 'journal:///runs.journal'"),
        ("sqlite:///no/such/wd.db", "there is no directory 'no/such'; create it"),
        ("sqlite:///folder", "is a directory"),
        ("sqlite:///text.db", "file is not a database"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_in_one_line(
    in_folder: Path, url: str, says: str
) -> None:
    (in_folder / "folder").mkdir()
    (in_folder / "text.db").write_text("this is a text, and long enough to be one" * 20)
    with pytest.raises(StorageError, match=says) as error:
        open_storage(url)
    assert "\n" not in str(error.value)
    assert sorted(p.name for p in in_folder.iterdir()) == ["folder", "text.db"]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:x?mode=memory&cache=shared&uri=true",
    ],
)
def test_what_lies_in_memory_is_refused(in_folder: Path, url: str) -> None:
    with pytest.raises(StorageError, match="in the memory of one process"):
        open_storage(url)
    assert list(in_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "folder", "says"),
    [(0o444, 0o755, "a file that you may read only"), (0o666, 0o555, "in which you may make no")],
)
def test_what_cannot_be_written_is_refused_at_once(
    url: str, in_folder: Path, file: int, folder: int, says: str
) -> None:
    open_storage(url)
    Path(url.rpartition("/")[2]).chmod(file)
    in_folder.chmod(folder)
    root = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]  # as anybody else
    code = f"from wdstudy.storage.opening import open_storage; open_storage({url!r}, say=print)"
    command = [*(root if os.geteuid() == 0 else []), sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    in_folder.chmod(0o755)
    assert says in ended.stderr.splitlines()[-1]
    assert ended.stdout == ""


@pytest.mark.slow
def test_a_lock_at_the_start_is_said_and_waited_for(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    open_storage("sqlite:///wd.db")
    locker = sqlite3.connect("wd.db", isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN IMMEDIATE")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "out of reach" in line:
            locker.execute("ROLLBACK")

    open_storage("sqlite:///wd.db", say=say)
    locker.close()
    assert "is out of reach (database is locked): trying again for 300 s" in said[0]
    assert said[1:] == ["the storage sqlite:///wd.db is back"]


def test_who_reads_is_told_of_a_lock_after_a_moment(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(opening, "_READING_SECONDS", 1.0)
    with closing(sqlite3.connect("wd.db", isolation_level=None)) as locker:
        locker.execute("CREATE TABLE a (b)")
        locker.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match=r"out of reach for 1 s \(database is locked\)"):
            open_storage("sqlite:///wd.db", create=False)


def create(folder: str) -> None:
    os.chdir(folder)
    open_storage("sqlite:///wd.db")


def test_many_processes_may_create_one_storage_at_once(in_folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=create, args=(str(in_folder),)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///timeout.db", "another program's database"),
        ("postgresql://u@127.0.0.1:1/d?connect_timeout=abc", "bad value for connect_timeout"),
    ],
)
def test_what_will_not_pass_is_not_waited_for(in_folder: Path, url: str, says: str) -> None:
    with closing(sqlite3.connect("timeout.db")) as connection:
        connection.execute("CREATE TABLE places (url)")
    said: list[str] = []
    with pytest.raises(StorageError, match=says):
        open_storage(url, say=said.append)
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_database_that_is_not_there_is_not_waited_for_whatever_its_name(
    request: pytest.FixtureRequest, server: str
) -> None:
    url = str(request.getfixturevalue(server)).rpartition("/")[0] + "/timeout"
    said: list[str] = []
    with pytest.raises(StorageError, match=r"[Uu]nknown database|does not exist"):
        open_storage(url, say=said.append)
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_server_that_never_answers_is_told_of(
    monkeypatch: pytest.MonkeyPatch, kind: str, create: bool
) -> None:
    monkeypatch.setattr(servers, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(servers, "_ANSWER_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        url = f"{kind}://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/d"
        opened = pool.submit(open_storage, url, create=create)
        try:
            with pytest.raises(StorageError, match="can't be used"):
                opened.result(15)
        finally:
            silent.shutdown(socket.SHUT_RDWR)  # whoever waits is told
