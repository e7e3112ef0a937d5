"""The commands that read a study which designed itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import optuna
import pytest
from made_studies import designed_study, grid_study

from wdstudy.__main__ import main


@pytest.fixture
def url(in_folder: Path) -> str:
    """A storage with a design that has its answers, one whose budget is spent, and a grid."""
    where = f"sqlite:///{in_folder / 'wdstudy.db'}"
    for study in (
        designed_study("mine"),
        designed_study("short", stop=("budget", "spent, and the limit is open")),
        grid_study("grid"),
    ):
        record = {**study.user_attrs["wdstudy"], "command": ["short.py", "--epochs", "5"]}
        study.set_user_attr("wdstudy", record)
        optuna.copy_study(
            from_study_name=study.study_name, from_storage=study._storage, to_storage=where
        )
    return where


def test_list_tells_a_design_and_how_it_ended(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--storage", url]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "37, by design, answered" in lines["mine"]
    assert "37, by design, budget spent" in lines["short"]
    assert "design" not in lines["grid"]
    assert main(["list", "--storage", url, "--json"]) == 0
    rows = {row["study"]: row for row in json.loads(capsys.readouterr().out)}
    assert [rows[name]["design"] for name in ("mine", "short", "grid")] == [
        "answered",
        "budget",
        None,
    ]
    assert rows["mine"]["cells"] is None


def test_suggest_goes_on_with_a_design_and_never_with_a_grid(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suggest", "mine", "--storage", url]) == 0
    told = capsys.readouterr().out
    assert told.startswith("# you have your answer")
    assert all(line.startswith("#") for line in told.splitlines())
    assert main(["suggest", "short", "--storage", url]) == 0
    *comments, command = capsys.readouterr().out.splitlines()
    assert all(line.startswith("#") for line in comments)
    assert "run short.py --epochs 5 --design --trials" in command
    assert command.endswith(f"--storage {url}")
    assert "--cells" not in command


def test_export_tells_of_each_trial_why_it_was_placed(url: str, in_folder: Path) -> None:
    out = in_folder / "trials.csv"
    assert main(["export", "mine", "--what", "trials", "--out", str(out), "--storage", url]) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert rows[0]["stage"] == "find"
    assert rows[0]["reason"] == "short runs work best at lr 1"
    assert [row["batch"] for row in rows] == sorted(row["batch"] for row in rows)
