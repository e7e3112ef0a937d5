"""`--quick`: small, of its own name, and still the study's model, optimizer and schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from wdstudy import SearchSpace, StudySpec, open_study
from wdstudy.__main__ import main
from wdstudy.storage.opening import open_storage, study_names
from wdstudy.study.file import SpecSource
from wdstudy.study.quick import BATCHES, EPOCHS, quick
from wdstudy.training.data import TaskData

MakeSpec = Callable[..., StudySpec]


TWO = """
import torch
from wdstudy import SearchSpace, StudySpec
def loop(params, recorder):
    w = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], params.lr, weight_decay=params.weight_decay)
    recorder.watch(optimizer)
    (w ** 2).sum().backward()
    recorder.step((w ** 2).sum())
    optimizer.step()
    recorder.point(val_loss=(w ** 2).sum())
space = SearchSpace([0.01, 0.1], [0, 0.1])
STUDIES = [StudySpec(name=name, train=loop, space=space) for name in ("a", "b")]
"""


def test_a_quick_study_has_the_ends_and_the_middle_of_the_axes_and_one_seed(
    make_spec: MakeSpec,
) -> None:
    space = SearchSpace([1e-4, 1e-3, 1e-2, 1e-1, 1], [0, 1e-3, 1e-2, 1e-1], seeds=[4, 5, 6])
    small = quick(make_spec(space=space, epochs=50, trials=40, sampler="tpe"))
    assert small.space == SearchSpace([1e-4, 1e-2, 1], [0, 1e-2, 1e-1], seeds=[4])
    assert (small.epochs, small.trials) == (EPOCHS, 9)
    assert quick(make_spec(space=SearchSpace([0.1], [0, 1]), epochs=1)).space == SearchSpace(
        [0.1], [0, 1]
    )
    assert quick(make_spec(epochs=1)).epochs == 1


@pytest.mark.parametrize("form", ["tensors", "dataset", "loader"])
def test_an_epoch_of_a_quick_study_is_a_few_batches(make_spec: MakeSpec, form: str) -> None:
    pair = torch.arange(1000.0).reshape(-1, 1), torch.zeros(1000)

    class Plain(Dataset[tuple[torch.Tensor, torch.Tensor]]):
        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            return pair[0][i], pair[1][i]

        def __len__(self) -> int:
            return 1000

    halves = {
        "tensors": pair,
        "dataset": Plain(),
        "loader": DataLoader(TensorDataset(*pair), 32),
    }
    spec = make_spec()
    assert spec.task is not None
    task = replace(spec.task, data=lambda: (halves[form], halves[form]))
    small = quick(replace(spec, task=task)).task
    assert small is not None
    data = TaskData(small.data(), 32, torch.device("cpu"))
    assert data.train.steps == (BATCHES if form != "loader" else 32)
    first = {int(v) for x, _ in data.val.epoch(torch.Generator()) for v in x}
    assert len(first) == (32 * BATCHES if form != "loader" else 1000)
    assert min(first) == 0


@pytest.mark.usefixtures("one_figure")
def test_the_real_study_is_not_touched_and_the_next_line_names_the_quick_one(
    study_file: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    assert main(["run", str(path), "--quick"]) == 0
    assert "next: python -m wdstudy report linear-quick" in capfd.readouterr().err
    assert study_names(open_storage()) == ["linear-quick"]
    assert len(open_study("linear-quick").trials) == 9
    assert main(["report", "linear-quick"]) == 0
    assert Path("reports/linear-quick/report.html").is_file()
    assert main(["run", str(path)]) == 0
    assert len(open_study("linear").trials) == 12


def test_what_the_command_line_says_still_holds(study_file: Callable[..., Path]) -> None:
    flags = ["--quick", "--name", "mine", "--lr", "0.01,0.02", "--seeds", "2", "--epochs", "3"]
    assert main(["run", str(study_file()), *flags]) == 0
    spec = open_study("mine-quick").user_attrs["wdstudy"]["spec"]
    assert spec["space"] == {"lr": [0.01, 0.02], "weight_decay": [0, 0.01, 0.1], "seeds": [0, 1]}
    assert spec["epochs"] == 3


def test_workers_find_the_quick_study_by_its_name(study_file: Callable[..., Path]) -> None:
    path = study_file()
    assert main(["run", str(path), "--quick", "--jobs", "2", "--lanes", "1"]) == 0
    assert {t.state.name for t in open_study("linear-quick").trials} == {"COMPLETE"}


def test_several_studies_of_a_file_are_named_in_one_line(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "two.py").write_text(TWO)
    assert [s.name for s in SpecSource("two.py", quick=True).specs()] == ["a-quick", "b-quick"]
    assert main(["run", "two.py", "--quick"]) == 0
    assert "next: python -m wdstudy report a-quick b-quick" in capfd.readouterr().err


def test_trying_again_after_an_edit_begins_anew(study_file: Callable[..., Path]) -> None:
    path = str(study_file())
    assert main(["run", path, "--quick"]) == 0
    first = open_study("linear-quick").trials[0].datetime_start
    assert main(["run", path, "--quick", "--optimizer", "adam"]) == 0
    study = open_study("linear-quick")
    assert study.user_attrs["wdstudy"]["spec"]["optimizer"] == "Adam"
    assert study.trials[0].datetime_start > first


def test_of_a_file_with_several_studies_some_can_be_chosen(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "two.py").write_text(TWO)
    assert main(["run", "two.py", "--only", "b"]) == 0
    assert "next: python -m wdstudy report b\n" in capfd.readouterr().err
    assert study_names(open_storage()) == ["b"]
    command = open_study("b").user_attrs["wdstudy"]["command"]
    assert command == ["two.py", "--only", "b"]  # what `suggest` begins with
    assert main(["run", "two.py", "--only", "b", "--name", "c"]) == 0
    assert study_names(open_storage()) == ["b", "c"]
    assert main(["run", "two.py", "--only", "a,bb"]) == 2
    assert "--only bb: 'two.py' describes no such study; did you mean 'b'?" in (
        capfd.readouterr().err
    )
    assert main(["run", "two.py", "--name", "c"]) == 2
    assert "choose one with --only" in capfd.readouterr().err


@pytest.mark.parametrize("flag", [["--optimizer", "adamw"], ["--epochs", "3"], ["--compile"]])
def test_what_a_loop_of_its_own_decides_is_no_flag(
    in_folder: Path, capsys: pytest.CaptureFixture[str], flag: list[str]
) -> None:
    Path("two.py").write_text(TWO)
    assert main(["run", "two.py", *flag]) == 2
    assert f"{flag[0]}: 'two.py' trains in a loop of its own" in capsys.readouterr().err
    assert [path.name for path in in_folder.iterdir()] == ["two.py"]
