"""trackio: a project's SQLite database, for which trackio need not be installed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from wdstudy.errors import SourceError, nearest
from wdstudy.sources.base import Asked, Run, Sweep, flattened, sweep_of
from wdstudy.words import printable

_HOME = Path("~/.cache/huggingface/trackio")


def read(source: str, asked: Asked) -> Sweep:
    """The runs of a project.

    Args:
        source: A project's name, or its database.
        asked: Nothing of it is used: a database is one project.

    Raises:
        SourceError: there is no such project, or its database can't be read.
    """
    path = _database(source)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            runs = list(_runs(base))
    except (sqlite3.Error, ValueError) as error:
        raise SourceError(
            f"'{printable(str(path))}' can't be read as a project of trackio ({error}); name "
            "another"
        ) from error
    return sweep_of(runs, path.stem, f"the trackio project {path.stem}")


def _database(source: str) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    home = Path(os.environ.get("TRACKIO_DIR") or _HOME).expanduser()
    found = home / f"{source}.db"
    if not found.is_file():
        known = [file.stem for file in home.glob("*.db")]
        raise SourceError(
            f"no project '{printable(source)}' in {home}; {nearest(source, map(printable, known))}"
        )
    return found


def _runs(base: sqlite3.Connection) -> Iterator[Run]:
    """Runs by their ids; of databases that have none, by their names."""
    columns = {row[1] for row in base.execute("pragma table_info(metrics)")}
    key = "run_id" if "run_id" in columns else "run_name"
    configs = {run: json.loads(text) for run, text in base.execute(
        f"select {key}, config from configs")}  # fmt: skip
    logged: dict[str, list[tuple[float, dict[str, Any]]]] = {run: [] for run in configs}
    for run, step, text in base.execute(f"select {key}, step, metrics from metrics order by id"):
        logged.setdefault(run, []).append((float(step), flattened(json.loads(text))))
    for run, rows in logged.items():
        curves: dict[str, tuple[list[float], list[float]]] = {}
        ends: dict[str, Any] = {}
        for step, values in rows:
            ends |= values
            for name, value in values.items():
                number = _number(value)
                if number is not None:
                    line = curves.setdefault(name, ([], []))
                    line[0].append(step)
                    line[1].append(number)
        config = {k: v for k, v in configs.get(run, {}).items() if not k.startswith("_")}
        yield Run(key=str(run), params=flattened(config), metrics=ends, curves=curves)


def _number(value: object) -> float | None:
    """A number; trackio spells NaN and infinity."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
