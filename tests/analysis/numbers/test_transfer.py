"""How lr and weight_decay move along a scale, on planes whose truth is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from known_scales import X0, Y0, ScaledSweep, bowl, level, lopsided, only_harms

from wdstudy import predict, transfer
from wdstudy.analysis.numbers.transferfindings import QUANTITIES, Transfer
from wdstudy.errors import StudyError


def swept(plane, seed: int = 0, **sweep) -> pd.DataFrame:
    return ScaledSweep(**sweep).trials(plane, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def found() -> Transfer:
    return transfer(swept(lopsided(0.5, -0.5)))


def within(exponents, **truths: float) -> bool:
    return all(exponents[q].low <= truth <= exponents[q].high for q, truth in truths.items())


def test_every_exponent_is_told_with_its_interval(found: Transfer) -> None:
    steps = -1.0  # a batch twice as large takes half the steps
    share = -(0.5 - 0.5) - steps
    assert set(found.exponents) == set(QUANTITIES)
    assert within(found.exponents, lr=0.5, weight_decay=-0.5, product=0.0, tau_share=share,
                  tau_epochs=share)  # fmt: skip
    lr, decay, product = (found.exponents[q] for q in ("lr", "weight_decay", "product"))
    assert product.value == pytest.approx(lr.value + decay.value)
    assert found.exponents["tau_share"].value == pytest.approx(-product.value - steps, abs=1e-6)


def test_the_optimum_of_every_value_lies_on_the_law(found: Transfer) -> None:
    for place in found.places:
        t = math.log10(place.value) - np.mean(np.log10(found.values))
        assert place.lr.low < place.lr.value < place.lr.high
        assert place.lr.value == pytest.approx(10 ** (X0 + 0.5 * t), rel=0.3)
        assert place.weight_decay.value == pytest.approx(10 ** (Y0 - 0.5 * t), rel=0.3)
        steps = 10_000 / place.value * 32
        assert place.tau_share.value == pytest.approx(1 / place.product.value / steps, rel=1e-6)
        assert place.banks == ("both", "both")
        assert 0.3 < place.own_lr.value / place.lr.value < 3


def test_it_says_all_as_strict_json(found: Transfer) -> None:
    data = json.loads(json.dumps(found.as_data(), allow_nan=False))
    assert data["scale"] == "batch_size"
    assert set(data["exponents"]) == set(QUANTITIES)
    assert {"verdict", "powers", "rule", "text"} <= set(data["rules"][0])
    assert len(data["places"]) == 4
    assert 3 <= len(data["advice"]) <= 4


def test_the_held_out_largest_value_is_predicted(found: Transfer) -> None:
    test = found.test
    assert test.value == 256
    assert test.passed
    assert test.lr.low <= found.places[-1].lr.value <= test.lr.high
    assert test.kept.value > test.regret.value


def test_where_weight_decay_only_harms_lr_and_the_limit_are_followed() -> None:
    told = transfer(swept(only_harms(0.5, -1.0)))
    assert within(told.exponents, lr=0.5, limit=-1.0)
    assert not told.exponents["weight_decay"].known
    assert "only harms at every batch_size" in told.exponents["weight_decay"].reason
    ahead = predict(told, 512)
    assert not ahead.weight_decay.known
    t = math.log10(512) - np.mean(np.log10(told.values))
    harm = math.log(math.log(1.25) / 0.1) / 2  # decades above Y0: 0.1 · exp(2 v) is log 1.25 there
    assert ahead.limit.low <= 10 ** (Y0 - t + harm) <= ahead.limit.high
    assert any("There is no best weight_decay to follow" in str(s) for s in told.advice)


@pytest.mark.parametrize("seed", range(4))
def test_no_optimum_is_read_from_level_columns(seed: int) -> None:
    told = transfer(swept(level(0.5), seed=seed))
    assert within(told.exponents, lr=0.5)
    assert not told.exponents["weight_decay"].known
    assert "trials more" in told.exponents["weight_decay"].reason  # what would show it
    assert not told.exponents["limit"].known


def test_an_lr_that_was_not_tried_far_enough_is_no_best_one() -> None:
    edge = dict.fromkeys((32, 64, 128, 256), (5, 0))
    told = transfer(swept(bowl(0.5, 0.0), edge=edge))
    assert not told.exponents["lr"].known
    assert "larger lr at" in told.exponents["lr"].reason
    assert "trials for each" in told.exponents["lr"].reason
    with pytest.raises(StudyError, match="nothing can be predicted along batch_size"):
        predict(told, 512)


def test_two_values_are_followed_but_show_no_power_law() -> None:
    told = transfer(swept(bowl(0.5, -0.5), values=(32, 128)))
    assert "two values of batch_size can't show a power law; a third" in told.exponents["lr"].reason
    assert told.places[0].lr.known
    assert "a third would give the test" in told.test.reason


def test_a_value_that_was_never_finished_is_named_and_the_rest_fitted() -> None:
    trials = swept(bowl(0.5, -0.5), values=(32, 64, 128, 256, 512))
    lost = trials["batch_size"] == 512  # out of memory
    state = trials["state"].where(~lost, "FAIL")
    broken = trials.assign(value=trials["value"].where(~lost), state=state)
    told = transfer(broken)
    assert told.values == (32, 64, 128, 256)
    assert any("512: no trial finished" in note for note in told.notes)
    assert within(told.exponents, lr=0.5, weight_decay=-0.5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda f: f[f["batch_size"] == 32], "needs two values of it, and there is 32"),
        (lambda f: f.drop(columns="batch_size"), "no column 'batch_size'"),
        (lambda f: f.assign(batch_size=0), "needs two values"),
    ],
)
def test_what_is_no_scale_is_said_with_the_remedy(change, match: str) -> None:
    trials = swept(bowl(0, 0), seeds=1)
    with pytest.raises(StudyError, match=match):
        transfer(change(trials), "batch_size")


def test_a_scale_must_be_named_and_be_no_axis() -> None:
    trials = swept(bowl(0, 0), seeds=1)
    trials.attrs = {}
    with pytest.raises(StudyError, match="say which column"):
        transfer(trials)
    with pytest.raises(StudyError, match="the scale is 'lr'"):
        transfer(trials, "lr")


def test_a_prediction_grows_less_sure_with_the_distance(found: Transfer) -> None:
    ahead = [predict(found, value) for value in (200, 512, 1024, 2048)]
    widths = [p.lr.high / p.lr.low for p in ahead]
    assert widths == sorted(widths)
    assert [p.beyond for p in ahead] == [1, 2, 4, 8]
    stakes = [p.stake.value for p in ahead]
    assert stakes == sorted(stakes)


def test_a_prediction_holds_the_truth_and_what_keeping_the_small_pair_costs() -> None:
    told = transfer(swept(bowl(0.5, -0.5), noise=0.01))
    ahead = predict(told, 1024)
    t = math.log10(1024) - np.mean(np.log10(told.values))
    assert ahead.lr.low <= 10 ** (X0 + 0.5 * t) <= ahead.lr.high
    assert ahead.weight_decay.low <= 10 ** (Y0 - 0.5 * t) <= ahead.weight_decay.high
    away = math.log10(1024 / 32) * np.array([0.5, -0.5])
    cost = math.expm1(0.3 * away[0] ** 2 + 0.1 * (away[1] + 0.5 * away[0]) ** 2)
    assert ahead.stake.low <= cost <= ahead.stake.high
    assert ahead.kept[0] == pytest.approx(told.places[0].lr.value)


@pytest.mark.parametrize("value", [2049.0 * 2, 1.0])
def test_too_far_out_nothing_is_predicted(found: Transfer, value: float) -> None:
    with pytest.raises(StudyError, match=r"predicts no further .* ask for 4 … 2048"):
        predict(found, value)


@pytest.mark.parametrize("value", [0.0, -3.0, math.nan, math.inf])
def test_what_is_no_size_is_refused(found: Transfer, value: float) -> None:
    with pytest.raises(StudyError, match="give a number above 0"):
        predict(found, value)


def test_one_seed_is_judged_by_its_neighbours() -> None:
    told = transfer(swept(bowl(0.5, -0.5), seeds=1))
    assert within(told.exponents, lr=0.5, weight_decay=-0.5)


def test_samples_of_the_plane_are_followed_as_well() -> None:
    rng, parts = np.random.default_rng(0), []
    plane = bowl(0.5, -0.5)
    for value in (32, 64, 128, 256):
        t = math.log10(value) - np.mean(np.log10([32, 64, 128, 256]))
        x, y = X0 + rng.uniform(-1.5, 1.5, 80), Y0 + rng.uniform(-2, 2, 80)
        z = plane(x, y, t) + 0.02 * rng.standard_normal(80)
        parts.append(pd.DataFrame({"lr": 10**x, "weight_decay": 10**y, "value": np.exp(z),
                                   "batch_size": value}))  # fmt: skip
    told = transfer(pd.concat(parts, ignore_index=True), "batch_size")
    assert within(told.exponents, lr=0.5, weight_decay=-0.5)


def test_values_that_are_good_when_high_are_followed() -> None:
    trials = swept(bowl(0.5, -0.5))
    trials["accuracy"] = 1 - trials["value"].clip(upper=1.0)
    told = transfer(trials, value="accuracy")
    assert within(told.exponents, lr=0.5, weight_decay=-0.5)


def test_columns_may_have_other_names(found: Transfer) -> None:
    trials = swept(lopsided(0.5, -0.5))
    renamed = trials.rename(columns={"lr": "eta", "weight_decay": "lambda", "batch_size": "B"})
    told = transfer(renamed, "B", lr="eta", weight_decay="lambda")
    assert told.exponents["lr"] == found.exponents["lr"]
