"""Lanes: what trains together, however it is called; and one lane alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wdstudy.decay import (
    DecayTerm,
    DecayTerms,
    decayed_weights,
    weight_norm,
)
from wdstudy.study.optimizers import NamedParameters
from wdstudy.training.apart import LaneOptimizer

BatchFunction = Callable[[Any, Any], Tensor]
"""`(output, y) -> 0-d mean` over a batch: a loss or a metric."""

Batches = Iterable[tuple[Any, Any]]

Wrap = Callable[[Callable[..., Tensor]], Callable[..., Tensor]]
"""From a function that makes losses to one that makes the same faster."""


class ReadsDecay(Protocol):
    """Reads what the decay loss is made of, at every step."""

    def read(self) -> list[DecayTerm]:
        """The terms, on the weights as they are now."""
        ...


class Lanes(Protocol):
    """The copies of the model that train together. Every tensor returned is `[B]`."""

    def named_parameters(self) -> list[NamedParameters]:
        """The parameters of each lane, as the optimizer gets them."""
        ...

    def losses(self, loss: BatchFunction, x: Any, y: Any) -> Tensor:
        """The loss of each lane on one training batch, with its graph."""
        ...

    def backward(self, losses: Tensor) -> None:
        """Give every lane's parameters the gradient of its own loss."""
        ...

    def evaluate(
        self, functions: Mapping[str, BatchFunction], batches: Batches
    ) -> dict[str, Tensor]:
        """The mean of each function over all examples, in evaluation mode."""
        ...

    def decay_terms(self, optimizer: LaneOptimizer) -> ReadsDecay:
        """What reads the decay loss of each lane, step after step."""
        ...

    def weight_norms(self, optimizer: LaneOptimizer) -> Tensor:
        """The L2 norm of each lane's decayed weights."""
        ...

    def decayed_weights(self, optimizer: LaneOptimizer) -> list[Tensor]:
        """Copies of the weights that decay, each tensor as `[B, n]`."""
        ...

    def keep(self, lanes: Sequence[int], optimizer: LaneOptimizer) -> None:
        """Go on with these lanes only; the memory of the others is given back."""
        ...


class SingleLane:
    """One lane: the module itself, because vmap of one lane costs about twice the time.

    Args:
        model: The module.
        wrap: What makes a function faster, `compiled` for one; nothing does if None.
    """

    def __init__(self, model: nn.Module, wrap: Wrap | None = None) -> None:
        self._model = model.train()
        self._loss = wrap(_loss_alone) if wrap else _loss_alone

    def named_parameters(self) -> list[NamedParameters]:
        """The module's parameters; a tied one stands there once."""
        return [list(self._model.named_parameters())]

    def losses(self, loss: BatchFunction, x: Any, y: Any) -> Tensor:
        """The loss on one batch, `[1]`."""
        return self._loss(self._model, loss, x, y)

    def backward(self, losses: Tensor) -> None:
        """Fresh gradients, as after `optimizer.zero_grad()`."""
        self._model.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]

    def evaluate(
        self, functions: Mapping[str, BatchFunction], batches: Batches
    ) -> dict[str, Tensor]:
        """The mean of each function over all examples, `[1]`."""

        def values(x: Any, y: Any) -> dict[str, Tensor]:
            output = self._model(x)
            return {name: f(output, y).reshape(1) for name, f in functions.items()}

        self._model.eval()
        try:
            return mean_over_examples(values, batches)
        finally:
            self._model.train()

    def decay_terms(self, optimizer: LaneOptimizer) -> ReadsDecay:
        """The terms of the optimizer's groups."""
        return DecayTerms(_single(optimizer))

    def weight_norms(self, optimizer: LaneOptimizer) -> Tensor:
        """The L2 norm of the decayed weights, `[1]`."""
        return weight_norm(_single(optimizer)).reshape(1)

    def decayed_weights(self, optimizer: LaneOptimizer) -> list[Tensor]:
        """Copies of the weights that decay, each tensor as `[1, n]`."""
        return [w.detach().clone().reshape(1, -1) for w in decayed_weights(_single(optimizer))]

    def keep(self, lanes: Sequence[int], optimizer: LaneOptimizer) -> None:
        """Nothing to do: a lane that leaves a stack of one ends the stack."""


def _single(optimizer: LaneOptimizer) -> Optimizer:
    assert isinstance(optimizer, Optimizer)  # one lane has no neighbours to be kept from
    return optimizer


def _loss_alone(model: nn.Module, loss: BatchFunction, x: Any, y: Any) -> Tensor:
    return loss(model(x), y).reshape(1)


@torch.no_grad()
def mean_over_examples(
    values: Callable[[Any, Any], dict[str, Tensor]], batches: Batches
) -> dict[str, Tensor]:
    """Batch means weighted by batch size, so that a short last batch counts for what it is."""
    sums: dict[str, Tensor] = {}
    examples = 0
    for x, y in batches:
        for name, value in values(x, y).items():
            part = value * len(y)
            sums[name] = sums[name] + part if name in sums else part
        examples += len(y)
    return {name: total / examples for name, total in sums.items()}
