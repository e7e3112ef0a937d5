"""MLflow: the runs of an experiment, in a database, a folder or on a server."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wdstudy.curves import DIVERGED_AT
from wdstudy.errors import MissingPackageError, SourceError, nearest
from wdstudy.sources.base import DIVERGED, Asked, Run, Sweep, state_of, sweep_of
from wdstudy.sources.names import series_of
from wdstudy.storage.url import masked, without_password
from wdstudy.words import abridged, counted, printable

# As for its tracker: MLflow's own patience is minutes, and it counts its users.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)

try:
    from mlflow.tracking import MlflowClient
except ImportError as error:
    raise MissingPackageError("reading MLflow", "mlflow") from error

PARENT = "mlflow.parentRunId"
_PAGE = 1000
_FOLDERS = "MLFLOW_ALLOW_FILE_STORE"  # MLflow 3 reads folders only if it is told to


def read(source: str, asked: Asked) -> Sweep:
    """The runs of an experiment, but for those that only hold others together.

    Args:
        source: A tracking URI, a folder `mlruns` or the one above it, or a database's file.
        asked: Which experiment, if there are several with runs.

    Raises:
        SourceError: it can't be read, or which experiment is meant is not said.
    """
    uri = _uri_of(source)
    shown = masked(source)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with _folders_allowed():
            client = MlflowClient(tracking_uri=uri)
            known = {e.name: e.experiment_id for e in client.search_experiments()}
            name, runs = _chosen(client, known, asked.study, shown)
            read = [_run(client, run) for run in _without_parents(runs)]
    except SourceError:
        raise
    except Exception as error:  # of its own, of SQLAlchemy, of requests
        lines = str(error).strip().splitlines()
        says = without_password(lines[0] if lines else type(error).__name__, source)
        raise SourceError(
            f"MLflow can't read '{printable(shown)}' ({abridged(printable(says), 200)}); check the "
            "path or the address"
        ) from error
    return sweep_of(read, name, f"the MLflow experiment '{name}' in {shown}")


def _uri_of(source: str) -> str:
    path = Path(source.removeprefix("sqlite:///"))
    if path.is_file():
        return f"sqlite:///{path.absolute()}"  # MLflow remembers databases by what they are called
    if "://" in source or source == "databricks":
        return source
    inside = path / "mlruns"
    return (inside if inside.is_dir() else path).absolute().as_uri()


@contextmanager
def _folders_allowed() -> Iterator[None]:
    before = os.environ.get(_FOLDERS)
    os.environ[_FOLDERS] = "true"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that folders go out of use
            yield
    finally:
        if before is None:
            del os.environ[_FOLDERS]
        else:
            os.environ[_FOLDERS] = before


def _chosen(
    client: MlflowClient, known: dict[str, str], asked: str | None, shown: str
) -> tuple[str, list[Any]]:
    """The experiment that is meant, or the only one with runs; and its runs."""
    if asked is not None:
        if asked not in known:
            raise SourceError(f"no experiment '{asked}' in {shown}; {nearest(asked, known)}")
        return asked, _runs(client, known[asked])
    held = {name: runs for name, number in known.items() if (runs := _runs(client, number))}
    if not held:
        raise SourceError(f"{printable(shown)} holds no runs; name another source")
    if len(held) > 1:
        names = ", ".join(map(printable, sorted(held)))
        raise SourceError(
            f"{printable(shown)} holds {counted(len(held), 'experiment')} with runs; say which "
            f"with --study: {names}"
        )
    return next(iter(held.items()))


def _runs(client: MlflowClient, experiment: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found[::-1]  # the newest came first


def _without_parents(runs: list[Any]) -> list[Any]:
    parents = {run.data.tags.get(PARENT) for run in runs}
    return [run for run in runs if run.info.run_id not in parents]


def _run(client: MlflowClient, run: Any) -> Run:
    key, metrics = run.info.run_id, dict(run.data.metrics)
    curves = {}
    for name in metrics:
        if series_of(name, metrics) is not None:
            points = sorted(
                client.get_metric_history(key, name), key=lambda m: (m.step, m.timestamp)
            )
            if len(points) > 1:
                curves[name] = [float(m.step) for m in points], [float(m.value) for m in points]
    state = DIVERGED if DIVERGED_AT in metrics else state_of(run.info.status)
    return Run(key=key, params=dict(run.data.params), metrics=metrics, state=state, curves=curves)
