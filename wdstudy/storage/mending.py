"""The lines of a journal file: whose they are, which of them are broken, and what to do about it.

Every line is an operation of Optuna's, and studies and trials are numbered by the order in which
they were made. So a line can be left out only if it made none, or if another stands in its place.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from wdstudy.errors import FlagError, StorageError
from wdstudy.storage.lock import JournalLock
from wdstudy.storage.url import file_of, kind_of, masked, resolve_url

_NEW_STUDY, _END_OF_STUDY, _NEW_TRIAL = 0, 1, 4

_FIELDS: Mapping[int, frozenset[str]] = {
    _NEW_STUDY: frozenset({"study_name", "directions"}),
    _END_OF_STUDY: frozenset({"study_id"}),
    2: frozenset({"study_id", "user_attr"}),
    3: frozenset({"study_id", "system_attr"}),
    _NEW_TRIAL: frozenset({"study_id", "datetime_start"}),
    5: frozenset({"trial_id", "param_name", "param_value_internal", "distribution"}),
    6: frozenset({"trial_id", "state", "values"}),
    7: frozenset({"trial_id", "step", "intermediate_value"}),
    8: frozenset({"trial_id", "user_attr"}),
    9: frozenset({"trial_id", "system_attr"}),
    10: frozenset(),
}
"""What Optuna needs of each of its operations, by their code."""

_TOLD = {2: "an attribute", 3: "an attribute", 5: "a parameter", 6: "a change of state",
         7: "a report", 8: "an attribute", 9: "an attribute"}  # fmt: skip

_BEGIN = b'{"op_code":'
_LEAST_COVERED = 6  # bytes between the words op_code and worker_id
_SHOWN = 10
_TAIL = 1 << 16


def is_operation(found: object) -> bool:
    """Whether what a line holds is an operation of Optuna's journal."""
    if not isinstance(found, dict) or "worker_id" not in found:
        return False
    code = found.get("op_code")
    return isinstance(code, int) and code in _FIELDS and found.keys() >= _FIELDS[code]


def check_journal(path: Path) -> None:
    """Refuse a file that is no journal, or whose last line is broken: nothing can be added to it.

    A journal may be empty, and its last line half-written.

    Raises:
        StorageError: it is no journal; or it is one, and a line of it is broken.
    """
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        first = file.readline()
        file.seek(max(0, path.stat().st_size - _TAIL))
        last = file.read().rpartition(b"\n")[0].rpartition(b"\n")
    if not first.endswith(b"\n"):
        if not (first.startswith(_BEGIN) or _BEGIN.startswith(first)):
            raise _no_journal(path)
    elif _operation(first) is None or (last[1] and _operation(last[2]) is None):
        raise broken_line(path)


def broken_line(path: Path) -> StorageError:
    """What to say of a journal in which a line can't be read."""
    lines = path.read_bytes().split(b"\n")[:-1]
    broken = [number for number, line in enumerate(lines, 1) if _operation(line) is None]
    if len(broken) == len(lines) and not any(_BEGIN in line for line in lines):
        return _no_journal(path)
    if not broken:
        return StorageError(f"the journal '{path}' can't be read; put back a copy of it")
    more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
    return StorageError(
        f"line {broken[0]} of the journal '{path}' is no operation of Optuna's "
        f"({_why(lines[broken[0] - 1])}{more}); to put a copy aside and go on without it: "
        f"wdstudy list --mend --storage journal:///{path}"
    )


def mend(url: str | None) -> list[str]:
    """Leave out the broken lines of a journal, once a copy of it is put aside.

    Returns:
        What was done and what is lost, in lines.

    Raises:
        FlagError: the storage is no journal.
        StorageError: what is left can't be read either.
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
    lock.acquire()
    try:
        return _mend(path)
    finally:
        lock.release()


def _mend(path: Path) -> list[str]:
    *lines, _ = path.read_bytes().split(b"\n")  # what is half-written is cut off when appended to
    if all(_operation(line) is not None for line in lines):
        return [f"no line of '{path}' is broken"]
    if all(_operation(line) is None for line in lines):
        raise broken_line(path)
    replay = _Replay()
    for number, line in enumerate(lines, 1):
        if not replay.take(number, line):
            rest = sum(bool(other.strip()) for other in lines[number:])
            replay.lost.append(
                f"line {number} may have made a study or a trial, by which later lines are "
                f"numbered: with it, the operations of the {rest} lines after it"
            )
            break
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(b"".join(line + b"\n" for line in replay.kept))
    try:
        JournalStorage(JournalFileBackend(str(draft)))
    except Exception as error:
        draft.unlink()
        raise StorageError(
            f"the journal '{path}' can't be mended ({type(error).__name__}: {error}); put back a "
            "copy of it"
        ) from error
    aside = _put_aside(path)
    os.replace(draft, path)
    lost = replay.lost
    shown = lost[:_SHOWN] + ([f"{len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else [])
    return [
        f"mended: '{path}'; as it was it is kept in '{aside}'",
        *(f"lost: {told}" for told in shown),
    ]


@dataclass
class _Replay:
    """The lines that are kept, and what studies and trials they have made so far."""

    kept: list[bytes] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    studies: list[str | None] = field(default_factory=list)
    trials: list[tuple[int, int]] = field(default_factory=list)

    def take(self, number: int, line: bytes) -> bool:
        """Keep a line, or what can be kept of it; whether later ones can be trusted."""
        if (whole := _operation(line)) is not None:
            self._keep(whole, line)
            return True
        if not line.strip():
            self.lost.append(f"nothing by line {number}, which was empty")
            return True
        pieces = list(_pieces(line))
        return bool(pieces) and all(self._take_piece(number, piece) for piece in pieces)

    def _take_piece(self, number: int, piece: bytes) -> bool:
        """As `take`, of a line in which several may have run together."""
        if (whole := _operation(piece)) is not None:
            self._keep(whole, piece)
            return True
        if _is_json(piece):
            return False  # of another program, or of another Optuna
        code = _number(piece, "op_code")
        if code in _TOLD:
            self.lost.append(f"{_TOLD[code]} of {self._whose(piece)} (line {number})")
            return True
        study = _number(piece, "study_id")
        if code != _NEW_TRIAL or study is None or self._name(study) is None:
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
        if code == _NEW_STUDY and operation["study_name"] not in self.studies:
            self.studies.append(operation["study_name"])
        elif code == _END_OF_STUDY and self._name(operation["study_id"]) is not None:
            self.studies[operation["study_id"]] = None
        elif code == _NEW_TRIAL and self._name(study := operation["study_id"]) is not None:
            before = sum(study == other for other, _ in self.trials)
            self.trials.append((study, before))

    def _name(self, study_id: int) -> str | None:
        return self.studies[study_id] if 0 <= study_id < len(self.studies) else None

    def _whose(self, piece: bytes) -> str:
        """The study or the trial that a broken operation was about."""
        trial, study = _number(piece, "trial_id"), _number(piece, "study_id")
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


def _operation(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if is_operation(found) else None


def _pieces(line: bytes) -> Iterator[bytes]:
    """The operations, whole or not, in a line into which several have run.

    None where one may hide in it. Optuna writes ASCII, an operation of 70 bytes and more: where
    other bytes lie close together they have not covered the words that each operation holds.
    """
    starts = [found.start() for found in re.finditer(re.escape(_BEGIN), line)]
    strange = [found.start() for found in re.finditer(rb"[^ -~]", line)]
    covered = strange[-1] - strange[0] + 1 if strange else 0
    told = line.count(b"op_code") == len(starts) >= line.count(b"worker_id")
    if not starts or starts[0] or covered > _LEAST_COVERED or not told:
        return
    for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
        yield line[start:end]


def _number(piece: bytes, name: str) -> int | None:
    found = re.search(rb'"%s":(\d+)[,}]' % name.encode(), piece)
    return int(found[1]) if found else None


def _is_json(piece: bytes) -> bool:
    try:
        json.loads(piece)
    except ValueError:
        return False
    return True


def _why(line: bytes) -> str:
    if not line.strip():
        return "it is empty"
    try:
        json.loads(line)
    except ValueError as error:
        return str(error).splitlines()[0]
    return "something that Optuna needs is missing"


def _put_aside(path: Path) -> Path:
    """A copy of the file under a name that no file has."""
    names = (f"{path.name}.broken{'' if i == 1 else f'-{i}'}" for i in range(1, 10_000))
    aside = next(p for name in names if not os.path.lexists(p := path.with_name(name)))
    shutil.copy2(path, aside)
    return aside


def _no_journal(path: Path) -> StorageError:
    return StorageError(
        f"the file '{path}' is no journal of Optuna's, so it is left as it is; name another with "
        "--storage, or for a database: sqlite:///FILE"
    )
