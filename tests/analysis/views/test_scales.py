"""Logarithmic axes with places apart: for 0, and for few values that lie far out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from wdstudy.analysis.views.scales import LogPlace

NEAR = [10.0**k for k in np.linspace(-3, 0, 40)]


def test_few_far_values_stand_apart_and_the_others_have_the_room() -> None:
    values = pd.Series([1e-7, *NEAR, 0.0, 100.0])
    place = LogPlace(values, far=True)
    assert (place.low, place.high) == (min(NEAR), max(NEAR))
    at = place(values)
    assert at.iloc[1:-2].tolist() == NEAR  # true to scale
    assert place.apart == {at.iloc[-2]: "0", at.iloc[0]: "1e-7", at.iloc[-1]: "100"}
    assert at.iloc[-2] < at.iloc[0] < min(NEAR) < max(NEAR) < at.iloc[-1]
    assert place.ends == (at.iloc[-2], at.iloc[-1])
    assert all(place.ends[0] < b < place.ends[1] for b in place.breaks)
    assert len(place.breaks) == 2


def test_several_far_values_share_a_place_and_are_named_by_the_nearest() -> None:
    place = LogPlace(pd.Series([1e-7, 1e-6, *NEAR, *NEAR]), far=True)
    assert list(place.apart.values()) == ["≤ 1e-6"]


def test_whoever_does_not_ask_for_it_has_the_whole_scale() -> None:
    place = LogPlace(pd.Series([1e-7, *NEAR]))
    assert place.low == 1e-7
    assert place.apart == {}


def test_grids_and_even_samples_keep_their_scale() -> None:
    rng = np.random.default_rng(0)
    grids = [pd.Series(lr) for lr, _ in [zip(*product((1e-6, 1e-3, 1.0), range(7)), strict=True)]]
    for values in (*grids, pd.Series(10 ** rng.uniform(-7, 3, 200)), pd.Series([1e-6, 1.0])):
        place = LogPlace(values, far=True)
        assert (place.low, place.high) == (values.min(), values.max())
    assert LogPlace(pd.Series([], dtype=float), far=True).ends == (1.0, 1.0)
    assert LogPlace(pd.Series([0.0, 0.0]), far=True).apart
