"""What `weight_decay` means in each optimizer, and the loss that it stands for.

PyTorch's coupled optimizers add `weight_decay · w` to the gradient, which is the gradient of
½ · weight_decay · ‖w‖²; decoupled ones shrink the weights by `lr · weight_decay` (Loshchilov &
Hutter 2019, https://arxiv.org/abs/1711.05101). The decay loss is the same sum in both cases;
only in the first is it a part of what the optimizer minimises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from wdstudy.errors import OptimizerError

DecayKind = Literal["coupled", "decoupled", "none"]
Group = Mapping[str, Any]

NO_DECAY = "no_decay"
"""Option of a parameter group that is kept out of weight decay on purpose (biases, norms)."""


def _by_flag(group: Group) -> DecayKind:
    return "decoupled" if group.get("decoupled_weight_decay") else "coupled"


_KINDS: dict[type[Optimizer], DecayKind | Callable[[Group], DecayKind]] = {
    torch.optim.SGD: "coupled",
    torch.optim.ASGD: "coupled",  # its `lambd` shrinks as well, but is not weight_decay
    torch.optim.RMSprop: "coupled",
    torch.optim.Adagrad: "coupled",
    torch.optim.Adadelta: "coupled",
    torch.optim.Adamax: "coupled",
    torch.optim.Adam: _by_flag,
    torch.optim.NAdam: _by_flag,
    torch.optim.RAdam: _by_flag,
    torch.optim.AdamW: "decoupled",
    torch.optim.Adafactor: "decoupled",
    torch.optim.Muon: "decoupled",
    torch.optim.Rprop: "none",
    torch.optim.LBFGS: "none",
    torch.optim.SparseAdam: "none",
}


def register_decay(
    optimizer_class: type[Optimizer], kind: DecayKind | Callable[[Group], DecayKind]
) -> None:
    """Tell what `weight_decay` does in an optimizer class of your own or of a third party.

    Args:
        optimizer_class: The class; subclasses inherit the answer.
        kind: `"coupled"` (added to the gradient), `"decoupled"` (shrinks the weight), `"none"`,
            or a function of a parameter group for a class that decides by a flag.
    """
    if not callable(kind) and kind not in ("coupled", "decoupled", "none"):
        raise OptimizerError(
            f"register_decay: kind is {kind!r}; give 'coupled', 'decoupled', 'none' "
            "or a function of a parameter group"
        )
    _KINDS[optimizer_class] = kind


def decay_kind(group_or_optimizer: Optimizer | Group) -> DecayKind:
    """How weight decay acts: `"coupled"`, `"decoupled"` or `"none"`.

    A bare parameter group does not name its class, so it is recognised by its options.

    Raises:
        OptimizerError: the class is unknown (the message shows the `register_decay` line), or
            the groups of one optimizer decay in different ways.
    """
    if not isinstance(group_or_optimizer, Optimizer):
        return _group_kind(_class_of(group_or_optimizer), group_or_optimizer)
    kinds = {
        _group_kind(type(group_or_optimizer), group) for group in group_or_optimizer.param_groups
    }
    if len(kinds) > 1:
        raise OptimizerError(
            f"the parameter groups of {type(group_or_optimizer).__name__} decay in different "
            f"ways ({', '.join(sorted(kinds))}); ask decay_kind(group) for each group"
        )
    return kinds.pop()


def decay_loss(optimizer: Optimizer, *, per_group: bool = False) -> Tensor:
    """½ · weight_decay · ‖w‖² over the parameters that the next `step()` will decay.

    A parameter counts if it has `requires_grad` and a gradient (PyTorch skips the others); a
    tied one counts once. Call it after `backward()` and before `optimizer.step()` to see the
    weights that the primary loss was computed with.

    Args:
        optimizer: Any optimizer whose class `decay_kind` knows.
        per_group: Return one number a parameter group instead of their sum.

    Returns:
        A 0-d tensor, or `[n_groups]`, on the parameters' device; at least float32. No autograd
        graph is built and the host does not wait for the device.

    Raises:
        OptimizerError: the class is unknown.
    """
    losses = [_term_loss(term, optimizer) for term in DecayTerms(optimizer).read()]
    if per_group:
        return torch.stack(losses)
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


class DecayTerm(NamedTuple):
    """One parameter group's part of the decay loss, ½ · weight_decay · Σ squares.

    Attributes:
        squares: ‖w‖² of each tensor that will be decayed: `[n]`, or `[n, B]` for stacked lanes;
            None where there is none. One tensor, because many small ones that live from step
            to step scatter the heap, and the model's own allocations then fault.
        weight_decay: The group's coefficient; `[B]` for stacked lanes.
    """

    squares: Tensor | None
    weight_decay: float | Tensor


class DecayTerms:
    """The terms of an optimizer's decay loss, step after step.

    Taking the squares is all that must happen at a step; multiplying and summing can wait for
    a record point. What the groups hold is looked up once and checked at every step.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._weights: dict[int, _Weights] = {}

    def read(self) -> list[DecayTerm]:
        """One term a group, on the weights as they are now."""
        return [self._term(i, group) for i, group in enumerate(self.optimizer.param_groups)]

    def _term(self, index: int, group: Group) -> DecayTerm:
        kind = _group_kind(type(self.optimizer), group)
        if kind == "none" or _is_zero(group["weight_decay"]):
            return DecayTerm(None, 0.0)
        weights = self._weights.get(index)
        if weights is None or not weights.are(group["params"]):
            weights = self._weights[index] = _Weights(group["params"])
        return DecayTerm(weights.squares(), group["weight_decay"])


def weight_norm(optimizer: Optimizer) -> Tensor:
    """L2 norm of the weights that weight decay acts on, as a 0-d tensor."""
    weights = _Weights(decayed_weights(optimizer), needs_gradient=False)
    return _term_loss(DecayTerm(weights.squares(), 2.0), optimizer).sqrt()


def decayed_weights(optimizer: Optimizer) -> list[Tensor]:
    """The weights that weight decay acts on.

    A coefficient of 0 (the baseline) does not change which weights these are; groups marked
    `no_decay`, and groups at 0 beside others that are not, are left out. Gradients are not
    looked at: they may have been cleared since the last step.
    """
    groups = [group for group in optimizer.param_groups if not group.get(NO_DECAY)]
    decaying = [group for group in groups if not _is_zero(group.get("weight_decay", 0))]
    weights = (p for group in decaying or groups for p in group["params"] if p.requires_grad)
    return list({id(p): p for p in weights}.values())


def _term_loss(term: DecayTerm, optimizer: Optimizer) -> Tensor:
    device = _device(optimizer)
    if term.squares is None:
        return torch.zeros((), device=device)
    return term.squares.sum().to(device) * (0.5 * term.weight_decay)


class _Weights:
    """The parameters of a group that have a gradient, without autograd, by device and dtype."""

    def __init__(self, parameters: Sequence[Tensor], needs_gradient: bool = True) -> None:
        self._state = _state(parameters)
        counted = {
            id(p): p
            for p in parameters
            if p.requires_grad and (p.grad is not None or not needs_gradient)
        }
        self._batches: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
        for parameter in counted.values():
            kind = (parameter.device, parameter.dtype)
            self._batches.setdefault(kind, []).append(_flat(parameter.detach()))

    def are(self, parameters: Sequence[Tensor]) -> bool:
        """Whether these are still the tensors, with the same ones to be counted."""
        return _state(parameters) == self._state

    def squares(self) -> Tensor | None:
        """‖w‖² of each tensor, `[n]`; None of none."""
        each = [torch.stack(_squares(batch)) for batch in self._batches.values()]
        if len(each) < 2:
            return each[0] if each else None
        return torch.cat([squares.to(each[0].device) for squares in each])


def _state(parameters: Sequence[Tensor]) -> list[int]:
    """Where each tensor lies; negative where it does not count. Cheap: it runs every step."""
    return [
        p.data_ptr() if p.grad is not None and p.requires_grad else -p.data_ptr()
        for p in parameters
    ]


def _squares(tensors: list[Tensor]) -> list[Tensor]:
    """‖w‖² of flat tensors of one device and dtype; those of half precision in float32."""
    first = tensors[0]
    if first.is_cpu and first.dtype in (torch.float32, torch.float64):
        # BLAS takes half the time of a norm on the CPU, where `_foreach` is only a loop.
        return [torch.dot(tensor, tensor) for tensor in tensors]
    wide = torch.float32 if first.dtype in (torch.bfloat16, torch.float16) else None
    norms = torch._foreach_norm(tensors, 2, wide)
    return list(torch._foreach_mul(norms, norms))


def _flat(tensor: Tensor) -> Tensor:
    """A view of the storage in its own order: sums don't mind, and the weights stay in sight."""
    in_order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    return tensor.permute(in_order).reshape(-1)


def _is_zero(weight_decay: float | Tensor) -> bool:
    # A tensor stays on its device: to look at its value would make the host wait.
    return not isinstance(weight_decay, Tensor) and weight_decay == 0


def _device(optimizer: Optimizer) -> torch.device:
    device: torch.device = optimizer.param_groups[0]["params"][0].device
    return device


def _group_kind(optimizer_class: type[Optimizer], group: Group) -> DecayKind:
    for cls in optimizer_class.__mro__:
        kind = _KINDS.get(cls)
        if kind is not None:
            return kind(group) if callable(kind) else kind
    name = optimizer_class.__name__
    raise OptimizerError(
        f"what weight_decay does in {name} is not known; say so with "
        f'wdstudy.register_decay({name}, "decoupled")  # or "coupled", or "none"'
    )


def _class_of(group: Group) -> type[Optimizer]:
    """The torch class whose options a bare group carries: the one that fits with the most."""
    fitting = [(len(keys), cls) for cls, keys in _torch_options().items() if keys <= group.keys()]
    if not fitting:
        raise OptimizerError(
            "a parameter group with the options "
            f"{', '.join(sorted(group.keys() - {'params'}))} belongs to no class of torch.optim; "
            "ask decay_kind(optimizer) instead"
        )
    return max(fitting, key=lambda item: item[0])[1]


@cache
def _torch_options() -> dict[type[Optimizer], frozenset[str]]:
    probe = torch.nn.Parameter(torch.zeros(1, 1))
    classes: list[Any] = [cls for cls in _KINDS if cls.__module__.startswith("torch.optim")]
    return {cls: frozenset(cls([probe]).param_groups[0]) for cls in classes}
