"""Which sources there are, and which one lies at a path or behind a URL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from wdstudy.errors import SourceError, nearest
from wdstudy.sources.base import Reader
from wdstudy.storage.url import SCHEMES, masked
from wdstudy.words import printable


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes:
        says: What SOURCE is, in words.
        is_folder: Whether a folder is one; None where none ever is.
        tables: The tables by which its database is known.
    """

    says: str
    is_folder: Callable[[Path], bool] | None = None
    tables: frozenset[str] = frozenset()


def _any(*patterns: str) -> Callable[[Path], bool]:
    return lambda folder: any(next(folder.glob(p), None) is not None for p in patterns)


KINDS = {
    "table": Kind("a .csv, .tsv or .parquet of one row a run"),
    "optuna": Kind(
        "an Optuna storage or its file",
        tables=frozenset({"studies", "trials"}),
    ),
    "wandb": Kind(
        "a folder of W&B runs, or wandb:ENTITY/PROJECT",
        _any("offline-run-*", "run-*/run-*.wandb", "run-*.wandb", "wandb/offline-run-*",
             "wandb/run-*"),
    ),
    "mlflow": Kind(
        "a folder or database of MLflow, or mlflow:URI",
        _any("*/meta.yaml", "mlruns/*/meta.yaml"),
        frozenset({"experiments", "runs", "latest_metrics"}),
    ),
    "raytune": Kind(
        "a results folder of Ray Tune", _any("experiment_state-*.json", "*/result.json",
                                          "*/experiment_state-*.json"),
    ),
    "tensorboard": Kind(
        "a folder of TensorBoard with HParams", _any("**/*.tfevents.*", "**/events.out.tfevents*")
    ),
    "trackio": Kind("a database of trackio, or trackio:PROJECT", tables=frozenset({"metrics",
                                                                                "configs"})),
}  # fmt: skip
"""Name → what it is. Each is read by the module of its name."""

_PREFIXES = {"wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio", "ray": "raytune",
             "raytune": "raytune", "tensorboard": "tensorboard", "optuna": "optuna",
             "csv": "table"}  # fmt: skip
_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")


def reader_of(source: str, kind: str | None = None) -> tuple[Reader, str, str]:
    """What reads a source, the source without the kind before it, and its kind.

    Args:
        source: A path, a URL, or `KIND:` and one of these.
        kind: Which kind it is, where that is not to be found out.

    Raises:
        SourceError: nothing is there, or it is of no known kind.
        MissingPackageError: what reads it takes a package that is not installed.
    """
    before, _, rest = source.partition(":")
    if kind is None and before in _PREFIXES and not rest.startswith("//"):
        kind, source = _PREFIXES[before], rest
    kind = kind or _kind_of(source)
    if kind not in KINDS:
        raise SourceError(f"--from {kind}: {nearest(kind, KINDS)}")
    module = "tables" if kind == "table" else kind
    return cast(Reader, import_module(f"wdstudy.sources.{module}").read), source, kind


def _kind_of(source: str) -> str:
    scheme = source.partition("://")[0].partition("+")[0]
    if "://" in source:
        if scheme in SCHEMES:
            return (
                _of_database(Path(source.partition(":///")[2])) if scheme == "sqlite" else "optuna"
            )
        if scheme in ("http", "https"):
            return "wandb" if "wandb.ai/" in source else "mlflow"
        shown = printable(masked(source))
        raise SourceError(f"'{shown}' is no source that is known; give {_listing()}")
    if source.startswith("@"):
        return "optuna"
    path = Path(source)
    if not path.exists():
        raise SourceError(f"'{printable(source)}' is not there; give {_listing()}")
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_folder(path: Path) -> str:
    for name, kind in KINDS.items():
        if kind.is_folder is not None and kind.is_folder(path):
            return name
    inside = sorted(path.glob("*.csv"))
    hint = f" (a table in it: {printable(str(inside[0]))})" if inside else ""
    raise SourceError(
        f"the folder '{printable(str(path))}' holds no sweep{hint}; give {_listing()}"
    )


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"SQLite format 3\0"):
        return _of_database(path)
    if path.suffix == ".wandb":
        return "wandb"
    if path.suffix.lower() not in _TABLES:
        with suppress(ValueError, UnicodeDecodeError, IndexError, TypeError):
            if "op_code" in json.loads(head.decode(errors="ignore").splitlines()[0]):
                return "optuna"
        if b"\0" in head:
            raise SourceError(
                f"'{printable(str(path))}' is of no kind that is known; give {_listing()}"
            )
    return "table"


def _of_database(path: Path) -> str:
    """Whose tables a database holds; Optuna's where that can't be seen, which says what is wrong.

    It is opened to read.
    """
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base,
    ):
        found = {name for (name,) in base.execute("select name from sqlite_master")}
        for name, kind in KINDS.items():
            if kind.tables and kind.tables <= found:
                return name
    return "optuna"


def _listing() -> str:
    return f"one of: {'; '.join(kind.says for kind in KINDS.values())}"
