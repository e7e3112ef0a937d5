"""Worker processes on this machine, each with its share of the cores or its GPU.

Two processes of one thread each train small models about 1.5 times as fast as one process of
two threads, so a sweep on a CPU is spread over its cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue as ProcessQueue
from typing import Any

import optuna
import torch

from wdstudy.errors import FlagError, StudyError, WdstudyError
from wdstudy.launchers.base import Job
from wdstudy.launchers.board import Board, Reporter
from wdstudy.launchers.processes import cores, take_environment, worker_context
from wdstudy.run.forecast import Forecast, what_is_trained
from wdstudy.run.interrupts import interrupt_on
from wdstudy.run.prepared import Prepared, prepare
from wdstudy.run.progress import Display
from wdstudy.run.runner import Runner
from wdstudy.run.status import Status
from wdstudy.storage.studies import in_memory
from wdstudy.study.file import SpecSource
from wdstudy.study.spec import StudySpec
from wdstudy.trackers import Backend
from wdstudy.trackers.tracking import Once
from wdstudy.training.devices import resolve_device
from wdstudy.training.probe import LaneChoice
from wdstudy.words import counted

WORTH_SECONDS = 8.0
"""Training that one process does in less than this is not worth the start of others."""

MAX_LOSSES = 3
"""Workers that may be lost for each job before the run stops."""

_GRACE_SECONDS = 10.0


def run_local(
    source: SpecSource,
    spec: StudySpec,
    storage: str | None,
    display: Display,
    *,
    jobs: int | None = None,
    lanes: int | None = None,
    trackers: Sequence[Backend] = (),
    opened: Callable[[optuna.Study], None] = lambda study: None,
    devices: str | None = None,
    dry_run: bool = False,
) -> Status:
    """Run a study with as many processes as it is worth: a `Launcher`.

    Where `jobs` is None, all cores of a CPU machine work, or one process a GPU. `devices` names
    those that the processes take in turn, comma-separated. `dry_run` prepares and measures on a
    copy of the study in memory, says what a run would do, and writes nothing.
    """
    places = _places(spec, devices)
    most = cores()
    on_cpu = places[0] == "cpu"
    if jobs is not None and jobs > 4 * max(most, len(places)):
        raise FlagError(f"--jobs {jobs}: this machine has {most} cores; give at most {4 * most}")
    wanted = jobs or (most if on_cpu else len(places))
    with _threads(max(1, most // wanted) if on_cpu else torch.get_num_threads()) as threads:
        place = in_memory(spec.name, storage, empty=source.quick) if dry_run else storage
        there = replace(spec, device=places[0])
        prepared = prepare(there, place, trackers, say=display.warn)
        runner = Runner(prepared, display)
        display.say(f"study '{spec.name}': {prepared.plan}")
        left = runner.take_stock()
        if wanted == 1 and threads > 1 and on_cpu:
            torch.set_num_threads(prepared.threads(left, threads))
        choice = prepared.lanes(left, lanes, wanted, say=display.say)
        forecast = Forecast.of(prepared, left, choice, wanted)
        if jobs is None and not _worth_others(prepared, forecast):
            forecast = replace(forecast, jobs=1)
        if dry_run:
            display.say(what_is_trained(prepared))
        if left:
            display.say(str(forecast))
        if dry_run:
            for line in runner.foresee(forecast):
                display.say(line)
            display.say(forecast.on_disk())
            return runner.status
        runner.enqueue(forecast)
        runner.status.expect(forecast.wall_seconds, forecast.steps)
        if forecast.jobs > 1:
            with runner.tracking:
                job = Job(source, spec.name, prepared.url, "", runner.run, prepared.trackers)
                job = replace(job, jobs=forecast.jobs, until=runner.until)
                team = _Team(job, runner, display, forecast.jobs, choice, places, threads)
                return team.run(opened)
        opened(runner.study)
        runner.work(choice)  # with the threads that its lanes were measured with
    return runner.status


class _Team:
    """The workers of one run and the display that shows what they do together."""

    def __init__(
        self,
        job: Job,
        runner: Runner,
        display: Display,
        jobs: int,
        choice: LaneChoice,
        places: Sequence[str],
        threads: int,
    ) -> None:
        self._job, self._runner, self._display = job, runner, display
        self._choice, self._places, self._threads = choice, places, threads
        self._context = worker_context()
        runner.tracking.share(self._context.Lock)
        self._events: ProcessQueue[Any] = self._context.Queue()
        self._board = Board(self._events, display, runner.status)
        self._workers: dict[int, BaseProcess] = {}
        self._started = self._losses = 0
        self._jobs = jobs

    def run(self, opened: Callable[[optuna.Study], None]) -> Status:
        """Start the workers, show what they do, replace those that are lost."""
        try:
            with self._display:
                self._display.show(self._board.status)
                for _ in range(self._jobs):
                    self._start()
                opened(self._runner.study)  # what it takes, the workers don't wait for
                while self._workers:
                    self._board.listen()
                    self._look_after()
                    self._runner.tend()
                self._board.listen()  # what the last ones said before they ended
                self._runner.finish()
                self._display.show(self._board.status)
        finally:
            self._stop()
        return replace(self._board.status, failed=self._runner.status.failed)

    def _start(self) -> None:
        """Start a worker; again, where the server that forks them is killed meanwhile."""
        while True:
            number = self._started
            self._started += 1
            worker = self._process(number)
            try:
                worker.start()
            except (EOFError, ConnectionError) as error:  # the next start starts a server as well
                self._note_loss(f"the process that starts them ended: {type(error).__name__}")
            else:
                self._workers[number] = worker
                return

    def _process(self, number: int) -> BaseProcess:
        place = self._places[number % len(self._places)]
        task = _Task(
            replace(self._job, device=place, number=1 + number),  # 0 is who leads
            self._choice,
            self._threads,
            self._runner.tracking.told,
            dict(os.environ),
            multiprocessing.get_start_method(allow_none=True),
        )
        # No daemon, or it could have no children: a DataLoader with workers of its own starts
        # some. That it ends with its parent it sees to itself.
        return self._context.Process(target=_work, args=(task, self._events), daemon=False)

    def _look_after(self) -> None:
        for number, worker in list(self._workers.items()):
            if worker.is_alive():
                continue
            del self._workers[number]
            if worker.exitcode == 0:
                continue
            self._note_loss(f"exit code {worker.exitcode}")
            self._runner.release()  # at once: a cell that kills its workers is to be found out
            self._start()

    def _note_loss(self, how: str) -> None:
        self._losses += 1
        if self._losses > MAX_LOSSES * self._jobs:
            raise StudyError(
                f"stopped: {counted(self._losses, 'worker')} were lost, the last with {how}; "
                "finished trials are kept"
            )
        self._display.warn(f"a worker was lost ({how}): starting another")

    def _stop(self) -> None:
        """End every worker: first by asking, so that it can give its trials back."""
        for worker in self._workers.values():
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for worker in self._workers.values():
            worker.join(max(0.1, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()
        self._events.close()


@dataclass(frozen=True)
class _Task:
    """A job, and what a process of this machine is told beside it."""

    job: Job
    choice: LaneChoice
    threads: int
    told: dict[str, Once]
    environment: dict[str, str]
    start_method: str | None


def _work(task: _Task, events: ProcessQueue[Any]) -> None:
    """The body of a worker process."""
    take_environment(task.environment)
    # For the processes that the study file's own code starts, a DataLoader's say: as in the parent,
    # and not as we were started, which would have them import a study file that is no module.
    multiprocessing.set_start_method(task.start_method, force=True)
    try:
        _work_until_stopped(task, events)
    except KeyboardInterrupt:  # wherever it came, even while an error was being told
        os._exit(0)


def _work_until_stopped(task: _Task, events: ProcessQueue[Any]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(task.threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    interrupt_on(signal.SIGTERM)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reporter = Reporter(task.job.number, events)
    try:
        job = task.job
        runner = Runner(job.prepare(reporter.say), reporter, run=job.run, until=job.until)
        runner.tracking.told = task.told
        runner.work(task.choice, job.jobs)
    except WdstudyError as error:
        reporter.fail(str(error))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end has begun


def _end_with_parent() -> None:
    """A parent that is killed can't end its workers: they notice, and give their trials back."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _worth_others(prepared: Prepared, forecast: Forecast) -> bool:
    """Whether to start processes that nobody asked for. A loop may write files of its own."""
    return prepared.data is not None and (forecast.seconds or 0.0) > WORTH_SECONDS


def _places(spec: StudySpec, devices: str | None) -> list[str]:
    if devices:
        return [str(resolve_device(name)) for name in devices.split(",")]
    first = resolve_device(spec.device)
    if first.type == "cuda" and spec.device == "auto":
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(first)]


class _threads:  # noqa: N801  # a context manager, used like a function
    """This process, and those it starts, with so many threads; afterwards as before."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> int:
        self._before = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
        torch.set_num_threads(self._number)
        os.environ["OMP_NUM_THREADS"] = str(self._number)
        return self._number

    def __exit__(self, *error: object) -> None:
        threads, variable = self._before
        torch.set_num_threads(threads)
        if variable is None:
            os.environ.pop("OMP_NUM_THREADS", None)
        else:
            os.environ["OMP_NUM_THREADS"] = variable
