"""The commands about whole studies: what they ask, what they change, what they leave."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from commands import command, wait_for_trials

from wdstudy.__main__ import main
from wdstudy.storage.opening import open_storage, open_study, study_names

StudyFile = Callable[..., Path]

URLS = ("sqlite:///wdstudy.db", "journal:///wdstudy.journal")


def names(url: str) -> list[str]:
    return study_names(open_storage(url, create=False))


def contents(study: optuna.Study) -> object:
    """All that a study holds, but for its name and the ids that its storage gives."""
    trials = [(t.number, t.state, t.values, t.params, t.distributions, t.user_attrs,
               t.system_attrs, t.intermediate_values, t.datetime_start, t.datetime_complete)
              for t in study.trials]  # fmt: skip
    return study.directions, study.user_attrs, trials


@pytest.mark.parametrize("url", URLS)
def test_a_renamed_study_holds_what_it_held_and_goes_on(
    study_file: StudyFile, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(study_file())
    assert main(["run", path, "--storage", url]) == 0
    before = contents(open_study("linear", url))
    assert main(["rename", "linear", "first", "--storage", url, "--yes"]) == 0
    assert names(url) == ["first"]
    assert contents(open_study("first", url)) == before
    capfd.readouterr()
    assert main(["run", path, "--name", "first", "--storage", url]) == 0
    assert "12 finished trials kept, 0 to train" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("url", URLS)
def test_a_deleted_study_takes_its_published_figures_along_and_nothing_else(
    study_file: StudyFile, url: str
) -> None:
    path = str(study_file())
    folder = Path(url.partition(":///")[2] + ".artifacts")
    kept: set[Path] = set()
    for name in ("other", "linear"):
        assert main(["run", path, "--name", name, "--storage", url]) == 0
        assert main(["report", name, "--publish", "--storage", url]) == 0
        kept = kept or set(folder.iterdir())
    assert len(set(folder.iterdir())) > len(kept) > 0
    assert main(["delete", "linear", "--storage", url, "--yes"]) == 0
    assert set(folder.iterdir()) == kept
    assert names(url) == ["other"]
    assert len(open_study("other", url).trials) == 12
    assert Path("reports/linear/report.html").exists()


def test_whoever_can_be_asked_is_asked(trained: Path) -> None:
    """On a real terminal: anything but a yes leaves the study where it is."""
    for answer, left in (("\n", ["linear"]), ("n\n", ["linear"]), ("y\n", [])):
        parent, child = pty.openpty()
        process = subprocess.Popen(
            command("delete", "linear"), stdin=child, stdout=child, stderr=child
        )
        os.close(child)
        os.write(parent, answer.encode())
        process.wait(60)
        assert b"delete 'linear' with 12 trials?" in os.read(parent, 10_000)
        os.close(parent)
        assert names(URLS[0]) == left


def test_what_is_refused_changes_nothing(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(trained), "--name", "other"]) == 0
    capfd.readouterr()
    for arguments, says in (
        (["delete", "linear"], "say --yes"),
        (["rename", "linear", "new"], "say --yes"),
        (["delete", "linear", "lnear", "--yes"], "did you mean 'linear'?"),
        (["rename", "lnear", "new", "--yes"], "did you mean 'linear'?"),
        (["rename", "linear", "other", "--yes"], "there is a study 'other' already"),
        (["rename", "linear", "", "--yes"], "is no name for a study"),
        (["rename", "linear", "a\x1b[2J", "--yes"], "is no name for a study"),
        (["rename", "linear", "a" * 201, "--yes"], "is no name for a study"),
    ):
        assert main(arguments) == 2
        assert says in capfd.readouterr().err
    assert names(URLS[0]) == ["linear", "other"]


@pytest.mark.slow
def test_a_study_in_training_is_not_renamed(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file(pause=0.2)
    process = subprocess.Popen(
        command("run", path, "--jobs", "1", "--lanes", "1"), stderr=subprocess.PIPE, text=True
    )
    wait_for_trials(process, 1)
    assert main(["rename", "linear", "new", "--yes"]) == 2
    assert "'linear' is being trained" in capfd.readouterr().err
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert main(["rename", "linear", "new", "--yes"]) == 0  # its worker is known to be gone
    assert names(URLS[0]) == ["new"]


def test_a_failed_copy_leaves_the_study_alone(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a Ctrl-C in the middle of it would."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trials", interrupted)
        assert main(["rename", "linear", "new", "--yes"]) == 130
    assert names(URLS[0]) == ["linear"]
    assert len(open_study("linear", URLS[0]).trials) == 12


def test_list_as_json_is_what_list_shows(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(study_file()), "--seeds", "2"]) == 0
    capfd.readouterr()
    assert main(["list", "--json"]) == 0
    (study,) = json.loads(capfd.readouterr().out)
    assert study["study"] == "linear"
    assert (study["trials"], study["complete"], study["running"]) == (24, 24, 0)
    assert study["cells"] == "3 lr × 4 weight_decay × 2 seeds"
    assert (study["metric"], study["direction"]) == ("val_loss", "minimize")
    assert isinstance(study["best"], float)


def test_a_name_that_another_takes_meanwhile_stays_the_others(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = open_storage(URLS[0])

    def meanwhile(_: object) -> int:
        if "new" not in study_names(storage):
            optuna.create_study(study_name="new", storage=storage).enqueue_trial({"lr": 0.1})
        return 0

    monkeypatch.setattr("wdstudy.storage.studies.in_training", meanwhile)
    assert main(["rename", "linear", "new", "--yes"]) == 2
    assert "there is a study 'new' already" in capfd.readouterr().err
    assert names(URLS[0]) == ["linear", "new"]
    assert len(open_study("new", URLS[0]).trials) == 1


def test_a_damaged_study_can_be_deleted(trained: Path) -> None:
    with sqlite3.connect("wdstudy.db") as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 2")
        connection.execute(
            "INSERT INTO study_system_attributes (study_id, key, value_json) "
            "VALUES (1, 'artifacts:../x', '\"{}\"')"
        )
    connection.close()
    assert main(["delete", "linear", "--yes"]) == 0
    assert names(URLS[0]) == []


def test_the_list_fits_a_terminal(trained: Path) -> None:
    shown = subprocess.check_output(
        command("list"), text=True, env={**os.environ, "COLUMNS": "80"}
    ).splitlines()
    assert len(shown) == 2
    assert "weight_decay" in shown[0]
    assert "min val_loss" in shown[1]


def test_a_piped_list_folds_no_name(trained: Path) -> None:
    name = "a-name-of-" + "many-" * 20 + "letters"
    assert main(["rename", "linear", name, "--yes"]) == 0
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    shown = subprocess.check_output(command("list"), text=True, env=environment).splitlines()
    assert len(shown) == 2
    assert shown[1].startswith(name)
