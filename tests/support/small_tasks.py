"""Small real tasks that train in milliseconds, and what is in the storage after them."""

from __future__ import annotations

import optuna
import torch
from torch import Tensor, nn


def blobs() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Three noisy classes in ten dimensions: 96 examples to train on, 30 to validate."""
    generator = torch.Generator().manual_seed(7)
    y = torch.arange(126) % 3
    x = torch.randn(126, 10, generator=generator) + 2 * nn.functional.one_hot(y, 10)
    return (x[:96], y[:96]), (x[96:], y[96:])


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3))


def accuracy(output: Tensor, y: Tensor) -> Tensor:
    return (output.argmax(-1) == y).float().mean()


def read_trials(name: str, url: str = "sqlite:///wdstudy.db") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=url).trials


STUDY_FILE = """
import time
import torch
from torch import nn
from wdstudy import SearchSpace, StudySpec, Task

def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 4, generator=generator)
    return (x[:64], x[:64].sum(1)), (x[64:], x[64:].sum(1))

def loss(output, y):
    time.sleep(PAUSE)
    return nn.functional.mse_loss(output.squeeze(-1), y)

STUDY = StudySpec(
    task=Task(model=lambda: nn.Linear(4, 1), data=data, loss=loss),
    space=SearchSpace(lr=[0.001, 0.01, 0.1], weight_decay=[0, 0.001, 0.01, 0.1]),
    optimizer="sgd", epochs=2, batch_size=32, device="cpu",
)
"""
"""A study file of 12 cells of 6 batches; every batch takes PAUSE seconds."""
