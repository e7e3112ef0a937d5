"""The law of lanes: a lane's curves do not depend on its neighbours, nor on being stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from conftest import blobs
from torch import Tensor, nn
from torch.optim import SGD, Adafactor, Adam, AdamW, Muon, NAdam, Optimizer, RMSprop

from wdstudy import SearchSpace, StudySpec, Task, TrialParams
from wdstudy.data import TaskData
from wdstudy.optimizers import build_optimizer
from wdstudy.stackedlanes import StackedLanes
from wdstudy.stepping import GroupedStep, StackedStep, can_be_stacked
from wdstudy.training import Measurement, Training

CPU = torch.device("cpu")
LANES = [(0.003, 0.0), (0.01, 0.01), (0.02, 0.1), (0.005, 0.5), (0.001, 0.001)]
PARAMS = [TrialParams(lr, weight_decay, seed=2) for lr, weight_decay in LANES]
Pairs = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def vectors() -> Pairs:
    (x, y), (x_val, y_val) = blobs()
    return (x.double(), y), (x_val.double(), y_val)


def images() -> Pairs:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, 6, 6, generator=generator, dtype=torch.float64)
    y = (x.mean(dim=(1, 2, 3)) > 0).long() + (x[:, 0].mean(dim=(1, 2)) > 0).long()
    return (x[:48], y[:48]), (x[48:], y[48:])


def tokens() -> Pairs:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(11, (60, 7), generator=generator)
    return (x[:48, :-1], x[:48, 1:]), (x[48:, :-1], x[48:, 1:])


def mlp_with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3)).double()


class ResNet(nn.Module):
    """BatchNorm and GroupNorm, a frozen first layer, one convolution used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, bias=False).requires_grad_(False)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.second = self.first
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.GroupNorm(2, 4)])
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = x + self.norms[0](self.first(x)).relu()
        x = x + self.norms[1](self.second(x)).relu()
        return self.head(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """One block with attention; the embedding is the output layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.mix = nn.Linear(8, 24, bias=False)
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        q, k, v = self.mix(self.norms[0](h)).unflatten(-1, (3, 2, 4)).unbind(-3)
        q, k, v = (part.transpose(-3, -2) for part in (q, k, v))
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + attended.transpose(-3, -2).flatten(-2)
        return self.out(h + self.mlp(self.norms[1](h)))  # type: ignore[no-any-return]


def of_tokens(output: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output.flatten(0, -2), y.flatten())


TASKS = {
    "mlp": Task(mlp_with_dropout, vectors, nn.functional.cross_entropy),
    "resnet": Task(lambda: ResNet().double(), images, nn.functional.cross_entropy),
    "transformer": Task(lambda: Transformer().double(), tokens, of_tokens),
}
# Epochs of three steps each make 51.
EPOCHS = 17


class MuonBeside(Optimizer):
    """A third party's optimizer: Muon on matrices, SGD on everything else, a state of its own."""

    def __init__(self, params: Any, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state["mean"] = 0.9 * state.get("mean", torch.zeros_like(p)) + p.grad
                step = state["mean"] / state["mean"].norm() if p.ndim == 2 else state["mean"]
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=group["lr"])


OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], str]] = {
    "sgd momentum": (partial(SGD, momentum=0.9, nesterov=True), "pytorch"),
    "adam": (Adam, "pytorch"),
    "adamw": (AdamW, "pytorch"),
    "adamw fused": (partial(AdamW, fused=True), "pytorch"),
    "independent": (AdamW, "independent"),
    "nadam": (NAdam, "pytorch"),
    "rmsprop": (RMSprop, "pytorch"),
    "third party": (MuonBeside, "pytorch"),
}


def spec_of(task: Task, optimizer: Callable[..., Optimizer], **changes: Any) -> StudySpec:
    fields: dict[str, Any] = {
        "space": SearchSpace([0.1], [0]), "task": task, "optimizer": optimizer, "epochs": EPOCHS,
        "batch_size": 32 if task is TASKS["mlp"] else 16, "schedule": "cosine", "warmup": 0.1,
        "angular_update": True,
    }  # fmt: skip
    return StudySpec(**{**fields, **changes})


def run(spec: StudySpec, params: Sequence[TrialParams]) -> list[Measurement]:
    assert spec.task is not None
    return list(Training(spec, params, TaskData(spec.task.data(), spec.batch_size, CPU), CPU))


def assert_same(
    lane: int, together: list[Measurement], of: int, alone: list[Measurement], rtol: float
) -> None:
    for a, b in zip(together, alone, strict=True):
        assert a.series.keys() == b.series.keys()
        for name in a.series:
            np.testing.assert_allclose(
                a.series[name][lane], b.series[name][of], rtol=rtol, atol=1e-300, err_msg=name
            )


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_five_lanes_are_five_runs_alone(task: str, name: str) -> None:
    optimizer, decay = OPTIMIZERS[name]
    if optimizer is MuonBeside:
        from wdstudy import register_decay

        register_decay(MuonBeside, "decoupled")
    spec = spec_of(TASKS[task], optimizer, decay=decay)
    together = run(spec, PARAMS)
    for lane, params in enumerate(PARAMS):
        alone = run(spec, [params])
        assert_same(lane, together, 0, alone, rtol=1e-5 if optimizer is RMSprop else 1e-9)


def test_muon_on_a_model_of_matrices() -> None:
    task = Task(lambda: nn.Linear(10, 3, bias=False).double(), vectors, nn.functional.cross_entropy)
    spec = spec_of(task, partial(Muon, ns_steps=3), batch_size=32)
    together = run(spec, PARAMS)
    for lane, params in enumerate(PARAMS):
        assert_same(lane, together, 0, run(spec, [params]), rtol=1e-9)


def test_adafactor_scales_by_its_own_lane() -> None:
    spec = spec_of(TASKS["transformer"], Adafactor)
    together = run(spec, PARAMS)
    for lane, params in enumerate(PARAMS):
        assert_same(lane, together, 0, run(spec, [params]), rtol=1e-9)


@pytest.mark.parametrize("name", ["sgd momentum", "adamw", "nadam"])
def test_groups_split_by_no_decay_obey_the_law(name: str) -> None:
    spec = spec_of(TASKS["resnet"], OPTIMIZERS[name][0], no_decay="biases_and_norms")
    together = run(spec, PARAMS)
    for lane, params in enumerate(PARAMS):
        assert_same(lane, together, 0, run(spec, [params]), rtol=1e-9)


@pytest.mark.parametrize("name", ["sgd momentum", "adamw", "nadam", "rmsprop"])
def test_lanes_that_stay_go_on_as_if_nothing_had_happened(name: str) -> None:
    optimizer, _ = OPTIMIZERS[name]
    spec = spec_of(TASKS["resnet"], optimizer)
    assert spec.task is not None
    data = TaskData(spec.task.data(), spec.batch_size, CPU)
    training = Training(spec, PARAMS, data, CPU)
    measured = []
    for number, measurement in enumerate(training):
        measured.append(measurement)
        if number == 4:
            training.keep([1, 3, 4])
        if number == 9:
            training.keep([2])
    whole = run(spec, PARAMS)
    assert_same(1, measured[:5], 1, whole[:5], rtol=1e-9)
    assert_same(1, measured[5:10], 3, whole[5:10], rtol=1e-9)
    assert_same(0, measured[10:], 4, whole[10:], rtol=1e-9)


def test_the_memory_of_lanes_that_leave_is_given_back() -> None:
    lanes = StackedLanes(mlp_with_dropout(), 8)
    params = [TrialParams(0.1, 0.1)] * 8
    optimizer = build_optimizer(NAdam, lanes.named_parameters(), params)
    step = GroupedStep(lanes, optimizer)
    lanes.backward(lanes.losses(nn.functional.cross_entropy, *vectors()[0]))
    step.step()
    lanes.keep([6], optimizer)
    assert lanes.size == len(optimizer.param_groups) == 1
    assert {s.shape[0] for s in lanes.stacked.values()} == {1}
    assert len(optimizer.state) == 4
    live = {id(p) for _, p in lanes.named_parameters()[0]}
    assert {id(p) for p in optimizer.state} == live


def test_views_write_to_the_stacked_tensors() -> None:
    lanes = StackedLanes(mlp_with_dropout(), 3)
    name, view = lanes.named_parameters()[2][0]
    with torch.no_grad():
        view.fill_(7)
    assert lanes.stacked[name][2].eq(7).all()
    assert not lanes.stacked[name][1].eq(7).any()


def test_a_parameter_without_a_gradient_is_skipped_in_every_lane() -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(10, 3), nn.Linear(10, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)  # type: ignore[no-any-return]

    task = Task(lambda: Partly().double(), vectors, nn.functional.cross_entropy)
    for optimizer in (AdamW, NAdam):
        spec = spec_of(task, optimizer, batch_size=32)
        together = run(spec, PARAMS)
        for lane, params in enumerate(PARAMS):
            assert_same(lane, together, 0, run(spec, [params]), rtol=1e-9)


def test_plain_forms_are_stacked_and_others_are_left_to_pytorch() -> None:
    weight = [nn.Parameter(torch.zeros(2, 2))]
    assert can_be_stacked(SGD(weight, lr=0.1, momentum=0.9, nesterov=True))
    assert can_be_stacked(AdamW(weight, fused=True))
    assert not can_be_stacked(Adam(weight, amsgrad=True))
    assert not can_be_stacked(SGD(weight, lr=0.1, maximize=True))
    assert not can_be_stacked(NAdam(weight))
    assert not can_be_stacked(type("MySGD", (SGD,), {})(weight, lr=0.1))


@pytest.mark.parametrize(
    "factory",
    [SGD, partial(SGD, momentum=0.9), partial(SGD, momentum=0.9, dampening=0.5), Adam, AdamW,
     partial(Adam, decoupled_weight_decay=True), partial(AdamW, betas=(0.5, 0.7), eps=0.1)],
    ids=str,
)  # fmt: skip
def test_the_stacked_step_is_torchs_own(factory: Callable[..., Optimizer]) -> None:
    """Both on the same gradients, lane by lane, with an lr that changes."""
    finals = []
    for kind in (StackedStep, GroupedStep):
        torch.manual_seed(0)
        lanes = StackedLanes(mlp_with_dropout(), 5)
        optimizer = build_optimizer(factory, lanes.named_parameters(), PARAMS)
        step = kind(lanes, optimizer)
        generator = torch.Generator().manual_seed(1)
        for number in range(20):
            for stacked in lanes.stacked.values():
                stacked.grad = torch.randn(stacked.shape, generator=generator, dtype=stacked.dtype)
            for group, params in zip(optimizer.param_groups, PARAMS, strict=True):
                group["lr"] = params.lr / (1 + number)
            step.step()
        finals.append({name: s.detach().clone() for name, s in lanes.stacked.items()})
    for name, value in finals[0].items():
        torch.testing.assert_close(value, finals[1][name], rtol=1e-12, atol=1e-14)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_law_holds_on_a_gpu(name: str) -> None:
    optimizer, decay = OPTIMIZERS[name]
    cuda = torch.device("cuda:0")
    spec = spec_of(TASKS["resnet"], optimizer, decay=decay)
    data = TaskData(images(), 16, cuda)
    together = list(Training(spec, PARAMS, data, cuda))
    for lane, params in enumerate(PARAMS):
        alone = list(Training(spec, [params], data, cuda))
        assert_same(lane, together, 0, alone, rtol=1e-5)
