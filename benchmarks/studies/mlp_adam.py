"""A deep, narrow MLP on handwritten digits, a fifth of the labels wrong: Adam, coupled decay."""

from functools import partial

from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits


def mlp(width: int, depth: int) -> nn.Sequential:
    hidden = [part for _ in range(depth - 1) for part in (nn.Linear(width, width), nn.GELU())]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.GELU(), *hidden, nn.Linear(width, 10)
    )


def study(train: int = 300, wrong: float = 0.2, epochs: int = 60, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="mlp_adam",
        task=Task(
            model=partial(mlp, 40, 3),
            data=partial(digits, train=train, wrong=wrong),
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(1e-4, 1e-1, 13),
            weight_decay=[0, *log_range(1e-5, 10 ** (-4 / 3), 12)],
            seeds=seeds,
        ),
        optimizer="adam",
        schedule="linear",
        epochs=epochs,
        batch_size=50,
        record_every=90,
        device="cpu",
    )
