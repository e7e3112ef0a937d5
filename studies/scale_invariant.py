"""Do weights settle where lr and weight_decay say, when their size does not matter to the output?

Every weight of this network is divided by its norm before it is used, so its gradient is orthogonal
to it: steps make it longer, weight decay shorter, until the two balance. Where, and how far a step
turns it then, follows from lr and weight_decay alone (Kosson, Messmer & Jaggi 2024,
arXiv:2305.17212). The reports lay what was measured over the formulas. About a minute on two cores.

    python -m wdstudy run studies/scale_invariant.py
    python -m wdstudy report scale-invariant scale-invariant-sgd
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range
from wdstudy.images import digits


class UnitLinear(nn.Linear):
    """A linear layer whose every neuron has a weight of norm 1, and inputs of norm √n."""

    def forward(self, x: Tensor) -> Tensor:
        weight = nn.functional.normalize(self.weight, dim=-1)
        return nn.functional.linear(nn.functional.rms_norm(x, x.shape[-1:]), weight)


def network(width: int) -> nn.Sequential:
    unit = partial(UnitLinear, bias=False)
    return nn.Sequential(
        nn.Flatten(), unit(64, width), nn.ReLU(), unit(width, width), nn.ReLU(), unit(width, 10)
    )


def noisy(x: Tensor, generator: torch.Generator) -> Tensor:
    """The formulas are of a random walk: gradients must stay noisy, so images can't be learnt."""
    return x + 3 * torch.randn(x.shape, generator=generator, device=x.device)


def study(width: int = 64, epochs: int = 100) -> list[StudySpec]:
    adamw = StudySpec(
        name="scale-invariant",
        task=Task(
            model=partial(network, width),
            data=digits,
            loss=nn.functional.cross_entropy,
            augment=noisy,
        ),
        space=SearchSpace(log_range(1e-3, 1e-1, 5), log_range(1e-2, 10**-0.5, 4)),
        optimizer="adamw",
        epochs=epochs,
        batch_size=32,
        record_every=450,
        angular_update=True,
    )
    sgd = replace(
        adamw,
        name="scale-invariant-sgd",
        space=SearchSpace(log_range(1e-2, 1, 5), log_range(10**-3.5, 1e-2, 4)),
        optimizer=partial(torch.optim.SGD, momentum=0.9),
    )
    return [adamw, sgd]
