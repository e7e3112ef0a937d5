"""What counts as damage of a storage, and what is said of it."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage

from wdstudy.errors import StudyError
from wdstudy.storage.damage import broken
from wdstudy.storage.ids import storage_of
from wdstudy.storage.opening import left_out, open_storage, open_study
from wdstudy.storage.patient import patient

URL = "sqlite:///wd.db"


@pytest.fixture
def two_trials(in_folder: Path) -> None:
    study = optuna.create_study(study_name="a", storage=open_storage(URL))
    for value in (1.0, 2.0):
        trial = study.ask()
        trial.set_user_attr("key", "value")
        study.tell(trial, value)


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
@pytest.mark.parametrize("leave_out", [True, False])
def test_an_error_of_the_machine_is_no_damage(
    two_trials: None, monkeypatch: pytest.MonkeyPatch, error: type[Exception], leave_out: bool
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    fails.__name__ = "get_all_trials"
    study = open_study("a", URL, leave_out=leave_out)
    monkeypatch.setattr(patient(storage_of(study)).storage, "get_all_trials", fails)
    with pytest.raises(error):
        study.get_trials()


def test_one_trial_is_not_left_out_because_memory_ran_out_over_it(
    two_trials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    with closing(sqlite3.connect("wd.db")) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = 'x' WHERE trial_id = 1")
        connection.commit()
    study = open_study("a", URL, leave_out=True)
    assert [trial.number for trial in study.get_trials()] == [1]
    monkeypatch.setattr(RDBStorage, "get_trial", fails)
    with pytest.raises(MemoryError):
        study.get_trials()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE trial_user_attributes SET value_json = '[' WHERE trial_id = 1",
        "UPDATE trial_values SET value = NULL WHERE trial_id = 1",
        "UPDATE trials SET state = 'GONE' WHERE trial_id = 1",
        "UPDATE trials SET datetime_start = 'noon' WHERE trial_id = 1",
        "UPDATE trial_user_attributes SET value_json = CAST(x'ff' AS TEXT) WHERE trial_id = 1",
    ],
)
def test_what_was_read_and_makes_no_sense_is_damage(two_trials: None, harm: str) -> None:
    with closing(sqlite3.connect("wd.db")) as connection:
        connection.execute(harm)
        connection.commit()
    with pytest.raises(StudyError, match=r"'a' in sqlite:///wd.db is damaged \(trial 0"):
        open_study("a", URL).get_trials()


def test_the_command_that_rescues_a_file_names_it_whatever_its_name_is() -> None:
    (line,) = re.findall("`(.+)`", str(broken("sqlite:///it's a/wd.db", "malformed")))
    assert shlex.split(line)[:3] == ["sqlite3", "it's a/wd.db", ".recover"]


def test_who_leaves_trials_out_does_so_for_himself_alone(two_trials: None) -> None:
    with closing(sqlite3.connect("wd.db")) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '[' WHERE trial_id = 1")
        connection.commit()
    shared = open_storage(URL, create=False)
    leaving = open_study("a", shared, leave_out=True)
    refusing = open_study("a", shared)
    for _ in range(2):
        assert [trial.number for trial in leaving.get_trials()] == [1]
        with pytest.raises(StudyError, match="is damaged"):
            refusing.get_trials()
    assert len(left_out(leaving)) == 1
    assert left_out(refusing) == []


def test_of_two_studies_that_were_deleted_the_one_asked_about_is_named(in_folder: Path) -> None:
    storage = open_storage(URL)
    for name in "ab":
        optuna.create_study(study_name=name, storage=storage)
    studies = [open_study(name, storage) for name in "ab"]
    for name in "ab":
        optuna.delete_study(study_name=name, storage=URL)
    for study in studies:
        with pytest.raises(StudyError, match=f"the study '{study.study_name}' was deleted"):
            study.set_user_attr("a", 1)
