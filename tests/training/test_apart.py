"""Classes whose step looks across its groups: lanes stay independent all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from displays import Lines
from small_tasks import blobs, mlp
from torch import nn
from torch.optim import SGD, AdamW, Muon, Optimizer

from wdstudy import SearchSpace, StudySpec, Task, register_decay, run_study
from wdstudy.training.apart import how_lanes_may_train, is_torchs_own
from wdstudy.training.step import can_be_stacked

SPACE = SearchSpace(lr=[0.01, 0.1, 1.0], weight_decay=[0, 0.01])


class ClipsAll(SGD):
    """What everybody writes who needs clipping in a Task."""

    def step(self, closure: Any = None) -> None:
        nn.utils.clip_grad_norm_([p for g in self.param_groups for p in g["params"]], 0.1)
        super().step(closure)


class OneScale(Optimizer):
    """As in D-adaptation: one scale for all groups, learned from all gradients, in the state of
    the first parameter.
    """

    def __init__(self, params: Any, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        first = self.state[self.param_groups[0]["params"][0]]
        used = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        size = sum(float(p.grad.norm()) for p in used)
        first["scale"] = max(first.get("scale", 0.0), size)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(p.grad, alpha=group["lr"] / first["scale"])


class Counts(SGD):
    """Its step count is on the object, and the lr falls with it: the same for every lane."""

    def step(self, closure: Any = None) -> None:
        self.count = getattr(self, "count", 0) + 1
        for group in self.param_groups:
            group["lr"] /= self.count**0.5
        super().step(closure)


class Shared(SGD):
    """It keeps a sum over all its objects: even an optimizer for each lane would be mixed."""

    total = 0.0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                Shared.total += float(p.grad.abs().sum())
                p.grad /= 1 + Shared.total
        super().step(closure)


class PerLane(SGD):
    """A third party's class that does as it should."""


def hooked(params: Any, **options: Any) -> SGD:
    """A class of PyTorch's own that is not plain any more."""
    optimizer = SGD(params, **options)

    def clip(made: Optimizer, *_: Any) -> None:
        nn.utils.clip_grad_norm_([p for g in made.param_groups for p in g["params"]], 0.1)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def by_rank(groups: Any, **options: Any) -> SGD:
    """It sorts the groups: matrices of all lanes first, then all the rest."""
    halves = [
        {**group, "params": [p for p in group["params"] if (p.ndim > 1) == matrix]}
        for matrix in (True, False)
        for group in groups
    ]
    return SGD(halves, **options)


for _class in (ClipsAll, Counts, Shared, PerLane):
    register_decay(_class, "coupled")
register_decay(OneScale, "decoupled")


def spec_for(optimizer: Callable[..., Optimizer] | str, **changes: Any) -> StudySpec:
    task = Task(lambda: mlp().double(), _doubles, nn.functional.cross_entropy)
    fields: dict[str, Any] = {
        "space": SPACE, "task": task, "optimizer": optimizer, "epochs": 3, "batch_size": 32,
        "device": "cpu", "schedule": "cosine",
    }  # fmt: skip
    return StudySpec(**{**fields, **changes})


def _doubles() -> Any:
    (x, y), (x_val, y_val) = blobs()
    return (x.double(), y), (x_val.double(), y_val)


@pytest.mark.parametrize(
    ("optimizer", "mode"),
    [
        ("sgd", "together"),
        (AdamW, "together"),
        (PerLane, "together"),
        (Counts, "together"),
        (ClipsAll, "apart"),
        (hooked, "apart"),
        (by_rank, "apart"),
        (OneScale, "apart"),
        (Shared, "alone"),
    ],
)
def test_the_probe_tells_who_mixes_lanes(optimizer: Any, mode: str) -> None:
    assert how_lanes_may_train(spec_for(optimizer)) == mode


@pytest.mark.parametrize("optimizer", [ClipsAll, hooked, by_rank, OneScale, Counts, PerLane])
def test_a_study_of_lanes_is_the_study_of_one_lane_at_a_time(
    in_folder: Path, optimizer: Any
) -> None:
    """As a user has it, with a lane that diverges and leaves on the way."""
    space = SearchSpace(lr=[0.01, 0.1, 1e30], weight_decay=[0, 0.01])
    together = run_study(spec_for(optimizer, space=space, name="a"), "sqlite:///a.db", lanes=6)
    alone = run_study(spec_for(optimizer, space=space, name="b"), "sqlite:///b.db", lanes=1)
    assert len(together.trials) == 6
    by_cell = {(t.params["lr"], t.params["weight_decay"]): t for t in alone.trials}
    for trial in together.trials:
        other = by_cell[trial.params["lr"], trial.params["weight_decay"]]
        assert trial.state == other.state
        if other.value is not None:
            assert trial.value == pytest.approx(other.value, rel=1e-9)
            losses = trial.user_attrs["primary_loss"], trial.user_attrs["decay_loss"]
            others = other.user_attrs["primary_loss"], other.user_attrs["decay_loss"]
            for mine, its in zip(losses, others, strict=True):
                assert mine == pytest.approx(its, rel=1e-9)


def test_a_plain_class_with_a_hook_is_no_plain_class() -> None:
    weights = [nn.Parameter(torch.ones(2, 2))]
    assert is_torchs_own(SGD(weights, lr=0.1))
    assert is_torchs_own(Muon(weights, lr=0.1))
    assert not is_torchs_own(PerLane(weights, lr=0.1))
    touched = hooked(weights, lr=0.1)
    assert not is_torchs_own(touched)
    assert not can_be_stacked(touched)  # or the hook would never be called
    patched = SGD(weights, lr=0.1)
    patched.step = lambda closure=None: None  # type: ignore[method-assign]
    assert not is_torchs_own(patched)


def test_an_optimizer_that_cant_be_tried_trains_one_lane_at_a_time(in_folder: Path) -> None:
    class Single(SGD):
        def step(self, closure: Any = None) -> None:
            if self.param_groups[0]["params"][0].dtype == torch.float64:
                raise RuntimeError("single precision only")
            super().step(closure)

    register_decay(Single, "coupled")
    task = Task(mlp, blobs, nn.functional.cross_entropy)
    lines = Lines()
    study = run_study(spec_for(Single, task=task, name="a"), "sqlite:///a.db", lines, lanes=6)
    assert "whether Single keeps lanes apart can't be tried" in lines.lines[0]
    assert "single precision only" in lines.lines[0]
    alone = run_study(spec_for(Single, task=task, name="b"), "sqlite:///b.db", lanes=1)
    assert [t.value for t in study.trials] == [t.value for t in alone.trials]
