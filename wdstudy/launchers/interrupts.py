"""Stopping a worker so that it has time to give its trials back."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from typing import Any


def interrupted_by(number: int) -> None:
    """Let a signal raise KeyboardInterrupt in this process, once: more don't disturb the end.

    Args:
        number: SIGTERM, or SIGINT.
    """

    def interrupt(*_: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    def interrupt_again(unraisable: Any) -> None:
        """An interrupt that came in the middle of a finalizer is lost there: send another."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.signal(number, interrupt)
            threading.Timer(0.05, _thread.interrupt_main, (number,)).start()
        else:
            sys.__unraisablehook__(unraisable)

    signal.signal(number, interrupt)
    sys.unraisablehook = interrupt_again
