"""Where worker processes come from.

Importing torch and what belongs to it takes a worker seconds. Where the system can fork, a
server process imports it all once, while its parent is still preparing the study, and workers
are forked from it: as clean as a new process, because the server has done nothing but import.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import ForkServerContext, SpawnContext

PRELOADED = "wdstudy.launchers.preloaded"
THREADS = "OMP_NUM_THREADS"
SOCKETS = "WDSTUDY_SOCKETS"
"""Names the folder in which the server listens: it removes it, should its parent be killed."""


def warm_up(processes: int | None) -> None:
    """Let the server begin to import, if there is one.

    Args:
        processes: How many workers are asked for; None for one a core.
    """
    context = worker_context()
    if processes == 1 or cores() == 1 or not isinstance(context, ForkServerContext):
        return
    context.set_forkserver_preload([PRELOADED])
    told = {
        # Read by linear algebra when it is loaded: as many threads as a worker will have.
        THREADS: str(max(1, cores() // (processes or cores()))),
        SOCKETS: util.get_temp_dir(),
    }
    before = dict(os.environ)
    os.environ.update(told)
    try:
        _start_server()
    finally:
        take_environment(before)


def _start_server() -> None:
    """Start it deaf to Ctrl-C, which reaches it as well, until it has come to ignore it."""
    resource_tracker.ensure_running()  # it masks the same, and would unmask it too early
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_context() -> ForkServerContext | SpawnContext:
    """What starts workers: the fork server, or new processes where systems have none."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def take_environment(environment: Mapping[str, str]) -> None:
    """Give a worker the environment of its parent: the server may have begun with another."""
    os.environ.clear()
    os.environ.update(environment)
