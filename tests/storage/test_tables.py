"""Trials written many rows at a time, against what Optuna itself writes and reads."""

from __future__ import annotations

import threading
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError

from wdstudy import open_study
from wdstudy.run.cells import params_of
from wdstudy.run.queue import enqueue
from wdstudy.space import TrialParams
from wdstudy.storage.journal import JournalTrials
from wdstudy.storage.opening import open_storage
from wdstudy.storage.tables import TrialTables


def test_several_attributes_are_set_as_one_at_a_time_would_be(shared_url: str) -> None:
    """Overwriting included."""
    values = {"a": [0.1, None, 3], "b": {"c": "d✓"}, "e": -1e-300, "f": None}
    storage = open_storage(shared_url)
    study = optuna.create_study(study_name="a", storage=storage)
    one, many = study.ask(), study.ask()
    for trial in (one, many):
        trial.set_user_attr("a", "before")
        trial.set_user_attr("kept", True)
    for key, value in values.items():
        one.set_user_attr(key, value)
    storage.write_trial(many._trial_id, values)
    read = [t.user_attrs for t in open_study("a", shared_url).trials]
    assert read[0] == read[1] == {**values, "kept": True}


def test_reports_are_written_as_one_at_a_time_would_be(shared_url: str) -> None:
    values = {1: 0.5, 3: -1e-300, 10: 2.0}
    storage = open_storage(shared_url)
    study = optuna.create_study(study_name="a", storage=storage)
    one, many = study.ask(), study.ask()
    for trial in (one, many):
        trial.report(9.0, 3)
    for step, value in values.items():
        storage.set_trial_intermediate_value(one._trial_id, step, value)
    storage.write_trial(many._trial_id, {"a": 1}, values)
    read = open_study("a", shared_url).trials
    assert read[0].intermediate_values == read[1].intermediate_values == values
    assert read[1].user_attrs == {"a": 1}


def test_trials_are_enqueued_as_one_at_a_time_would_be(shared_url: str) -> None:
    storage = open_storage(shared_url)
    cells = [TrialParams(lr, 0.1, seed) for lr in (0.1, 1.0) for seed in (0, 1)]
    study, other = (optuna.create_study(study_name=name, storage=storage) for name in "ab")
    study.tell(study.ask(), 1.0)
    enqueue(study, cells, with_seed=True, by="me")
    plain = optuna.create_study()
    plain.tell(plain.ask(), 1.0)
    for p in cells:
        values = {"lr": p.lr, "weight_decay": p.weight_decay, "seed": p.seed}
        plain.enqueue_trial(values, user_attrs={"enqueued_by": "me"})
    found, expected = (
        [(t.number, t.state.name, t.system_attrs, t.user_attrs) for t in s.trials]
        for s in (open_study("a", shared_url), plain)
    )
    assert found == expected
    assert [params_of(t) for t in study.trials[1:]] == cells
    assert other.trials == []


def test_no_trial_is_enqueued_in_a_study_that_is_not_there(shared_url: str) -> None:
    storage = open_storage(shared_url)
    study = optuna.create_study(study_name="a", storage=storage)
    waiting = optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING)
    with pytest.raises(KeyError):
        storage.create_trials(study._study_id + 1, [waiting])
    assert open_study("a", shared_url).trials == []


def test_no_attribute_of_a_trial_that_ended_or_is_not_there_is_set(shared_url: str) -> None:
    storage = open_storage(shared_url)
    study = optuna.create_study(study_name="a", storage=storage)
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        storage.write_trial(trial._trial_id, {"a": 1})
    with pytest.raises(KeyError):
        storage.write_trial(1000, {"a": 1})
    assert open_study("a", shared_url).trials[0].user_attrs == {}


def test_a_table_of_another_kind_is_left_alone(in_folder: Path) -> None:
    """As another version of Optuna might have it: attributes are set one at a time."""
    storage = open_storage("sqlite:///wd.db")
    database = storage.storage._backend  # type: ignore[attr-defined]
    assert TrialTables.of(database) is not None
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trial_user_attributes RENAME COLUMN key TO name")
    assert TrialTables.of(database) is None


def test_what_cannot_be_written_whole_is_not_written(shared_url: str) -> None:
    storage = open_storage(shared_url)
    study = optuna.create_study(study_name="a", storage=storage)
    trial = study.ask()
    with pytest.raises(TypeError):
        storage.write_trial(trial._trial_id, {"a": 1, "b": object()}, {1: 0.5})
    storage.write_trial(trial._trial_id, {"c": 1})
    (found,) = open_study("a", shared_url).trials
    assert (found.user_attrs, found.intermediate_values) == ({"c": 1}, {})


def test_a_thread_that_gathers_keeps_no_other_waiting(in_folder: Path) -> None:
    journal = JournalTrials("j.journal")
    study = optuna.create_study(study_name="a", storage=journal.storage)
    trial = study.ask()
    with journal._file.gathered():
        trial.set_user_attr("ours", 1)
        beat = threading.Thread(target=trial.set_user_attr, args=("seen", 2))
        beat.start()
        beat.join()
        (before,) = open_study("a", "journal:///j.journal").trials
    (after,) = open_study("a", "journal:///j.journal").trials
    assert (before.user_attrs, after.user_attrs) == ({"seen": 2}, {"seen": 2, "ours": 1})
