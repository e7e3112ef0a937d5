"""How SQLite is connected to: to write, fast and shared; to read, with nothing changed."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy

BUSY_SECONDS = 5
"""So long SQLite itself waits for a lock, before we say that we wait."""

_WAL_HEADER = slice(18, 20)  # https://sqlite.org/fileformat2.html: both are 2 in write-ahead mode


def tune(engine: sqlalchemy.Engine) -> None:
    """Make SQLite fast to commit to and safe to share.

    Write-ahead logging lets readers and a writer work side by side and commits without a full
    sync; a power cut may lose the last commits, never the database (https://sqlite.org/wal.html).

    Every transaction begins by taking the write lock. Optuna claims a trial by reading
    its state `FOR UPDATE` and then changing it, but SQLite has no `FOR UPDATE`: with its usual
    lazy transactions two processes both read WAITING, and both train the trial.
    """

    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # or the driver begins transactions of its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    def on_begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", on_connect)
    sqlalchemy.event.listen(engine, "begin", on_begin)
    engine.dispose()  # connections made before the listeners lack their settings
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes neither the file nor what lies beside it.

    A read-only connection to a file in write-ahead mode leaves two more files beside it if it is
    the first; one that may write takes them away again, so that one is used, and told to write
    nothing. Where it can't make them, nobody else can either, unless he has made them: without
    them the file is all there is, and can be read as one that does not change.
    """
    mode = "ro"
    # Its header is read only where nobody has it open. Whoever closes a file gives up all locks his
    # process has on it (https://sqlite.org/howtocorrupt.html, 2.2), and a connection of ours that
    # is not collected yet would go on with files that others have taken away since.
    if not path.with_name(path.name + "-wal").exists() and _writes_ahead(path):
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        mode = "rw" if writable else "ro&immutable=1"
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # a session is closed by whichever thread collects it
    )
    connection.execute("PRAGMA query_only=ON")
    return connection


def _writes_ahead(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_WAL_HEADER.stop)[_WAL_HEADER] == b"\x02\x02"
