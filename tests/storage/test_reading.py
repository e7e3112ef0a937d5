"""Reading makes nothing and changes nothing, also where a database is another program's."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from commands import command

from wdstudy import open_study
from wdstudy.__main__ import main
from wdstudy.errors import EmptyStorageError, StorageError
from wdstudy.storage.opening import open_storage, study_names
from wdstudy.storage.reading import NAMES
from wdstudy.storage.studies import in_memory

READING = [["list"], ["report", "a"], ["suggest", "a"], ["export", "a", "--out", "a.csv"]]


AS_NOBODY = """
import os, sys
from wdstudy.storage.opening import open_storage, study_names

study_names(open_storage(sys.argv[1], create=False))  # what is imported late, nobody may not read
if os.geteuid() == 0:  # whom permissions don't bind
    os.setuid(65534)
print(study_names(open_storage(sys.argv[1], create=False)))
"""


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def anothers(path: str, mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE places (url)")
        connection.execute("INSERT INTO places VALUES ('x')")
        connection.commit()


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("arguments", READING)
def test_a_file_of_another_program_is_left_as_it_is(
    in_folder: Path, capfd: pytest.CaptureFixture[str], mode: str, arguments: list[str]
) -> None:
    anothers("other.db", mode)
    before = files()
    assert main([*arguments, "--storage", "sqlite:///other.db"]) == 2
    assert "holds no study" in capfd.readouterr().err
    assert files() == before


def test_a_run_adds_nothing_to_a_file_of_another_program(
    study_file: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    anothers("other.db", "delete")
    before = {**files(), "linear.py": study_file().read_bytes()}
    assert main(["run", "linear.py", "--storage", "sqlite:///other.db"]) == 2
    assert "another program's database (its tables are places)" in capfd.readouterr().err
    assert files() == before


def test_what_a_study_is_read_from_is_left_as_it_is(in_folder: Path) -> None:
    made = optuna.create_study(study_name="a", storage=open_storage("sqlite:///wd.db"))
    made.tell(made.ask({"lr": optuna.distributions.FloatDistribution(0, 1)}), 1.0)
    del made
    before = files()
    study = open_study("a", "sqlite:///wd.db")
    assert len(study.trials) == 1
    assert files() == before
    with pytest.raises(StorageError, match="can't be written"):
        study.set_user_attr("a", 1)
    assert files() == before


def test_a_study_is_read_while_it_is_written(in_folder: Path) -> None:
    written = optuna.create_study(study_name="a", storage=open_storage("sqlite:///wd.db"))
    read = open_study("a", "sqlite:///wd.db")
    for number in range(3):
        written.tell(written.ask(), number)
        assert [t.value for t in read.get_trials()] == list(range(number + 1))


def test_an_older_layout_names_the_command_that_mends_it(in_folder: Path) -> None:
    open_storage("sqlite:///wd.db")
    with closing(sqlite3.connect("wd.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.a'")
        connection.commit()
    for create in (True, False):
        with pytest.raises(StorageError, match=r"optuna storage upgrade --storage sqlite:///wd.db"):
            open_storage("sqlite:///wd.db", create=create)


def test_a_file_in_a_folder_that_can_not_be_written_is_read() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own may not be entered by others
        folder = Path(name)
        url = f"sqlite:///{folder}/wd.db"
        optuna.create_study(study_name="a", storage=open_storage(url))
        (folder / "wd.db").chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, url], capture_output=True, text=True
        )
        folder.chmod(0o755)
        assert done.stdout == "['a']\n", done.stderr
        assert [path.name for path in folder.iterdir()] == ["wd.db"]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_servers_database_is_only_read(
    request: pytest.FixtureRequest, in_folder: Path, server: str
) -> None:
    url = str(request.getfixturevalue(server))
    with pytest.raises(StorageError, match="holds no study"):
        open_storage(url, create=False)
    driver = {"postgres": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[server]
    engine = sqlalchemy.create_engine(driver + "://" + url.partition("://")[2])
    try:
        assert sqlalchemy.inspect(engine).get_table_names() == []
        with engine.begin() as connection:  # a server's database may be shared
            connection.exec_driver_sql("CREATE TABLE places (url INTEGER)")
        optuna.create_study(study_name="a", storage=open_storage(url))
        reading = open_storage(url, create=False)
        assert study_names(reading) == ["a"]
        with pytest.raises(StorageError, match="can't be written"):
            optuna.load_study(study_name="a", storage=reading).set_user_attr("a", 1)
    finally:
        engine.dispose()


@pytest.mark.slow
def test_a_servers_database_with_another_programs_versions_is_refused(postgres: str) -> None:
    engine = sqlalchemy.create_engine("postgresql+psycopg://" + postgres.partition("://")[2])
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        with pytest.raises(StorageError, match="another program's database"):
            open_storage(postgres)
        assert sqlalchemy.inspect(engine).get_table_names() == ["alembic_version"]
    finally:
        engine.dispose()


def test_the_dashboard_leaves_a_file_of_another_program_as_it_is(in_folder: Path) -> None:
    anothers("other.db", "delete")
    before = files()
    done = subprocess.run(
        command("dashboard", "--port", 0, "--storage", "sqlite:///other.db"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "holds no study" in done.stderr) == (2, True)
    assert files() == before


def test_a_file_that_has_a_table_of_optunas_name_is_still_anothers(in_folder: Path) -> None:
    with closing(sqlite3.connect("other.db")) as connection:
        connection.execute("CREATE TABLE studies (study_id, study_name)")
        connection.execute("CREATE TABLE places (url)")
    before = files()
    with pytest.raises(StorageError, match=r"another program's database \(.* places, studies\)"):
        open_storage("sqlite:///other.db")
    with pytest.raises(StorageError, match="holds no study") as refused:
        open_storage("sqlite:///other.db", create=False)
    assert not isinstance(refused.value, EmptyStorageError)
    assert files() == before


def test_tables_of_which_optuna_made_only_some_are_made_whole(in_folder: Path) -> None:
    url = "sqlite:///wd.db"
    open_storage(url)
    with closing(sqlite3.connect("wd.db")) as connection:
        names = {name for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}  # fmt: skip
        for name in ("alembic_version", "version_info", "trial_values"):
            connection.execute(f"DROP TABLE {name}")
    assert names == NAMES
    with pytest.raises(EmptyStorageError):
        open_storage(url, create=False)
    assert study_names(open_storage(url)) == []


@pytest.mark.parametrize("content", [None, b""])
@pytest.mark.parametrize("url", ["sqlite:///wd.db", "journal:///wd.db"])
def test_a_dry_run_takes_an_empty_storage_for_one_without_the_study(
    study_file: Callable[..., Path], url: str, content: bytes | None
) -> None:
    study_file()
    if content is not None:
        Path("wd.db").write_bytes(content)
    before = files()
    assert main(["run", "linear.py", "--dry-run", "--storage", url]) == 0
    assert files() == before


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_servers_new_database_holds_the_study_not_yet(
    request: pytest.FixtureRequest, server: str
) -> None:
    assert in_memory("a", str(request.getfixturevalue(server))).get_all_studies() == []
