"""B copies of a model, called and evaluated as one. One lane is the plain module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wdstudy.decay import DecayTerms, decayed_weights, weight_norm
from wdstudy.optimizers import NamedParameters

BatchFunction = Callable[[Any, Any], Tensor]
"""`(output, y) -> 0-d mean` over a batch: a loss or a metric."""


class Lanes(Protocol):
    """The copies of the model that train together. Every tensor returned is `[B]`."""

    def named_parameters(self) -> list[NamedParameters]:
        """The parameters of each lane, as the optimizer gets them."""
        ...

    def losses(self, loss: BatchFunction, x: Any, y: Any) -> Tensor:
        """The loss of each lane on one training batch, with its graph."""
        ...

    def evaluate(
        self, functions: Mapping[str, BatchFunction], batches: Iterable[tuple[Any, Any]]
    ) -> dict[str, Tensor]:
        """The mean of each function over all examples, in evaluation mode."""
        ...

    def decay_terms(self, optimizer: Optimizer) -> DecayTerms:
        """What reads the decay loss of each lane, step after step."""
        ...

    def weight_norms(self, optimizer: Optimizer) -> Tensor:
        """The L2 norm of each lane's decayed weights."""
        ...

    def decayed_weights(self, optimizer: Optimizer) -> list[Tensor]:
        """Copies of the weights that decay, each tensor as `[B, n]`."""
        ...


class SingleLane:
    """One lane: the module itself, because vmap of one lane costs about twice the time."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model.train()

    def named_parameters(self) -> list[NamedParameters]:
        """The module's parameters; a tied one stands there once."""
        return [list(self._model.named_parameters())]

    def losses(self, loss: BatchFunction, x: Any, y: Any) -> Tensor:
        """The loss on one batch, `[1]`."""
        return loss(self._model(x), y).reshape(1)

    def evaluate(
        self, functions: Mapping[str, BatchFunction], batches: Iterable[tuple[Any, Any]]
    ) -> dict[str, Tensor]:
        """The mean of each function over all examples, `[1]`."""
        self._model.eval()
        try:
            return mean_over_examples(self._model, functions, batches)
        finally:
            self._model.train()

    def decay_terms(self, optimizer: Optimizer) -> DecayTerms:
        """The terms of the optimizer's groups."""
        return DecayTerms(optimizer)

    def weight_norms(self, optimizer: Optimizer) -> Tensor:
        """The L2 norm of the decayed weights, `[1]`."""
        return weight_norm(optimizer).reshape(1)

    def decayed_weights(self, optimizer: Optimizer) -> list[Tensor]:
        """Copies of the weights that decay, each tensor as `[1, n]`."""
        return [w.detach().clone().reshape(1, -1) for w in decayed_weights(optimizer)]


@torch.no_grad()
def mean_over_examples(
    call: Callable[[Any], Any],
    functions: Mapping[str, BatchFunction],
    batches: Iterable[tuple[Any, Any]],
) -> dict[str, Tensor]:
    """Batch means weighted by batch size, so that a short last batch counts for what it is."""
    sums: dict[str, Tensor] = {}
    examples = 0
    for x, y in batches:
        output = call(x)
        for name, function in functions.items():
            part = function(output, y).reshape(-1) * len(y)
            sums[name] = sums[name] + part if name in sums else part
        examples += len(y)
    return {name: total / examples for name, total in sums.items()}
