"""From the optimizer a user names to one `torch.optim` optimizer with a group for every lane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from wdstudy.decay import NO_DECAY, DecayKind, decay_kind
from wdstudy.errors import OptimizerError, nearest
from wdstudy.space import TrialParams

OptimizerFactory = Callable[..., Optimizer]
"""`factory(params, lr=…, weight_decay=…)`: a class, a partial of one, or a function."""

NoDecay = Literal["biases_and_norms"] | Callable[[str, nn.Parameter], bool]
"""Which parameters stay out of weight decay: all with fewer than two dimensions, or a rule."""

NamedParameters = Sequence[tuple[str, nn.Parameter]]


def resolve_optimizer(choice: str | OptimizerFactory) -> OptimizerFactory:
    """The class of `torch.optim` with this name in any case, or the factory itself.

    Raises:
        OptimizerError: the name is unknown, or what is given can't be called.
    """
    if callable(choice):
        return choice
    known = {
        name.lower(): cls
        for name, cls in vars(torch.optim).items()
        if isinstance(cls, type) and issubclass(cls, Optimizer) and cls is not Optimizer
    }
    if not isinstance(choice, str) or choice.lower() not in known:
        raise OptimizerError(f"unknown optimizer {choice!r}; {nearest(str(choice).lower(), known)}")
    return known[choice.lower()]


def optimizer_kind(choice: str | OptimizerFactory) -> DecayKind:
    """How weight decay acts in this optimizer.

    Raises:
        OptimizerError: it has no weight decay to sweep, or one of unknown kind.
    """
    probe = [nn.Parameter(torch.zeros(1, 1))]
    kind = decay_kind(_build(resolve_optimizer(choice), probe, lr=1e-3, weight_decay=1e-3))
    if kind == "none":
        raise OptimizerError(
            f"{optimizer_name(choice)} has no weight_decay to sweep; "
            "choose another, such as 'sgd' or 'adamw'"
        )
    return kind


def optimizer_name(choice: str | OptimizerFactory) -> str:
    """The class's name, as figures and errors show it."""
    factory = resolve_optimizer(choice)
    while isinstance(factory, partial):
        factory = factory.func
    return str(getattr(factory, "__name__", type(factory).__name__))


def optimizer_options(choice: str | OptimizerFactory) -> dict[str, Any]:
    """The options a partial carries, as JSON can hold them."""
    options: dict[str, Any] = {}
    factory = resolve_optimizer(choice)
    while isinstance(factory, partial):
        options = {**factory.keywords, **options}
        factory = factory.func
    return {key: _plain(value) for key, value in sorted(options.items())}


def build_optimizer(
    choice: str | OptimizerFactory,
    lanes: Iterable[NamedParameters],
    params: Sequence[TrialParams],
    *,
    independent: bool = False,
    no_decay: NoDecay | None = None,
) -> Optimizer:
    """One optimizer with one parameter group a lane, two where `no_decay` splits them.

    Args:
        choice: As in `resolve_optimizer`.
        lanes: The named parameters of each lane; frozen ones are left out.
        params: The lanes' lr and weight_decay.
        independent: Make the shrink independent of lr, as in the AdamW paper: a decoupled
            class shrinks by lr · weight_decay, so the group gets weight_decay / peak lr.
        no_decay: Parameters to keep out of weight decay.

    Raises:
        OptimizerError: the optimizer refuses these parameters or options.
    """
    groups = [
        group
        for named, trial in zip(lanes, params, strict=True)
        for group in _lane_groups(
            [(name, p) for name, p in named if p.requires_grad], trial, independent, no_decay
        )
    ]
    return _build(resolve_optimizer(choice), groups, lr=params[0].lr)


def _lane_groups(
    named: NamedParameters, trial: TrialParams, independent: bool, no_decay: NoDecay | None
) -> list[dict[str, Any]]:
    weight_decay = trial.weight_decay / trial.lr if independent else trial.weight_decay
    options = {"lr": trial.lr, "weight_decay": weight_decay}
    if no_decay is None:
        return [{"params": [p for _, p in named], **options}]
    exempt = [_is_exempt(no_decay, name, p) for name, p in named]
    kept = [p for (_, p), out in zip(named, exempt, strict=True) if not out]
    left_out = [p for (_, p), out in zip(named, exempt, strict=True) if out]
    return [
        {"params": kept, **options},
        {"params": left_out, **options, "weight_decay": 0.0, NO_DECAY: True},
    ]


def _is_exempt(rule: NoDecay, name: str, parameter: nn.Parameter) -> bool:
    return rule(name, parameter) if callable(rule) else parameter.ndim < 2


def _build(factory: OptimizerFactory, params: Iterable[Any], **options: Any) -> Optimizer:
    name = optimizer_name(factory)
    try:
        return factory(params, **options)
    except TypeError as error:
        if "weight_decay" in options and "weight_decay" in str(error):
            raise OptimizerError(
                f"{name} takes no weight_decay, so there is none to sweep; "
                "choose another, such as 'sgd' or 'adamw'"
            ) from error
        raise OptimizerError(f"{name} can't be built: {error}") from error
    except ValueError as error:
        raise OptimizerError(f"{name} can't be built: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else repr(value)
