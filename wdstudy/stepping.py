"""The optimizer's step for all lanes: group by group, or stacked for the common classes.

A parameter group costs its share of Python and kernel launches for every lane. For SGD, Adam
and AdamW in their plain forms the same arithmetic is done here on the stacked tensors, with one
lr and one weight_decay a lane; tests hold it equal to `torch.optim`. The groups keep their
meaning: it is from them that lr and weight_decay are read at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from wdstudy.lanes import StackedLanes

Step = Callable[[], None]
Group = dict[str, Any]

_PLAIN = {  # options whose other values change the arithmetic in ways not repeated here
    SGD: {"maximize": False, "differentiable": False},
    Adam: {"maximize": False, "differentiable": False, "amsgrad": False},
    AdamW: {"maximize": False, "differentiable": False, "amsgrad": False},
}


def can_be_stacked(optimizer: Optimizer) -> bool:
    """Whether the optimizer is one of the classes, and the options, that are repeated here."""
    plain = _PLAIN.get(type(optimizer))
    return plain is not None and all(
        group.get(option) == value
        for group in optimizer.param_groups
        for option, value in plain.items()
    )


class GroupedStep:
    """PyTorch's own step over the groups of all lanes: any class, as it is."""

    def __init__(self, lanes: StackedLanes, optimizer: Optimizer) -> None:
        self._lanes, self._optimizer = lanes, optimizer

    def step(self) -> None:
        """Update every lane."""
        self._lanes.scatter_gradients()
        self._optimizer.step()

    def keep(self, lanes: Sequence[int]) -> None:
        """Nothing to do: the state moved with the groups."""


class StackedStep:
    """One update of the stacked tensors for SGD, Adam or AdamW."""

    def __init__(self, lanes: StackedLanes, optimizer: Optimizer) -> None:
        self._lanes, self._optimizer = lanes, optimizer
        self._update = _sgd if isinstance(optimizer, SGD) else _adam
        self._states: dict[str, dict[str, Any]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update every lane."""
        by_lane = self._lanes.groups_of(self._optimizer)
        for i, group in enumerate(by_lane[0]):
            # The coefficients are made on the host in double precision, as torch.optim has them.
            lr = torch.tensor([lane[i]["lr"] for lane in by_lane], dtype=torch.float64)
            decay = torch.tensor([lane[i]["weight_decay"] for lane in by_lane], dtype=torch.float64)
            for name in self._lanes.names_in(group):
                weights = self._lanes.stacked[name]
                if weights.grad is not None:
                    state = self._states.setdefault(name, {})
                    self._update(weights, weights.grad, state, group, lr, decay)

    def keep(self, lanes: Sequence[int]) -> None:
        """Take along the state of these lanes."""
        for state in self._states.values():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    state[key] = value[list(lanes)]


def _sgd(
    weights: Tensor,
    gradient: Tensor,
    state: dict[str, Any],
    group: Group,
    lr: Tensor,
    decay: Tensor,
) -> None:
    if decay.any():
        gradient = torch.addcmul(gradient, weights, _per_lane(decay, weights))
    momentum, dampening = group["momentum"], group["dampening"]
    if momentum:
        if "momentum" in state:
            state["momentum"].mul_(momentum).add_(gradient, alpha=1 - dampening)
        else:
            state["momentum"] = gradient.clone()
        buffer = state["momentum"]
        gradient = gradient.add(buffer, alpha=momentum) if group["nesterov"] else buffer
    weights.addcmul_(gradient, _per_lane(-lr, weights))


def _adam(
    weights: Tensor,
    gradient: Tensor,
    state: dict[str, Any],
    group: Group,
    lr: Tensor,
    decay: Tensor,
) -> None:
    beta1, beta2 = group["betas"]
    if not state:
        state.update(step=0, mean=torch.zeros_like(weights), square=torch.zeros_like(weights))
    state["step"] += 1
    if decay.any():
        if group["decoupled_weight_decay"]:
            weights.mul_(_per_lane(1 - lr * decay, weights))
        else:
            gradient = torch.addcmul(gradient, weights, _per_lane(decay, weights))
    mean, square = state["mean"], state["square"]
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    corrected = math.sqrt(1 - beta2 ** state["step"])
    denominator = (square.sqrt() / corrected).add_(group["eps"])
    rate = _per_lane(-lr / (1 - beta1 ** state["step"]), weights)
    weights.addcmul_(mean / denominator, rate)


def _per_lane(values: Tensor, weights: Tensor) -> Tensor:
    """Values `[B]` in the shape that multiplies `[B, ...]` lane by lane."""
    moved = values.to(weights.device, weights.dtype, non_blocking=True)
    return moved.reshape(-1, *[1] * (weights.ndim - 1))


def make_step(lanes: StackedLanes, optimizer: Optimizer) -> GroupedStep | StackedStep:
    """The stacked step where it is the same arithmetic, else PyTorch's own."""
    return (StackedStep if can_be_stacked(optimizer) else GroupedStep)(lanes, optimizer)
