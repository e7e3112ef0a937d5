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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import torch

from wdstudy.errors import MissingPackageError, StorageError, StudyError, WdstudyError, fault

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise MissingPackageError("--launcher ray", "ray") from error

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
from wdstudy.run.interrupts import interrupt_on
from wdstudy.run.plan import Plan
from wdstudy.run.progress import Display, Status
from wdstudy.run.runner import TEND_SECONDS, Runner
from wdstudy.run.tally import Tally
from wdstudy.storage.opening import file_of, open_storage, password_in, resolve_url
from wdstudy.study.file import SpecSource
from wdstudy.study.spec import StudySpec
from wdstudy.trackers import Backend
from wdstudy.training.probe import LaneChoice
from wdstudy.words import counted
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
    address: str | None = None,
    jobs: int | None = None,
    gpus_per_job: float | None = None,
    lanes: int | None = None,
    trackers: Sequence[Backend] = (),
    opened: Callable[[optuna.Study], None] = lambda study: None,
) -> Status:
    """Run a study as jobs of a Ray cluster.

    Args:
        source: Where jobs read the spec from. Its folder is sent to a cluster.
        spec: The spec itself.
        storage: A URL that every node reaches; the default storage where it is None.
        display: Where progress is shown.
        address: The cluster's `host:port`; `$RAY_ADDRESS` where it is None, else a Ray on
            this machine that ends with the run.
        jobs: How many; None for as many as there is room for.
        gpus_per_job: GPUs of each, below 1 to share one; None for 1 where there are any.
        lanes: Trials that a job trains as one model; None for the fastest.
        trackers: Where every trial is a run as well; each job reaches them by itself.
        opened: Told the study before its training starts.

    Returns:
        How it ended.

    Raises:
        WdstudyError: as `run_study`, or Ray can't be reached, has no room, or lost every job.
    """
    check_gpus(gpus_per_job)
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
        job = _Job(
            replace(source, path=str(path) if address is None else path.name),
            spec.name,
            url,
            "cpu" if spec.device == "auto" and not gpus else spec.device,
            os.getcwd() if address is None else None,
            run_token(),
            tuple(trackers),
        )
        return _Jobs(job, spec, display, gpus, room).run(jobs or room, lanes, opened)


@dataclass(frozen=True)
class _Job:
    """What a job is told."""

    source: SpecSource
    name: str
    storage: str = field(repr=False)  # it may hold a password
    device: str
    folder: str | None
    run: str
    trackers: tuple[Backend, ...] = ()
    number: int = 0


class _Jobs:
    """The jobs of one run, and the display that shows what they do together."""

    def __init__(
        self, job: _Job, spec: StudySpec, display: Display, gpus: float, room: int
    ) -> None:
        self._job, self._plan, self._display, self._room = job, Plan(spec), display, room
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
                self._start(_prepare, self._job, lanes, jobs)
                found = [result for result in self._results() if result is not None]
                if not found:
                    raise StudyError(self._what_was_lost())
                left, choice = found[0]
                jobs = min(jobs, -(-left // choice.lanes))
                self._tell(jobs, choice)
                study = optuna.load_study(
                    study_name=self._job.name, storage=open_storage(self._job.storage)
                )
                opened(study)
                tally = Tally(study, self._plan, self._base, self._job.run)
                tally.note()
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
        self._running.append(task.remote(self._events, *arguments))

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
            self._display.say(f"a job was lost and is not tried again: {self._lost}")
            return None
        if isinstance(result, str):
            raise StudyError(result)
        return result

    def _tell_of_losses(self) -> None:
        """A job that begins again was lost before."""
        senders: list[Any] = list(self._board.statuses)
        again = len(senders) - len({number for number, _ in senders})
        for _ in range(self._attempts, again):
            self._display.say("a job was lost: Ray has started it again")
        self._attempts = again

    def _tell(self, jobs: int, choice: LaneChoice) -> None:
        parts = [counted(jobs, "Ray job")] if jobs else []
        if jobs > self._room:
            parts.append(f"{self._room} at a time, for more there is no room")
        if jobs and choice.lanes > 1:
            parts.append(f"{choice.lanes} lanes: {choice.reason}")
        if parts:
            self._display.say(" · ".join(parts))

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


def _prepare(events: Queue, job: _Job, lanes: int | None, jobs: int) -> Any:
    """Make the study ready where it is trained.

    Returns:
        The number of trials left and the `LaneChoice` for them; or what is wrong, in a line.
    """

    def prepare(runner: Runner) -> tuple[int, LaneChoice]:
        left = runner.prepare()
        return left, runner.choose_lanes(lanes, jobs)

    return _with_runner(events, job, prepare)


def _train(events: Queue, job: _Job, choice: LaneChoice) -> Any:
    """Train until nothing is left to train; returns what is wrong, in a line."""
    return _with_runner(events, job, lambda runner: runner.work(choice))


def _with_runner(events: Queue, job: _Job, body: Callable[[Runner], Any]) -> Any:
    """Do something with a runner in a job; an error is returned in a line, for Ray to carry."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)  # as many as the CPUs that Ray has set aside for a job
    interrupt_on(signal.SIGINT)  # which is how Ray cancels
    if job.folder is not None:
        os.chdir(job.folder)
    reporter = Reporter((job.number, secrets.token_hex(4)), events)
    reporter.show(Status(0))  # says that it has started
    try:
        file = file_of(job.storage)
        if job.number and file is not None and not file.is_file():
            raise StorageError(NOT_SHARED.format(file, socket.gethostname()))
        spec = replace(job.source.spec(job.name), device=job.device)
        runner = Runner(spec, job.storage, reporter, run=job.run, trackers=job.trackers)
        result = body(runner)
        reporter.tell(runner.status)
    except WdstudyError as error:
        return str(error)
    return result
