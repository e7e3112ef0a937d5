"""Workers on a Ray cluster, or on a Ray of its own on this machine.

A job is a Ray task that runs a `Runner` on the shared storage. Where it runs, and that it runs
again after its worker or node was lost, is Ray's business; which cells are left to train is the
storage's. So a job that Ray runs again just goes on.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from wdstudy.errors import FlagError, MissingPackageError, StudyError, fault

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingPackageError("--launcher ray", "ray") from error

from wdstudy.launchers.base import Job
from wdstudy.launchers.board import Board
from wdstudy.launchers.ray_cluster import (
    check_gpus,
    check_shared,
    connected,
    free,
    gpus_where_there_are,
    hide_password,
    room_for,
)
from wdstudy.launchers.ray_job import enqueue, train
from wdstudy.run.forecast import Forecast
from wdstudy.run.plan import Plan
from wdstudy.run.progress import Display
from wdstudy.run.runner import TEND_SECONDS
from wdstudy.run.status import Status
from wdstudy.run.tally import Tally
from wdstudy.storage.opening import open_storage
from wdstudy.storage.url import file_of, password_in, resolve_url
from wdstudy.study.file import SpecSource
from wdstudy.study.spec import StudySpec
from wdstudy.trackers import Backend
from wdstudy.workers import run_token

MAX_RETRIES = 3
"""So often Ray runs a job again whose worker or node was lost."""

PATIENCE_SECONDS = 15.0
"""A job that has not started after so long waits for room, and we say so."""

_GRACE_SECONDS = 10.0


def run_ray(
    source: SpecSource,
    spec: StudySpec,
    storage: str | None,
    display: Display,
    *,
    jobs: int | None = None,
    lanes: int | None = None,
    trackers: Sequence[Backend] = (),
    opened: Callable[[optuna.Study], None] = lambda study: None,
    address: str | None = None,
    gpus_per_job: float | None = None,
) -> Status:
    """Run a study as jobs of a Ray cluster: a `Launcher`.

    The folder of the study file is sent to the cluster, and every node must reach the storage.
    Where `jobs` is None, there are as many as there is room for. `address` is the cluster's
    `host:port`; where it is None, `$RAY_ADDRESS`, or else a Ray on this machine that ends with
    the run. `gpus_per_job` may be below 1, to share one; None is 1 where there are any.

    Raises:
        WdstudyError: as of every launcher, or Ray can't be reached, has no room, or lost all jobs.
    """
    check_gpus(gpus_per_job)
    if address == "":
        raise FlagError("--address is empty; give the HOST:PORT of the cluster")
    address = address or os.environ.get("RAY_ADDRESS")
    url, path = resolve_url(storage), Path(source.path).resolve()
    if (file := file_of(url)) is not None:
        url = f"{url.partition('://')[0]}:///{file.resolve()}"  # jobs run in folders of their own
    hide_password(password_in(url))
    plan = Plan(spec)
    with connected(address, path.parent):
        display.say(f"study '{spec.name}': {plan}")
        if file is not None:
            check_shared(file)
        gpus = gpus_where_there_are(spec) if gpus_per_job is None else gpus_per_job
        room = room_for(gpus, display, may_grow=address is not None)
        job = Job(
            replace(source, path=str(path) if address is None else path.name),
            spec.name,
            url,
            "cpu" if spec.device == "auto" and not gpus else spec.device,
            run_token(),
            tuple(trackers),
            until=plan.ends(),
        )
        folder = os.getcwd() if address is None else None
        return _Jobs(job, folder, spec, display, gpus, room).run(jobs or room, lanes, opened)


class _Jobs:
    """The jobs of one run, and the display that shows what they do together."""

    def __init__(
        self,
        job: Job,
        folder: str | None,
        spec: StudySpec,
        display: Display,
        gpus: float,
        room: int,
    ) -> None:
        self._job, self._folder = job, folder
        self._spec, self._plan = spec, Plan(spec)
        self._display, self._room = display, room
        self._base = self._plan.status(job.until)
        # A queue is an actor: on our own node, no other node's death takes it along.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._events = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self._board = Board(self._events, display, self._base)
        self._options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": gpus,
            "max_retries": MAX_RETRIES,
            "name": f"wdstudy {spec.name}",
        }
        self._running: list[Any] = []
        self._attempts = 0
        self._lost = ""

    def run(self, jobs: int, lanes: int | None, opened: Callable[[optuna.Study], None]) -> Status:
        """Prepare the study in one job, then train it in many."""
        try:
            with self._display:
                self._start(enqueue, self._job, lanes, jobs)
                found = [result for result in self._results() if result is not None]
                if not found:
                    raise StudyError(self._what_was_lost())
                forecast: Forecast = replace(found[0], at_once=self._room, workers="Ray jobs")
                if forecast.clock is not None:  # now it is known which cells there are
                    timed = replace(self._spec.space, clock=forecast.clock)
                    self._plan = Plan(replace(self._spec, space=timed))
                choice, jobs = forecast.choice, forecast.jobs if forecast.trials else 0
                self._tell(forecast)
                storage = open_storage(self._job.storage, say=self._display.warn)
                study = optuna.load_study(study_name=self._job.name, storage=storage)
                opened(study)
                tally = Tally(study, self._plan, self._base, self._job.run)
                tally.note()
                self._base.expect(forecast.wall_seconds, forecast.steps)
                for number in range(1, jobs + 1):
                    self._start(train, replace(self._job, number=number, jobs=jobs), choice)
                for _ in self._results(tally):
                    pass
                status = self._recounted(study)
                self._display.show(status)
        finally:
            self._stop()
        if self._lost and status.done + status.failed < status.total:
            raise StudyError(self._what_was_lost())
        return status

    def _start(self, body: Callable[..., Any], *arguments: Any) -> None:
        task = ray.remote(body).options(**self._options)
        self._running.append(task.remote(self._events, self._folder, *arguments))

    def _results(self, tally: Tally | None = None) -> Iterator[Any]:
        """What jobs return, as they end; meanwhile what they tell is shown."""
        started = tended = time.monotonic()
        patient = True
        while self._running:
            self._board.listen()
            self._tell_of_losses()
            ended, self._running = ray.wait(
                self._running, num_returns=len(self._running), timeout=0
            )
            for reference in ended:
                yield self._result(reference)
            now = time.monotonic()
            if patient and not self._board.statuses and now - started > PATIENCE_SECONDS:
                patient = False
                self._display.say(f"waiting for a job to start: {free()}")
            if tally is not None and now - tended > TEND_SECONDS:
                tended = now
                tally.note()
        self._board.listen()  # what the last ones said before they ended

    def _result(self, reference: Any) -> Any:
        """What a job returned; None where Ray has given it up, the others go on."""
        try:
            result = ray.get(reference)
        except RayTaskError as error:
            raise StudyError(f"a job failed: {fault(error.cause)}") from error
        except RayError as error:
            self._lost = str(error).partition("\n")[0]
            self._display.warn(f"a job was lost and is not tried again: {self._lost}")
            return None
        if isinstance(result, str):
            raise StudyError(result)
        return result

    def _tell_of_losses(self) -> None:
        """A job that begins again was lost before."""
        senders: list[Any] = list(self._board.statuses)
        again = len(senders) - len({number for number, _ in senders})
        for _ in range(self._attempts, again):
            self._display.warn("a job was lost: Ray has started it again")
        self._attempts = again

    def _tell(self, forecast: Forecast) -> None:
        if not forecast.trials:
            return
        self._display.say(str(forecast))
        if forecast.jobs > self._room:
            self._display.say(f"{self._room} jobs at a time, for more there is no room")

    def _recounted(self, study: optuna.Study) -> Status:
        """The end as the storage has it: what a lost job did last, it may not have told."""
        status = replace(self._board.status, done=0, diverged=0, best=math.nan, best_params=None)
        status.ended = True
        Tally(study, self._plan, status, None).finish(self._display, self._job.run)
        return status

    def _what_was_lost(self) -> str:
        return (
            f"stopped, because Ray lost its jobs: {self._lost}; finished trials are kept: "
            "mend the cluster and run the same command again"
        )

    def _stop(self) -> None:
        """End every job: first by asking, so that it can give its trials back."""
        for force in (False, True):
            for reference in self._running:
                with suppress(RayError, ValueError):
                    ray.cancel(reference, force=force)
            if self._running:
                _, self._running = ray.wait(
                    self._running, num_returns=len(self._running), timeout=_GRACE_SECONDS
                )
