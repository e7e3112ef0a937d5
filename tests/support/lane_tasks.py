"""What the law of lanes is tried on: three architectures, eight optimizers, five lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from small_tasks import blobs
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RMSprop

from wdstudy import SearchSpace, StudySpec, Task, TrialParams
from wdstudy.meter import Measurement
from wdstudy.training.data import TaskData
from wdstudy.training.loop import Training

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
