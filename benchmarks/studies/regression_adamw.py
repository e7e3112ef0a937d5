"""The course of diabetes in a year, by an MLP: 442 patients, squared error, AdamW.

Ten measurements of each patient ship with scikit-learn (Efron et al. 2004); a third of the
patients train, the others validate.
"""

from functools import partial

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import Pair


def patients(train: int) -> tuple[Pair, Pair]:
    """Measurements `[N, 10]` and the course `[N, 1]`, both of unit size over the patients."""
    from sklearn.datasets import load_diabetes  # as long as torch takes: only where data are read

    x, y = (torch.from_numpy(part).float() for part in load_diabetes(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = (_standardised(part[order].reshape(len(x), -1)) for part in (x, y))
    return (x[:train], y[:train]), (x[train:], y[train:])


def _standardised(part: Tensor) -> Tensor:
    return (part - part.mean(dim=0)) / part.std(dim=0)


def mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, width), nn.Tanh(), nn.Linear(width, 1))


def study(train: int = 150, epochs: int = 60, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="regression_adamw",
        task=Task(
            model=partial(mlp, 64),
            data=partial(patients, train),
            loss=nn.functional.mse_loss,
        ),
        space=SearchSpace(
            lr=log_range(10**-3.5, 10**-0.5, 13),
            weight_decay=[0, *log_range(10 ** (-5 / 3), 100, 12)],
            seeds=seeds,
        ),
        optimizer="adamw",
        schedule="cosine",
        epochs=epochs,
        batch_size=30,
        record_every=60,
        device="cpu",
    )
