"""A journal file to which much is appended at once, and whose half-written last line is mended."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from wdstudy.storage.lines import broken_line, check_journal
from wdstudy.storage.lock import JournalLock
from wdstudy.storage.operations import wrong_in


class JournalTrials:
    """Writes trials into a journal, many operations under one lock and one flush to the disk.

    Args:
        path: The file; made if it is not there.

    Attributes:
        storage: Optuna's storage on it.

    Raises:
        StorageError: the file is no journal, or a line of it is broken.
    """

    def __init__(self, path: str) -> None:
        check_journal(Path(path))
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
        if self._read(trial_id).state.is_finished():
            raise UpdateFinishedTrialError(f"trial {trial_id} has already ended")

    def _read(self, trial_id: int) -> FrozenTrial:
        """A trial, after what was appended. Optuna complains of what is refused one by one, each
        time that it reads; of the second it would in the middle of something else.
        """
        while True:
            with suppress(UpdateFinishedTrialError):
                return self.storage.get_trial(trial_id)

    def create(self, study_id: int, templates: Sequence[FrozenTrial]) -> None:
        """Make waiting trials in this order, one by one: each is read back as it is made."""
        for template in templates:
            self.storage.create_new_trial(study_id, template)


class _GatheringFile(JournalFileBackend):
    """A journal file to which a thread can append all that it does at once."""

    def __init__(self, path: str, lock: JournalLock) -> None:
        super().__init__(path, lock_obj=lock)
        self._path = Path(path)
        self._of_thread = threading.local()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """The operations from a number on; a StorageError at a line that holds none."""
        try:
            for log in super().read_logs(log_number_from):
                if wrong_in(log):
                    raise broken_line(self._path)
                yield log
        except ValueError as error:  # it is no JSON, or no UTF-8
            raise broken_line(self._path) from error

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


class _WholeLinesLock(JournalLock):
    """The lock of a journal file, under which a half-written last line is cut off.

    A full disk or a power cut leaves one. Optuna passes over it at the end of the file, but
    what is appended to it can never be read again.
    """

    def acquire(self) -> bool:
        """Take the lock, as `JournalLock` does, and leave whole lines alone in the file."""
        taken = super().acquire()
        try:
            self._cut_half_line()
        except BaseException:
            self.release()
            raise
        return taken

    def _cut_half_line(self) -> None:
        with self._path.open("rb+") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end > 0:
                file.seek(end - 1)
                if file.read(1) == b"\n":
                    break
                end -= 1
            if end < size:
                file.truncate(end)
