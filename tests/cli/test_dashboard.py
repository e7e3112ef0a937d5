"""`run`, `report --publish` and `dashboard` together, as a user has them."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import command, study
from optuna.artifacts import get_all_artifact_meta

from wdstudy.__main__ import main

StudyFile = Callable[..., Path]


def system_attributes() -> dict[str, object]:
    found = study()
    attributes: dict[str, object] = found._storage.get_study_system_attrs(found._study_id)
    return attributes


def test_a_run_leaves_its_page_and_no_live_leaves_none(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(study_file())
    assert main(["run", path, "--no-live"]) == 0
    assert not [k for k in system_attributes() if k.startswith("dashboard:")]
    assert main(["run", path]) == 0
    kept = [k for k in system_attributes() if k.startswith("dashboard:plot_data:wdstudy-")]
    assert {k.split(":")[2] for k in kept} == {
        "wdstudy-objective", "wdstudy-decay", "wdstudy-curves",
    }  # fmt: skip
    assert "finished: 12 of 12 trials" in str(system_attributes()["dashboard:note_str:0"])
    assert "not renewed" not in capfd.readouterr().err


def test_a_report_is_published_beside_the_storage(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["report", "linear", "--publish"]) == 0
    said = capfd.readouterr().out
    assert "figures of 'linear' in wdstudy.db.artifacts" in said
    assert "next: python -m wdstudy dashboard" in said
    names = [artifact.filename for artifact in get_all_artifact_meta(study())]
    assert sorted(names) == sorted(p.name for p in Path("reports/linear/figures").iterdir())
    assert len(list(Path("wdstudy.db.artifacts").iterdir())) == len(names)


def test_the_dashboard_says_where_it_is_and_ends_with_ctrl_c(
    study_file: StudyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "journal:///linear.journal"
    assert main(["run", str(study_file()), "--no-live", "--storage", url]) == 0
    opener = Path("opener")
    opener.write_text('#!/bin/sh\necho "$1" > opened\n')
    opener.chmod(0o755)
    server = subprocess.Popen(
        command("dashboard", "--port", "0", "--open"),
        env={**os.environ, "OPTUNA_STORAGE": url, "BROWSER": f"{opener.resolve()} %s",
             "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line.startswith(f"{url} is shown at http://127.0.0.1:")
    where = line.split()[4]
    with urllib.request.urlopen(f"{where}api/studies") as answer:
        assert b'"linear"' in answer.read()
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=30)
    assert (server.returncode, said) == (0, "")
    assert Path("opened").read_text().strip() == where


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "there is no storage sqlite:///wdstudy.db yet"),
        (["--storage", "wd.db"], "did you mean 'sqlite:///wd.db'"),
        (["--port", "many"], "Invalid value for '--port'"),
    ],
)
def test_a_dashboard_of_nothing_is_one_line_and_makes_nothing(
    in_folder: Path, capfd: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert main(["dashboard", *flags]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert os.listdir() == []


def test_a_host_that_others_reach_is_warned_of(trained: Path) -> None:
    server = subprocess.Popen(
        command("dashboard", "--port", "0", "--host", "0.0.0.0"),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    server.stdout.readline()
    server.send_signal(signal.SIGINT)
    _, said = server.communicate(timeout=30)
    assert said.startswith("warning: whoever can reach http://0.0.0.0:")
    assert said.count("\n") == 1
