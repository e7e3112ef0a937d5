"""Databases opened to read: nothing in them is made or changed, nor beside their files.

Optuna makes its tables in whatever database it opens. So it is asked first whether they are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.pool import NullPool

from wdstudy.errors import EmptyStorageError, StorageError
from wdstudy.storage.servers import server_options
from wdstudy.storage.sqlite import connect_to_read
from wdstudy.storage.url import file_of, masked

_TABLES: Mapping[str, frozenset[str]] = {
    "studies": frozenset({"study_id", "study_name"}),
    "trials": frozenset({"trial_id", "study_id", "number", "state"}),
    "version_info": frozenset({"schema_version"}),
    "alembic_version": frozenset({"version_num"}),
}
"""What tells Optuna's tables from another program's: names, and columns of every version."""

NAMES = frozenset({
    *_TABLES, "study_directions", "study_user_attributes", "study_system_attributes",
    "trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values",
    "trial_intermediate_values", "trial_heartbeats",
})  # fmt: skip
"""All of Optuna's tables."""

_FILLED = ("version_info", "alembic_version")  # with a row each, or Optuna writes it


class _Holds(Enum):
    """What a database holds of Optuna's."""

    NOTHING = auto()
    SOME_TABLES = auto()  # another process is making them, or was ended in it
    STUDIES = auto()
    ANOTHERS = auto()  # what Optuna's tables can't be added to


def open_to_read(url: str) -> RDBStorage:
    """Optuna's storage on a database that is there.

    Args:
        url: As SQLAlchemy has it.

    Raises:
        EmptyStorageError: the database has no tables of Optuna's, but may get them.
        StorageError: it is another program's.
    """
    kwargs = _reading(url)
    with _engine(url) as engine:
        holds = _holds(engine)
    if holds is not _Holds.STUDIES:
        kind = StorageError if holds is _Holds.ANOTHERS else EmptyStorageError
        raise kind(
            f"the storage {masked(url)} holds no study: it is a database without Optuna's "
            "tables; run a study first, or name another with --storage"
        )
    storage = RDBStorage(url, engine_kwargs=kwargs, skip_table_creation=True)
    if storage.engine.dialect.name == "mysql":
        _only_read_mysql(storage.engine)
    return storage


def refuse_anothers(url: str) -> None:
    """Refuse a database into which Optuna's tables don't belong, before they are made there.

    Raises:
        StorageError: it is another program's.
    """
    file = file_of(url)
    if file is not None and not file.exists():
        return
    with _engine(url) as engine:
        if _holds(engine) is not _Holds.ANOTHERS:
            return
        tables = sorted(sqlalchemy.inspect(engine).get_table_names())
    raise StorageError(
        f"the storage {masked(url)} is another program's database (its tables are "
        f"{', '.join(tables[:5])}{', …' if len(tables) > 5 else ''}), so nothing is "
        "added to it; name another with --storage"
    )


@contextmanager
def _engine(url: str) -> Iterator[sqlalchemy.Engine]:
    """An engine that only reads, for as long as it is asked."""
    engine = sqlalchemy.create_engine(url, **_reading(url))
    try:
        yield engine
    finally:
        engine.dispose()


def _reading(url: str) -> dict[str, Any]:
    """How an engine connects that only reads."""
    path = file_of(url)
    if path is not None:
        # Without a pool: each connection finds out anew how the file can be read now.
        return {"creator": partial(connect_to_read, path.absolute()), "poolclass": NullPool}
    options = server_options(url)
    if url.startswith("postgresql"):
        options["execution_options"] = {"postgresql_readonly": True}
    return options


def _holds(engine: sqlalchemy.Engine) -> _Holds:
    """What a database holds.

    A server's database may be shared with other programs, a file is one program's. But two
    that both keep their version in Alembic's table can't share even a server's.
    """
    tables = set(sqlalchemy.inspect(engine).get_table_names())
    whole = tables >= _TABLES.keys() and all(_has(engine, name) for name in _TABLES)
    if whole and _are_filled(engine):
        return _Holds.STUDIES
    ours = tables & NAMES
    shared = engine.dialect.name != "sqlite"
    if not ours and (shared or not tables):
        return _Holds.NOTHING
    if (shared or ours == tables) and _has(engine, "studies"):
        return _Holds.SOME_TABLES
    return _Holds.ANOTHERS


def _are_filled(engine: sqlalchemy.Engine) -> bool:
    with engine.connect() as connection:
        first = (sqlalchemy.select(sqlalchemy.literal(1)).select_from(sqlalchemy.table(name))
                 .limit(1) for name in _FILLED)  # fmt: skip
        return all(connection.execute(one).first() is not None for one in first)


def _has(engine: sqlalchemy.Engine, table: str) -> bool:
    found = sqlalchemy.inspect(engine)
    return found.has_table(table) and _TABLES[table] <= {
        column["name"] for column in found.get_columns(table)
    }


def _only_read_mysql(engine: sqlalchemy.Engine) -> None:
    def on_connect(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")

    sqlalchemy.event.listen(engine, "connect", on_connect)
    engine.dispose()  # connections made before the listener may write
