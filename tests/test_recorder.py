from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import pytest
import torch
from small_tasks import blobs, mlp
from torch import nn
from torch.optim import Optimizer

from wdstudy import LossRecorder, decay_loss
from wdstudy.errors import RecorderError

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def loop(factory: Callable[..., Optimizer], record: bool) -> tuple[nn.Module, LossRecorder | None]:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Dropout(0.2), *mlp())
    (x, y), _ = blobs()
    optimizer = factory(model.parameters(), lr=0.02, weight_decay=0.1)
    recorder = LossRecorder(optimizer) if record else None
    for step in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if recorder is not None:
            recorder.step(loss)
        optimizer.step()
        if recorder is not None and step % 5 == 4:
            recorder.point(val_loss=loss)
    return model, recorder


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_bit_identical_with_and_without_the_recorder(name: str) -> None:
    bare, _ = loop(OPTIMIZERS[name], record=False)
    recorded, recorder = loop(OPTIMIZERS[name], record=True)
    for a, b in zip(bare.parameters(), recorded.parameters(), strict=True):
        assert torch.equal(a, b)
    assert recorder is not None
    assert recorder.curves["step"] == [5, 10, 15, 20]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_points_are_the_means_of_both_losses_before_each_update(name: str) -> None:
    """Against the textbook: both losses summed in Python with `.item()` at every step."""
    _, recorder = loop(OPTIMIZERS[name], record=True)
    torch.manual_seed(3)
    model = nn.Sequential(nn.Dropout(0.2), *mlp())
    (x, y), _ = blobs()
    optimizer = OPTIMIZERS[name](model.parameters(), lr=0.02, weight_decay=0.1)
    primary, decay, norms = [], [], []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        primary.append(loss.item())
        decay.append(0.05 * sum(p.square().sum().item() for p in model.parameters()))
        optimizer.step()
        norms.append(math.sqrt(sum(p.square().sum().item() for p in model.parameters())))

    def fives(values: list[float]) -> list[float]:
        return [sum(values[i : i + 5]) / 5 for i in range(0, 20, 5)]

    assert recorder is not None
    assert recorder.curves["primary_loss"] == pytest.approx(fives(primary), rel=1e-6)
    assert recorder.curves["decay_loss"] == pytest.approx(fives(decay), rel=1e-6)
    assert recorder.curves["weight_norm"] == pytest.approx(norms[4::5], rel=1e-6)
    assert recorder.initial_loss == primary[0]


def test_thousands_of_steps_between_points_stay_exact() -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.0, weight_decay=0.5)
    recorder = LossRecorder(optimizer)
    weight.grad = torch.ones(1)
    for step in range(2500):
        recorder.step(torch.tensor(float(step)))
    recorder.point()
    assert recorder.curves["primary_loss"] == [2499 / 2]
    assert recorder.curves["decay_loss"] == [0.25]
    assert recorder.curves["step"] == [2500]


def test_no_step_reads_a_number_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
    recorder = LossRecorder(optimizer)
    weight.grad = torch.ones(3)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the host waits for the device here")

    with monkeypatch.context() as patch:
        for method in ("item", "tolist", "cpu", "numpy", "__float__", "__bool__", "__int__"):
            patch.setattr(torch.Tensor, method, forbidden)
        for _ in range(3):
            recorder.step(torch.ones(()))
    assert recorder.point()["decay_loss"] == pytest.approx(0.75)


def test_trackers_see_every_point() -> None:
    class Kept:
        def __init__(self) -> None:
            self.points: list[Mapping[str, float]] = []

        def log(self, point: Mapping[str, float]) -> None:
            self.points.append(point)

    tracker = Kept()
    weight = nn.Parameter(torch.ones(3))
    recorder = LossRecorder(torch.optim.SGD([weight], lr=0.1, weight_decay=0.5), [tracker])
    weight.grad = torch.ones(3)
    recorder.step(torch.tensor(2.0))
    recorder.point(val_loss=1.5)
    assert tracker.points[0]["primary_loss"] == 2.0
    assert tracker.points[0]["val_loss"] == 1.5
    assert recorder.curves.to_frame()["learning_rate"].tolist() == [0.1]


def test_the_lr_of_a_point_is_that_of_its_last_step() -> None:
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    recorder = LossRecorder(optimizer)
    for _ in range(3):
        weight.grad = torch.ones(1)
        recorder.step(torch.tensor(1.0))
        optimizer.step()
        schedule.step()
        recorder.point()
    assert recorder.curves["learning_rate"] == [1.0, 0.5, 0.25]


def test_misuse_is_told_where_it_happens() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, weight_decay=0.5)
    with pytest.raises(RecorderError, match=r"after loss.backward\(\)"):
        LossRecorder(optimizer).step(torch.tensor(1.0))
    weight.grad = torch.ones(3)
    with pytest.raises(RecorderError, match=r"call \.mean\(\)"):
        LossRecorder(optimizer).step(torch.ones(4))
    with pytest.raises(RecorderError, match="name it val_accuracy"):
        LossRecorder(optimizer).point(accuracy=0.5)
    with pytest.raises(RecorderError, match=r"recorder\.watch\(optimizer\)"):
        LossRecorder().step(torch.tensor(1.0))


def test_several_optimizers_are_counted_together() -> None:
    """As of a network with an optimizer for its matrices and one for the rest."""
    model = mlp()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    first = torch.optim.SGD(matrices, lr=0.1, weight_decay=0.5)
    second = torch.optim.AdamW(others, lr=0.01, weight_decay=2.0)
    recorder = LossRecorder(first)
    recorder.watch(second)
    (x, y), _ = blobs()
    expected = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        recorder.step(loss)
        expected.append(float(decay_loss(first) + decay_loss(second)))
        for optimizer in (first, second):
            optimizer.step()
            optimizer.zero_grad()
    point = recorder.point()
    assert point["decay_loss"] == pytest.approx(sum(expected) / 3)
    norm = torch.cat([p.detach().flatten() for p in model.parameters()]).norm()
    assert point["weight_norm"] == pytest.approx(float(norm))
    assert point["learning_rate"] == 0.1


def test_an_optimizer_that_is_made_anew_replaces_the_old_one() -> None:
    model = mlp()
    recorder = LossRecorder(torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.0))
    again = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=3.0)
    recorder.watch(again)
    recorder.watch(again)
    (x, y), _ = blobs()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    recorder.step(loss)
    expected = float(decay_loss(again))
    assert recorder.point()["decay_loss"] == pytest.approx(expected)
