"""What a job of a Ray cluster does: it prepares a study, or works on it, and tells the driver."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Callable
from typing import Any

import optuna
import torch
from ray.util.queue import Queue

from wdstudy.errors import StorageError, WdstudyError
from wdstudy.launchers.base import Job
from wdstudy.launchers.board import Reporter
from wdstudy.launchers.ray_cluster import NOT_SHARED
from wdstudy.run.forecast import Forecast
from wdstudy.run.interrupts import interrupt_on
from wdstudy.run.prepared import Prepared
from wdstudy.run.runner import Runner
from wdstudy.run.status import Status
from wdstudy.storage.url import file_of
from wdstudy.training.probe import LaneChoice


def enqueue(events: Queue, folder: str | None, job: Job, lanes: int | None, jobs: int) -> Any:
    """Make the study ready where it is trained.

    Returns:
        A forecast of what is left to train; or what is wrong, in a line.
    """

    def place(prepared: Prepared, runner: Runner, reporter: Reporter) -> Forecast:
        left = runner.take_stock()  # what is kept already, the driver counts itself
        choice = prepared.lanes(left, lanes, jobs, say=reporter.say)
        forecast = Forecast.of(prepared, left, choice, jobs)
        runner.enqueue(forecast)
        return forecast

    return _with_runner(events, folder, job, place)


def train(events: Queue, folder: str | None, job: Job, choice: LaneChoice) -> Any:
    """Train until nothing is left to train; returns what is wrong, in a line."""

    def work(prepared: Prepared, runner: Runner, reporter: Reporter) -> None:
        runner.work(choice, job.jobs)
        reporter.tell(runner.status)

    return _with_runner(events, folder, job, work)


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
        runner = Runner(prepared, reporter, run=job.run, until=job.until)
        return body(prepared, runner, reporter)
    except WdstudyError as error:
        return str(error)
