"""A storage that is out of reach for a while: that is said, and what was asked is asked again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from wdstudy.errors import StorageError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0

pausing: ContextVar[Callable[[float], None]] = ContextVar("pausing", default=time.sleep)
"""How this thread sleeps for so many seconds between two attempts."""


class Outage:
    """Says once that a storage is out of reach, and once that it is back.

    Args:
        shown: Its URL without a password.
        say: Told so; None for nobody.
        quiet: Seconds of an outage that are not worth a word.
    """

    def __init__(self, shown: str, say: Callable[[str], None] | None, quiet: float = 0.0) -> None:
        self._shown, self.say, self._quiet = shown, say, quiet
        self._told = threading.Event()  # several threads ask one storage

    def outlast(
        self,
        attempt: Callable[[], Any],
        seconds: float,
        cause_of: Callable[[Exception], BaseException | None],
    ) -> Any:
        """What an attempt returns, made again while it fails for a cause that may pass.

        Raises:
            StorageError: it failed for so many seconds.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                answer = attempt()
            except Exception as error:
                cause = cause_of(error)
                if cause is None:
                    raise
                waited = time.monotonic() - began
                if waited > seconds:
                    self._told.clear()  # the next outage is another
                    raise StorageError(
                        f"the storage {self._shown} was out of reach for {seconds:.0f} s "
                        f"({_says(cause)}); what was finished is kept: mend it, and run the same "
                        "command again"
                    ) from error
                if waited >= self._quiet and not self._told.is_set():
                    self._told.set()
                    self._tell(
                        f"the storage {self._shown} is out of reach ({_says(cause)}): "
                        f"trying again for {seconds:.0f} s"
                    )
            else:
                if pause > _FIRST_PAUSE and self._told.is_set():
                    self._told.clear()
                    self._tell(f"the storage {self._shown} is back")
                return answer
            pausing.get()(pause * random.uniform(0.5, 1.5))  # those who collided part ways
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _tell(self, line: str) -> None:
        if self.say is not None:
            self.say(line)


def cause_of(error: BaseException) -> BaseException | None:
    """What is wrong with the storage itself; None if what was asked of it was wrong."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OperationalError | InterfaceError):
            return seen.orig or seen
        if isinstance(seen, PendingRollbackError) or (
            isinstance(seen, DBAPIError) and seen.connection_invalidated
        ):  # a connection lost inside a read, which Optuna went on to use
            return ConnectionError("the connection was lost")
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ if isinstance(seen, StorageInternalError) else None
    return None


def _says(cause: BaseException) -> str:
    """The first line of what a driver says; it never holds a password, only host and user."""
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
