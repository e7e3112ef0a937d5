"""The law of lanes: a lane's curves do not depend on its neighbours, nor on being stacked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from lane_tasks import (
    CPU,
    OPTIMIZERS,
    PARAMS,
    TASKS,
    MuonBeside,
    assert_same,
    images,
    mlp_with_dropout,
    run,
    spec_of,
    vectors,
)
from torch import Tensor, nn
from torch.optim import SGD, Adafactor, Adam, AdamW, Muon, NAdam, Optimizer, RMSprop

from wdstudy import Task, TrialParams
from wdstudy.study.optimizers import build_optimizer
from wdstudy.training.data import TaskData
from wdstudy.training.loop import Training
from wdstudy.training.stacked import StackedLanes
from wdstudy.training.step import GroupedStep, StackedStep, can_be_stacked


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
