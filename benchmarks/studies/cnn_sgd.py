"""A convolutional net on handwritten digits, a third of the labels wrong: SGD with momentum."""

from functools import partial

import torch
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits


def cnn(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * width, 10),
    )


def study(train: int = 400, wrong: float = 0.33, epochs: int = 30, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="cnn_sgd",
        task=Task(
            model=partial(cnn, 12),
            data=partial(digits, train=train, wrong=wrong),
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(10**-2.5, 10**0.5, 13),
            weight_decay=[0, *log_range(1e-4, 10 ** (-1 / 3), 12)],
            seeds=seeds,
        ),
        optimizer=partial(torch.optim.SGD, momentum=0.9),
        schedule="cosine",
        epochs=epochs,
        batch_size=40,
        record_every=75,
        device="cpu",
    )
