"""A small regression: what a study recorded by an earlier version looks like."""

import torch
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task


def data():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(80, 4, generator=generator)
    y = torch.tanh(x[:, :2]).sum(1, keepdim=True)
    return (x[:64], y[:64]), (x[64:], y[64:])


def error(output, y):
    return (output - y).abs().mean()


STUDY = StudySpec(
    task=Task(
        model=lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)),
        data=data,
        loss=nn.functional.mse_loss,
        metrics={"error": error},
    ),
    space=SearchSpace(lr=[0.01, 0.1, 10], weight_decay=[0, 0.01, 0.1], seeds=2),
    optimizer="sgd",
    epochs=3,
    batch_size=16,
    schedule="cosine",
    device="cpu",
)
