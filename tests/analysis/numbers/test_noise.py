"""The noise of a sweep, lr by lr: what is estimated is what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.noise import Noise

LR = 10.0 ** np.arange(-4, 0.1, 0.5)
DECAY = 10.0 ** np.arange(-5, 0, 0.5)


def noise_of(
    sd: np.ndarray, seeds: int = 2, shift: float = 0.0, common: float = 0.0, seed: int = 0
) -> Noise:
    """Of a plane that bends, with this noise by lr, shift by lr, and shift of all lr."""
    rng = np.random.default_rng(seed)
    i, j, s = (a.ravel() for a in np.meshgrid(*map(np.arange, (len(LR), len(DECAY), seeds)),
                                              indexing="ij"))  # fmt: skip
    z = 0.1 * (i - 4) ** 2 + 0.05 * (j - 5) ** 2
    z = z + (shift * sd[:, None] * rng.standard_normal((len(LR), seeds)))[i, s]
    z = z + (common * rng.standard_normal(seeds))[s] + sd[i] * rng.standard_normal(len(i))
    frame = pd.DataFrame({"lr": LR[i], "weight_decay": DECAY[j], "seed": s, "value": np.exp(z)})
    return measured(frame, "value").noise


def test_each_lr_has_its_own_noise() -> None:
    sd = np.geomspace(0.002, 0.2, len(LR))
    found = noise_of(sd, seeds=3)
    told = np.array([found.of(i).sd for i in range(len(LR))])
    assert np.abs(np.log(told / sd)).max() < 0.5
    assert found.replicated


def test_equal_noise_is_drawn_together() -> None:
    """Estimates of columns that are alike lie closer together than chance has it; not by much, for
    on real planes noise is never equal.
    """
    told, alone = [], []
    for seed in range(10):
        found = noise_of(np.full(len(LR), 0.05), seed=seed)
        told += [np.log(found.of(i).sd / 0.05) for i in range(len(LR))]
        alone += [0.5 / np.sqrt((len(DECAY) - 1) / 2)]  # of log sd with so many degrees of freedom
    assert np.std(told) < 0.9 * np.mean(alone)


def few_seeds(sd: np.ndarray, seed: int) -> Noise:
    """Two seeds of two cells at three lr in the middle, one of all others, as a design has them."""
    rng = np.random.default_rng(seed)
    rows = [
        (lr, d, s, np.exp(0.05 * (j - 5) ** 2 + sd[i] * rng.standard_normal()))
        for i, lr in enumerate(LR) for j, d in enumerate(DECAY)
        for s in range(2 if i in (3, 4, 5) and j in (0, 4) else 1)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])
    return measured(frame, "value").noise


def test_at_lr_without_seeds_noise_is_what_others_let_expect() -> None:
    """It grows with lr on real planes: pooled, it would be too little at the highest."""
    sd = np.geomspace(0.002, 0.2, len(LR))
    found = [few_seeds(sd, seed) for seed in range(20)]
    off = np.array([[np.log(one.of(i).sd / sd[i]) for i in range(len(LR))] for one in found])
    pooled = np.array([[np.log(one.sd / sd[i]) for i in range(len(LR))] for one in found])
    near, far = np.abs(np.median(off, axis=0)), np.abs(np.median(pooled, axis=0))
    assert near[2:7].max() < 0.6
    assert (near < 0.6 * far)[[0, 1, 2, 7, 8]].all()
    assert all(one.of(0).df < one.of(2).df < one.of(4).df for one in found)


def test_noise_that_falls_with_lr_is_believed_where_seeds_show_it() -> None:
    found = noise_of(np.geomspace(0.2, 0.002, len(LR)), seeds=3)
    told = np.array([found.of(i).sd for i in range(len(LR))])
    assert np.abs(np.log(told / np.geomspace(0.2, 0.002, len(LR)))).max() < 0.5


def test_what_seeds_shift_is_apart_from_what_they_leave() -> None:
    found = noise_of(np.full(len(LR), 0.05), seeds=6, shift=2.0)
    assert found.sd == pytest.approx(0.05, rel=0.1)
    assert found.shift == pytest.approx(4.0, rel=0.5)
    assert found.common == 0


def test_a_seed_that_shifts_every_lr_alike_is_noticed() -> None:
    found = noise_of(np.full(len(LR), 0.02), seeds=4, common=0.3)
    assert found.common_df == 3
    assert 0.02 < found.common < 0.4
    assert sum(noise_of(np.full(len(LR), 0.02), shift=2.0, seed=s).common_df > 0
               for s in range(40)) <= 3  # fmt: skip


@pytest.mark.parametrize("sd", [0.01, 0.05, 0.2])
def test_one_seed_is_judged_by_neighbours_without_the_planes_bends(sd: float) -> None:
    found = noise_of(np.full(len(LR), sd), seeds=1)
    assert not found.replicated
    assert found.sd == pytest.approx(sd, rel=0.35)


def test_a_cell_noisier_than_its_column_keeps_its_own() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (lr, d, s, np.exp((0.5 if (lr, d) == (LR[2], DECAY[4]) else 0.01) * (1 - 2 * s)
                          * (1 + 0.3 * rng.random())))
        for lr in LR for d in DECAY for s in range(2)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])
    found = measured(frame, "value").noise
    cell = 2 * len(DECAY) + 4
    assert found.odd == {cell}
    assert found.variance(cell, 2) > 100 * found.variance(cell + 1, 2)
    assert found.of(2).sd < 0.1
