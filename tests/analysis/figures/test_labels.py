"""Names beside the ends of lines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from wdstudy.analysis.figures.labels import spread


@pytest.mark.parametrize("seed", range(5))
def test_names_lie_apart_and_as_near_as_may_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, sizes = rng.uniform(0, 1, 7), rng.uniform(0.05, 0.12, 7)
    placed = spread(wanted, sizes)
    order = np.argsort(wanted)
    for a, b in pairwise(order):
        assert placed[b] - placed[a] >= (sizes[a] + sizes[b]) / 2 - 1e-9
    assert (placed - sizes / 2).min() > -1e-9
    assert (placed + sizes / 2).max() < 1 + 1e-9
    free = np.array([0.1, 0.5, 0.9])
    assert spread(free, np.full(3, 0.1)).tolist() == pytest.approx(free.tolist())
    close = spread(np.array([0.5, 0.5]), np.full(2, 0.2))
    assert close.tolist() == pytest.approx([0.4, 0.6])
