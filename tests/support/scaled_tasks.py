"""Small real studies along a scale."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from optuna.trial import FrozenTrial
from small_tasks import accuracy, blobs, mlp
from torch import nn

from wdstudy import Scale, SearchSpace, StudySpec, Task
from wdstudy.run.cells import params_of

CROSS = nn.functional.cross_entropy


def along(scale: Scale, lr: Any = (0.01, 0.1), seeds: int = 1, **changes: Any) -> StudySpec:
    """A spec of a task that trains in milliseconds; any field can be changed."""
    fields: dict[str, Any] = {
        "name": "small",
        "task": Task(mlp, blobs, CROSS, {"accuracy": accuracy}),
        "space": SearchSpace(lr, [0, 0.01], seeds, scale=scale),
        "optimizer": "sgd",
        "epochs": 2,
        "batch_size": 32,
        "device": "cpu",
    }
    return StudySpec(**{**fields, **changes})


def batches(*values: int, **options: Any) -> Scale:
    return Scale("batch_size", values, **options)


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, 3))


def fails_at(width: int, at: int) -> nn.Module:
    if width == at:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return net(width)


def keys(trials: list[FrozenTrial]) -> Counter[tuple[float, ...]]:
    """How often each cell, seed and value has a trial."""
    return Counter(params.key for t in trials if (params := params_of(t)) is not None)
