"""The lock under which one process alone writes a journal file."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from optuna.storages.journal import JournalFileSymlinkLock

LOCK_SECONDS = 20.0
"""So long another process may write before the journal counts as out of reach."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1


class JournalLock(JournalFileSymlinkLock):
    """Optuna's lock of a journal, a link beside it, under one of the system's.

    Optuna breaks a lock that was not released for half a minute. While a disk stalls its holder is
    there all the same: what it writes then would be cut off as half a line. So a lock of the system
    is taken first, where the file system has them, which is broken by nobody and ends with its
    process; Optuna's is for those that know no other.

    Optuna's own wait for its link ends only where the link leads to the journal; one to a path as
    it was given, `runs/a.journal`, leads nowhere from inside `runs`. So it is waited for here.

    Args:
        path: The journal; whatever links to it has the same lock.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).resolve()
        super().__init__(str(self._path))
        self._held: BinaryIO | None = None
        self._mark: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Take the lock.

        Raises:
            TimeoutError: another process has it for `LOCK_SECONDS`.
        """
        held = _locked(self._path)
        try:
            self._link()
        except BaseException:
            held.close()
            raise
        self._held, self._mark = held, self._in_place()
        return True

    def release(self) -> None:
        """Give it back, unless somebody has broken it."""
        held, mark = self._held, self._mark
        self._held = self._mark = None
        try:
            if mark is not None and mark == self._in_place():
                super().release()
        finally:
            if held is not None:
                held.close()

    def _link(self) -> None:
        """Make Optuna's link; one that stays the same for as long as Optuna waits is broken."""
        seen, since, pause = self._in_place(), time.monotonic(), _FIRST_PAUSE
        while True:
            with suppress(FileExistsError):
                os.symlink(self._lock_target_file, self._lock_file)
                return
            if (found := self._in_place()) != seen:
                seen, since = found, time.monotonic()
            elif self.grace_period is not None and time.monotonic() - since > self.grace_period:
                with suppress(RuntimeError):  # another was faster
                    super().release()
                continue
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _in_place(self) -> tuple[int, int] | None:
        """Which lock of Optuna's lies there now."""
        with suppress(OSError):
            found = os.lstat(self._lock_file)
            return found.st_ino, found.st_mtime_ns
        return None


def _locked(path: Path) -> BinaryIO:
    """The file, open, once no other process has the system's lock of it."""
    while True:
        held = path.open("rb")
        try:
            _lock(held)
            if os.path.samestat(os.fstat(held.fileno()), path.stat()):
                return held
        except BaseException:
            held.close()
            raise
        held.close()  # meanwhile another file was put in its place


def _lock(file: BinaryIO) -> None:
    """Wait until no other process has the system's lock of a file; closing it gives it back."""
    try:
        import fcntl
    except ImportError:
        return  # a system without
    until, pause = time.monotonic() + LOCK_SECONDS, _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError(
                    f"another process is writing to it for {LOCK_SECONDS:.0f} s now"
                ) from None
        except OSError:
            return  # a file system without
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
