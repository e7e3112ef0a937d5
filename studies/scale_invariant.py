"""Do weights settle where lr and weight_decay say, when their size does not matter to the output?

Every weight of this network is divided by its norm before it is used, so its gradient is orthogonal
to it: steps make it longer, weight decay shorter, until the two balance. Where, and how far a step
turns it then, follows from lr and weight_decay alone (Kosson, Messmer & Jaggi 2024,
arXiv:2305.17212). The reports lay what was measured over the formulas.

    python -m wdstudy run studies/scale_invariant.py
    python -m wdstudy report scale-invariant scale-invariant-sgd
"""

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


def study(width: int = 64, epochs: int = 100) -> list[StudySpec]:
    adamw = StudySpec(
        name="scale-invariant",
        task=Task(
            model=partial(network, width),
            data=digits,
            loss=partial(nn.functional.cross_entropy, label_smoothing=0.1),
        ),
        space=SearchSpace(lr=log_range(1e-3, 1e-1, 5), weight_decay=log_range(1e-2, 1, 5)),
        optimizer="adamw",
        epochs=epochs,
        batch_size=32,
        record_every=450,
        angular_update=True,
    )
    sgd = StudySpec(
        name="scale-invariant-sgd",
        task=adamw.task,
        space=SearchSpace(lr=log_range(1e-2, 1, 5), weight_decay=log_range(1e-3, 1e-1, 5)),
        optimizer=partial(torch.optim.SGD, momentum=0.9),
        epochs=epochs,
        batch_size=32,
        record_every=450,
        angular_update=True,
    )
    return [adamw, sgd]
