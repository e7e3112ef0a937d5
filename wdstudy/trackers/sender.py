"""A tracker's work, done in a thread of its own: no disk and no server can hold training up."""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from wdstudy.trackers.base import Point, Run

REST_SECONDS = 60.0
"""After a failure a tracker is left alone for so long, then tried again."""

PATIENCE_SECONDS = 40.0
"""At the end, a tracker that writes nothing for so long is given up."""

LAST_TRIES = 8
LAST_REST_SECONDS = 0.1
"""At the end, a tracker that fails is tried again so often, with so long a rest."""

HURRY_SECONDS = 5.0
"""The same after Ctrl-C, altogether."""

BUSY_SHARE = 0.05
"""The part of its thread's time that a tracker computes, at most: training has the same cores."""

MAX_PAUSE_SECONDS = 1.0

MAX_POINTS = 20_000
MAX_RUNS = 1024
"""What waits for a tracker that does not answer: so many of the newest points a run, so many
of the newest runs. What is more is dropped."""

_SECRETS = ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")

_log = logging.getLogger("wdstudy")


class Updatable(Protocol):
    """Something that a sender brings up to date."""

    def update(self) -> None:
        """Write whatever is not written yet; may wait, may fail, and is then called again."""
        ...


class Sender:
    """Keeps the runs of one tracker up to date, one after the other.

    Training marks a run with `wake`, which takes microseconds, and goes on. A run that is
    marked ten times before its turn is written once, with all its points.

    Args:
        name: The tracker's name, for its warning.
        warn: Where the one line goes that tells of the first failure.
    """

    def __init__(self, name: str, warn: Callable[[str], None] = _log.warning) -> None:
        self._name, self._warn = name, warn
        self._waiting: dict[Updatable, None] = {}
        self._busy = False
        self._closing = False
        self._failed = False
        self._warned = False
        self._moved = time.monotonic()
        self._tries = 0
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def wake(self, item: Updatable) -> None:
        """Have an item brought up to date soon. Never waits."""
        with self._change:
            if self._closing:
                return
            self._waiting[item] = None
            if len(self._waiting) > MAX_RUNS:
                del self._waiting[next(iter(self._waiting))]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._change.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until nothing waits any more, or something failed; at most so long."""
        with self._change:
            self._change.wait_for(
                lambda: self._failed or not (self._waiting or self._busy), seconds
            )

    def close(self, hurry: bool = False) -> None:
        """Write what waits, and end the thread. Waits for a tracker that moves, for no other."""
        with self._change:
            self._closing = True
            self._moved = time.monotonic()
            self._change.notify_all()
            thread, self._thread = self._thread, None
        if thread is None:
            return
        atexit.unregister(self.close)
        began = time.monotonic()
        while thread.is_alive():
            thread.join(0.05)
            now = time.monotonic()
            if now - (began if hurry else self._moved) > (
                HURRY_SECONDS if hurry else PATIENCE_SECONDS
            ):
                self._tell(f"no answer for {now - began:.0f} s; what it had not written is lost")
                return

    def _work(self) -> None:
        while (item := self._next()) is not None:
            began = time.thread_time()
            try:
                item.update()
            except Exception as error:
                self._tell(f"{_in_a_line(error)}; the training goes on without it")
                if not self._rest(item):
                    return
            else:
                self._moved, self._tries = time.monotonic(), 0
            self._pause((time.thread_time() - began) / BUSY_SHARE)

    def _pause(self, seconds: float) -> None:
        """Leave the processor to training, unless much waits; what comes meanwhile is one turn."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            if len(self._waiting) < MAX_RUNS // 4:
                self._change.wait_for(lambda: self._closing, min(seconds, MAX_PAUSE_SECONDS))

    def _next(self) -> Updatable | None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            item = next(iter(self._waiting))
            del self._waiting[item]
            self._busy = True
            return item

    def _rest(self, item: Updatable) -> bool:
        """Put an item that failed back, and pause; False when it was tried often enough."""
        with self._change:
            self._waiting.setdefault(item)
            self._failed, self._busy = True, False
            self._change.notify_all()
            if not self._closing:
                self._change.wait_for(lambda: self._closing, REST_SECONDS)
            elif self._tries < LAST_TRIES:
                self._tries += 1
                self._change.wait(min(LAST_REST_SECONDS, REST_SECONDS))
            else:
                return False
            self._failed = False
        return True

    def _tell(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"tracker {self._name}: {what}")


class TrackedRun:
    """A run that takes record points at once and writes them in its sender's thread.

    It is a `Tracker`, for `LossRecorder(optimizer, trackers=[...])`.

    Args:
        sender: Whose thread writes.
        open: Begins the run in the tracker's library; called in that thread.
    """

    def __init__(self, sender: Sender, open: Callable[[], Run]) -> None:
        self._sender, self._open = sender, open
        self._lock = threading.Lock()
        self._points: deque[Point] = deque(maxlen=MAX_POINTS)
        self._end: tuple[Mapping[str, float], str] | None = None
        self._run: Run | None = None
        self._discarded = self._closed = False

    def log(self, point: Point) -> None:
        """Take one record point: series name → value, `step` among them."""
        with self._lock:
            self._points.append(dict(point))
        self._sender.wake(self)

    def end(self, scalars: Mapping[str, float], state: str = "COMPLETE") -> None:
        """Close the run with its headline scalars and its state: COMPLETE, PRUNED or FAIL."""
        self._end = dict(scalars), state
        self._sender.wake(self)

    def discard(self) -> None:
        """Take the run back, because its training begins anew."""
        self._discarded = True
        self._sender.wake(self)

    def close(self) -> None:
        """Have everything written, and end the sender's thread: for a run that has one alone."""
        self._sender.close()

    def update(self) -> None:
        """Write what is not written yet."""
        if self._discarded and not self._closed:
            if self._run is not None:
                self._run.discard()
            self._closed = True
        if self._closed:
            return
        if self._run is None:
            self._run = self._open()
        end = self._end  # before the points: all of them precede it
        self._write_points(self._run)
        if end is not None:
            self._run.end(*end)
            self._closed = True

    def _write_points(self, run: Run) -> None:
        with self._lock:
            points = list(self._points)
            self._points.clear()
        try:
            if points:
                run.log(points)
        except BaseException:
            with self._lock:
                self._points.extendleft(reversed(points))  # for the next time
            raise


def _in_a_line(error: BaseException) -> str:
    """What went wrong, short, and without the secrets that stand in addresses."""
    says = str(error).strip().partition("\n")[0]
    return without_secrets(f"{type(error).__name__}: {says}".rstrip(": "))[:300]


def without_secrets(text: str) -> str:
    """The text without passwords of URLs and without the keys that trackers read."""
    text = re.sub(r"://[^/\s@]*@", "://***@", text)
    for name in _SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return text
