"""A password planted in a storage's URL is nowhere in what wdstudy prints or writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import PASSWORD, free_port

from wdstudy.__main__ import main

StudyFile = Callable[..., Path]


def wdstudy(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wdstudy", *arguments],
        text=True, capture_output=True, env={**os.environ, **environment}, timeout=180,
    )  # fmt: skip


def stopped(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A run that is stopped once it says that it waits for its storage."""
    process = subprocess.Popen([sys.executable, "-m", "wdstudy", *arguments], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert process.stderr is not None
    first = process.stderr.readline()
    if "out of reach" in first:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    return subprocess.CompletedProcess(arguments, process.returncode, out, first + err)


@pytest.mark.slow
def test_a_password_is_nowhere_in_what_is_printed_and_written(
    study_file: StudyFile,
    in_folder: Path,
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = str(study_file())
    port = free_port()
    dead = f"postgresql://wd:{PASSWORD}@127.0.0.1:{port}/db"
    wrong = postgres.replace(PASSWORD, PASSWORD + "x")
    odd = f"postgresql://wd:{PASSWORD}@/x/@127.0.0.1:{port}/db"
    query = f"postgresql://127.0.0.1:{port}/db?user=wd&password={PASSWORD}"
    said = [
        wdstudy("run", path, "--storage", postgres, "--jobs", "2"),
        wdstudy("run", path, "--storage", postgres, "--epochs", "3"),
        wdstudy("run", path, OPTUNA_STORAGE=postgres),
        wdstudy("list", "--storage", postgres),
        wdstudy("report", "linear", "--storage", postgres),
        wdstudy("report", "nosuch", "--storage", postgres),
        wdstudy("export", "linear", "--storage", postgres, "--out", "curves.csv"),
        wdstudy("export", "linear", "--storage", postgres, "--out", "t.csv", "--what", "trials"),
    ]
    assert [done.returncode for done in said] == [0, 2, 0, 0, 0, 2, 0, 0], said
    mistyped = [
        f"postgres://wd:{PASSWORD}@h/db", f"postgresql:wd:{PASSWORD}@h", f"wd:{PASSWORD}@h/db",
        f"postgresql:/wd:{PASSWORD}@h/db", f"postgresql://wd:p@{PASSWORD}@127.0.0.1:{port}/db",
        f"postgresql://wd:{PASSWORD}/db", f"postgresql://wd/{PASSWORD}@127.0.0.1:{port}/db",
        f"postgresql://wd:{PASSWORD}@127.0.0.1:port/db",
    ]  # fmt: skip
    for url in (dead, query):
        said.append(stopped("run", path, "--storage", url, "--log", "run.log"))
        assert said[-1].returncode == 130, said[-1]
    for url in (wrong, odd):
        said.append(wdstudy("run", path, "--storage", url, "--log", "run.log"))
        assert said[-1].returncode == 2, said[-1]
    for done in said:
        assert PASSWORD not in done.stdout + done.stderr, done.stdout + done.stderr
    for url in mistyped:
        assert main(["run", path, "--storage", url, "--log", "run.log"]) == 2
        assert main(["report", "linear", f"--storage={url}"]) == 2
        monkeypatch.setenv("OPTUNA_STORAGE", url)
        assert main(["list"]) == 2
    assert PASSWORD not in "".join(capfd.readouterr())
    for file in in_folder.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
    assert PASSWORD not in dump(postgres)


def dump(url: str) -> str:
    """All that stands in the database."""
    import psycopg

    found = []
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            found.append(repr(connection.execute(f"SELECT * FROM {table}").fetchall()))
    return "".join(found)


@pytest.mark.slow
def test_a_url_in_a_file_is_in_no_list_of_processes(
    study_file: StudyFile, in_folder: Path, postgres: str
) -> None:
    (in_folder / "url").write_text(postgres + "\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "wdstudy", "run", str(study_file(pause=0.05)), "--jobs", "2",
         "--storage", "@url"],
        text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    while process.poll() is None:
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert PASSWORD.encode() not in command.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
        time.sleep(0.2)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert "--storage @url" in said
