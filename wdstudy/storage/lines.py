"""The lines of a journal file: what stands in them, and which of them are broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wdstudy.errors import StorageError
from wdstudy.storage.operations import NEEDED, NEW_STATE, NEW_TRIAL, wrong_in
from wdstudy.words import command

_BEGIN = b'{"op_code":'
_HEAD = re.compile(rb'.{0,14}"worker_id":"[^"]*","(study|trial)_id":\d+,"(\w+)":', re.DOTALL)
_BY_HEAD = {
    (b"study", b"user_attr"): 2, (b"study", b"system_attr"): 3,
    (b"study", b"datetime_start"): NEW_TRIAL, (b"trial", b"param_name"): 5,
    (b"trial", b"state"): NEW_STATE, (b"trial", b"step"): 7, (b"trial", b"user_attr"): 8,
    (b"trial", b"system_attr"): 9,
}  # fmt: skip
"""Operations by what follows their worker: a study's or a trial's number, and which field."""

_LEAST_COVERED = 6  # bytes between the words op_code and worker_id
_TAIL = 1 << 16


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
    elif operation_in(first) is None or (last[1] and operation_in(last[2]) is None):
        raise broken_line(path)


def broken_line(path: Path) -> StorageError:
    """What to say of a journal in which a line can't be read."""
    lines = path.read_bytes().split(b"\n")[:-1]
    broken = [number for number, line in enumerate(lines, 1) if operation_in(line) is None]
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


def operation_in(line: bytes) -> dict[str, Any] | None:
    """The operation that a line holds; None where it holds none, or a broken one."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return None if wrong_in(found) else found


def pieces_of(line: bytes) -> Iterator[bytes]:
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


def code_of(piece: bytes) -> int | None:
    """Which operation it was: what it was about tells that too, where its code is damaged."""
    code, head = number_in(piece, "op_code"), _HEAD.match(piece)
    if head is None or (code is not None and code not in NEEDED):  # of another Optuna
        return code
    return _BY_HEAD.get((head[1], head[2]), code)


def number_in(piece: bytes, name: str) -> int | None:
    """The first whole number of this name in an operation, whole or not."""
    found = re.search(rb'"%s":(\d+)[,}]' % name.encode(), piece)
    return int(found[1]) if found else None


def _why(line: bytes) -> str:
    if not line.strip():
        return "it is empty"
    try:
        return wrong_in(json.loads(line))
    except ValueError as error:
        return str(error).splitlines()[0]


def _no_journal(path: Path) -> StorageError:
    return StorageError(
        f"the file '{path}' is no journal of Optuna's, so it is left as it is; name another with "
        "--storage, or for a database: sqlite:///FILE"
    )
