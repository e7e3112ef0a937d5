"""Several lanes as one model: their parameters stacked, called by `torch.func.vmap`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer

from wdstudy.decay import NO_DECAY, DecayTerm
from wdstudy.study.metrics import BatchFunction, WholeFunction
from wdstudy.study.optimizers import NamedParameters
from wdstudy.study.task import LossFunction
from wdstudy.training.apart import LaneOptimizer, OptimizersApart
from wdstudy.training.lanes import NONE, Batches, ReadsDecay, Wrap, over_examples


class StackedLanes:
    """Several lanes as one model: parameters and buffers stacked to `[B, ...]`, called by vmap.

    The lanes begin as copies of one model, because they share a seed. What the optimizer sees
    are views of the stacked tensors, one parameter of each lane; frozen parameters are shared.

    Args:
        model: The model that all lanes begin with. It becomes the template that is called.
        size: B.
        wrap: As of `SingleLane`.
    """

    def __init__(self, model: nn.Module, size: int, wrap: Wrap | None = None) -> None:
        self._template = model.train()
        self._losses = wrap(_loss_of_lanes) if wrap else _loss_of_lanes
        self._shared: dict[str, Tensor] = {
            name: p for name, p in model.named_parameters() if not p.requires_grad
        }
        self._stacked = {
            name: _stack(p, size).requires_grad_()
            for name, p in model.named_parameters()
            if p.requires_grad
        }
        self._buffers = {name: _stack(b, size) for name, b in model.named_buffers()}
        self._gradients = {n: torch.zeros_like(s) for n, s in self._stacked.items()}
        self._views = self._make_views()
        self._live: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """B."""
        return len(self._views)

    @property
    def stacked(self) -> dict[str, Tensor]:
        """The stacked parameters, each `[B, ...]`; their `.grad` is that of the last step."""
        return self._stacked

    def named_parameters(self) -> list[NamedParameters]:
        """The views of each lane; writing to one writes to the stacked tensor."""
        return [list(views.items()) for views in self._views]

    def losses(self, loss: LossFunction, x: Any, y: Any) -> Tensor:
        """The loss of each lane on the same batch, `[B]`."""
        with _vmappable_attention():
            return self._losses(
                self._template, loss, self._stacked, self._buffers, self._shared, x, y
            )

    def backward(self, losses: Tensor) -> None:
        """One backward pass; a loss depends on its own lane only, so their sum serves all."""
        for stacked in self._stacked.values():
            stacked.grad = None
        losses.sum().backward()  # type: ignore[no-untyped-call]

    def scatter_gradients(self) -> None:
        """Show each lane's gradient to its views, laid out like the parameter.

        `fused=True` on the CPU reads a gradient as if it were contiguous, whatever it is. And
        a parameter that was not used has no gradient, so that optimizers skip it.
        """
        gradients = {n: s.grad for n, s in self._stacked.items() if s.grad is not None}
        torch._foreach_copy_([self._gradients[n] for n in gradients], list(gradients.values()))
        if gradients.keys() != self._live:
            self._live = frozenset(gradients)
            for lane, views in enumerate(self._views):
                for name, view in views.items():
                    view.grad = self._gradients[name][lane] if name in self._live else None

    def evaluate(
        self,
        functions: Mapping[str, BatchFunction],
        batches: Batches,
        whole: Mapping[str, WholeFunction] = NONE,
    ) -> dict[str, Tensor]:
        """The mean of each function over all examples, and each of all of them, `[B]`."""

        def values(x: Any, y: Any) -> tuple[dict[str, Tensor], Tensor]:
            def of_one(
                parameters: dict[str, Tensor], buffers: dict[str, Tensor]
            ) -> tuple[dict[str, Tensor], Any]:
                output = self._call(parameters, buffers, x)
                means = {name: f(output, y) for name, f in functions.items()}
                return means, output if whole else ()

            with _vmappable_attention():
                found: tuple[dict[str, Tensor], Tensor] = vmap(of_one, randomness="same")(
                    self._stacked, self._buffers
                )
            return found

        self._template.eval()
        try:
            return over_examples(values, batches, whole)
        finally:
            self._template.train()

    def decay_terms(self, optimizer: LaneOptimizer) -> ReadsDecay:
        """One term for all lanes and each of a lane's groups."""
        return _StackedDecayTerms(self, optimizer)

    def weight_norms(self, optimizer: LaneOptimizer) -> Tensor:
        """The L2 norm of each lane's decayed weights, `[B]`."""
        squares = [_square_of_lanes(w) for w in self._decayed(optimizer)]
        return torch.stack(squares).sum(dim=0).sqrt()

    def decayed_weights(self, optimizer: LaneOptimizer) -> list[Tensor]:
        """Copies of the weights that decay, each tensor as `[B, n]`."""
        return [w.detach().clone().flatten(1) for w in self._decayed(optimizer)]

    def keep(self, lanes: Sequence[int], optimizer: LaneOptimizer) -> None:
        """Restack these lanes, and move their optimizer state to the new views."""
        # New tensors, not views of the old: the memory of lanes that left is given back.
        index = torch.tensor(list(lanes), device=next(iter(self._stacked.values())).device)
        groups, old = self.groups_of(optimizer), self._views
        self._stacked = {
            n: s.detach().index_select(0, index).requires_grad_() for n, s in self._stacked.items()
        }
        self._buffers = {n: b.index_select(0, index) for n, b in self._buffers.items()}
        self._gradients = {n: torch.zeros_like(s) for n, s in self._stacked.items()}
        self._views, self._live = self._make_views(), frozenset()
        # State is keyed by parameter objects: what belongs to lanes that left would stay for ever.
        for lane in set(range(len(old))) - set(lanes):
            for view in old[lane].values():
                _of_lane(optimizer, lane).state.pop(view, None)
        for lane, new in zip(lanes, self._views, strict=True):
            _move_lane(_of_lane(optimizer, lane), groups[lane], old[lane], new)
        optimizer.param_groups[:] = [group for lane in lanes for group in groups[lane]]

    def groups_of(self, optimizer: LaneOptimizer) -> list[list[dict[str, Any]]]:
        """The optimizer's parameter groups, lane by lane."""
        groups = optimizer.param_groups
        each = len(groups) // self.size
        return [groups[i : i + each] for i in range(0, len(groups), each)]

    def names_in(self, group: Mapping[str, Any]) -> list[str]:
        """Which parameters of the first lane stand in one of its groups."""
        members = {id(p) for p in group["params"]}
        return [name for name, view in self._views[0].items() if id(view) in members]

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Any) -> Any:
        return functional_call(self._template, (parameters, buffers, self._shared), (x,))

    def _make_views(self) -> list[dict[str, nn.Parameter]]:
        size = len(next(iter(self._stacked.values())))
        return [
            # A slice shares memory with the stack: the optimizer writes where the forward reads.
            {name: nn.Parameter(s.detach()[lane]) for name, s in self._stacked.items()}
            for lane in range(size)
        ]

    def _decayed(self, optimizer: LaneOptimizer) -> list[Tensor]:
        first_lane = self.groups_of(optimizer)[0]
        return [
            self._stacked[name].detach()
            for group in first_lane
            if not group.get(NO_DECAY)
            for name in self.names_in(group)
        ]


class _StackedDecayTerms:
    """The decay loss of all lanes at once: a term's squares and coefficients are `[B]`."""

    def __init__(self, lanes: StackedLanes, optimizer: LaneOptimizer) -> None:
        self._lanes = lanes
        by_lane = lanes.groups_of(optimizer)
        self._terms = [
            (
                lanes.names_in(group),
                torch.tensor([g[i]["weight_decay"] for g in by_lane], dtype=torch.float64),
            )
            for i, group in enumerate(by_lane[0])
            if not group.get(NO_DECAY)
        ]

    def read(self) -> list[DecayTerm]:
        return [
            DecayTerm(self._squares(names), weight_decay) for names, weight_decay in self._terms
        ]

    def _squares(self, names: list[str]) -> Tensor | None:
        counted = [s for n in names if (s := self._lanes.stacked[n]).grad is not None]
        return torch.stack([_square_of_lanes(s.detach()) for s in counted]) if counted else None


def _loss_of_lanes(
    template: nn.Module,
    loss: LossFunction,
    stacked: dict[str, Tensor],
    buffers: dict[str, Tensor],
    shared: dict[str, Tensor],
    x: Any,
    y: Any,
) -> Tensor:
    def of_one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return loss(functional_call(template, (parameters, buffers, shared), (x,)), y)

    found: Tensor = vmap(of_one, randomness="same")(stacked, buffers)
    return found


def _stack(tensor: Tensor, size: int) -> Tensor:
    return tensor.detach().unsqueeze(0).repeat(size, *[1] * tensor.ndim)


def _square_of_lanes(stacked: Tensor) -> Tensor:
    """‖w‖² of each lane of `[B, ...]`, as `[B]`."""
    wide = torch.float32 if stacked.dtype in (torch.bfloat16, torch.float16) else None
    # In one pass; a product and its sum take two and memory between them.
    norms: Tensor = torch.linalg.vector_norm(stacked.flatten(1), dim=1, dtype=wide)
    return norms.square()


def _vmappable_attention() -> contextlib.AbstractContextManager[None]:
    # The CPU's flash attention has no batching rule: vmap would loop over the lanes, slowly.
    return sdpa_kernel(SDPBackend.MATH)


def _of_lane(optimizer: LaneOptimizer, lane: int) -> Optimizer:
    return optimizer.of_lane(lane) if isinstance(optimizer, OptimizersApart) else optimizer


def _move_lane(
    optimizer: Optimizer,
    groups: list[dict[str, Any]],
    old: Mapping[str, nn.Parameter],
    new: Mapping[str, nn.Parameter],
) -> None:
    """Let a lane's groups and optimizer state go over from its old views to its new ones."""
    new_of = {id(view): new[name] for name, view in old.items()}
    for group in groups:
        group["params"] = [new_of[id(view)] for view in group["params"]]
    for name, view in old.items():
        if view in optimizer.state:
            # As it is: moments are tensors of their own, only the weights were views of the stack.
            optimizer.state[new[name]] = optimizer.state.pop(view)
