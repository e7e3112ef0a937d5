"""Fixtures of every test: a small task, a study file, a folder to work in."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
import optuna.storages._rdb.storage
import pytest
import torch
from small_tasks import STUDY_FILE, accuracy, blobs, mlp
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task
from wdstudy.__main__ import main

pytest_plugins = ["servers", "ground", "chromium"]  # real servers, runs and a browser

optuna.logging.set_verbosity(optuna.logging.WARNING)
torch.set_num_threads(1)
os.environ["MPLBACKEND"] = "agg"  # before anybody imports matplotlib: figures without a screen


def pytest_collection_finish() -> None:
    """What is imported by now is no garbage: to search it each time takes a tenth of the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(2000, 20)  # and what tests import is searched more seldom


@pytest.fixture(scope="session", autouse=True)
def revisions_read_once() -> Iterator[None]:
    """Optuna's files of revisions, the same for every storage, are not read again for each."""
    made: list[object] = []

    def script(self: object) -> object:
        made.extend([] if made else [create(self)])
        return made[0]

    manager = optuna.storages._rdb.storage._VersionManager
    create = manager._create_alembic_script
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager, "_create_alembic_script", script)
        yield


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Whatever a test draws is closed after it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports draw their first figure only, for tests of what stands around it."""
    from wdstudy.analysis.figures.registry import planned_figures

    def first(*args: Any) -> Iterator[Any]:
        return islice(planned_figures(*args), 1)

    monkeypatch.setattr("wdstudy.analysis.report.page.planned_figures", first)


@pytest.fixture
def task() -> Task:
    return Task(mlp, blobs, nn.functional.cross_entropy, {"accuracy": accuracy})


@pytest.fixture
def make_spec(task: Task) -> Callable[..., StudySpec]:
    """A spec of the small task; any field can be changed."""

    def make(**changes: object) -> StudySpec:
        fields: dict[str, object] = {
            "name": "small",
            "task": task,
            "space": SearchSpace(lr=[0.01, 0.1], weight_decay=[0, 0.01]),
            "optimizer": "sgd",
            "epochs": 2,
            "batch_size": 32,
            "device": "cpu",
        }
        return StudySpec(**{**fields, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and no storage named by the environment."""
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def study_file(in_folder: Path) -> Callable[..., Path]:
    """Writes a study file whose every batch takes `pause` seconds; 12 cells of 6 batches."""

    def write(pause: float = 0.0, name: str = "linear") -> Path:
        path = in_folder / f"{name}.py"
        path.write_text(STUDY_FILE.replace("PAUSE", str(pause)))
        return path

    return write


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file and its finished study of 12 trials, for copies of it."""
    folder = tmp_path_factory.mktemp("trained")
    path = folder / "linear.py"
    path.write_text(STUDY_FILE.replace("PAUSE", "0.0"))
    assert main(["run", str(path), "--storage", f"sqlite:///{folder}/wdstudy.db"]) == 0
    gc.collect()  # which closes the database, all of it in its one file
    return folder


@pytest.fixture
def trained(in_folder: Path, trained_once: Path) -> Path:
    """`linear.py`, as `study_file` writes it, whose study is finished in `wdstudy.db`."""
    shutil.copytree(trained_once, in_folder, dirs_exist_ok=True)
    return in_folder / "linear.py"


@pytest.fixture
def no_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """W&B without the account and settings of whoever runs the tests, and without its server."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    yield home
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()  # it remembers folder and settings for the whole process
