"""From the optimizer a user names to one `torch.optim` optimizer with a group for every lane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from wdstudy.decay import NO_DECAY, DecayKind, decay_kind
from wdstudy.errors import OptimizerError, fault, nearest
from wdstudy.space import TrialParams
from wdstudy.words import counted

OptimizerFactory = Callable[..., Optimizer]
"""`factory(groups, lr=…, weight_decay=…)`: a class, a partial of one, or a function.

`groups` are as torch.optim takes them: a list of dicts of `params`, `lr` and `weight_decay`. The
optimizer has them as they are, because lr and weight_decay are told by group.
"""

Group = dict[str, Any]

NoDecay = Literal["biases_and_norms"] | Callable[[str, nn.Parameter], bool]
"""Which parameters stay out of weight decay: all with fewer than two dimensions, or a rule."""

NamedParameters = Sequence[tuple[str, nn.Parameter]]


def resolve_optimizer(choice: str | OptimizerFactory) -> OptimizerFactory:
    """The class of `torch.optim` with this name in any case, or the factory itself.

    Raises:
        OptimizerError: the name is unknown, or what is given can't be called.
    """
    if isinstance(choice, Optimizer):
        name = type(choice).__name__
        raise OptimizerError(
            f"optimizer= is a built {name}, and every trial needs one of its own: give what builds "
            f"it, optimizer={name}, or functools.partial({name}, …) for its options"
        )
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
    probe = _lane_groups([("w", nn.Parameter(torch.zeros(1, 1)))], TrialParams(1e-3, 1e-3))
    kind = decay_kind(_build(resolve_optimizer(choice), [probe]))
    if kind == "none":
        raise OptimizerError(
            f"{optimizer_name(choice)} has no weight_decay to sweep; "
            "choose another, such as 'sgd' or 'adamw'"
        )
    return kind


def optimizer_name(choice: str | OptimizerFactory) -> str:
    """The class's name, as figures and errors show it."""
    factory = _innermost(resolve_optimizer(choice))
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
        _lane_groups([(n, p) for n, p in named if p.requires_grad], trial, independent, no_decay)
        for named, trial in zip(lanes, params, strict=True)
    ]
    return _build(resolve_optimizer(choice), groups)


def _lane_groups(
    named: NamedParameters,
    trial: TrialParams,
    independent: bool = False,
    no_decay: NoDecay | None = None,
) -> list[Group]:
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
    if not callable(rule):
        return parameter.ndim < 2
    try:
        return bool(rule(name, parameter))
    except Exception as error:
        raise OptimizerError(
            f"no_decay('{name}', parameter) fails: {fault(error)}; give a function of a name and "
            "a parameter that says whether it is left out of weight decay"
        ) from error


def _build(factory: OptimizerFactory, lanes: Sequence[list[Group]]) -> Optimizer:
    """The optimizer over the groups of all lanes, held to have them as they were given."""
    name = optimizer_name(factory)
    groups = [group for lane in lanes for group in lane]
    options = {key: groups[0][key] for key in ("lr", "weight_decay")}
    try:
        # A list and dicts of their own: what is done to them is not done to what we compare with.
        optimizer = factory([dict(group) for group in groups], **options)
    except Exception as error:
        if isinstance(error, TypeError) and "argument 'weight_decay'" in str(error):
            raise OptimizerError(
                f"{name} takes no weight_decay, so there is none to sweep; "
                "choose another, such as 'sgd' or 'adamw'"
            ) from error
        raise OptimizerError(f"{name} can't be built: {fault(error)}{_how(factory)}") from error
    if not isinstance(optimizer, Optimizer):
        raise OptimizerError(f"{name} {_returned(optimizer)}{_how(factory)}")
    if changed := _changed(optimizer, lanes):
        raise OptimizerError(f"{name} {changed}{_how(factory)}")
    return optimizer


def _returned(thing: Any) -> str:
    """What to say of a factory that returned no optimizer."""
    if thing is None:
        return "returns None, as a function without `return` does"
    if isinstance(thing, type):
        return f"returns the class {thing.__name__} rather than an optimizer built from it"
    return f"returns a {type(thing).__name__}, which is no subclass of torch.optim.Optimizer"


def _changed(optimizer: Optimizer, lanes: Sequence[list[Group]]) -> str:
    """In what an optimizer's groups are not those that it was given; they may be split further.

    A group may hold parameters of one lane only, the lanes in their order: that is how a stack
    finds them again.
    """
    given = {
        id(p): (lane, float(group["lr"]), float(group["weight_decay"]))
        for lane, groups in enumerate(lanes)
        for group in groups
        for p in group["params"]
    }
    order = []
    for group in optimizer.param_groups:
        now = {given.pop(id(p), None) for p in group["params"]}
        for place in now:
            if place is None:
                return "has parameters that it was not given, or one of them twice"
            for key, told in zip(("lr", "weight_decay"), place[1:], strict=True):
                try:
                    has = float(group[key])
                except (KeyError, TypeError, ValueError):
                    return f"has a group without a number for {key}, where the trial has {told:g}"
                if has != told:
                    return f"gives parameters {key} {has:g} where the trial has {told:g}"
        if len(now) > 1:
            return "puts parameters of several lanes into one group"
        order += [place[0] for place in now if place]
    if given:
        return f"leaves {counted(len(given), 'parameter')} out"
    each = {lane: order.count(lane) for lane in order}
    if order != sorted(order) or len({*each.values()}) > 1:
        return "changes the order of the groups"
    return ""


def _how(factory: OptimizerFactory) -> str:
    """How a factory of somebody's own is called; a class of torch.optim knows."""
    inner = _innermost(factory)
    if getattr(inner, "__module__", "").startswith("torch.optim"):
        return ""
    name = optimizer_name(factory)
    return (
        f". It is called as {name}(groups, lr=…, weight_decay=…), where groups is a list of dicts "
        "of params, lr and weight_decay as torch.optim takes them; pass them on as they are, and "
        "return the optimizer. What is kept out of weight decay, say with StudySpec(no_decay=…)"
    )


def _innermost(factory: Any) -> Any:
    """What partials are made of."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else repr(value)
