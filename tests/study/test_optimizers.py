from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from small_tasks import mlp
from torch import nn

from wdstudy import TrialParams
from wdstudy.errors import OptimizerError
from wdstudy.study.optimizers import (
    build_optimizer,
    optimizer_kind,
    optimizer_name,
    optimizer_options,
    resolve_optimizer,
)

PARAMS = [TrialParams(lr=0.1, weight_decay=0.02)]


def named() -> list[tuple[str, nn.Parameter]]:
    return list(mlp().named_parameters())


def test_names_classes_partials_and_functions() -> None:
    assert resolve_optimizer("AdamW") is resolve_optimizer("adamw") is torch.optim.AdamW
    nested = partial(partial(torch.optim.SGD, momentum=0.9), momentum=0.8, nesterov=True)
    assert optimizer_name(nested) == "SGD"
    assert optimizer_options(nested) == {"momentum": 0.8, "nesterov": True}
    assert optimizer_kind(nested) == "coupled"
    assert (
        optimizer_kind(
            lambda params, **options: torch.optim.NAdam(
                params, decoupled_weight_decay=True, **options
            )
        )
        == "decoupled"
    )


def test_the_trial_decides_lr_and_weight_decay_whatever_the_partial_says() -> None:
    factory = partial(torch.optim.AdamW, lr=9.0, weight_decay=9.0, betas=(0.8, 0.9))
    (group,) = build_optimizer(factory, [named()], PARAMS).param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.1, 0.02, (0.8, 0.9))


def test_one_group_a_lane_and_two_where_biases_are_left_out() -> None:
    lanes = [named(), named()]
    trials = [TrialParams(0.1, 0.02), TrialParams(0.3, 0.04)]
    whole = build_optimizer("sgd", lanes, trials)
    assert [(g["lr"], g["weight_decay"]) for g in whole.param_groups] == [(0.1, 0.02), (0.3, 0.04)]
    split = build_optimizer("sgd", lanes, trials, no_decay="biases_and_norms").param_groups
    assert [g["weight_decay"] for g in split] == [0.02, 0.0, 0.04, 0.0]
    assert [p.ndim for p in split[0]["params"]] == [2, 2]
    assert [p.ndim for p in split[1]["params"]] == [1, 1]
    ruled = build_optimizer("sgd", lanes, trials, no_decay=lambda name, p: name == "0.weight")
    assert [len(g["params"]) for g in ruled.param_groups] == [3, 1, 3, 1]


def test_frozen_parameters_are_left_out() -> None:
    parameters = named()
    parameters[0][1].requires_grad_(False)
    (group,) = build_optimizer("sgd", [parameters], PARAMS).param_groups
    assert len(group["params"]) == 3


def test_the_independent_form_shrinks_by_weight_decay_whatever_the_lr() -> None:
    """With a zero gradient AdamW only shrinks: by weight_decay itself, as in the paper."""
    for lr in (0.1, 0.001):
        weight = nn.Parameter(torch.ones(2, 2, dtype=torch.float64))
        optimizer = build_optimizer(
            "adamw", [[("w", weight)]], [TrialParams(lr, 0.02)], independent=True
        )
        weight.grad = torch.zeros(2, 2, dtype=torch.float64)
        optimizer.step()
        assert weight[0, 0].item() == pytest.approx(0.98, rel=1e-12)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("adamm", "did you mean 'adam'"),
        ("lbfgs", "takes no weight_decay"),
        ("sparseadam", "takes no weight_decay"),
        (3, "unknown optimizer 3"),
        (partial(torch.optim.SGD, momentum=-1.0), "Invalid momentum"),
        (partial(torch.optim.SGD, momentom=0.9), "momentom"),
    ],
)
def test_an_optimizer_that_cannot_be_swept_is_named(choice: object, says: str) -> None:
    with pytest.raises(OptimizerError, match=says):
        optimizer_kind(choice)  # type: ignore[arg-type]


class _Look:
    """A wrapper that is no optimizer."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner


def _returns_nothing(params: Any, **options: Any) -> Any:
    torch.optim.SGD(params, **options)


def _takes_nothing() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))])


def _takes_names(named: Any, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    weights = [p for name, p in named if not name.endswith("bias")]
    return torch.optim.SGD(weights, lr=lr, weight_decay=weight_decay)


def _takes_tensors(params: Any, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in params if p.ndim > 1], lr=lr, weight_decay=weight_decay)


def _makes_its_own(groups: Any, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    params = [p for group in groups for p in group["params"]]
    decayed = {"params": [p for p in params if p.ndim > 1], "weight_decay": weight_decay}
    others = {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0}
    return torch.optim.SGD([decayed, others], lr=lr)


def _forgets(groups: Any, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    weights = [p for group in groups for p in group["params"] if p.ndim > 1]
    return torch.optim.SGD(weights, lr=lr, weight_decay=weight_decay)


def _decides(groups: Any, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for group in groups for p in group["params"]], lr=0.5)


class _Without(torch.optim.SGD):
    """Its groups hold what it is made with, and of weight decay what `has` says."""

    has: ClassVar[dict[str, Any]] = {}

    def __init__(self, groups: Any, lr: float, weight_decay: float) -> None:
        super().__init__(groups, lr=lr)
        for group in self.param_groups:
            del group["weight_decay"]
            group.update(self.has)


class _WithNone(_Without):
    has: ClassVar[dict[str, Any]] = {"weight_decay": None}


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (_Without, "has a group without a number for weight_decay, where the trial has 0.02"),
        (_WithNone, "has a group without a number for weight_decay, where the trial has 0.02"),
        (_returns_nothing, "returns None"),
        (lambda params, **options: torch.optim.SGD, "returns the class SGD"),
        (lambda params, **options: _Look(torch.optim.SGD(params)), "returns a _Look, which is no"),
        (_takes_nothing, "unexpected keyword argument 'lr'"),
        (_takes_names, "too many values to unpack"),
        (_takes_tensors, "no attribute 'ndim'"),
        (_makes_its_own, "gives parameters weight_decay 0 where the trial has 0.02"),
        (_forgets, "leaves 2 parameters out"),
        (_decides, "gives parameters lr 0.5 where the trial has 0.1"),
    ],
)
def test_a_factory_that_can_not_serve_is_told_how_it_is_called(factory: Any, says: str) -> None:
    with pytest.raises(OptimizerError) as refused:
        build_optimizer(partial(factory), [named()], PARAMS)
    assert says in str(refused.value)
    for cure in ("(groups, lr=…, weight_decay=…)", "dicts of params", "no_decay="):
        assert cure in str(refused.value)


def test_a_factory_may_look_into_the_groups_and_split_them() -> None:
    """As optimizers do that treat matrices in another way than the rest."""

    def split(groups: Any, lr: float, weight_decay: float) -> torch.optim.Optimizer:
        assert groups[0]["params"]
        halves = [
            {**group, "params": [p for p in group["params"] if (p.ndim > 1) == matrix]}
            for group in groups
            for matrix in (True, False)
        ]
        return torch.optim.SGD(halves, lr=lr, weight_decay=weight_decay)

    lanes = [named(), named()]
    trials = [TrialParams(0.1, 0.02), TrialParams(0.3, 0.04)]
    found = build_optimizer(split, lanes, trials).param_groups
    assert [(g["lr"], len(g["params"])) for g in found] == [(0.1, 2), (0.1, 2), (0.3, 2), (0.3, 2)]
    with pytest.raises(OptimizerError, match="changes the order of the groups"):
        build_optimizer(lambda groups, **_: split(groups[::-1], **_), lanes, trials)


def test_an_optimizer_that_is_built_already_is_refused() -> None:
    with pytest.raises(OptimizerError, match=r"a built SGD.*optimizer=SGD"):
        optimizer_kind(torch.optim.SGD([nn.Parameter(torch.zeros(1))]))  # type: ignore[arg-type]


def test_an_optimizer_that_refuses_the_parameters_says_why() -> None:
    with pytest.raises(OptimizerError, match=r"Muon can't be built: .*2D"):
        build_optimizer("muon", [named()], PARAMS)


def test_a_rule_of_no_decay_that_fails_is_named() -> None:
    with pytest.raises(OptimizerError, match=r"no_decay\('.*', parameter\) fails: .*Error"):
        build_optimizer("sgd", [named()], PARAMS, no_decay=lambda name, p: name.index("?") > 0)
