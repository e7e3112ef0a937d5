from __future__ import annotations

from functools import partial

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


def test_an_optimizer_that_refuses_the_parameters_says_why() -> None:
    with pytest.raises(OptimizerError, match=r"Muon can't be built: .*2D"):
        build_optimizer("muon", [named()], PARAMS)
