"""Whole studies: copied, renamed, deleted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from wdstudy.curves import WORKER
from wdstudy.errors import StudyError, WdstudyError
from wdstudy.record import MAX_NAME
from wdstudy.storage.ids import id_of_study, storage_of
from wdstudy.storage.opening import open_storage, open_study, study_names
from wdstudy.storage.url import file_of, resolve_url
from wdstudy.words import abridged, printable
from wdstudy.workers import is_gone


def forget_study(
    name: str, storage: str | None = None, say: Callable[[str], None] | None = None
) -> None:
    """Delete a study, if it is there, with all of its trials."""
    with suppress(KeyError, WdstudyError):  # what is wrong with the storage, its next user says
        if name in study_names(open_storage(storage, create=False, say=say)):
            optuna.delete_study(study_name=name, storage=open_storage(storage, say=say))


def delete_study(study: optuna.Study) -> None:
    """Delete a study with all of its trials."""
    optuna.delete_study(study_name=study.study_name, storage=storage_of(study))


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
    if name in study_names(storage):
        raise StudyError(f"there is a study '{name}' already; give another name, or delete it")
    if running := in_training(study):
        raise StudyError(
            f"'{study.study_name}' is being trained, {running} of its trials just now; stop its "
            "runs first (what a lost one left behind, the next run of the study frees)"
        )
    try:
        renamed = _copied(study, storage, name)
    except BaseException:  # Ctrl-C too
        with suppress(KeyError):
            optuna.delete_study(study_name=name, storage=storage)
        raise
    delete_study(study)
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
    file = file_of(resolve_url(storage))
    if empty or (file is not None and not file.exists() and file.parent.is_dir()):
        return copy
    opened = open_storage(storage, create=False)
    if name in study_names(opened):
        _copied(open_study(name, opened), copy, name)
    return copy


def _copied(study: optuna.Study, into: BaseStorage, name: str) -> optuna.Study:
    """A study of this name in a storage, with all that another one holds."""
    made = optuna.create_study(study_name=name, storage=into, directions=study.directions)
    for key, value in storage_of(study).get_study_system_attrs(id_of_study(study)).items():
        into.set_study_system_attr(id_of_study(made), key, value)
    for key, value in study.user_attrs.items():
        made.set_user_attr(key, value)
    made.add_trials(study.get_trials(deepcopy=False))
    return made
