"""A head for new classes on the features of a trained network, fitted by plain SGD.

The network is trained on the digits 0 to 4 when the data are loaded; the head learns 5 to 9 from
60 examples, a quarter of them with wrong labels.
"""

from functools import cache, partial

import torch
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import Pair, digits

FEATURES = 48


@cache
def pretrained() -> nn.Sequential:
    """Its hidden layers, after 300 steps of Adam on the first five classes."""
    (x, y), _ = digits()
    x, y = x[y < 5], y[y < 5]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, FEATURES), nn.Tanh()
        )
        net = nn.Sequential(body, nn.Linear(FEATURES, 5))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(300):
        chosen = torch.randint(len(x), (64,), generator=order)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimizer.step()
    return body.requires_grad_(False)


def features(train: int, wrong: float) -> tuple[Pair, Pair]:
    """What the network makes of the other five classes, and which they are."""
    x, y = (torch.cat(halves) for halves in zip(*digits(), strict=True))
    x, y = pretrained()(x[y >= 5]), y[y >= 5] - 5
    generator = torch.Generator().manual_seed(2)
    redrawn = torch.rand(train, generator=generator) < wrong
    drawn = torch.randint(5, (train,), generator=generator)
    return (x[:train], torch.where(redrawn, drawn, y[:train])), (x[train:], y[train:])


def study(train: int = 60, wrong: float = 0.25, epochs: int = 200, seeds: int = 6) -> StudySpec:
    return StudySpec(
        name="head_sgd",
        task=Task(
            model=partial(nn.Linear, FEATURES, 5),
            data=partial(features, train, wrong),
            loss=nn.functional.cross_entropy,
        ),
        space=SearchSpace(
            lr=log_range(10**-2.5, 10**0.5, 13),
            weight_decay=[0, *log_range(1e-4, 10 ** (-1 / 3), 12)],
            seeds=seeds,
        ),
        optimizer="sgd",
        epochs=epochs,
        batch_size=20,
        record_every=150,
        device="cpu",
    )
