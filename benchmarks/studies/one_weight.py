"""A model of one weight, trained for two steps: what is left is the cost of the study itself."""

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task


def data() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    x = torch.randn(8, 1, generator=torch.Generator().manual_seed(0))
    return (x, 2 * x), (x, 2 * x)


STUDY = StudySpec(
    task=Task(model=lambda: nn.Linear(1, 1, bias=False), data=data, loss=nn.functional.mse_loss),
    space=SearchSpace(lr=[0.1], weight_decay=[0.1]),
    optimizer="sgd",
    epochs=2,
    batch_size=8,
    device="cpu",
)
