"""How SQLite is connected to: what a reader must not do to those who write."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from wdstudy.storage.sqlite import connect_to_read


def test_reading_gives_up_no_lock_of_a_connection_that_is_open(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    ours = sqlite3.connect(path, isolation_level=None)
    ours.execute("PRAGMA journal_mode=WAL")
    ours.execute("CREATE TABLE numbers (n)")
    connect_to_read(path).close()
    other = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('INSERT INTO numbers VALUES (1)'); c.commit(); c.close()"
    )
    subprocess.run([sys.executable, "-c", other, str(path)], check=True)
    # The last one to leave takes the log away: who finds no lock of ours believes to be the last.
    assert path.with_name("study.db-wal").exists()
    assert ours.execute("SELECT count(*) FROM numbers").fetchall() == [(1,)]
    ours.close()
