"""What `weight_decay` means in each optimizer, and the loss that it stands for.

PyTorch's coupled optimizers add `weight_decay · w` to the gradient, which is the gradient of
½ · weight_decay · ‖w‖²; decoupled ones shrink the weights by `lr · weight_decay` (Loshchilov &
Hutter 2019, https://arxiv.org/abs/1711.05101). The decay loss is the same sum in both cases;
only in the first is it a part of what the optimizer minimises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

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
    losses = [_group_loss(optimizer, group) for group in optimizer.param_groups]
    if per_group:
        return torch.stack(losses)
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def weight_norm(optimizer: Optimizer) -> Tensor:
    """L2 norm of the weights that weight decay acts on, as a 0-d tensor."""
    weights = decayed_weights(optimizer)
    return _sum_of_squares(weights).sqrt() if weights else _zero(optimizer)


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


def _group_loss(optimizer: Optimizer, group: Group) -> Tensor:
    decays = _group_kind(type(optimizer), group) != "none" and not _is_zero(group["weight_decay"])
    tensors = _decayed(group) if decays else []
    if not tensors:
        return _zero(optimizer)
    loss: Tensor = _sum_of_squares(tensors) * (0.5 * group["weight_decay"])
    return loss.to(_device(optimizer))


def _decayed(group: Group) -> list[Tensor]:
    tensors = {id(p): p for p in group["params"] if p.requires_grad and p.grad is not None}
    return list(tensors.values())


@torch.no_grad()
def _sum_of_squares(tensors: list[Tensor]) -> Tensor:
    """‖w‖² over all tensors, 0-d. Half-precision weights are summed in float32."""
    by_kind: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for tensor in tensors:
        by_kind.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    sums = [
        torch.stack(torch._foreach_norm(same, 2, _wide(dtype))).square().sum()
        for (_, dtype), same in by_kind.items()
    ]
    return sums[0] if len(sums) == 1 else torch.stack([s.to(sums[0].device) for s in sums]).sum()


def _wide(dtype: torch.dtype) -> torch.dtype | None:
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else None


def _is_zero(weight_decay: float | Tensor) -> bool:
    # A tensor stays on its device: to look at its value would make the host wait.
    return not isinstance(weight_decay, Tensor) and weight_decay == 0


def _device(optimizer: Optimizer) -> torch.device:
    device: torch.device = optimizer.param_groups[0]["params"][0].device
    return device


def _zero(optimizer: Optimizer) -> Tensor:
    return torch.zeros((), device=_device(optimizer))


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
