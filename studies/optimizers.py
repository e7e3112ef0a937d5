"""Are lr and weight_decay easier to tune apart when weight decay is decoupled?

The question of Loshchilov & Hutter 2019 (arXiv:1711.05101, figures 1 and 2), asked of the ResNet in
studies/resnet.py: SGD and Adam with weight_decay in the gradient; both with the paper's decoupled
form; AdamW as PyTorch has it; and Muon. Those whose weight_decay is of one kind share their axes.
A fifth of the training labels is wrong, so that there is noise to fit. About ten minutes on two
cores.

    python -m wdstudy run studies/optimizers.py
    python -m wdstudy report sgd sgd-independent adam adamw adamw-independent muon
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from resnet import resnet
from resnet import study as resnet_study
from torch import Tensor

from wdstudy import SearchSpace, StudySpec, log_range, register_decay
from wdstudy.images import digits


class SGDW(torch.optim.SGD):
    """SGD that shrinks the weights by lr · weight_decay and leaves the gradient alone."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        coefficients = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0  # or SGD would add it to the gradient
        loss = super().step(closure)
        for group, weight_decay in zip(self.param_groups, coefficients, strict=True):
            group["weight_decay"] = weight_decay
        return loss


class MuonForFilters(torch.optim.AdamW):
    """Muon for the filters of convolutions, a row of a matrix each, and AdamW for the rest.

    Muon is for the matrices of hidden layers (Jordan 2024, kellerjordan.github.io/posts/muon), and
    torch.optim.Muon takes these only. Its updates are as large as AdamW's (Liu et al. 2025,
    arXiv:2502.16982), so that the two can share lr and weight_decay.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        filters = [
            (weight, weight.grad, group)
            for group in self.param_groups
            for weight in group["params"]
            if weight.ndim == 4 and weight.grad is not None
        ]
        for weight, gradient, group in filters:
            momentum = self.state[weight].setdefault("momentum", torch.zeros_like(gradient))
            momentum.lerp_(gradient, 0.05)
            update = orthogonal(gradient.lerp(momentum, 0.95).flatten(1))  # Nesterov's
            scale = 0.2 * max(update.shape) ** 0.5  # the RMS of AdamW's updates is about 0.2
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(update.reshape(weight.shape), alpha=-group["lr"] * scale)
            weight.grad = None  # AdamW skips it
        loss = super().step(closure)
        for weight, gradient, _ in filters:
            weight.grad = gradient
        return loss


def orthogonal(matrix: Tensor) -> Tensor:
    """U·Vᵀ of the matrix U·S·Vᵀ, roughly: five Newton–Schulz steps bring S near 1 (Jordan 2024)."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(5):
        square = wide @ wide.T
        wide = 3.4445 * wide + (2.0315 * square @ square - 4.775 * square) @ wide
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


register_decay(SGDW, "decoupled")


SGD_LR, ADAM_LR = log_range(10**-2.5, 1, 6), log_range(10**-3.5, 10**-1, 6)
INDEPENDENT = [0, *log_range(10**-3.5, 10**-1.5, 5)]


def study(data: str = "digits") -> list[StudySpec]:
    base = resnet_study(data)
    if data == "digits":
        model = partial(resnet, channels=1, blocks=1)
        mislabelled = partial(digits, train=360, wrong=0.2)
        task = replace(base.task, model=model, data=mislabelled)
        base = replace(base, task=task, epochs=16, batch_size=32, record_every=44)

    def of(name: str, optimizer: Any, lr: Any, weight_decay: Any, decay: Any = "pytorch") -> Any:
        return replace(
            base,
            name=name if data == "digits" else f"{name}-{data}",
            optimizer=optimizer,
            decay=decay,
            space=SearchSpace(lr, weight_decay, base.space.seeds),
        )

    sgd, sgdw = partial(torch.optim.SGD, momentum=0.9), partial(SGDW, momentum=0.9)
    return [
        of("sgd", sgd, SGD_LR, [0, *log_range(1e-3, 1e-1, 5)]),
        of("sgd-independent", sgdw, SGD_LR, INDEPENDENT, "independent"),
        of("adam", "adam", ADAM_LR, [0, *log_range(10**-3.5, 10**-1.5, 5)]),
        of("adamw", "adamw", ADAM_LR, [0, *log_range(0.1, 10, 5)]),
        of("adamw-independent", "adamw", ADAM_LR, INDEPENDENT, "independent"),
        of("muon", MuonForFilters, ADAM_LR, [0, *log_range(0.1, 10, 5)]),
    ]
