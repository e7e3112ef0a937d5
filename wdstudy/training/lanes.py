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
from wdstudy.study.metrics import BatchFunction, WholeFunction
from wdstudy.study.optimizers import NamedParameters
from wdstudy.study.task import LossFunction
from wdstudy.training.apart import LaneOptimizer

Batches = Iterable[tuple[Any, Any]]

NONE: Mapping[str, WholeFunction] = {}

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

    def losses(self, loss: LossFunction, x: Any, y: Any) -> Tensor:
        """The loss of each lane on one training batch, with its graph."""
        ...

    def backward(self, losses: Tensor) -> None:
        """Give every lane's parameters the gradient of its own loss."""
        ...

    def evaluate(
        self,
        functions: Mapping[str, BatchFunction],
        batches: Batches,
        whole: Mapping[str, WholeFunction] = NONE,
    ) -> dict[str, Tensor]:
        """In evaluation mode: the mean of each function over all examples, and each function of
        all of them together.
        """
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

    def losses(self, loss: LossFunction, x: Any, y: Any) -> Tensor:
        """The loss on one batch, `[1]`."""
        return self._loss(self._model, loss, x, y)

    def backward(self, losses: Tensor) -> None:
        """Fresh gradients, as after `optimizer.zero_grad()`."""
        self._model.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]

    def evaluate(
        self,
        functions: Mapping[str, BatchFunction],
        batches: Batches,
        whole: Mapping[str, WholeFunction] = NONE,
    ) -> dict[str, Tensor]:
        """The mean of each function over all examples, and each of all of them, `[1]`."""

        def values(x: Any, y: Any) -> tuple[dict[str, Tensor], Tensor]:
            output = self._model(x)
            # A metric may return a float as well.
            found = {name: torch.as_tensor(f(output, y)) for name, f in functions.items()}
            return {name: v.reshape(1) for name, v in found.items()}, output[None] if whole else x

        self._model.eval()
        try:
            return over_examples(values, batches, whole)
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


def _loss_alone(model: nn.Module, loss: LossFunction, x: Any, y: Any) -> Tensor:
    return loss(model(x), y).reshape(1)


@torch.no_grad()
def over_examples(
    values: Callable[[Any, Any], tuple[dict[str, Tensor], Tensor]],
    batches: Batches,
    whole: Mapping[str, WholeFunction] = NONE,
) -> dict[str, Tensor]:
    """Batch means weighted by batch size, so that a short last batch counts for what it is; and
    functions of all examples, lane by lane, because they may branch on what they see.

    Args:
        values: From a batch to its means, each `[B]`, and the outputs of all lanes, `[B, n, ...]`.
        batches: Of all examples.
        whole: Functions of all outputs and targets. Where there are any, outputs are kept.
    """
    sums: dict[str, Tensor] = {}
    outputs, targets = [], []
    examples = 0
    for x, y in batches:
        means, output = values(x, y)
        for name, value in means.items():
            part = value * len(y)
            sums[name] = sums[name] + part if name in sums else part
        examples += len(y)
        if whole:
            outputs.append(output)
            targets.append(y)
    found = {name: total / examples for name, total in sums.items()}
    if whole:
        together, target = torch.cat(outputs, dim=1), torch.cat(targets)
        for name, function in whole.items():
            each = [torch.as_tensor(function(lane, target)).detach() for lane in together]
            found[name] = torch.stack([v.reshape(()).double().cpu() for v in each])
    return found
