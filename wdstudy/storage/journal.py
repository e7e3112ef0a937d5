"""A journal file to which much is appended at once, and whose half-written last line is mended."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial


class JournalTrials:
    """Writes trials into a journal, many operations under one lock and one flush to the disk.

    Args:
        path: The file; made if it is not there.

    Attributes:
        storage: Optuna's storage on it.
    """

    def __init__(self, path: str) -> None:
        self._file = _GatheringFile(path, _WholeLinesLock(path))
        self.storage = JournalStorage(self._file)

    def write(
        self, trial_id: int, attributes: Mapping[str, Any], reports: Mapping[int, float]
    ) -> None:
        """Set user attributes and reports, as `TrialTables.write` does."""
        with self._file.gathered():
            for key, value in attributes.items():
                self.storage.set_trial_user_attr(trial_id, key, value)
            for step, report in reports.items():
                self.storage.set_trial_intermediate_value(trial_id, step, report)
        self.storage.get_trial(trial_id)  # reads what was appended, and complains of it

    def create(self, study_id: int, templates: Sequence[FrozenTrial]) -> None:
        """Make waiting trials in this order, one by one: each is read back as it is made."""
        for template in templates:
            self.storage.create_new_trial(study_id, template)


class _GatheringFile(JournalFileBackend):
    """A journal file to which a thread can append all that it does at once."""

    def __init__(self, path: str, lock: JournalFileSymlinkLock) -> None:
        super().__init__(path, lock_obj=lock)
        self._of_thread = threading.local()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations, or keep them for the end of `gathered`."""
        kept: list[dict[str, Any]] | None = getattr(self._of_thread, "kept", None)
        if kept is None:
            super().append_logs(logs)
        else:
            kept.extend(logs)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Append what is done within at its end; nothing of it if that fails."""
        kept: list[dict[str, Any]] = []
        self._of_thread.kept = kept
        try:
            yield
        finally:
            self._of_thread.kept = None
        if kept:
            super().append_logs(kept)


class _WholeLinesLock(JournalFileSymlinkLock):
    """The lock of a journal file, under which a half-written last line is cut off.

    A full disk or a power cut leaves one. Optuna passes over it at the end of the file, but
    what is appended to it can never be read again.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = Path(path)

    def acquire(self) -> bool:
        """Take the lock."""
        taken = super().acquire()
        with self._path.open("rb+") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end > 0:
                file.seek(end - 1)
                if file.read(1) == b"\n":
                    break
                end -= 1
            if end < size:
                file.truncate(end)
        return taken
