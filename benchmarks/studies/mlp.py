"""A small MLP on scikit-learn's handwritten digits, trained by AdamW."""

from functools import partial

from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits


def mlp(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def study(width: int = 128, epochs: int = 20, side: int = 8, seeds: int = 1) -> StudySpec:
    return StudySpec(
        name="mlp",
        task=Task(model=partial(mlp, width), data=digits, loss=nn.functional.cross_entropy),
        space=SearchSpace(
            lr=log_range(1e-4, 1e-2, side), weight_decay=log_range(1e-3, 1, side), seeds=seeds
        ),
        optimizer="adamw",
        epochs=epochs,
        batch_size=64,
    )
