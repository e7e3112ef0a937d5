"""An MLP of matrices alone on handwritten digits, two fifths of the labels wrong: Muon."""

from functools import partial

import torch
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits


def mlp(width: int) -> nn.Sequential:
    """Without biases: Muon is for matrices (Jordan 2024, kellerjordan.github.io/posts/muon)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width, bias=False),
        nn.ReLU(),
        nn.Linear(width, 10, bias=False),
    )


def study(train: int = 800, wrong: float = 0.4, epochs: int = 10, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="mlp_muon",
        task=Task(
            model=partial(mlp, 48),
            data=partial(digits, train=train, wrong=wrong),
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(1e-3, 1, 13),
            weight_decay=[0, *log_range(10 ** (-5 / 3), 100, 12)],
            seeds=seeds,
        ),
        optimizer=partial(torch.optim.Muon, adjust_lr_fn="match_rms_adamw"),
        schedule="cosine",
        epochs=epochs,
        batch_size=80,
        record_every=25,
        device="cpu",
    )
