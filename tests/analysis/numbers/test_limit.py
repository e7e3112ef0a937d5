"""How the largest harmless weight_decay runs along lr, and which lr weight decay makes good."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from wdstudy import landscape
from wdstudy.analysis.numbers.findings import Landscape

LR, DECAY = 10.0 ** np.arange(-3, 0.01, 0.375), 10.0 ** np.arange(-5, 0.01, 0.5)


def swept(bend: float, seed: int = 0, widens: bool = False) -> Landscape:
    """Harm begins along a line of slope -1 that is level beyond lr = 10**bend.

    With `widens` the loss without decay rises steeply beyond lr 0.03, which decay mends.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for lr in LR:
        x = math.log10(lr)
        edge = -1.5 - min(x + 3, bend + 3)
        for decay in [0.0, *DECAY]:
            y = math.log10(decay) if decay else -9.0
            lost = max(x + 1.5, 0) if widens else 0.0
            z = 0.03 * (x + 1.5) ** 2 + math.exp(3 * (y - edge)) + lost * (y < edge - 1.5)
            rows += [(lr, decay, s, math.exp(min(z, 2) + 0.01 * rng.standard_normal()))
                     for s in (0, 1)]  # fmt: skip
    return landscape(pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"]))


@pytest.mark.parametrize("seed", range(3))
def test_a_straight_limit_has_one_slope(seed: int) -> None:
    limit = swept(bend=0.0, seed=seed).limit
    assert not limit.bends
    assert limit.slope == limit.slope_above
    assert limit.slope.low <= -1 <= limit.slope.high
    assert limit.slope.high - limit.slope.low < 0.8


@pytest.mark.parametrize("seed", range(3))
def test_a_limit_that_bends_is_a_broken_line(seed: int) -> None:
    found = swept(bend=-1.5, seed=seed)
    limit = found.limit
    assert limit.bends
    assert math.log10(limit.bends_at) == pytest.approx(-1.5, abs=0.4)
    assert limit.slope.low <= -1 <= limit.slope.high
    assert limit.slope_above.low <= 0 <= limit.slope_above.high
    assert any("and" in str(s) and "beyond" in str(s) for s in found.verdict if s.about == "limit")


def test_where_little_harm_is_seen_there_is_no_slope() -> None:
    rows = [(lr, d, s, 1 + 0.001 * s) for lr in LR for d in DECAY for s in (0, 1)]
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])
    limit = landscape(frame).limit
    assert not limit.slope.known
    assert "0 lr" in limit.slope.reason


def test_weight_decay_that_makes_high_lr_good_is_said_to_widen_their_range() -> None:
    found = swept(bend=-1.5, widens=True)
    good = found.good_lr
    assert good.gained
    assert min(good.gained) > good.without[1]
    assert good.with_decay[1] >= max(good.gained)
    assert any("widens the range of good lr" in str(s) for s in found.advice)


def test_weight_decay_that_gains_nothing_widens_nothing() -> None:
    good = swept(bend=-1.5).good_lr
    assert good.gained == ()
    assert good.with_decay == good.without
