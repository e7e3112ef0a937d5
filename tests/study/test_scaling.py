"""A spec of one value of a scale, and what of a study can't be scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tasks import blobs, mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from wdstudy import Design, Scale, SearchSpace, StudySpec, Task
from wdstudy.errors import DataError, SpecError
from wdstudy.study.examples import training_prefix
from wdstudy.study.file import SpecSource
from wdstudy.study.quick import BATCHES, EPOCHS, quick

CROSS = nn.functional.cross_entropy


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, 3))


def spec(scale: Scale | None, **changes: Any) -> StudySpec:
    space = SearchSpace([0.01, 0.1], [0, 0.1], scale=scale)
    given: dict[str, Any] = {"task": Task(mlp, blobs, CROSS), "epochs": 5, "batch_size": 16}
    return StudySpec(space=space, name="s", device="cpu", **{**given, **changes})


def test_the_built_in_scales_are_fields_of_the_spec_of_a_value() -> None:
    own = spec(Scale("batch_size", [16, 32], follow={"lr": 1})).at(32)
    assert (own.batch_size, own.epochs, own.scale) == (32, 5, None)
    assert own.space == SearchSpace([0.02, 0.2], [0, 0.1])
    assert spec(Scale("epochs", [2, 8])).at(8).epochs == 8
    assert spec(None).at(None) == spec(None)


def test_training_examples_are_a_prefix_and_validation_is_what_it_was() -> None:
    whole, val = blobs()
    sizes = (32, 64, 96)
    scaled = spec(Scale("train_examples", sizes))
    for size in sizes:
        task = scaled.at(size).task
        assert task is not None
        (x, y), (x_val, _) = task.data()
        assert torch.equal(x, whole[0][:size])
        assert torch.equal(y, whole[1][:size])
        assert torch.equal(x_val, val[0])
    train, _ = training_prefix(lambda: (TensorDataset(*whole), val), 40)
    assert len(train) == 40
    assert torch.equal(train[39][0], whole[0][39])


def test_training_examples_that_are_not_there_are_told() -> None:
    with pytest.raises(DataError, match="train_examples=97: the training data has 96 examples"):
        training_prefix(blobs, 97)
    train, val = blobs()
    loader = DataLoader(TensorDataset(*train), 8)
    with pytest.raises(DataError, match="a DataLoader, of which there are no first examples"):
        training_prefix(lambda: (loader, val), 8)


def test_functions_of_the_value_make_what_is_trained_there() -> None:
    scale = Scale(
        "width",
        [4, 8],
        model=net,
        data=lambda width: (width, "val"),
        loss=lambda width: partial(CROSS, label_smoothing=width / 100),
        optimizer=lambda width: partial(torch.optim.SGD, momentum=width / 10),
        schedule=lambda width: lambda step, total: 1 / width,
    )
    own = spec(scale, task=Task()).at(8)
    assert own.task is not None
    assert own.task.model()[0].out_features == 8  # type: ignore[index]
    assert own.task.data() == (8, "val")
    assert own.task.loss.keywords == {"label_smoothing": 0.08}  # type: ignore[attr-defined]
    assert own.optimizer.keywords == {"momentum": 0.8}  # type: ignore[union-attr]
    assert own.schedule(0, 10) == 1 / 8  # type: ignore[operator]
    recorded = spec(scale, task=Task()).recorded()
    assert recorded.model == "net"
    assert recorded.optimizer == "SGD"
    assert recorded.scale == {
        "name": "width", "values": [4, 8], "follow": {}, "budget": "epochs"
    }  # fmt: skip


def loop(params: Any, recorder: Any) -> None: ...


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spec(Scale("width", [4, 8])), "nothing depends on the scale width; give a func"),
        (lambda: spec(None, task=Task(data=blobs, loss=CROSS)), "no model; give Task\\(model="),
        (lambda: spec(Scale("width", [4, 8], model=net), task=Task(loss=CROSS)), "has no data"),
        (
            lambda: spec(Scale("width", [4, 8], model=net), task=None, train=loop),
            "let it read params.width, and leave out model=",
        ),
        (
            lambda: spec(Scale("width", [4, 8], budget="steps"), task=None, train=loop),
            "a loop of one's own decides its length",
        ),
        (
            lambda: spec(Scale("epochs", [4, 8]), design=Design()),
            "scale='epochs' in a study that designs itself, .* give ranges",
        ),
        (
            lambda: spec(Scale("smooth", [0, 0.1], loss=lambda v: 1 / v)).at(0),
            "loss= of the scale smooth fails at smooth=0: .*ZeroDivisionError",
        ),
        (
            lambda: spec(Scale("smooth", [0, 0.1], loss=lambda v: None)).at(0),
            "returns None at 0",
        ),
        (
            lambda: StudySpec(space=SearchSpace([1], tau=[1]), train=loop),
            "tau= needs the number of a run's steps",
        ),
        (
            lambda: StudySpec(
                space=SearchSpace([1], tau=[1]), task=Task(mlp, blobs, CROSS), sampler="tpe"
            ),
            "tau= is swept by a grid",
        ),
    ],
)
def test_what_can_not_be_scaled_is_told_in_a_line(make: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


FILE = """
from torch import nn
from small_tasks import blobs, mlp
from wdstudy import Scale, SearchSpace, StudySpec, Task
def study(along: str = ""):
    make = lambda width: nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, 3))
    scale = Scale("width", [4, 8], model=make) if along else None
    return StudySpec(
        task=Task(mlp, blobs, nn.functional.cross_entropy),
        space=SearchSpace([0.01, 0.1, 1], [0, 0.1], scale=scale), epochs=5, batch_size=16,
    )
"""


@pytest.fixture
def source(in_folder: Path) -> Callable[..., SpecSource]:
    Path("mine.py").write_text(FILE)
    return partial(SpecSource, "mine.py")


def test_flags_choose_a_built_in_scale_or_other_values_of_the_files_own(
    source: Callable[..., SpecSource],
) -> None:
    asked = {"scale": ("batch_size", (8.0, 16.0)), "follow": {"lr": 0.5}}
    (found,) = source(space=asked).specs()
    assert found.scale is not None
    assert (found.scale.name, found.scale.values) == ("batch_size", (8, 16))
    assert found.scale.follow == {"lr": 0.5}
    assert found.command == ("mine.py", "--scale", "batch_size=8,16", "--follow", "lr=0.5")
    (own,) = source({"along": "yes"}, space={"scale": ("width", (4.0, 6.0))}).specs()
    assert own.scale is not None
    assert own.scale.values == (4, 6)
    assert own.at(6).task.model()[0].out_features == 6  # type: ignore[union-attr,index]
    (tau,) = source(space={"tau": (0.1, 1.0)}).specs()
    assert (tau.space.tau, tau.space.weight_decay) == ((0.1, 1), ())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"space": {"scale": ("depth", (1.0, 2.0))}}, "has the scale width, and a study has one"),
        ({"space": {"scale": ("width", (4.0,))}}, "the one value 4"),
        (
            {"space": {"scale": ("width", (4.0, 8.0))}, "designs": True},
            "--scale contradicts --design: .* give --lr and --weight-decay ranges",
        ),
        ({"space": {"tau": (1.0,), "weight_decay": (0.1,)}}, "--tau sweeps instead of --weight"),
        ({"space": {"scale": ("width", (4.0, 8.0))}, "changes": {"epochs": 3}}, None),
    ],
)
def test_flags_that_contradict_the_files_scale_are_told(
    source: Callable[..., SpecSource], asked: dict[str, Any], message: str | None
) -> None:
    if message is None:
        assert source({"along": "yes"}, **asked).specs()[0].epochs == 3
        return
    with pytest.raises(SpecError, match=message):
        source({"along": "yes"}, **asked).specs()


def test_a_flag_that_the_scale_decides_is_refused(source: Callable[..., SpecSource]) -> None:
    with pytest.raises(SpecError, match="--epochs 3: the scale epochs decides that"):
        source(space={"scale": ("epochs", (1.0, 2.0))}, changes={"epochs": 3}).specs()
    with pytest.raises(SpecError, match="--follow: only along a scale"):
        source(space={"follow": {"lr": 1}}).specs()


def test_a_quick_study_has_the_ends_of_its_scale() -> None:
    small = quick(spec(Scale("width", [4, 6, 8], model=net)))
    assert small.scale is not None
    assert small.scale.values == (4, 8)
    assert small.epochs == EPOCHS
    epochs = quick(spec(Scale("epochs", [30, 60, 90]))).scale
    assert epochs is not None
    assert epochs.values == (1, EPOCHS)
    batches = quick(spec(Scale("batch_size", [4, 8, 16])))
    assert batches.at(16).task.data()[0][0].shape[0] == min(96, BATCHES * 16)  # type: ignore[union-attr]
    few = quick(spec(Scale("train_examples", [32, 64, 96]), batch_size=4))
    assert few.scale is not None
    assert few.scale.values == (12, 24)
    assert [len(few.at(v).task.data()[0][0]) for v in (12, 24)] == [12, 24]  # type: ignore[union-attr]
    own = quick(replace(spec(Scale("noise", [1, 2], data=lambda v: blobs())), batch_size=8))
    assert len(own.at(2).task.data()[0][0]) == BATCHES * 8  # type: ignore[union-attr]
