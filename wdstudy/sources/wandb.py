"""Weights & Biases: folders of runs that were recorded offline or synced, and its API.

A `.wandb` file is a log of records in protocol buffers, framed as LevelDB's logs are: blocks of
32 KiB, and in them chunks with a checksum, a length and a type
(https://github.com/google/leveldb/blob/main/doc/log_format.md), after a header of seven bytes.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wdstudy.curves import DIVERGED_AT
from wdstudy.errors import MissingPackageError, SourceError
from wdstudy.sources.base import (
    COMPLETE,
    DIVERGED,
    FAIL,
    RUNNING,
    Asked,
    Run,
    Sweep,
    flattened,
    state_of,
    sweep_of,
)
from wdstudy.words import abridged, counted, printable

try:
    import wandb
    from wandb.proto import wandb_internal_pb2 as records
except ImportError as error:
    raise MissingPackageError("reading W&B", "wandb") from error

_HEAD, _BLOCK = 7, 32768
_FULL, _FIRST, _LAST = 1, 2, 4  # types of chunks; 3 lies between first and last
_STEP = "_step"
_POINTS = 2000
"""Points of a run's history that are asked for, at most."""

_ADDRESS = "wandb.ai/"


def read(source: str, asked: Asked) -> Sweep:
    """The runs of a folder, or of a project or sweep of the API.

    Args:
        source: A folder (`wandb`, or one above it), a `.wandb` file, `ENTITY/PROJECT`,
            `ENTITY/PROJECT/sweeps/ID`, or their address.
        asked: Which project, where a folder holds runs of several.

    Raises:
        SourceError: no run lies there, or the API refuses.
    """
    path = Path(source)
    if path.exists():
        return _of_files(path, asked)
    return _of_api(source.partition(_ADDRESS)[2] or source)


def _of_files(path: Path, asked: Asked) -> Sweep:
    files = [path] if path.is_file() else sorted({*path.rglob("*.wandb")})
    found = [(file, run) for file in files if (run := _Recorded(file)).id]
    if not found:
        raise SourceError(f"'{printable(str(path))}' holds no run of W&B; name another folder")
    projects = sorted({run.project for _, run in found})
    if asked.study is None and len(projects) > 1:
        raise SourceError(
            f"'{printable(str(path))}' holds runs of {counted(len(projects), 'project')}; say "
            f"which with --study: {', '.join(map(printable, projects))}"
        )
    runs = {run.id: run.run() for _, run in found if asked.study in (None, run.project)}
    name = asked.study or projects[0] or path.name
    return sweep_of(runs.values(), name, f"the W&B folder {path}")


class _Recorded:
    """What a file holds of a run."""

    def __init__(self, file: Path) -> None:
        self.id = self.project = ""
        self.state = RUNNING
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        for record in _records(file.read_bytes()):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            self.id, self.project = record.run.run_id, record.run.project
            self._configure(record.run.config)
        elif kind == "config":
            self._configure(record.config)
        elif kind == "summary":
            self.summary |= dict(_items(record.summary.update))
        elif kind == "history":
            self.history.append(dict(_items(record.history.item)))
        elif kind == "exit":
            self.state = FAIL if record.exit.exit_code else COMPLETE

    def _configure(self, config: Any) -> None:
        self.config |= {k: v for k, v in _items(config.update) if not k.startswith("_wandb")}

    def run(self) -> Run:
        return Run(
            key=self.id,
            params=flattened(self.config),
            metrics=_measured(flattened(self.summary)),
            state=_state(self.summary, self.state),
            curves=_curves(map(flattened, self.history)),
        )


def _items(items: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of the items of a record; nested names with dots."""
    for item in items:
        name = ".".join(item.nested_key) if item.nested_key else item.key
        yield name, json.loads(item.value_json)


def _records(data: bytes) -> Iterator[Any]:
    """The records of a file, up to where it was cut off."""
    place, held = _HEAD, b""
    while place + 7 <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        chunk = data[place + 7 : place + 7 + length]
        place += 7 + length
        if len(chunk) < length or kind == 0:
            return
        held = chunk if kind in (_FULL, _FIRST) else held + chunk
        if kind in (_FULL, _LAST):
            record = records.Record()  # type: ignore[attr-defined]  # made at import
            try:
                record.ParseFromString(held)
            except Exception:  # a class of its own of protobuf; what comes after is as lost
                return
            yield record


def _measured(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if not name.startswith("_")}


def _state(summary: Mapping[str, Any], ended: str) -> str:
    """How the run ended; of one that wdstudy tracked, as its trial did."""
    if DIVERGED_AT in summary:
        return DIVERGED
    said = summary.get("state")
    return state_of(said) if isinstance(said, str) and ended == COMPLETE else ended


def _curves(history: Iterator[Mapping[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """What was logged step by step: metric → (steps, values)."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for place, row in enumerate(history):
        step = row.get(_STEP, place)
        for name, value in _measured(row).items():
            number = _number(value)
            if number is not None:
                steps, values = curves.setdefault(name, ([], []))
                steps.append(float(step))
                values.append(number)
    return curves


def _number(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # "NaN" and "Infinity" are texts there
    except (TypeError, ValueError):
        return None


def _of_api(path: str) -> Sweep:
    path = path.partition("?")[0].strip("/").replace("/runs", "").removesuffix("/workspace")
    if path.count("/") not in (1, 3):
        raise SourceError(
            f"'{printable(path)}' is neither there nor a project of W&B; write "
            "wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/sweeps/ID"
        )
    try:
        api = wandb.Api(timeout=30)
        if "/sweeps/" in path:
            sweep = api.sweep(path.replace("/sweeps/", "/"))  # type: ignore[no-untyped-call]
            runs, metric = list(sweep.runs), dict(sweep.config.get("metric") or {})
        else:
            runs, metric = list(api.runs(path, lazy=False)), {}
        read = [_run_of_api(run) for run in runs]
    except Exception as error:  # of its own, of requests, of GraphQL
        raise SourceError(_refused(path, error)) from None  # whose traceback may hold the key
    goal = metric.get("goal")
    return sweep_of(
        read,
        path.split("/")[1],
        f"the W&B project {'/'.join(path.split('/')[:2])}",
        metric=metric.get("name"),
        minimize=None if goal is None else goal == "minimize",
    )


def _run_of_api(run: Any) -> Run:
    config = {k: v for k, v in run.config.items() if not k.startswith("_")}
    summary = flattened(dict(run.summary_metrics))
    history = run.history(samples=_POINTS, pandas=False)
    return Run(
        key=str(run.id),
        params=flattened(config),
        metrics=_measured(summary),
        state=_state(summary, state_of(run.state)),
        curves=_curves(map(flattened, history)),
    )


def _refused(path: str, error: Exception) -> str:
    """Why the API gives nothing, in a line, without the key."""
    lines = str(error).strip().splitlines()
    says = lines[0] if lines else type(error).__name__
    key = os.environ.get("WANDB_API_KEY", "")
    says = abridged(printable(says.replace(key, "***") if key else says), 200)
    return (
        f"W&B does not give the runs of '{printable(path)}' ({says}); check the name, and the key: "
        "`wandb login`, or $WANDB_API_KEY. Without one, export the runs as CSV on their page"
    )
