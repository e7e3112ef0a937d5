"""Exponents of real trainings: ridge regression with AdamW, weight decay in both its forms.

In PyTorch's form a step shrinks the weights by lr · weight_decay, in the independent one by
weight_decay: the runs of one are runs of the other at other places, so the exponent of weight_decay
differs by exactly that of lr.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from wdstudy import transfer

LR = 10.0 ** np.linspace(-3, 0, 9)
SIZES = (1, 2, 4, 8, 16)


@cache
def trained(independent: bool, label_noise: float, seeds: int) -> pd.DataFrame:
    """One row a trial: every cell is a parameter group of one torch.optim.AdamW."""
    decays = 10.0 ** (np.linspace(-5, -0.5, 10) if independent else np.linspace(-2.5, 1, 8))
    cells = [(float(lr), float(decay)) for lr in LR for decay in decays]
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(64, generator=generator) / 4
    x, held = (torch.randn(n, 64, generator=generator) for n in (128, 500))
    y = x @ truth + label_noise * torch.randn(128, generator=generator)
    rows = []
    for size in SIZES:
        for seed in range(seeds):
            weights = _run(cells, x, y, size, seed, independent)
            losses = ((weights @ held.T - held @ truth) ** 2).mean(1) + label_noise**2
            rows += [(lr, decay, float(loss), seed, size, 512 // size)
                     for (lr, decay), loss in zip(cells, losses, strict=True)]  # fmt: skip
    columns = ["lr", "weight_decay", "value", "seed", "batch_size", "steps"]
    return pd.DataFrame(rows, columns=columns)


def _run(cells, x, y, size: int, seed: int, independent: bool) -> torch.Tensor:
    """The weights `[cells, d]` after four epochs."""
    parameters = [torch.nn.Parameter(torch.zeros(x.shape[1])) for _ in cells]
    groups = [
        {"params": [p], "lr": lr, "weight_decay": decay / lr if independent else decay}
        for p, (lr, decay) in zip(parameters, cells, strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, foreach=True)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(4):
        for batch in torch.randperm(len(x), generator=generator).split(size):
            weights = torch.stack([p.data for p in parameters])
            gradients = (weights @ x[batch].T - y[batch]) @ x[batch] / len(batch)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
    return torch.stack([p.data for p in parameters])


@pytest.mark.slow
def test_of_the_same_runs_the_exponents_differ_as_the_law_says() -> None:
    runs = trained(independent=False, label_noise=1.0, seeds=2)
    one = transfer(runs, "batch_size")
    product = runs.assign(weight_decay=runs["lr"] * runs["weight_decay"])
    product.attrs["decay"] = "independent decay"
    other = transfer(product, "batch_size")
    lr = one.exponents["lr"]
    assert other.exponents["lr"].value == pytest.approx(lr.value, abs=1e-3)
    followed = "weight_decay" if one.exponents["weight_decay"].known else "limit"
    assert other.exponents[followed].value == pytest.approx(
        one.exponents[followed].value + lr.value, abs=5e-3
    )


@pytest.mark.slow
def test_adamw_on_ridge_regression_takes_the_root_of_the_batch_in_both_forms() -> None:
    """As Malladi et al. 2022 derive for small batches; and both forms find the same best lr."""
    torch_form, independent = (
        transfer(trained(independent=form, label_noise=1.0, seeds=2), "batch_size")
        for form in (False, True)
    )
    for found in (torch_form, independent):
        lr = found.exponents["lr"]
        assert lr.low <= 0.5 <= lr.high
        assert lr.high - lr.low < 0.6
        verdicts = {v.rule.name: v.verdict for v in found.rules}
        assert verdicts["linear in the batch"] == verdicts["nothing moves"] == "rejected"
        assert verdicts["square root of the batch"] == "fits"
