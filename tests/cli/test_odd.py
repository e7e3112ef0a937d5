"""Odd command lines: one clear line, exit code 2, no password, nothing that moves a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from commands import URL

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


HEAD = """
import torch
from torch import nn
from wdstudy import SearchSpace, StudySpec, Task

class Mute(Exception):
    def __str__(self): raise RuntimeError

def ends(*_): exit()
def mute(*_): raise Mute()
def half(n): return torch.randn(n, 4), torch.ones(n).long()
def data(): return half(64), half(8)
def loss(o, y): return nn.functional.cross_entropy(o, y)
def lazy(): return nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))
def make(model=lambda: nn.Linear(4, 2), data=data, loss=loss, metrics={}, augment=None, **k):
    task = Task(model, data, loss, metrics, augment)
    return StudySpec(**{"space": SearchSpace(lr=[0.1], weight_decay=[0]), "task": task, **k})

class Later:
    calls = 0
    def __init__(self, what): self.what = what
    def __call__(self, o, y):
        Later.calls += 1
        return loss(o, y) if Later.calls < 40 else self.what()
"""

FILES = [
    ("STUDY = make(name=5)", "name=5; give a text"),
    ("STUDY = make(epochs=None)", "epochs=None; give a whole number"),
    ("STUDY = make(epochs=True)", "epochs=True; give a whole number"),
    ("STUDY = make(batch_size=None)", "batch_size=None; give a whole number"),
    ("STUDY = make(objective=None)", "objective=None; give the name of a series"),
    ("STUDY = make(diverged_factor='3')", "diverged_factor='3'; give a number"),
    ("STUDY = make(warmup='x')", "warmup='x'; give the share"),
    ("STUDY = make(settings=5)", "settings=5; give a dict"),
    ("STUDY = make(compile='yes')", "compile='yes'; give True or False"),
    ("STUDY = make(no_decay='bias')", "no_decay='bias'; give 'biases_and_norms'"),
    ("STUDY = make(metrics=['accuracy'])", "give a dict of names and functions"),
    ("STUDY = make(loss=nn.CrossEntropyLoss)", "loss=CrossEntropyLoss()"),
    ("STUDY = make(data=None)", "the task has no data; give Task(data=...)"),
    ("STUDY = make(augment=3)", "augment=3 is no function"),
    ("STUDY = make(model=lazy)", "lazy layers"),
    ("STUDY = make(model=lambda: 3)", "model() returns a int"),
    ("STUDY = make(model=nn.ReLU)", "no parameters to train"),
    ("raise Mute()", "Mute: (its text can't be told: RuntimeError)"),
    ("STUDY = make(model=mute)", "Mute: (its text can't be told"),
    ("STUDY = make(loss=Later(mute), epochs=90)", "Mute: (its text can't be told"),
    ("exit()", "(exit()): SystemExit: the study's own code ended the program"),
    ("def study(): raise SystemExit(0)", "SystemExit: 0: the study's own code"),
    ("STUDY = make(model=ends)", "SystemExit: the study's own code ended"),
    ("STUDY = make(data=ends)", "SystemExit: the study's own code ended"),
    ("STUDY = make(loss=Later(ends), epochs=90)", "SystemExit"),
]


@pytest.mark.parametrize(("body", "says"), FILES, ids=[body for body, _ in FILES])
def test_an_odd_study_file_is_one_clear_line(
    in_folder: Path, capfd: pytest.CaptureFixture[str], body: str, says: str
) -> None:
    Path("odd.py").write_text(HEAD + body + "\n")
    assert main(["run", "odd.py", "--jobs", "1", "--no-live"]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("wdstudy: ")
    assert says in last
    assert "Traceback" not in last


def test_who_leaves_a_trial_with_exit_loses_that_trial_alone(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """
def leaves(params, recorder):
    if params.weight_decay > 0:
        exit()
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.SGD([weight], lr=params.lr, weight_decay=params.weight_decay)
    recorder.watch(optimizer)
    loss = (weight**2).sum()
    loss.backward()
    recorder.step(loss)
    optimizer.step()
    recorder.point(val_loss=1.0)
STUDY = StudySpec(space=SearchSpace(lr=[0.1], weight_decay=[0, 0.1]), train=leaves)
"""
    Path("odd.py").write_text(HEAD + body)
    assert main(["run", "odd.py", "--jobs", "1", "--no-live"]) == 2
    assert "1 of 2 trials failed" in capfd.readouterr().err
    states = [t.state.name for t in optuna.load_study(study_name="odd", storage=URL).trials]
    assert sorted(states) == ["COMPLETE", "FAIL"]
