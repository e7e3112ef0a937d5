"""Workers on a Ray cluster, or on a Ray of its own on this machine.

A job is a Ray task that runs a `Runner` on the shared storage. Where it runs, and that it runs
again after its worker or node was lost, is Ray's business; which cells are left to train is the
storage's. So a job that Ray runs again just goes on.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch

from wdstudy.errors import (
    FlagError,
    MissingPackageError,
    StorageError,
    StudyError,
    WdstudyError,
    fault,
)

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingPackageError("--launcher ray", "ray") from error

from wdstudy.launchers.base import Job
from wdstudy.launchers.board import Board, Reporter
from wdstudy.launchers.ray_cluster import (
    NOT_SHARED,
    check_gpus,
    check_shared,
    connected,
    free,
    gpus_where_there_are,
    hide_password,
    room_for,
)
from wdstudy.run.forecast import Forecast
from wdstudy.run.interrupts import interrupt_on
from wdstudy.run.plan import Plan
from wdstudy.run.prepared import Prepared
from wdstudy.run.progress import Display
from wdstudy.run.runner import TEND_SECONDS, Runner
from wdstudy.run.status import Status
from wdstudy.run.tally import Tally
from wdstudy.storage.opening import open_storage
from wdstudy.storage.url import file_of, password_in, resolve_url
from wdstudy.study.file import SpecSource
from wdstudy.study.spec import StudySpec
from wdstudy.trackers import Backend
from wdstudy.training.probe import LaneChoice
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
    with connected(address, path.parent):
        display.say(f"study '{spec.name}': {Plan(spec)}")
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
        self._plan, self._display, self._room = Plan(spec), display, room
        self._base = Status(self._plan.target, objective=spec.objective, direction=spec.direction)
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
                self._start(_enqueue, self._job, lanes, jobs)
                found = [result for result in self._results() if result is not None]
                if not found:
                    raise StudyError(self._what_was_lost())
                forecast: Forecast = replace(found[0], at_once=self._room, workers="Ray jobs")
                choice, jobs = forecast.choice, forecast.jobs if forecast.trials else 0
                self._tell(forecast)
                storage = open_storage(self._job.storage, say=self._display.warn)
                study = optuna.load_study(study_name=self._job.name, storage=storage)
                opened(study)
                tally = Tally(study, self._plan, self._base, self._job.run)
                tally.note()
                self._base.expect(forecast.wall_seconds, forecast.steps)
                for number in range(1, jobs + 1):
                    self._start(_train, replace(self._job, number=number), choice)
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
        Tally(study, self._plan, status, None).finish(self._display)
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


def _enqueue(events: Queue, folder: str | None, job: Job, lanes: int | None, jobs: int) -> Any:
    """Make the study ready where it is trained.

    Returns:
        A forecast of what is left to train; or what is wrong, in a line.
    """

    def enqueue(prepared: Prepared, runner: Runner, reporter: Reporter) -> Forecast:
        left = runner.take_stock()  # what is kept already, the driver counts itself
        choice = prepared.lanes(left, lanes, jobs, say=reporter.say)
        runner.enqueue()
        return Forecast.of(prepared, left, choice, jobs)

    return _with_runner(events, folder, job, enqueue)


def _train(events: Queue, folder: str | None, job: Job, choice: LaneChoice) -> Any:
    """Train until nothing is left to train; returns what is wrong, in a line."""

    def train(prepared: Prepared, runner: Runner, reporter: Reporter) -> None:
        runner.work(choice)
        reporter.tell(runner.status)

    return _with_runner(events, folder, job, train)


def _with_runner(
    events: Queue, folder: str | None, job: Job, body: Callable[[Prepared, Runner, Reporter], Any]
) -> Any:
    """Do something with a runner in a job; an error is returned in a line, for Ray to carry.

    Args:
        events: Where the driver listens.
        folder: Where to work; the folder that Ray gives the job if None.
        job: What the worker is told.
        body: What to do.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)  # as many as the CPUs that Ray has set aside for a job
    interrupt_on(signal.SIGINT)  # which is how Ray cancels
    if folder is not None:
        os.chdir(folder)
    reporter = Reporter((job.number, secrets.token_hex(4)), events)
    reporter.show(Status(0))  # says that it has started
    try:
        assert job.storage is not None
        file = file_of(job.storage)
        if job.number and file is not None and not file.is_file():
            raise StorageError(NOT_SHARED.format(file, socket.gethostname()))
        prepared = job.prepare(reporter.say)
        return body(prepared, Runner(prepared, reporter, run=job.run), reporter)
    except WdstudyError as error:
        return str(error)
