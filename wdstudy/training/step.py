"""The optimizer's step for all lanes: group by group, or stacked for the common classes.

A parameter group costs its share of Python and kernel launches for every lane. For SGD, Adam
and AdamW in their plain forms the same arithmetic is done here on the stacked tensors, with one
lr and one weight_decay a lane; tests hold it equal to `torch.optim`. The groups keep their
meaning: it is from them that lr and weight_decay are read at every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from wdstudy.training.apart import LaneOptimizer, is_torchs_own
from wdstudy.training.stacked import StackedLanes

Group = dict[str, Any]
State = dict[str, Any]

_PLAIN = {  # options whose other values change the arithmetic in ways not repeated here
    SGD: {"maximize": False, "differentiable": False},
    Adam: {"maximize": False, "differentiable": False, "amsgrad": False},
    AdamW: {"maximize": False, "differentiable": False, "amsgrad": False},
}


def can_be_stacked(optimizer: LaneOptimizer) -> bool:
    """Whether the optimizer is one of the classes, and the options, that are repeated here.

    Its `step` is then not called at all, so nobody may have hooked into it.
    """
    if not isinstance(optimizer, Optimizer) or not is_torchs_own(optimizer):
        return False
    plain = _PLAIN.get(type(optimizer))
    return plain is not None and all(
        group.get(option) == value
        for group in optimizer.param_groups
        for option, value in plain.items()
    )


class GroupedStep:
    """PyTorch's own step over the groups of all lanes: any class, as it is."""

    def __init__(self, lanes: StackedLanes, optimizer: LaneOptimizer) -> None:
        self._lanes, self._optimizer = lanes, optimizer

    def step(self) -> None:
        """Update every lane."""
        self._lanes.scatter_gradients()
        self._optimizer.step()

    def keep(self, lanes: Sequence[int]) -> None:
        """Nothing to do: the state moved with the groups."""


class StackedStep:
    """One update of the stacked tensors for SGD, Adam or AdamW."""

    def __init__(self, lanes: StackedLanes, optimizer: LaneOptimizer) -> None:
        self._lanes, self._optimizer = lanes, optimizer
        self._update = _Sgd if isinstance(optimizer, SGD) else _Adam
        self._states: dict[str, State] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update every lane."""
        by_lane = self._lanes.groups_of(self._optimizer)
        for i, group in enumerate(by_lane[0]):
            # The coefficients are made on the host in double precision, as torch.optim has them.
            lr = torch.tensor([lane[i]["lr"] for lane in by_lane], dtype=torch.float64)
            decay = torch.tensor([lane[i]["weight_decay"] for lane in by_lane], dtype=torch.float64)
            update = self._update(group, lr, decay)
            for name in self._lanes.names_in(group):
                weights = self._lanes.stacked[name]
                if weights.grad is not None:
                    update(weights, weights.grad, self._states.setdefault(name, {}))

    def keep(self, lanes: Sequence[int]) -> None:
        """Take along the state of these lanes."""
        for state in self._states.values():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    state[key] = value[list(lanes)]


class _Sgd:
    """The update of one group's tensors, lr and weight_decay `[B]`."""

    def __init__(self, group: Group, lr: Tensor, decay: Tensor) -> None:
        self._group = group
        self._rate = _PerLane(-lr)
        self._decay = _PerLane(decay) if decay.any() else None

    def __call__(self, weights: Tensor, gradient: Tensor, state: State) -> None:
        if self._decay:
            gradient = torch.addcmul(gradient, weights, self._decay.like(weights))
        momentum, dampening = self._group["momentum"], self._group["dampening"]
        if momentum:
            if "momentum" in state:
                state["momentum"].mul_(momentum).add_(gradient, alpha=1 - dampening)
            else:
                state["momentum"] = gradient.clone()
            buffer = state["momentum"]
            nesterov = self._group["nesterov"]
            gradient = gradient.add(buffer, alpha=momentum) if nesterov else buffer
        weights.addcmul_(gradient, self._rate.like(weights))


class _Adam:
    """The update of one group's tensors by Adam or AdamW, lr and weight_decay `[B]`."""

    def __init__(self, group: Group, lr: Tensor, decay: Tensor) -> None:
        self._group, self._lr = group, lr
        self._decoupled = group["decoupled_weight_decay"]
        factor = 1 - lr * decay if self._decoupled else decay
        self._decay = _PerLane(factor) if decay.any() else None
        self._rates: dict[int, _PerLane] = {}  # tensors that were not always used are behind

    def __call__(self, weights: Tensor, gradient: Tensor, state: State) -> None:
        beta1, beta2 = self._group["betas"]
        if not state:
            state.update(step=0, mean=torch.zeros_like(weights), square=torch.zeros_like(weights))
        state["step"] = step = state["step"] + 1
        if self._decay and self._decoupled:
            weights.mul_(self._decay.like(weights))
        elif self._decay:
            gradient = torch.addcmul(gradient, weights, self._decay.like(weights))
        mean, square = state["mean"], state["square"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        # √(v̂) + ε = (√v + ε·c) / c: c goes into the rate, and a pass over the weights is saved.
        c = math.sqrt(1 - beta2**step)
        if step not in self._rates:
            self._rates[step] = _PerLane(-self._lr * c / (1 - beta1**step))
        denominator = square.sqrt().add_(self._group["eps"] * c)
        ratio = torch.div(mean, denominator, out=denominator)
        weights.addcmul_(ratio, self._rates[step].like(weights))


class _PerLane:
    """Values `[B]`, made on the host in double precision, that multiply `[B, ...]` by lanes."""

    def __init__(self, values: Tensor) -> None:
        self._values = self._moved = values

    def like(self, weights: Tensor) -> Tensor:
        """In the precision, the place and the shape in which they multiply these weights."""
        if self._moved.dtype != weights.dtype or self._moved.device != weights.device:
            self._moved = self._values.to(weights.device, weights.dtype, non_blocking=True)
        return self._moved.reshape(-1, *[1] * (weights.ndim - 1))


def make_step(lanes: StackedLanes, optimizer: LaneOptimizer) -> GroupedStep | StackedStep:
    """The stacked step where it is the same arithmetic, else PyTorch's own."""
    return (StackedStep if can_be_stacked(optimizer) else GroupedStep)(lanes, optimizer)
