"""Several worker processes on one machine, killed and stopped for real."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from commands import command, study, wait_for_trials
from ground import workers_of
from optuna.trial import TrialState

from wdstudy.__main__ import main

StudyFile = Callable[..., Path]


def complete_cells(name: str = "linear") -> list[tuple[float, float]]:
    return [(t.params["lr"], t.params["weight_decay"]) for t in study(name).trials
            if t.state == TrialState.COMPLETE]  # fmt: skip


def test_two_processes_train_every_cell_once(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(study_file(pause=0.02)), "--jobs", "2"]) == 0
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12
    assert len({t.user_attrs["worker"] for t in study().trials}) == 2
    said = capfd.readouterr().err
    assert "2 processes" in said
    assert "12/12 trials" in said


def test_processes_and_lanes_give_what_one_trial_after_the_other_gives(
    study_file: StudyFile,
) -> None:
    path = str(study_file())
    assert main(["run", path, "--jobs", "2", "--lanes", "3", "--name", "both"]) == 0
    assert main(["run", path, "--jobs", "1", "--lanes", "1", "--name", "alone"]) == 0
    values = [
        {(t.params["lr"], t.params["weight_decay"]): t.value for t in study(name).trials}
        for name in ("both", "alone")
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_worker_that_is_killed_is_replaced_and_its_cells_are_trained(
    study_file: StudyFile,
) -> None:
    path = study_file(pause=0.1)
    process = subprocess.Popen(
        command("run", path, "--jobs", "2", "--lanes", "1"), text=True, stderr=subprocess.PIPE
    )
    wait_for_trials(process, 1)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "a worker was lost (exit code -9): starting another" in said
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12


@pytest.mark.slow
def test_a_run_stops_when_a_lost_workers_successor_would_train_something_else(
    study_file: StudyFile,
) -> None:
    path, module = study_file(pause=0.1), Path("layers.py")
    path.write_text(
        "import layers\n" + path.read_text().replace("nn.Linear(4, 1)", "layers.make()")
    )
    layers = "from torch import nn\ndef make(): return nn.Sequential(nn.Linear(4, 1), nn.ReLU())\n"
    module.write_text(layers)
    process = subprocess.Popen(
        command("run", path, "--jobs", "2", "--lanes", "1"), text=True, stderr=subprocess.PIPE
    )
    wait_for_trials(process, 1)
    module.write_text(layers.replace("nn.ReLU", "nn.Softplus"))
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "no longer what this run began with" in said
    assert "the model's layers" in said
    assert 1 <= len(complete_cells()) < 12
    module.write_text(layers)
    assert main(["run", str(path), "--jobs", "1"]) == 0
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_when_the_parent_goes_the_workers_go_and_the_study_can_go_on(
    study_file: StudyFile, how: int
) -> None:
    path = study_file(pause=0.15)
    process = subprocess.Popen(
        command("run", path, "--jobs", "2", "--lanes", "1"), text=True, stderr=subprocess.PIPE
    )
    wait_for_trials(process, 1)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.1)
    before = len(complete_cells())
    assert 1 <= before < 12
    path.write_text(path.read_text().replace("0.15", "0.0"))
    assert main(["run", str(path)]) == 0
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 12


WITH_LOADERS = """
import time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from wdstudy import SearchSpace, StudySpec, Task

class Slow(TensorDataset):
    def __getitem__(self, index):
        time.sleep(PAUSE)
        return super().__getitem__(index)

def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    halves = Slow(x, x.sum(1, keepdim=True)), TensorDataset(x[:16], x[:16].sum(1, keepdim=True))
    own = torch.Generator()
    return (DataLoader(halves[0], 16, shuffle=True, generator=own, num_workers=2),
            DataLoader(halves[1], 16, num_workers=1))

STUDY = StudySpec(
    task=Task(model=lambda: nn.Linear(4, 1), data=data, loss=nn.functional.mse_loss),
    space=SearchSpace(lr=[0.001, 0.01, 0.1], weight_decay=[0, 0.01]),
    optimizer="sgd", epochs=2, batch_size=16, device="cpu",
)
"""


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = path.read_text().partition(" ")
            if int(rest.rpartition(")")[2].split()[1]) == pid:
                found += [int(number), *children_of(int(number))]
    return found


@pytest.mark.slow
def test_workers_of_a_dataloader_work_in_workers_of_ours_and_end_with_them(
    in_folder: Path,
) -> None:
    path = in_folder / "linear.py"
    path.write_text(WITH_LOADERS.replace("PAUSE", "0.05"))
    process = subprocess.Popen(
        command("run", path, "--jobs", "2", "--lanes", "1"), text=True, stderr=subprocess.PIPE
    )
    wait_for_trials(process, 1)
    family = children_of(process.pid)
    assert len(family) >= 5  # the server, two workers, and theirs
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 40
    while any(Path(f"/proc/{pid}").exists() for pid in family):
        assert time.monotonic() < deadline, "somebody lives on"
        time.sleep(0.1)
    path.write_text(WITH_LOADERS.replace("PAUSE", "0.0"))
    assert main(["run", str(path), "--jobs", "2"]) == 0
    cells = complete_cells()
    assert len(cells) == len(set(cells)) == 6
    alone = in_folder / "alone.py"
    alone.write_text(path.read_text())
    assert main(["run", str(alone), "--jobs", "1", "--lanes", "1"]) == 0
    by_cell = [{(t.params["lr"], t.params["weight_decay"]): t.value for t in study(n).trials
                if t.value is not None} for n in ("linear", "alone")]  # fmt: skip
    assert by_cell[0] == pytest.approx(by_cell[1], rel=1e-5)


@pytest.mark.slow
def test_a_study_that_fails_in_a_worker_is_told_by_the_parent(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    # The first batch of a process, tried before the study is made, is the only one that works.
    text = path.read_text().replace("time.sleep(0.0)", "count[0] += 1; assert count[0] < 5")
    path.write_text("count = [0]\n" + text)
    assert main(["run", str(path), "--jobs", "2", "--lanes", "1"]) == 2
    said = capfd.readouterr().err
    assert "linear.py', line" in said
    assert "AssertionError" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--lanes", "0"], "--lanes 0: give a number of at least 1, or auto"),
        (["--lanes", "many"], "--lanes many: give a number"),
        (["--jobs", "0"], "--jobs 0: give a number"),
        (["--jobs", "1000"], "--jobs 1000: this machine has"),
        (["--devices", "cuda:7"], "no device 'cuda:7' on this machine; there are: "),
    ],
)
def test_bad_numbers_are_one_line(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert main(["run", str(study_file()), *flags]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert os.listdir() == ["linear.py"]
