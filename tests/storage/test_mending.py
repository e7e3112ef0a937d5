"""Journals with broken lines, and files that are no journals."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from wdstudy.__main__ import main
from wdstudy.errors import FlagError, StorageError, StudyError
from wdstudy.storage import lock
from wdstudy.storage.mending import mend
from wdstudy.storage.opening import open_storage, study_names

URL = "journal:///wd.journal"
JOURNAL = Path("wd.journal")
SPACE = {"lr": FloatDistribution(1e-3, 1)}

FOREIGN = [b'{"a": 1, "b": [1, 2]}', b"127.0.0.1 localhost", b"a\nb\n", b"\n", b'{"a":1}\n']


@pytest.fixture
def lines(in_folder: Path) -> list[bytes]:
    """A journal of two studies with operations of every kind, line by line."""
    storage = open_storage(URL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    studies = [optuna.create_study(study_name=name, storage=storage) for name in "ab"]
    for number in range(6):
        for study in studies:
            study.set_user_attr("a", number)
            study.enqueue_trial({"lr": 0.1})
            trial = study.ask(SPACE)
            trial.set_user_attr("number", number)
            trial.report(number, 1)
            study.tell(trial, number)
    return JOURNAL.read_bytes().splitlines(keepends=True)


def read() -> dict[tuple[str, int], FrozenTrial]:
    storage = open_storage(URL, create=False)
    studies = [optuna.load_study(study_name=n, storage=storage) for n in study_names(storage)]
    return {(s.study_name, t.number): t for s in studies for t in s.get_trials()}


def broken(lines: list[bytes], number: int, into: bytes) -> None:
    JOURNAL.write_bytes(b"".join([*lines[:number], into, *lines[number + 1 :]]))


def cut(line: bytes, rng: random.Random) -> bytes:
    return line[: rng.randrange(13, len(line) - 1)] + b"\n"


def flipped(line: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(0, len(line) - 1)
    return line[:at] + b"\x00" + line[at + 1 :]


def gone(line: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(len(line) - 1).replace(b"\n", b"x") + b"\n"


@pytest.mark.parametrize("harm", [cut, flipped, gone])
def test_whatever_line_is_broken_no_trial_is_mistaken_for_another(
    lines: list[bytes], harm: Callable[[bytes, random.Random], bytes]
) -> None:
    """What is read after mending is what was there, except of the trial that is named as lost."""
    whole, rng, refused = read(), random.Random(0), 0
    for number in range(1, len(lines)):
        broken(lines, number, harm(lines[number], rng))
        as_it_was = JOURNAL.read_bytes()
        with pytest.raises(StorageError, match=rf"line {number + 1} of the journal 'wd.journal'"):
            open_storage(URL)
        assert JOURNAL.read_bytes() == as_it_was
        try:
            done, *lost = mend(URL)
        except StorageError:
            refused += 1
            assert [p.read_bytes() for p in Path().iterdir()] == [as_it_was]
            continue
        (aside,) = Path().glob("*.broken*")
        assert f"'{aside}'" in done
        assert aside.read_bytes() == as_it_was
        aside.unlink()
        found = read()
        named = {(n, int(i)) for i, n in re.findall(r"trial (\d+) of '(\w)'", " ".join(lost))}
        assert found.keys() == whole.keys()
        changed = {key for key in found if found[key] != whole[key]}
        assert len(changed) <= 1
        assert changed <= named or "can't be told" in lost[0], lost
    assert harm is gone or refused < len(lines) // 10, refused


@pytest.mark.parametrize("bad", [None, 99, "x", {}, [None]], ids=str)
def test_what_optuna_can_not_apply_is_a_broken_line(lines: list[bytes], bad: object) -> None:
    """A line of JSON in which a field holds what it can't: it is named, or does no harm."""
    whole, refused = read(), 0
    kinds = {json.loads(line)["op_code"]: number for number, line in enumerate(lines)}
    fields = [(number, field) for number in kinds.values() for field in json.loads(lines[number])]
    for number, field in fields:
        operation = json.loads(lines[number]) | {field: bad}
        broken(lines, number, json.dumps(operation, separators=(",", ":")).encode() + b"\n")
        if said := refusal():
            refused += 1
            assert f"line {number + 1} of the journal 'wd.journal' is no" in said
            assert f"its {field} is {bad!r}" in said or field == "op_code"
            with suppress(StorageError):  # which tells why nothing is changed
                mend(URL)
                assert read().keys() == whole.keys()
    assert refused > len(fields) // 2


def refusal() -> str:
    """Why the journal can't be read; empty where it can, if not all of its trials."""
    try:
        read()
    except StorageError as error:
        return str(error)
    except StudyError:
        return ""
    return ""


def test_a_damaged_beginning_takes_nothing_else_with_it(lines: list[bytes]) -> None:
    """Whatever byte before its worker is damaged, a line is known by what follows the worker."""
    whole = read()
    kinds = {line[11:13]: number for number, line in enumerate(lines) if line[11:13] != b"0,"}
    assert len(kinds) == 6
    for number, line in ((n, lines[n]) for n in kinds.values()):
        for at in range(line.index(b"worker_id") - 1):
            broken(lines, number, line[:at] + b"~" + line[at + 1 :])
            _, lost = mend(URL)
            found = read()
            assert found.keys() == whole.keys()
            changed = {f"trial {n} of '{study}'" for study, n in found
                       if found[study, n] != whole[study, n]}  # fmt: skip
            assert len(changed) <= 1
            assert all(trial in lost for trial in changed)


def test_where_later_lines_cannot_be_trusted_the_way_on_is_told(
    lines: list[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    second = next(i for i, line in enumerate(lines) if b'"study_name":"b"' in line)
    trials = sum(b'"op_code":4' in line for line in lines)
    broken(lines, second, b"lost\n")
    assert main(["list", "--mend", "--storage", URL]) == 2
    says = capfd.readouterr().err
    assert f"the {len(lines) - second - 1} lines after it are numbered, of {trials} trials" in says
    typed(says)
    assert study_names(open_storage("journal:///rescued.journal", create=False)) == ["a"]


def typed(says: str) -> None:
    """Type the command that a message names into a shell."""
    (line,) = re.findall("`(.+)`", says)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", line], check=True, env={**os.environ, "PATH": path})


def test_the_command_that_mends_can_be_typed(
    lines: list[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("it's a folder").mkdir()
    url = "journal:///it's a folder/wd.journal"
    Path("it's a folder/wd.journal").write_bytes(b"".join([*lines, b"\n"]))
    assert main(["list", "--storage", url]) == 2
    typed(capfd.readouterr().err)
    assert study_names(open_storage(url, create=False)) == ["a", "b"]


def test_the_file_stays_what_it_was(lines: list[bytes]) -> None:
    Path("real").mkdir()
    real = Path("real/real.journal")
    real.write_bytes(b"".join([*lines, b"\n"]))
    real.chmod(0o640)
    JOURNAL.unlink()
    JOURNAL.symlink_to(real)
    mine = [JOURNAL.with_name("wd.journal.part"), real.with_name("real.journal.part")]
    for path in mine:
        path.write_text("mine")
    mend(URL)
    assert JOURNAL.is_symlink()
    assert real.read_bytes() == b"".join(lines)
    assert real.stat().st_mode & 0o777 == 0o640
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_a_full_disk_leaves_nothing_behind(
    lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    broken(lines, 5, b"\n")
    as_it_was = JOURNAL.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        mend(URL)
    assert [path.read_bytes() for path in Path().iterdir()] == [as_it_was]


def test_nothing_is_mended_while_another_writes(
    lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOCK_SECONDS", 0.1)
    broken(lines, 5, b"\n")
    with JOURNAL.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process is writing to it"):
            mend(URL)
    assert len(mend(URL)) == 2


def test_two_lines_that_ran_into_one_are_both_read(lines: list[bytes]) -> None:
    whole = read()
    JOURNAL.write_bytes(b"".join(lines[:20]) + lines[20][:-1] + b"".join(lines[21:]))
    mend(URL)
    assert read() == whole


def test_an_empty_line_takes_nothing_with_it(lines: list[bytes]) -> None:
    whole = read()
    for number in (0, 7, len(lines)):
        JOURNAL.write_bytes(b"".join([*lines[:number], b"\n", *lines[number:]]))
        with pytest.raises(StorageError, match=rf"line {number + 1} .*it is empty"):
            open_storage(URL, create=False)
        assert mend(URL)[1:] == [f"lost: nothing by line {number + 1}, which was empty"]
        assert read() == whole
    assert sorted(p.name for p in Path().glob("*.broken*")) == [
        "wd.journal.broken", "wd.journal.broken-2", "wd.journal.broken-3",
    ]  # fmt: skip
    assert mend(URL) == ["no line of 'wd.journal' is broken"]


def test_a_lost_trial_is_trained_again(lines: list[bytes]) -> None:
    made = next(i for i, line in enumerate(lines) if b'"op_code":4' in line)
    broken(lines, made, lines[made][:150] + b"\n")
    assert mend(URL)[1] == f"lost: trial 0 of 'a', which now counts as failed (line {made + 1})"
    assert read()["a", 0].state == TrialState.FAIL


def test_list_mends_and_says_so(lines: list[bytes], capfd: pytest.CaptureFixture[str]) -> None:
    broken(lines, 5, b"\n")
    assert main(["list", "--storage", URL]) == 2
    told = "`python -m wdstudy list --mend --storage journal:///wd.journal`"
    assert told in capfd.readouterr().err
    assert main(["list", "--mend", "--storage", URL]) == 0
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["study", "a", "b"]
    assert "as it was it is kept in 'wd.journal.broken'" in err
    assert main(["list", "--storage", URL]) == 0


def test_only_a_journal_can_be_mended(in_folder: Path) -> None:
    open_storage("sqlite:///wd.db")
    with pytest.raises(FlagError, match="is no journal"):
        mend("sqlite:///wd.db")


@pytest.mark.parametrize("content", FOREIGN)
def test_a_file_that_is_no_journal_is_left_as_it_is(
    study_file: Callable[..., Path], content: bytes
) -> None:
    study_file()
    JOURNAL.write_bytes(content)
    before = sorted(path.name for path in Path().iterdir())
    for arguments in (["run", "linear.py"], ["list"], ["list", "--mend"], ["report", "linear"]):
        assert main([*arguments, "--storage", URL]) == 2
        assert JOURNAL.read_bytes() == content
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.parametrize("size", [0, 1, 5, 11, 60])
def test_a_journal_cut_in_its_first_line_is_begun_anew(lines: list[bytes], size: int) -> None:
    JOURNAL.write_bytes(lines[0][:size])
    optuna.create_study(study_name="c", storage=open_storage(URL))
    assert study_names(open_storage(URL, create=False)) == ["c"]
