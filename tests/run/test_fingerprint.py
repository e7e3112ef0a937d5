"""A study goes on only with what it was recorded with, whatever its names say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_tasks import accuracy, blobs, mlp
from torch import Tensor, nn

from wdstudy import StudySpec, Task, run_study
from wdstudy.__main__ import main
from wdstudy.analysis.frames.study import record_of
from wdstudy.errors import StudyError
from wdstudy.fingerprints import parts_changed
from wdstudy.record import STUDY_KEY
from wdstudy.run.prepared import prepare
from wdstudy.study.file import SpecSource
from wdstudy.training.fingerprint import sketch

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"
LOSS = nn.functional.cross_entropy


def tanh() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))


class Functional(nn.Module):
    """Its activation is in `forward`: it prints the same, whatever that is."""

    activation = staticmethod(torch.relu)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(10, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x)))  # type: ignore[no-any-return]


def other_labels(share: float) -> Callable[[], object]:
    def data() -> object:
        (x, y), val = blobs()
        y = y.clone()
        y[: int(share * len(y))] = (y[: int(share * len(y))] + 1) % 3
        return (x, y), val

    data.__qualname__ = "blobs"
    return data


def small_init() -> nn.Sequential:
    model = mlp()
    with torch.no_grad():
        model[2].weight.mul_(0.5)
    return model


def smoothed(output: Tensor, y: Tensor) -> Tensor:
    return LOSS(output, y, label_smoothing=0.1)


def inaccuracy(output: Tensor, y: Tensor) -> Tensor:
    return 1 - accuracy(output, y)


for _function, _name in ((tanh, "mlp"), (small_init, "mlp"), (smoothed, "cross_entropy")):
    _function.__qualname__ = _name  # a user changes the body, and leaves the name


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (Task(tanh, blobs, LOSS), "the model's layers"),
        (Task(small_init, blobs, LOSS), "the initial weights"),
        (Task(mlp, other_labels(0.05), LOSS), "the data"),
        (Task(mlp, blobs, smoothed), "the losses of the first steps"),
        (Task(mlp, blobs, LOSS, {"accuracy": inaccuracy}), "the metrics of the first validation"),
    ],
)
def test_changed_code_is_not_mixed_into_an_old_study(
    in_folder: Path, make_spec: MakeSpec, task: Task, says: str
) -> None:
    original = Task(mlp, blobs, LOSS, {"accuracy": accuracy})
    task = replace(task, metrics=task.metrics or original.metrics)
    before = run_study(make_spec(task=original), URL)
    with pytest.raises(
        StudyError, match=f"recorded with other code.*{says}.*--name; or say --same"
    ):
        run_study(make_spec(task=task), URL)
    assert len(before.trials) == len(run_study(make_spec(task=original), URL).trials)
    run_study(make_spec(task=task, same=True), URL)  # who knows better
    run_study(make_spec(task=task), URL)  # and then it is


def test_what_forward_does_is_part_of_it(
    in_folder: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(Functional, blobs, LOSS)
    run_study(make_spec(task=task), URL)
    monkeypatch.setattr(Functional, "activation", staticmethod(torch.tanh))
    with pytest.raises(StudyError, match="the losses of the first steps"):
        run_study(make_spec(task=task), URL)


def test_the_same_code_goes_on_with_other_axes_lanes_and_metrics_bodies(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    task = Task(mlp, blobs, LOSS, {"accuracy": accuracy})
    run_study(make_spec(task=task), URL, lanes=1)
    first = record_of(run_study(make_spec(task=task), URL)).fingerprint
    torch.manual_seed(123)  # whatever somebody did before
    again = record_of(run_study(make_spec(task=task, name="again"), URL, lanes=3)).fingerprint
    assert parts_changed(first, again, "float32") == []


def test_random_data_is_the_same_in_every_run(in_folder: Path, make_spec: MakeSpec) -> None:
    def data() -> object:
        import numpy as np

        x = torch.randn(96, 10) + torch.from_numpy(np.random.randn(96, 10)).float()
        return (x, x.argmax(1) % 3), (x[:30], x[:30].argmax(1) % 3)

    state = torch.get_rng_state()
    run_study(make_spec(task=Task(mlp, data, LOSS)), URL)
    assert torch.equal(torch.get_rng_state(), state)
    run_study(make_spec(task=Task(mlp, data, LOSS)), URL)


def test_rounding_is_no_difference_and_a_changed_number_is() -> None:
    def changed(one: Tensor, other: Tensor) -> list[str]:
        return parts_changed({"weights": [sketch(one)]}, {"weights": [sketch(other)]}, "float32")

    weights = torch.randn(200, 100, generator=torch.Generator().manual_seed(3))
    assert changed(weights, weights * (1 + 1e-6 * torch.randn(200, 100))) == []
    for other in (weights * 1.01, weights.flip(0), weights[:, :99], weights + 0.01):
        assert changed(weights, other) == ["weights"]


def test_a_study_without_a_fingerprint_is_told_of_once(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    from displays import Lines

    study = run_study(make_spec(), URL)
    record = dict(study.user_attrs[STUDY_KEY])
    del record["fingerprint"]
    study.set_user_attr(STUDY_KEY, record)
    first, second = Lines(), Lines()
    run_study(make_spec(), URL, first)
    run_study(make_spec(), URL, second)
    assert "before there were fingerprints" in first.lines[0]
    assert not any("fingerprints" in line for line in second.lines)


def test_a_worker_joins_only_with_what_its_run_began_with(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    began = record_of(prepare(make_spec(), URL).study)
    changed = Task(tanh, blobs, LOSS)
    began_with = record_of(
        prepare(make_spec(name="b", task=replace(changed, model=mlp)), URL).study
    )
    with pytest.raises(StudyError, match=r"no longer what this run began with.*model's layers"):
        prepare(make_spec(name="b", task=changed), URL, joins=True)
    assert record_of(prepare(make_spec(), URL, joins=True).study) == began
    # Who says that a difference doesn't count is believed, and the leader's record stays.
    told_the_same = prepare(make_spec(name="b", task=changed, same=True), URL, joins=True)
    assert record_of(told_the_same.study) == began_with


LOOP = """
import torch
from wdstudy import SearchSpace, StudySpec

def train(params, recorder):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], params.lr, weight_decay=params.weight_decay)
    recorder.watch(optimizer)
    for _ in range(2):
        optimizer.zero_grad()
        loss = (weight * SCALE).square().mean()
        loss.backward()
        recorder.step(loss)
        optimizer.step()
        recorder.point(val_loss=loss)

STUDY = StudySpec(space=SearchSpace(lr=[0.1], weight_decay=[0, 0.1]), train=train)
"""


def test_of_a_loop_its_code_counts_and_comments_do_not(
    in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path("loop.py")
    path.write_text(LOOP.replace("SCALE", "2.0"))
    assert main(["run", "loop.py", "--jobs", "1"]) == 0
    path.write_text("# a comment\n" + LOOP.replace("SCALE", "2.0"))
    assert main(["run", "loop.py", "--jobs", "1"]) == 0
    path.write_text(LOOP.replace("SCALE", "3.0"))
    capfd.readouterr()
    assert main(["run", "loop.py", "--jobs", "1"]) == 2
    said = capfd.readouterr().err
    assert "the code of the loop" in said
    assert "--same" in said
    assert said.count("\n") == 1
    assert main(["run", "loop.py", "--jobs", "1", "--same"]) == 0
    known, unknown = {"source": "abc"}, {"source": ""}
    assert parts_changed(known, unknown, "float32") == []  # from Python there is no file
    assert main(["run", "loop.py", "--jobs", "1"]) == 0


def test_a_worker_joins_a_loop_whose_file_was_edited_meanwhile(in_folder: Path) -> None:
    """It runs what the leader read."""
    path = Path("loop.py")
    path.write_text(LOOP.replace("SCALE", "2.0"))
    source = SpecSource("loop.py").read()
    began = record_of(prepare(source.spec("loop"), URL).study)
    path.write_text(LOOP.replace("SCALE", "3.0"))
    assert record_of(prepare(source.spec("loop"), URL, joins=True).study) == began
