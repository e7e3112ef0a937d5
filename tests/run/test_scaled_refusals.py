"""What stops a study along a scale, or a value of it, and what is said then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from displays import Lines
from optuna.trial import TrialState
from scaled_tasks import CROSS, along, batches, fails_at, net
from small_tasks import blobs
from torch import nn

from wdstudy import LossRecorder, Scale, SearchSpace, StudySpec, Task, TrialParams, run_study
from wdstudy.errors import DataError, SpecError, StudyError
from wdstudy.run.prepared import prepare
from wdstudy.run.runner import Runner
from wdstudy.run.stack import StackTrainer

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (None, batches(32, 16), "recorded without a scale, and this has batch_size"),
        (batches(32, 16), None, "recorded along batch_size, and this has no scale"),
        (batches(32, 16), Scale("epochs", [1, 2]), "along batch_size, and this is epochs"),
        (batches(32, 16), batches(16, 32), "not 16; list 32 first: its finished trials are kept"),
        (
            batches(32, 16),
            batches(32, 16, follow={"lr": 1}),
            r"follow of the scale=\{\}, now \{'lr': 1\}",
        ),
        (batches(32, 16), batches(32, 16, budget="steps"), "budget of the scale='epochs', now"),
        (
            Scale("beta", [0.5, 0.9], optimizer=lambda b: partial(torch.optim.SGD, momentum=b)),
            Scale("beta", [0.5, 0], optimizer=lambda b: partial(torch.optim.SGD, momentum=b)),
            "stored by its logarithm, which 0 has not",
        ),
        (
            Scale("width", [4, 8], model=net),
            Scale("width", [4, 8], model=lambda w: nn.Linear(10, 3) if w == 4 else net(w)),
            "model='net', now",
        ),
    ],
)
def test_a_study_goes_on_along_its_own_scale_only(
    in_folder: Path, make_spec: MakeSpec, first: Any, then: Any, message: str
) -> None:
    def at(scale: Any) -> StudySpec:
        return make_spec(space=SearchSpace([0.1], [0.01], scale=scale), epochs=1)

    before = [t.user_attrs for t in run_study(at(first), URL).trials]
    with pytest.raises(StudyError, match=message) as caught:
        run_study(at(then), URL)
    assert "\n" not in str(caught.value)
    kept = optuna.load_study(study_name="small", storage=URL).trials
    assert [t.user_attrs for t in kept] == before


def test_another_model_at_the_first_value_is_other_code(in_folder: Path) -> None:
    def make(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(10, width), activation(), nn.Linear(width, 3))

    spec = along(Scale("width", [4, 8], model=make), task=Task(data=blobs, loss=CROSS))
    activation: Any = nn.ReLU
    run_study(spec, URL)
    activation = nn.Tanh
    with pytest.raises(StudyError, match=r"recorded with other code, .* the model's layers"):
        run_study(spec, URL)


@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        (
            Scale("width", [4, 8], model=lambda width: net(4)),
            SpecError,
            "nothing depends on the scale width: model= makes the same at 4 and at 8",
        ),
        (
            Scale("noise", [0, 1], data=lambda noise: blobs(), schedule=lambda noise: "cosine"),
            SpecError,
            "data=, schedule= makes the same at 0 and at 1",
        ),
        (
            Scale("kind", [0, 1], optimizer=lambda kind: ["sgd", "adamw"][kind]),
            SpecError,
            "makes weight decay coupled here and decoupled there",
        ),
        (batches(32, 97), DataError, "batch_size=97: the train data has 96 examples"),
        (Scale("train_examples", [96, 97]), DataError, "^train_examples=97: the training data"),
        (Scale("train_examples", [96, 16]), DataError, "train_examples=16: .*lower batch_size"),
        (
            Scale("width", [0, 8], model=lambda width: net(8) if width else None),
            SpecError,
            r"width=0: model\(\) returns a NoneType",
        ),
        (
            Scale("data", [1, 2], data=lambda v: blobs() if v == 1 else 1 / 0),
            DataError,
            "data=2: the data can't be loaded: .*ZeroDivisionError",
        ),
    ],
)
def test_what_no_run_could_train_is_told_before_anything_is_written(
    in_folder: Path, scale: Scale, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        run_study(along(scale), URL)
    assert "\n" not in str(caught.value)
    assert not Path("wd.db").exists()


@pytest.mark.parametrize(
    "scale",
    [
        Scale("p", [0.1, 0.5], model=lambda p: nn.Sequential(nn.Linear(10, 3), Thinned(p))),
        Scale("warm", [0.1, 0.5], schedule=lambda warm: lambda step, total: step / total + warm),
        Scale("beta", [0.5, 0.9], optimizer=lambda b: partial(torch.optim.SGD, momentum=b)),
        Scale("smooth", [0, 0.1], loss=lambda s: partial(CROSS, label_smoothing=s)),
        Scale("lag", [1, 2], data=lambda v: (tuple(p[v:] for p in blobs()[0]), blobs()[1])),
    ],
    ids=lambda scale: str(scale.name),
)
def test_a_scale_that_matters_is_seen_to_matter(in_folder: Path, scale: Scale) -> None:
    """Dropout that prints nothing, schedules, momentum: what a fingerprint alone would not see."""
    assert len(run_study(along(scale, lr=[0.1]), URL).trials) == 4


class Thinned(nn.Module):
    """Dropout that is no module of torch's, and prints nothing of itself."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, self.p, self.training)


def test_a_value_that_the_model_refuses_fails_and_the_others_are_trained(in_folder: Path) -> None:
    scale = Scale("width", [4, 8, 512], model=partial(fails_at, at=512))
    lines = Lines()
    spec = along(scale, lr=[0.01, 0.03, 0.1], task=Task(data=blobs, loss=CROSS))
    prepared = prepare(spec, URL)
    runner = Runner(prepared, lines)
    left = runner.take_stock()
    choice = prepared.lanes(left, 2, say=lines.say)
    runner.enqueue()
    runner.work(choice)
    assert (runner.status.done, runner.status.failed) == (12, 6)
    states = Counter((t.params["width"], t.state.name) for t in prepared.study.trials)
    assert states == {(4, "COMPLETE"): 6, (8, "COMPLETE"): 6, (512, "FAIL"): 6}
    failed = [t for t in prepared.study.trials if t.state == TrialState.FAIL]
    assert all("out of memory" in t.user_attrs["error"] for t in failed)
    told = [line for line in lines.lines if "out of memory" in line]
    assert len(told) == 1
    assert told[0].startswith("trials of width=512: ")


def test_memory_that_runs_out_in_training_ends_the_trials_of_its_value_alone(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_task = StackTrainer._train_task

    def train(self: Any, stack: Any, spec: Any, data: Any) -> None:
        if stack[0].params.scale == 512:
            raise torch.OutOfMemoryError("CUDA out of memory")
        train_task(self, stack, spec, data)

    monkeypatch.setattr(StackTrainer, "_train_task", train)
    lines = Lines()
    scale = Scale("width", [4, 512], model=net)
    spec = along(scale, lr=[0.01, 0.03, 0.1], task=Task(data=blobs, loss=CROSS))
    found = run_study(spec, URL, lines, lanes=4)
    states = Counter((t.params["width"], t.state.name) for t in found.trials)
    assert states == {(4, "COMPLETE"): 6, (512, "FAIL"): 6}
    assert any("out of memory with 4 lanes: going on with 2" in line for line in lines.lines)
    assert sum("they fail, and the others are trained" in line for line in lines.lines) == 1


def test_where_no_value_can_be_trained_the_run_stops(in_folder: Path) -> None:
    scale = Scale("width", [4, 8], model=partial(fails_at, at=4))
    with pytest.raises(SpecError, match=r"width=4: .*out of memory"):
        run_study(along(scale, task=Task(data=blobs, loss=CROSS)), URL)


def recording_loop(use: Callable[[Any], int]) -> Callable[[TrialParams, LossRecorder], None]:
    def train(params: TrialParams, recorder: LossRecorder) -> None:
        torch.manual_seed(params.seed)
        (x, y), (x_val, y_val) = blobs()
        model = nn.Linear(10, 3)
        optimizer = torch.optim.SGD(model.parameters(), params.lr, weight_decay=params.weight_decay)
        recorder.watch(optimizer)
        for _ in range(use(params)):
            optimizer.zero_grad()
            loss = CROSS(model(x), y)
            loss.backward()
            recorder.step(loss)
            optimizer.step()
        with torch.no_grad():
            recorder.point(val_loss=CROSS(model(x_val), y_val))

    return train


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda params: params.depth, None),
        (lambda params: params.scale, None),
        (lambda params: 3, "the loop never uses params.depth: is the map one of what it trains?"),
        (
            lambda params: min(params.depth, 2),
            "the loop trains the same, to the last digit, at depth 2 and 4: does it use "
            "params.depth?",
        ),
    ],
)
def test_a_loop_of_ones_own_reads_the_value_and_is_told_where_it_makes_nothing_of_it(
    in_folder: Path, make_spec: MakeSpec, use: Any, told: str | None
) -> None:
    lines = Lines()
    space = SearchSpace([0.1, 0.3], [0, 0.1], scale=Scale("depth", [2, 4]))
    found = run_study(make_spec(task=None, train=recording_loop(use), space=space), URL, lines)
    assert Counter(t.params["depth"] for t in found.trials) == {2: 4, 4: 4}
    about = [line for line in lines.lines if line.startswith("the loop")]
    assert about == ([told] if told else [])
