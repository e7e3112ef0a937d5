"""Whole studies, copied: into memory, or under another name."""

from __future__ import annotations

from contextlib import suppress

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from wdstudy.curves import WORKER
from wdstudy.errors import EmptyStorageError, StudyError
from wdstudy.record import MAX_NAME
from wdstudy.storage.ids import id_of_study, storage_of
from wdstudy.storage.opening import open_storage, open_study, study_names
from wdstudy.words import abridged, printable
from wdstudy.workers import is_gone


def rename_study(study: optuna.Study, name: str) -> optuna.Study:
    """Give a study another name: it is copied, and then deleted, so nothing is lost in between.

    Returns:
        The study under its new name.

    Raises:
        StudyError: there is one of that name, it is no name, or the study is being trained.
    """
    storage = storage_of(study)
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise StudyError(
            f"'{abridged(printable(name), 40)}' is no name for a study; "
            f"give 1 to {MAX_NAME} letters, digits and signs"
        )
    if running := in_training(study):
        raise StudyError(
            f"'{study.study_name}' is being trained, {running} of its trials just now; stop its "
            "runs first (what a lost one left behind, the next run of the study frees)"
        )
    try:
        renamed = optuna.create_study(study_name=name, storage=storage, directions=study.directions)
    except DuplicatedStudyError as error:
        raise StudyError(
            f"there is a study '{name}' already; give another name, or delete it"
        ) from error
    try:
        _copy(study, renamed)
    except BaseException:  # Ctrl-C too
        with suppress(KeyError):
            optuna.delete_study(study_name=name, storage=storage)
        raise
    optuna.delete_study(study_name=study.study_name, storage=storage)
    return renamed


def in_training(study: optuna.Study) -> int:
    """How many trials are running, but for those of workers that are known to be gone."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum(not is_gone(str(trial.user_attrs.get(WORKER, ""))) for trial in trials)


def in_memory(name: str, storage: str | None = None, *, empty: bool = False) -> BaseStorage:
    """A storage that holds a copy of one study, if there is one, and goes with this process.

    Args:
        name: The study's name.
        storage: A URL; the default storage where it is None. It is only read.
        empty: Leave the study out.

    Raises:
        StorageError: as `open_storage`.
    """
    copy = InMemoryStorage()
    if empty:
        return copy
    try:
        opened = open_storage(storage, create=False)
    except EmptyStorageError:
        return copy
    if name in study_names(opened):
        study = open_study(name, opened)
        made = optuna.create_study(study_name=name, storage=copy, directions=study.directions)
        _copy(study, made)
    return copy


def _copy(study: optuna.Study, into: optuna.Study) -> None:
    """Fill a new study with all that another one holds."""
    storage = storage_of(into)
    for key, value in storage_of(study).get_study_system_attrs(id_of_study(study)).items():
        storage.set_study_system_attr(id_of_study(into), key, value)
    for key, value in study.user_attrs.items():
        into.set_user_attr(key, value)
    into.add_trials(study.get_trials(deepcopy=False))
