"""From which part of which photograph is a patch? A net with BatchNorm, SGD with Nesterov momentum.

The two photographs that ship with scikit-learn, each in four quarters, make eight classes. Many
patches of sky or leaves could be from several of them: that is the noise, and no label is wrong.
"""

from functools import partial

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import Pair

SIDE = 8


def quarters() -> list[Tensor]:
    """The quarters of both photographs, uint8 `[height, width, 3]` each."""
    from sklearn.datasets import load_sample_images  # only where data are read: it takes a second

    photos = [torch.tensor(photo) for photo in load_sample_images().images]
    rows = (half for photo in photos for half in photo.chunk(2, dim=0))
    return [half for row in rows for half in row.chunk(2, dim=1)]


def patches(train: int, val: int) -> tuple[Pair, Pair]:
    """Patches at random places, all of one training scale: `[N, 3, 8, 8]`, and their quarters."""
    generator = torch.Generator().manual_seed(0)
    parts, total = quarters(), train + val
    y = torch.randint(len(parts), (total,), generator=generator)
    draws = torch.rand(total, 2, generator=generator)
    x = torch.stack([_patch(parts[label], draw) for label, draw in zip(y, draws, strict=True)])
    x = (x - x[:train].mean()) / x[:train].std()
    return (x[:train], y[:train]), (x[train:], y[train:])


def _patch(part: Tensor, draw: Tensor) -> Tensor:
    top, left = (int(d * (size - SIDE)) for d, size in zip(draw, part.shape[:2], strict=True))
    return part[top : top + SIDE, left : left + SIDE].permute(2, 0, 1).float()


def net(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3 * SIDE * SIDE, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, 8),
    )


def study(train: int = 300, val: int = 2000, epochs: int = 40, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="patches_nesterov",
        task=Task(
            model=partial(net, 40),
            data=partial(patches, train, val),
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(10**-2.5, 10**0.5, 13),
            weight_decay=[0, *log_range(1e-4, 10 ** (-1 / 3), 12)],
            seeds=seeds,
        ),
        optimizer=partial(torch.optim.SGD, momentum=0.9, nesterov=True),
        schedule="cosine",
        epochs=epochs,
        batch_size=50,
        record_every=60,
        device="cpu",
    )
