"""Ctrl-C and SIGTERM: they end a process in time, never in the middle of what must be whole."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


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


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done, as far as this thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _frame: caught.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for received in caught:  # every one: who ignores Ctrl-C may be ended by the other
        signal.raise_signal(received)
