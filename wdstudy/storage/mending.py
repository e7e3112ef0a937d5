"""A journal with broken lines: what was in them, what can be kept, and what is put in its place.

Every line is an operation of Optuna's, and studies and trials are numbered by the order in which
they were made. So a line can be left out only if it made none, or if another stands in its place.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from wdstudy.errors import FlagError, StorageError
from wdstudy.storage.lines import broken_line, code_of, number_in, operation_in, pieces_of
from wdstudy.storage.lock import JournalLock
from wdstudy.storage.operations import END_OF_STUDY, NEW_STUDY, NEW_TRIAL
from wdstudy.storage.url import file_of, kind_of, masked, resolve_url
from wdstudy.words import counted, quoted

_TOLD = {2: "an attribute", 3: "an attribute", 5: "a parameter", 6: "a change of state",
         7: "a report", 8: "an attribute", 9: "an attribute"}  # fmt: skip

_SHOWN = 10


def mend(url: str | None) -> list[str]:
    """Leave out the broken lines of a journal, once a copy of it is put aside.

    What stands in a whole line is kept. Where later lines can't be trusted any more, because a
    broken one may have made a study or a trial, nothing is changed.

    Returns:
        What was done and what is lost, in lines.

    Raises:
        FlagError: the storage is no journal.
        StorageError: later lines can't be trusted, or what is left can't be read either.
    """
    url = resolve_url(url)
    path = file_of(url)
    if kind_of(url) != "journal" or path is None:
        raise FlagError(
            f"--mend: {masked(url)} is no journal; put back a copy of it, or for a SQLite file: "
            "sqlite3 FILE .recover | sqlite3 NEW"
        )
    if not path.is_file():
        return []
    lock = JournalLock(path)
    try:
        lock.acquire()
    except TimeoutError as error:
        raise StorageError(
            f"the journal '{path}' can't be mended: {error}; stop it first"
        ) from error
    try:
        return _mend(path)
    finally:
        lock.release()


def _mend(path: Path) -> list[str]:
    *lines, _ = path.read_bytes().split(b"\n")  # what is half-written is cut off when appended to
    if all(operation_in(line) is not None for line in lines):
        return [f"no line of '{path}' is broken"]
    if all(operation_in(line) is None for line in lines):
        raise broken_line(path)
    replay = _Replay()
    for number, line in enumerate(lines, 1):
        if not replay.take(number, line):
            raise _numbering_lost(path, number, lines[number:])
    aside = _replace(path, b"".join(line + b"\n" for line in replay.kept))
    lost = replay.lost
    shown = lost[:_SHOWN] + ([f"{len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else [])
    return [
        f"mended: '{path}'; as it was it is kept in '{aside}'",
        *(f"lost: {told}" for told in shown),
    ]


def _numbering_lost(path: Path, number: int, after: list[bytes]) -> StorageError:
    """What to say where a line may have made what all lines after it are numbered by."""
    found = [operation for line in after if (operation := operation_in(line)) is not None]
    trials = sum(operation["op_code"] == NEW_TRIAL for operation in found)
    before = f"head -n {number - 1} {quoted(str(path))} > rescued.journal"
    return StorageError(
        f"line {number} of the journal '{path}' may have made a study or a trial, by which the "
        f"{counted(len(after), 'line')} after it are numbered, of {counted(trials, 'trial')}: so "
        "nothing is left out; put back a copy of it, or go on with the lines before it alone, "
        f"`{before}`"
    )


def _replace(path: Path, content: bytes) -> Path:
    """Put a journal of this content in the place of another, once a copy of that is put aside.

    Returns:
        The copy.

    Raises:
        StorageError: Optuna can't read it; then nothing is changed.
    """
    if path.is_symlink():  # which it stays
        path = path.resolve()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _check_readable(path, draft)
        _same_rights(path, draft)
        aside = _put_aside(path)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return aside


def _check_readable(path: Path, draft: Path) -> None:
    try:
        JournalStorage(JournalFileBackend(str(draft)))
    except Exception as error:
        raise StorageError(
            f"the journal '{path}' can't be mended ({type(error).__name__}: {error}); put back a "
            "copy of it"
        ) from error


def _same_rights(path: Path, draft: Path) -> None:
    """Give a new file the mode of another, and its owner where that is allowed."""
    shutil.copymode(path, draft)
    owned = path.stat()
    with suppress(OSError, AttributeError):  # AttributeError: of a system without owners
        os.chown(draft, owned.st_uid, owned.st_gid)


@dataclass
class _Replay:
    """The lines that are kept, and what studies and trials they have made so far."""

    kept: list[bytes] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    studies: list[str | None] = field(default_factory=list)
    trials: list[tuple[int, int]] = field(default_factory=list)

    def take(self, number: int, line: bytes) -> bool:
        """Keep a line, or what can be kept of it; whether later ones can be trusted."""
        if (whole := operation_in(line)) is not None:
            self._keep(whole, line)
            return True
        if not line.strip():
            self.lost.append(f"nothing by line {number}, which was empty")
            return True
        pieces = list(pieces_of(line))
        return bool(pieces) and all(self._take_piece(number, piece) for piece in pieces)

    def _take_piece(self, number: int, piece: bytes) -> bool:
        """As `take`, of a line in which several may have run together."""
        if (whole := operation_in(piece)) is not None:
            self._keep(whole, piece)
            return True
        code = code_of(piece)
        if code in _TOLD:
            self.lost.append(f"{_TOLD[code]} of {self._whose(piece)} (line {number})")
            return True
        study = number_in(piece, "study_id")
        if code != NEW_TRIAL or study is None or self._name(study) is None:
            return False
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        failed = {"op_code": code, "worker_id": "mended", "study_id": study, "datetime_start": now,
                  "datetime_complete": now, "state": int(TrialState.FAIL)}  # fmt: skip
        self._keep(failed, json.dumps(failed, separators=(",", ":")).encode())
        trial = self._trial(len(self.trials) - 1)
        self.lost.append(f"{trial}, which now counts as failed (line {number})")
        return True

    def _keep(self, operation: Mapping[str, Any], line: bytes) -> None:
        self.kept.append(line)
        code = operation["op_code"]
        if code == NEW_STUDY and operation["study_name"] not in self.studies:
            self.studies.append(operation["study_name"])
        elif code == END_OF_STUDY and self._name(operation["study_id"]) is not None:
            self.studies[operation["study_id"]] = None
        elif code == NEW_TRIAL and self._name(study := operation["study_id"]) is not None:
            before = sum(study == other for other, _ in self.trials)
            self.trials.append((study, before))

    def _name(self, study_id: int) -> str | None:
        return self.studies[study_id] if 0 <= study_id < len(self.studies) else None

    def _whose(self, piece: bytes) -> str:
        """The study or the trial that a broken operation was about."""
        trial, study = number_in(piece, "trial_id"), number_in(piece, "study_id")
        if trial is not None:
            return self._trial(trial)
        return (
            f"the study '{self._name(study)}'"
            if study is not None
            else "what can't be told any more"
        )

    def _trial(self, trial_id: int) -> str:
        if trial_id >= len(self.trials):
            return f"a trial (with the id {trial_id})"
        study, number = self.trials[trial_id]
        return f"trial {number} of '{self._name(study)}'"


def _put_aside(path: Path) -> Path:
    """A copy of the file under a name that no file has."""
    names = (f"{path.name}.broken{'' if i == 1 else f'-{i}'}" for i in range(1, 10_000))
    aside = next(p for name in names if not os.path.lexists(p := path.with_name(name)))
    shutil.copy2(path, aside)
    return aside
