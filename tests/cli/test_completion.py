"""What the shell completes, asked of the program as a shell asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import optuna
import torch
from optuna.exceptions import ExperimentalWarning

from wdstudy.cli.completion import OPTIMIZERS, PRUNERS, SAMPLERS, SOURCES
from wdstudy.decay import decay_kind
from wdstudy.errors import MissingPackageError, WdstudyError
from wdstudy.launchers.base import LAUNCHERS
from wdstudy.run.sampling import resolve_pruner, resolve_sampler
from wdstudy.sources.kinds import KINDS
from wdstudy.space import SearchSpace
from wdstudy.study.optimizers import resolve_optimizer


def completed(words: str) -> list[str]:
    asked = {"_WDSTUDY_COMPLETE": "complete_bash", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    program = Path(sys.executable).parent / "wdstudy"
    return subprocess.check_output([program], env={**os.environ, **asked}, text=True).split()


def test_the_names_of_studies(in_folder: Path) -> None:
    for name in ("digits", "digits-adamw", "ridge"):
        optuna.create_study(study_name=name, storage="sqlite:///wdstudy.db")
    assert completed("wdstudy report dig") == ["digits", "digits-adamw"]
    assert completed("wdstudy export rid") == ["ridge"]
    assert completed("wdstudy predict rid") == ["ridge"]
    assert completed("wdstudy delete r") == ["ridge"]
    assert completed("wdstudy suggest --storage sqlite:///none.db d") == []
    assert not Path("none.db").exists()


def test_what_run_can_be_told(in_folder: Path) -> None:
    assert completed("wdstudy run a.py --optimizer ada") == [
        "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw"
    ]  # fmt: skip
    assert completed("wdstudy run a.py --sampler ") == list(SAMPLERS)
    assert completed("wdstudy run a.py --pruner m") == ["median"]
    assert completed("wdstudy run a.py --launcher ") == list(LAUNCHERS)


def test_what_read_can_be_told(in_folder: Path) -> None:
    assert completed("wdstudy read a.csv --from t") == ["table", "tensorboard", "trackio"]
    assert list(KINDS) == list(SOURCES)


def test_the_names_are_those_that_run_takes() -> None:
    weight = [torch.nn.Parameter(torch.zeros(2, 2))]
    classes = {
        name.lower(): cls
        for name, cls in vars(torch.optim).items()
        if isinstance(cls, type) and cls is not torch.optim.Optimizer
    }
    decaying = [n for n, cls in classes.items() if decay_kind(cls(weight, lr=0.1)) != "none"]
    assert list(OPTIMIZERS) == sorted(decaying)
    for name in OPTIMIZERS:
        assert resolve_optimizer(name) is classes[name]
    for name in SAMPLERS:
        with suppress(MissingPackageError):
            resolve_sampler(name, SearchSpace([0.1], [0.1]), seed=0)
    known = {name.removesuffix("Pruner") for name in optuna.pruners.__all__}
    alone = []
    for name in sorted(known - {"Base", "Nop"}):
        snake = "".join("_" * (c.isupper() and i > 0) + c.lower() for i, c in enumerate(name))
        with suppress(WdstudyError, ExperimentalWarning):  # it needs arguments
            resolve_pruner(snake)
            alone.append(snake)
    assert list(PRUNERS) == alone
