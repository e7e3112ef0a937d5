"""What can't be read of a storage: which study or trial it is, and how it is damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecodeError
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import column, table
from sqlalchemy.exc import DatabaseError

from wdstudy.errors import StorageError, StudyError, WdstudyError
from wdstudy.words import quoted

_STUDIES = table("studies", column("study_id"), column("study_name"))
_TRIALS = table("trials", column("trial_id"), column("study_id"), column("number"))
_OF_STUDIES, _OF_TRIALS = (
    [
        table(f"{of}_{kind}_attributes", column(f"{of}_id"), column("key"), column("value_json"))
        for kind in ("user", "system")
    ]
    for of in ("study", "trial")
)

_BROKEN = ("malformed", "is not a database", "no such table", "no such column")
"""What SQLite says of a file whose pages are damaged."""

_READ_ONLY = ("readonly database", "read-only transaction", "read only transaction")

_UNDECODABLE = "could not decode to utf-8"


def studies_in(database: RDBStorage) -> dict[int, str]:
    """The names of a database's studies by id, whatever else stands in it."""
    query = sqlalchemy.select(_STUDIES).order_by(_STUDIES.c.study_id)
    with database.engine.connect() as connection:
        return {row.study_id: row.study_name for row in connection.execute(query)}


def explained(
    error: Exception, shown: str, database: RDBStorage | None, method: str, of: object
) -> WdstudyError | None:
    """An error of a storage in a line, where something in it is damaged or can't be written.

    Args:
        error: What was raised.
        shown: The storage's URL, fit for messages.
        database: The storage, if it is a database.
        method: The name of what was asked of it.
        of: The first argument that it was asked with: a study's id, for most.

    Returns:
        None where the storage is out of reach, or what was asked of it was wrong.
    """
    if isinstance(error, WdstudyError):
        return None
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    says = _says(error)
    if isinstance(cause, DatabaseError):
        if any(word in says.lower() for word in _READ_ONLY):
            return StorageError(
                f"the storage {shown} can't be written ({_line(says)}); check its permissions, "
                "or name another with --storage"
            )
        if any(word in says.lower() for word in _BROKEN):
            return broken(shown, says)
    if not isinstance(cause, JSONDecodeError):  # which a write may meet as well
        reads = method.startswith("get_") and method != "get_best_trial"
        if not _is_undecodable(error) and not (reads and _is_damage(error)):
            return None
    study = of if method.startswith("get_") and isinstance(of, int) else None
    return StudyError(_unreadable(database, study, shown, _line(says) or type(error).__name__))


def broken(shown: str, says: str) -> StorageError:
    """What to say of a SQLite file whose pages are damaged."""
    file = quoted(shown.removeprefix("sqlite:///").partition("?")[0])
    return StorageError(
        f"the file of the storage {shown} is damaged ({_line(says)}); put back a copy of it, or "
        f"save what can be read in a new one, `sqlite3 {file} .recover | sqlite3 rescued.db`"
    )


def trials_apart(storage: BaseStorage, study_id: int) -> tuple[list[FrozenTrial], list[str]]:
    """The trials of a study that can be read, one by one, and what is wrong with the others."""
    found: list[FrozenTrial] = []
    lost: list[str] = []
    if isinstance(storage, RDBStorage):
        for trial_id, number in _ids(storage, study_id):
            try:
                trial = storage.get_trial(trial_id)
            except Exception as error:
                known = _is_undecodable(error) or _is_damage(error) or isinstance(error, KeyError)
                if not known:
                    raise  # more than this trial is damaged, or nothing is
                lost.append(f"trial {number}: {_key_of(storage, trial_id) or _line(_says(error))}")
            else:
                found.append(trial)
    else:
        found = storage.get_all_trials(study_id, deepcopy=False)
    lost += [f"trial {t.number}: {told}" for t in found if (told := unsound(t))]
    return [t for t in found if not unsound(t)], lost


def unsound(trial: FrozenTrial) -> str:
    """What is wrong with a trial that could be read; empty where nothing is."""
    for value in trial.values or ():
        if not isinstance(value, int | float):
            return f"its value is {value!r}, and no number"
    return ""


def damaged_trials(name: str, shown: str, lost: list[str]) -> StudyError:
    """What to say of a study with trials that can't be read."""
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    return StudyError(
        f"the study '{name}' in {shown} is damaged ({lost[0]}{more}); `wdstudy report` leaves "
        "such trials out; to go on, put back a copy of the storage or give another --name"
    )


def _is_damage(error: Exception) -> bool:
    """Whether what reads fails over what it has read, as Optuna and SQLAlchemy do.

    A text that is no JSON, a date that is none, a value where a list should stand, no value at all;
    and a word that is none of an enum's. Not an error of the machine, above all.
    """
    odd = isinstance(error, ValueError | TypeError | AttributeError | AssertionError)
    return odd or type(error) is LookupError


def _is_undecodable(error: Exception) -> bool:
    return _UNDECODABLE in _says(error).lower()


def _unreadable(database: RDBStorage | None, study_id: int | None, shown: str, says: str) -> str:
    """Which study of the storage is damaged, and how."""
    if database is not None:
        with suppress(Exception):  # then what failed first is told
            for found, name in studies_in(database).items():
                if study_id in (None, found) and (told := _told(database, found, name, shown)):
                    return told
    return f"what stands in {shown} is damaged ({says}); put back a copy of the storage"


def _told(database: RDBStorage, study_id: int, name: str, shown: str) -> str:
    """How a study is damaged; empty where it is whole."""
    if damage := next(_damage_of_study(database, study_id), None):
        return (
            f"the study '{name}' in {shown} is damaged ({damage}); put back a copy of the "
            "storage, or give another --name"
        )
    _, lost = trials_apart(database, study_id)
    return str(damaged_trials(name, shown, lost)) if lost else ""


def _damage_of_study(database: RDBStorage, study_id: int) -> Iterator[str]:
    for attributes in _OF_STUDIES:
        yield from _undecodable(database, attributes, attributes.c.study_id == study_id)
    try:
        if not database.get_study_directions(study_id):
            yield "it has no direction"
    except LookupError as error:
        yield f"its direction: {_line(str(error))}"


def _key_of(database: RDBStorage, trial_id: int) -> str:
    """The first attribute of a trial that can't be decoded, in words; empty if all can."""
    for attributes in _OF_TRIALS:
        for told in _undecodable(database, attributes, attributes.c.trial_id == trial_id):
            return told
    return ""


def _undecodable(database: RDBStorage, attributes: Any, which: Any) -> Iterator[str]:
    value = attributes.c.value_json
    if database.engine.dialect.name == "sqlite":  # whose texts may be bytes of no letter
        value = sqlalchemy.cast(value, sqlalchemy.LargeBinary)
    query = sqlalchemy.select(attributes.c.key, value.label("value")).where(which)
    with database.engine.connect() as connection:
        rows = connection.execute(query).all()
    for key, text in rows:
        try:
            json.loads(text)
        except (TypeError, ValueError) as error:
            yield f"its attribute '{key}' is no JSON: {_line(str(error))}"


def _ids(database: RDBStorage, study_id: int) -> list[tuple[int, int]]:
    query = sqlalchemy.select(_TRIALS.c.trial_id, _TRIALS.c.number)
    query = query.where(_TRIALS.c.study_id == study_id).order_by(_TRIALS.c.trial_id)
    with database.engine.connect() as connection:
        return [(row.trial_id, row.number) for row in connection.execute(query)]


def _says(error: Exception) -> str:
    """What a driver says, without what SQLAlchemy and Optuna put around it."""
    cause = (error.__cause__ if isinstance(error, StorageInternalError) else None) or error
    return str(getattr(cause, "orig", None) or cause).strip()


def _line(says: str) -> str:
    lines = says.strip().splitlines()
    return lines[0] if lines else ""
