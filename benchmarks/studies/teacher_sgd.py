"""A student learns a teacher's function from plenty of exact examples: plain SGD.

There is nothing to regularise: weight decay can only do harm, and the question is from where on.
"""

from functools import partial

import torch
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import Pair


def net(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, width), nn.Tanh(), nn.Linear(width, 1))


@torch.no_grad()
def lessons(train: int, val: int) -> tuple[Pair, Pair]:
    """Points `[N, 10]` and what a teacher of four units makes of them, of unit size, `[N, 1]`."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(train + val, 10, generator=generator)
    inner = torch.randn(10, 4, generator=generator) / 2
    y = torch.tanh(x @ inner) @ torch.randn(4, 1, generator=generator)
    y = (y - y.mean()) / y.std()
    return (x[:train], y[:train]), (x[train:], y[train:])


def study(train: int = 1000, val: int = 2000, epochs: int = 15, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="teacher_sgd",
        task=Task(
            model=partial(net, 32),
            data=partial(lessons, train, val),
            loss=nn.functional.mse_loss,
        ),
        space=SearchSpace(
            lr=log_range(1e-3, 1, 13),
            weight_decay=[0, *log_range(1e-4, 10 ** (-1 / 3), 12)],
            seeds=seeds,
        ),
        optimizer="sgd",
        schedule="cosine",
        epochs=epochs,
        batch_size=20,
        record_every=150,
        device="cpu",
    )
