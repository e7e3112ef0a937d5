"""The lines of a journal file: whose they are, which of them are broken, and what to do about it.

Every line is an operation of Optuna's, and studies and trials are numbered by the order in which
they were made. So a line can be left out only if it made none, or if another stands in its place.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
from wdstudy.words import command, counted, quoted

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
_HEAD = re.compile(rb'.{0,14}"worker_id":"[^"]*","(study|trial)_id":\d+,"(\w+)":', re.DOTALL)
_BY_HEAD = {
    (b"study", b"user_attr"): 2, (b"study", b"system_attr"): 3,
    (b"study", b"datetime_start"): _NEW_TRIAL, (b"trial", b"param_name"): 5,
    (b"trial", b"state"): 6, (b"trial", b"step"): 7, (b"trial", b"user_attr"): 8,
    (b"trial", b"system_attr"): 9,
}  # fmt: skip
"""Operations by what follows their worker: a study's or a trial's number, and which field."""

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
        f"({_why(lines[broken[0] - 1])}{more}); to put a copy aside and go on without it, type "
        f"`{command(['list', '--mend', '--storage', f'journal:///{path}'])}`"
    )


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
    if all(_operation(line) is not None for line in lines):
        return [f"no line of '{path}' is broken"]
    if all(_operation(line) is None for line in lines):
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
    found = [operation for line in after if (operation := _operation(line)) is not None]
    trials = sum(operation["op_code"] == _NEW_TRIAL for operation in found)
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
        code = _code(piece)
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
    other bytes lie close together they have not covered the words that each operation holds. The
    beginning of the line may be damaged, if what follows it at once is whole.
    """
    starts = [found.start() for found in re.finditer(re.escape(_BEGIN), line)]
    strange = [found.start() for found in re.finditer(rb"[^ -~]", line)]
    covered = strange[-1] - strange[0] + 1 if strange else 0
    if not starts or starts[0]:
        if not _HEAD.match(line):
            return
        starts.insert(0, 0)
    words = line.count(b"op_code", len(_BEGIN))
    told = words == len(starts) - 1 and line.count(b"worker_id") <= len(starts)
    if covered > _LEAST_COVERED or not told:
        return
    for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
        yield line[start:end]


def _code(piece: bytes) -> int | None:
    """Which operation it was: what it was about tells that too, where its code is damaged."""
    code, head = _number(piece, "op_code"), _HEAD.match(piece)
    if head is None or (code is not None and code not in _FIELDS):  # of another Optuna
        return code
    return _BY_HEAD.get((head[1], head[2]), code)


def _number(piece: bytes, name: str) -> int | None:
    found = re.search(rb'"%s":(\d+)[,}]' % name.encode(), piece)
    return int(found[1]) if found else None


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
