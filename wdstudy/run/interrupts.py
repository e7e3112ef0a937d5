"""Ctrl-C and SIGTERM: they end a process in time, never in the middle of what must be whole."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from wdstudy.storage.outage import pausing


def interrupt_on(*numbers: int) -> None:
    """Let signals end this process like Ctrl-C, also when they arrive inside of a finalizer.

    Python prints and forgets what a finalizer raises; then the signal is sent once more.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # Once is enough, whichever it was; but who then presses Ctrl-C means now.
        for each in numbers:
            signal.signal(each, signal.SIG_DFL if each == signal.SIGINT else signal.SIG_IGN)
        raise KeyboardInterrupt

    def again(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        for number in numbers:
            signal.signal(number, interrupt)
        threading.Timer(0.05, _thread.interrupt_main, (numbers[0],)).start()

    for number in numbers:
        signal.signal(number, interrupt)
    sys.unraisablehook = again


class _Hold:
    """Holds signals back between `take` and `let_go`, which hands on what came meanwhile."""

    def __init__(self) -> None:
        self._caught: list[int] = []
        self._before: dict[int, Any] = {}

    def take(self) -> None:
        self._before = {
            number: signal.signal(number, lambda received, _frame: self._caught.append(received))
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def let_go(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        caught, self._caught = self._caught, []
        for received in caught:  # every one: who ignores Ctrl-C may be ended by the other
            handler = signal.getsignal(received)
            if callable(handler):  # called, not raised: Ray blocks SIGINT, and cancels without it
                handler(received, None)
            else:
                signal.raise_signal(received)

    def pause(self, seconds: float) -> None:
        """Sleep, and be interrupted as outside of the block."""
        try:
            self.let_go()
            time.sleep(seconds)
        finally:
            self.take()  # whoever handles signals now: the first may have changed that


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block ends, if in an error, as far as this thread may.

    They are let through while it waits for a storage out of reach: that may last minutes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hold = _Hold()
    hold.take()
    before = pausing.set(hold.pause)
    try:
        yield
    finally:
        pausing.reset(before)
        hold.let_go()
