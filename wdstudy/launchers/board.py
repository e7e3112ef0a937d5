"""What the workers of one run tell, and the one display that shows it."""

from __future__ import annotations

import queue
import time
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from wdstudy.errors import StudyError
from wdstudy.run.progress import Display
from wdstudy.run.status import Status

SHOW_SECONDS = 0.25


class Events(Protocol):
    """A queue between processes: of `multiprocessing`, or of Ray."""

    def put(self, item: Any) -> None:
        """Put something in, without waiting for who takes it."""
        ...

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take something out, or raise `queue.Empty` after so many seconds."""
        ...


@dataclass
class Reporter:
    """The display of a worker: it tells the parent.

    Args:
        sender: What the worker is known by; picklable, and nobody else's.
        events: Where the parent listens.
    """

    sender: Hashable
    events: Events
    shown: float = 0.0
    ended: int = 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, status: Status) -> None:
        """Tell how far this worker is, a few times a second and whenever a trial ends."""
        now = time.monotonic()
        ended = status.done + status.failed
        if now - self.shown >= SHOW_SECONDS or ended != self.ended:
            self.shown, self.ended = now, ended
            self.tell(status)

    def tell(self, status: Status) -> None:
        """Tell how far this worker is."""
        self.events.put((self.sender, "status", replace(status)))

    def say(self, line: str) -> None:
        """Let the parent print a line."""
        self.events.put((self.sender, "say", line))

    def warn(self, line: str) -> None:
        """Let the parent print a line about what goes wrong."""
        self.events.put((self.sender, "warn", line))

    def fail(self, line: str) -> None:
        """Let the parent stop the run with this line."""
        self.events.put((self.sender, "error", line))


class Board:
    """Takes what the workers tell, and shows what they do together.

    Args:
        events: Where workers put what they tell.
        display: Where it is shown.
        base: What was done before them and by others. It goes on counting.
    """

    def __init__(self, events: Events, display: Display, base: Status) -> None:
        self._events, self._display, self._base = events, display, base
        self.statuses: dict[Hashable, Status] = {}
        """The newest status of every worker that was heard of."""

    @property
    def status(self) -> Status:
        """All of them together."""
        whole = replace(self._base)
        for status in self.statuses.values():
            whole.add(status)
        return whole

    def listen(self) -> None:
        """Take what the workers tell for a moment, and show it.

        Raises:
            StudyError: one of them can't go on, and so can't the others.
        """
        until = time.monotonic() + SHOW_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                sender, kind, what = self._events.get(timeout=left)
            except queue.Empty:
                break
            if kind == "status":
                self.statuses[sender] = what
            elif kind == "say":
                self._display.say(what)
            elif kind == "warn":
                self._display.warn(what)
            else:
                raise StudyError(what)
        self._display.show(self.status)
