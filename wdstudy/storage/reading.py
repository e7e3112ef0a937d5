"""Databases opened to read: nothing in them is made or changed, nor beside their files.

Optuna makes its tables in whatever database it opens. So it is asked first whether they are there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.pool import NullPool

from wdstudy.errors import StorageError
from wdstudy.storage.url import file_of, masked

_TABLES: Mapping[str, frozenset[str]] = {
    "studies": frozenset({"study_id", "study_name"}),
    "trials": frozenset({"trial_id", "study_id", "number", "state"}),
    "version_info": frozenset({"schema_version"}),
    "alembic_version": frozenset({"version_num"}),
}
"""What tells Optuna's tables from another program's: names, and columns of every version."""

_FILLED = ("version_info", "alembic_version")  # with a row each, or Optuna writes it

_WAL_HEADER = slice(18, 20)  # https://sqlite.org/fileformat2.html: both are 2 in write-ahead mode


def open_to_read(url: str, timeout: float) -> RDBStorage:
    """Optuna's storage on a database that is there.

    Args:
        url: As SQLAlchemy has it.
        timeout: Seconds that SQLite waits for a lock.

    Raises:
        StorageError: the database has no tables of Optuna's.
    """
    kwargs = _reading(url, timeout)
    engine = sqlalchemy.create_engine(url, **kwargs)
    try:
        if not _is_optunas(engine):
            raise StorageError(
                f"the storage {masked(url)} holds no study: it is a database without Optuna's "
                "tables; run a study first, or name another with --storage"
            )
    finally:
        engine.dispose()
    storage = RDBStorage(url, engine_kwargs=kwargs, skip_table_creation=True)
    if storage.engine.dialect.name == "mysql":
        _only_read_mysql(storage.engine)
    return storage


def refuse_anothers(url: str, timeout: float) -> None:
    """Refuse a database into which Optuna's tables don't belong, before they are made there.

    A server's database may be shared with other programs, a file is one program's. But two
    that both keep their version in Alembic's table can't share even a server's.

    Raises:
        StorageError: it is another program's.
    """
    file = file_of(url)
    if file is not None and (not file.exists() or not file.stat().st_size):
        return
    engine = sqlalchemy.create_engine(url, **_reading(url, timeout))
    try:
        tables = sqlalchemy.inspect(engine).get_table_names()
        if not tables or _has(engine, "studies"):
            return
    finally:
        engine.dispose()
    if file is not None or "alembic_version" in tables:
        raise StorageError(
            f"the storage {masked(url)} is another program's database (its tables are "
            f"{', '.join(sorted(tables)[:5])}{', …' if len(tables) > 5 else ''}), so nothing is "
            "added to it; name another with --storage"
        )


def _reading(url: str, timeout: float) -> dict[str, Any]:
    """How an engine connects that only reads."""
    path = file_of(url)
    if path is not None:
        # Without a pool: each connection finds out anew how the file can be read now.
        return {"creator": partial(_connect, path.absolute(), timeout), "poolclass": NullPool}
    kwargs: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql"):
        kwargs["execution_options"] = {"postgresql_readonly": True}
    return kwargs


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection that changes neither the file nor what lies beside it.

    A read-only connection to a file in write-ahead mode leaves two more files beside it if it is
    the first; one that may write takes them away again, so that one is used, and told to write
    nothing. Where it can't make them, nobody else can either, unless he has made them: without
    them the file is all there is, and can be read as one that does not change.
    """
    mode = "ro"
    if _writes_ahead(path) and not path.with_name(path.name + "-wal").exists():
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        mode = "rw" if writable else "ro&immutable=1"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # a session is closed by whichever thread collects it
    )
    connection.execute("PRAGMA query_only=ON")
    return connection


def _writes_ahead(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_WAL_HEADER.stop)[_WAL_HEADER] == b"\x02\x02"


def _is_optunas(engine: sqlalchemy.Engine) -> bool:
    if not all(_has(engine, name) for name in _TABLES):
        return False
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
