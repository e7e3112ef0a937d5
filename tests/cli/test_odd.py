"""Odd command lines: one clear line, exit code 2, no password, nothing that moves a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from wdstudy.__main__ import LONGEST, main
from wdstudy.words import printable

StudyFile = Callable[..., Path]

LONG, NO_TEXT, DIGITS = "x" * 5000, "\udcff\udcfe", "9" * 5000
SERVER = "postgresql://u:secretpw@"
ODD: list[list[str]] = [
    ["run", "linear.py", "--lr", DIGITS],
    ["run", "linear.py", "--lr", "1e308"],
    ["run", "linear.py", "--lr", "1e-3:1:100000000"],
    ["run", "linear.py", "--weight-decay", "1e308"],
    ["run", "linear.py", "--seeds", DIGITS],
    ["run", "linear.py", "--seeds", "300000000"],
    ["run", "linear.py", "--lr", "1e-3:1:9000", "--weight-decay", "1e-5:1:9000"],
    ["run", "linear.py", "--epochs", DIGITS],
    ["run", "linear.py", "--lanes", DIGITS],
    ["run", "linear.py", "--jobs", DIGITS],
    ["run", "linear.py", "--name", LONG],
    ["run", "linear.py", "--name", NO_TEXT],
    ["run", "linear.py", "--name", "a\x1b[2Jb"],
    ["run", "linear.py", "--device", "cuda:" + DIGITS[:400]],
    ["run", "linear.py", "--optimizer", "\x1b[2J"],
    ["run", "linear.py", "--set", f"a={NO_TEXT}"],
    ["run", "linear.py", "--address="],
    ["run", "linear.py", "--storage", "sqlite:///" + LONG],
    ["run", "linear.py", "--storage", "sqlite:///a\x00b"],
    ["run", "linear.py", "--storage", "sqlite:///:memory:"],
    ["run", "linear.py", "--storage", "sqlite://"],
    ["run", "linear.py", "--storage", f"{SERVER}[::1/db"],
    ["run", "linear.py", "--storage", f"{SERVER}h:99999999/db"],
    ["run", "linear.py", "--storage", f"{SERVER}h/db?foo=bar"],
    ["run", "linear.py", "--storage", f"{SERVER}{'h' * 400}/db"],
    ["run", "linear.py", "--storage", f"{SERVER}{NO_TEXT}/db"],
    ["run", "linear.py", "--storage", f"{SERVER}a..b/db"],
    ["run", "linear.py", "--storage", "postgresql://u:p@secretpw@h/db"],
    ["run", "linear.py", "--storage", "postgresql:u:secretpw@h"],
    ["list", "--storage", "postgresql:/u:secretpw@h/db"],
    ["list", "--storage", "postgresql://u:secretpw/db"],
    ["list", "--storage", "u:secretpw@h/db"],
    ["run", LONG],
    ["run", f"lin{NO_TEXT}ear.py"],
    ["run", "a\x00b.py"],
    ["new", LONG + ".py"],
    ["new", NO_TEXT + ".py"],
    ["new", "a\x00b.py"],
    ["list", "--storage", f"sqlite:///{NO_TEXT}.db"],
    ["list", "--storage", "sqlite:///\x1b[31m.db"],
    ["list", "--storage", "journal:///" + LONG],
    ["report", "\x1b[31mred"],
    ["report", "a\nb"],
    ["export", "x", "--out", NO_TEXT + ".csv"],
    ["dashboard", "--port", "99999999"],
]


@pytest.mark.parametrize("arguments", ODD, ids=lambda a: ascii(" ".join(a))[:50])
def test_an_odd_command_line_is_one_clear_line(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    study_file()
    assert main(arguments) == 2
    said = capfd.readouterr().err
    assert said.startswith("wdstudy: ")
    assert said.count("\n") == 1
    assert len(said) < LONGEST + 20
    assert said[:-1] == printable(said[:-1])
    assert "secretpw" not in said
    assert set(os.listdir()) <= {"linear.py", "wdstudy.db", "wdstudy.db-shm", "wdstudy.db-wal"}


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("lr · weight_decay 0.1 — grün\x1b[2J\r\n\udcff") == (
        "lr · weight_decay 0.1 — grün\\x1b[2J\\r\\n\\udcff"
    )
    assert re.fullmatch(r"[ -~]*", printable("\x00\x07\x9b\u202e"))
