"""MLflow: the study as a parent run, its trials as nested runs, in a database or on a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from wdstudy.curves import STEP
from wdstudy.errors import MissingPackageError, TrackerError
from wdstudy.trackers.base import Point, RunInfo, StudyRun, with_total
from wdstudy.trackers.sender import without_secrets
from wdstudy.workers import is_gone, worker_name

# MLflow's own patience is minutes: 7 retries of 2 minutes each. What it counts about its users
# would be sent from inside a training.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}.items():
    os.environ.setdefault(_name, _value)

try:
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
except ImportError as error:
    raise MissingPackageError("the tracker mlflow", "mlflow") from error

DEFAULT_URI = "sqlite:///mlflow.db"

PARENT = "mlflow.parentRunId"
STUDY = "wdstudy.study"
KEY = "wdstudy.key"
STATE = "wdstudy.state"
WORKER = "wdstudy.worker"
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}

_MAX_METRICS = 1000  # that the server takes in one request
_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")


@dataclass(frozen=True)
class MLflow:
    """Logs to MLflow.

    Args:
        uri: A database or a server: `sqlite:///mlflow.db`, `http://host:5000`;
            $MLFLOW_TRACKING_URI, else `sqlite:///mlflow.db`, where it is empty.
        experiment: Its experiment.
    """

    uri: str = ""
    experiment: str = "wdstudy"

    def check(self) -> None:
        """Refuse a tracking URI that MLflow would refuse.

        Raises:
            TrackerError: it is not the URI of a database or a server.
        """
        scheme = self._uri.partition(":")[0].partition("+")[0]
        if scheme not in _SCHEMES:
            raise TrackerError(
                f"mlflow.uri={without_secrets(self._uri)}: give a database or a server, like "
                f"{DEFAULT_URI} or http://localhost:5000; MLflow 3 writes no folder of files"
            )
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they tell of every table made

    def begin(self, study: StudyRun) -> None:
        """Make the study's run, or go on with the one it has, and close what a lost worker left."""
        run_id = self._parent(study)
        self._client.update_run(run_id, status="RUNNING")
        open_runs = f"tags.`{PARENT}` = '{run_id}' and attributes.status = 'RUNNING'"
        for run in self._client.search_runs([self._experiment_id], open_runs):
            if is_gone(run.data.tags.get(WORKER, "")):
                self._client.set_terminated(run.info.run_id, "KILLED")

    def open(self, info: RunInfo) -> MLflowRun:
        """Begin a run, nested in the study's where there is a study."""
        tags = {WORKER: worker_name("tracked")}
        if info.study.name:
            tags |= {STUDY: info.study.name, PARENT: self._parent(info.study)}
        run = self._client.create_run(self._experiment_id, run_name=info.name, tags=tags)
        opened = MLflowRun(self._client, run.info.run_id)
        params = [Param(name, str(value)) for name, value in info.params.items()]
        self._client.log_batch(run.info.run_id, params=params)
        return opened

    def finish(self, study: StudyRun, completed: bool) -> None:
        """Close the study's run: FINISHED, or KILLED when it was stopped before its end."""
        self._client.set_terminated(self._parent(study), "FINISHED" if completed else "KILLED")

    @property
    def _uri(self) -> str:
        return self.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI

    @cached_property
    def _client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self._uri)

    @cached_property
    def _experiment_id(self) -> str:
        try:
            return str(self._client.create_experiment(self.experiment))
        except MlflowException:
            found = self._client.get_experiment_by_name(self.experiment)
            if found is None:
                raise
            return str(found.experiment_id)

    @cached_property
    def _parents(self) -> dict[StudyRun, str]:
        return {}

    def _parent(self, study: StudyRun) -> str:
        """The id of the study's run. Processes that make it at once agree on the earliest."""
        if study not in self._parents:
            found = self._find_parents(study)
            if not found:
                tags = {STUDY: study.name, KEY: study.key}
                made = self._client.create_run(
                    self._experiment_id, run_name=study.name, tags=tags
                ).info.run_id
                found = self._find_parents(study)
                if found[0] != made:
                    self._client.delete_run(made)
            self._parents[study] = found[0]
        return self._parents[study]

    def _find_parents(self, study: StudyRun) -> list[str]:
        runs = self._client.search_runs(
            [self._experiment_id],
            filter_string=f"tags.`{KEY}` = '{study.key}'",
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
        )
        return [run.info.run_id for run in runs]


class MLflowRun:
    """One run of MLflow."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client, self.run_id = client, run_id
        self._step = 0

    def log(self, points: Sequence[Point]) -> None:
        """Log record points: many in one request, when they came faster than it answers."""
        now = int(1000 * time.time())
        metrics = []
        for point in points:
            self._step = int(point[STEP])
            values = with_total(point).items()
            metrics += [Metric(k, float(v), now, self._step) for k, v in values if k != STEP]
        for first in range(0, len(metrics), _MAX_METRICS):
            self._client.log_batch(self.run_id, metrics=metrics[first : first + _MAX_METRICS])

    def end(self, scalars: Mapping[str, float], state: str) -> None:
        """Log headline scalars and state, and terminate: FINISHED, or FAILED after FAIL."""
        now = int(1000 * time.time())
        metrics = [Metric(k, float(v), now, self._step) for k, v in scalars.items()]
        self._client.log_batch(self.run_id, metrics=metrics)
        self._client.set_tag(self.run_id, STATE, state)
        self._client.set_terminated(self.run_id, STATUS[state])

    def discard(self) -> None:
        """Delete the run, as MLflow deletes: it can be restored."""
        self._client.delete_run(self.run_id)
