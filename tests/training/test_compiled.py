"""Training through torch.compile finds what it finds without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from lane_tasks import CPU, OPTIMIZERS, PARAMS, TASKS, assert_same, images, spec_of
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from wdstudy import StudySpec, Task, TrialParams, open_study
from wdstudy.meter import Measurement
from wdstudy.record import STUDY_KEY
from wdstudy.training.data import TaskData
from wdstudy.training.loop import Training

pytestmark = [
    pytest.mark.slow,  # a compiler takes its time
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),  # the compiler's own
]
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


def convolutions() -> nn.Module:
    frozen = nn.Conv2d(2, 4, 3, padding=1, bias=False).requires_grad_(False)
    second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return nn.Sequential(frozen, nn.BatchNorm2d(4), nn.ReLU(), second, head).double()


def run_leaving(
    spec: StudySpec, params: Sequence[TrialParams], device: torch.device = CPU
) -> list[Measurement]:
    """All record points; two of the lanes leave after the second."""
    assert spec.task is not None
    training = Training(spec, params, TaskData(spec.task.data(), spec.batch_size, device), device)
    measured = []
    for measurement in training:
        measured.append(measurement)
        if len(measured) == 2 and len(params) > 1:
            training.keep([0, 2, 4])
    return measured


@needs_compiler
@pytest.mark.parametrize("lanes", [1, 5])
@pytest.mark.parametrize("name", ["mlp", "transformer", "batch norm"])
def test_compiled_is_the_same_but_for_rounding(name: str, lanes: int) -> None:
    """Dropout's masks, BatchNorm's statistics, tied and frozen weights, lanes that leave."""
    # The compiler can't take ResNet of test_lanes, a convolution used twice, as lanes.
    task = Task(convolutions, images, cross_entropy) if name == "batch norm" else TASKS[name]
    spec = spec_of(task, partial(SGD, momentum=0.9), epochs=6)
    compiled = run_leaving(replace(spec, compile=True), PARAMS[:lanes])
    plain = run_leaving(spec, PARAMS[:lanes])
    for lane in range(min(lanes, 3)):
        assert_same(lane, compiled, lane, plain, rtol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("name", ["sgd momentum", "adamw", "nadam"])
@pytest.mark.parametrize("lanes", [1, 5])
def test_graphs_on_a_gpu_are_the_same_but_for_rounding(name: str, lanes: int) -> None:
    cuda, optimizer = torch.device("cuda"), OPTIMIZERS[name][0]
    spec = spec_of(TASKS["mlp"], optimizer, epochs=6)
    compiled = run_leaving(replace(spec, compile=True), PARAMS[:lanes], cuda)
    plain = run_leaving(spec, PARAMS[:lanes], cuda)
    for lane in range(min(lanes, 3)):
        assert_same(lane, compiled, lane, plain, rtol=1e-9)


STUDY_FILE = """
import torch
from torch import nn
from wdstudy import SearchSpace, StudySpec, Task

def data():
    x = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
    return (x[:64], x[:64].sum(1)), (x[64:], x[64:].sum(1))

def loss(output, y):
    return nn.functional.mse_loss(output.squeeze(-1), y)

STUDY = StudySpec(
    task=Task(model=lambda: nn.Linear(4, 1), data=data, loss=loss), name="linear",
    space=SearchSpace(lr=[0.01, 0.1], weight_decay=[0, 0.1]), epochs=2, batch_size=32,
)
"""


@pytest.mark.parametrize("lanes", ["1", "2"])
@pytest.mark.parametrize("there", [pytest.param(True, marks=needs_compiler), False])
def test_a_study_is_compiled_or_told_why_it_is_not(
    in_folder: Path, there: bool, lanes: str
) -> None:
    Path("linear.py").write_text(STUDY_FILE)
    flags = ["--compile", "--jobs", "1", "--lanes", lanes, "--device", "cpu", "--no-live"]
    ended = subprocess.run(
        [sys.executable, "-m", "wdstudy", "run", "linear.py", *flags],
        env={
            **os.environ,
            "PATH": os.environ["PATH"] if there else "",
            "TORCHINDUCTOR_CACHE_DIR": str(in_folder / "compiled"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    study = open_study("linear")
    assert "--compile" in study.user_attrs[STUDY_KEY]["command"]
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 4
    told = [line for line in ended.stderr.splitlines() if "uncompiled" in line]
    assert bool(told) != there
    assert all("No working C++ compiler found" in line for line in told)
