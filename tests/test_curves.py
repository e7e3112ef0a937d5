from __future__ import annotations

import json
import math

import pytest

from wdstudy.curves import MAX_POINTS, THINNED, LossCurves


def curves(points: int) -> LossCurves:
    made = LossCurves()
    for i in range(1, points + 1):
        made.append({"step": 10 * i, "primary_loss": 1 / i, "decay_loss": 0.5})
    return made


def test_attributes_are_strict_json_and_come_back_as_they_were() -> None:
    made = curves(3)
    made.append({"step": 40, "primary_loss": math.nan, "decay_loss": math.inf})
    text = json.dumps(made.to_attributes(), allow_nan=False)
    back = LossCurves.from_attributes(json.loads(text))
    assert json.loads(text)["primary_loss"] == [1.0, 0.5, 1 / 3, None]
    assert back["step"] == made["step"]
    assert back["primary_loss"][:3] == made["primary_loss"][:3]
    assert math.isnan(back["primary_loss"][3])
    assert math.isnan(back["decay_loss"][3])


def test_series_that_begin_late_or_miss_a_point_keep_one_length() -> None:
    made = curves(2)
    made.append({"step": 30, "val_loss": 0.25})
    frame = made.to_frame()
    assert len(frame) == 3
    assert frame["val_loss"].isna().tolist() == [True, True, False]
    assert frame["primary_loss"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("points", [MAX_POINTS, MAX_POINTS + 1, 3 * MAX_POINTS + 7])
def test_long_curves_are_thinned_and_keep_their_last_point(points: int) -> None:
    attributes = curves(points).to_attributes()
    assert len(attributes["step"]) <= MAX_POINTS
    assert attributes["step"][-1] == 10 * points
    assert attributes.get(THINNED, 1) == math.ceil(points / MAX_POINTS)
    assert len(json.dumps(attributes["primary_loss"])) < 2**16


def test_scalars_are_the_last_point_and_what_follows_from_it() -> None:
    made = curves(4)
    made.append({"step": 50, "primary_loss": 0.3, "decay_loss": 0.1, "val_loss": 0.4})
    scalars = made.scalars(lr=0.1, weight_decay=0.02)
    assert scalars["final_primary_loss"] == 0.3
    assert scalars["final_val_loss"] == 0.4
    assert scalars["decay_share"] == pytest.approx(0.1 / 0.4)
    assert scalars["lr_x_wd"] == pytest.approx(0.002)


def test_what_is_not_a_list_of_numbers_is_not_a_series() -> None:
    found = LossCurves.from_attributes(
        {"primary_loss": [1, None], "decay_loss": "[1, 2]", "val_x": [1, "a"], "note": [1, 2]}
    )
    assert list(found) == ["primary_loss"]
