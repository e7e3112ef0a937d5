"""Who trains a trial, and whether he is still there."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from wdstudy.curves import LAST_SEEN, WORKER

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 120.0
"""A trial whose worker was not seen for so long is given to another."""

NAMELESS_SECONDS = 20.0
"""As long may a running trial be without the name of its worker."""


def _place() -> str:
    """This machine as processes see each other on it: containers that share a name differ."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            found = Path(path)
            parts.append(found.read_text()[:8] if found.is_file() else str(found.stat().st_ino))
    return "-".join(part.strip() for part in parts)


def worker_name() -> str:
    """A name for this process that no other has: place, process id, a random token."""
    return f"{_place()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_abandoned(trial: FrozenTrial, now: float) -> bool:
    """Whether the worker of a running trial is gone.

    A worker on this machine is gone when its process is; for any other, and for one whose
    process id was taken over, the time since it was last seen decides.
    """
    if is_gone(str(trial.user_attrs.get(WORKER, ""))):
        return True
    last_seen = trial.user_attrs.get(LAST_SEEN)
    if last_seen is not None:
        return now - float(last_seen) > STALE_SECONDS
    # Its worker was killed between claiming it and saying so, which takes a moment only.
    started = trial.datetime_start
    return started is None or now - started.timestamp() > NAMELESS_SECONDS


def is_gone(worker: str) -> bool:
    """Whether the process of this name has ended; false where it is of another machine."""
    place, _, pid = worker.rpartition(":")[0].rpartition(":")
    return place == _place() and pid.isdigit() and not _is_running(int(pid))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done, as far as this thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    before = {
        number: signal.signal(number, lambda *received: caught.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught and callable(handler := before[signal.Signals(caught[0][0])]):
        handler(*caught[0])


class Heartbeat:
    """A thread that notes, every so often, that the worker of some trials is still there.

    Record points can lie far apart, so the notes don't depend on them.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._trials: dict[int, None] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join(timeout=5)

    def add(self, trial_id: int) -> None:
        """Begin with a trial, noting it at once."""
        self._storage.set_trial_user_attr(trial_id, LAST_SEEN, time.time())
        self._trials[trial_id] = None

    def remove(self, trial_id: int) -> None:
        """Leave a trial that is about to be finished."""
        self._trials.pop(trial_id, None)

    def _run(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            for trial_id in list(self._trials):
                # A missed beat is mended by the next one; STALE_SECONDS is many beats long.
                with contextlib.suppress(StorageInternalError, UpdateFinishedTrialError, KeyError):
                    self._storage.set_trial_user_attr(trial_id, LAST_SEEN, time.time())
        self._storage.remove_session()
