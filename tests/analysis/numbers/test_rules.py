"""Published rules held against exponents that are given."""

from __future__ import annotations

import pytest

from wdstudy.analysis.numbers.rules import NAMES, RULES, Measured, Verdict, judged
from wdstudy.analysis.numbers.scaled import DRIVERS


def judging(
    drivers: dict[str, float], independent: bool = False, **measured: tuple[float, float]
) -> dict[str, Verdict]:
    told = judged(
        drivers,
        {q: Measured(value, half, 100.0) for q, (value, half) in measured.items()},
        independent=independent, sizes=4, span=0.9,
    )  # fmt: skip
    return {verdict.rule.name: verdict for verdict in told}


def test_every_rule_speaks_of_things_that_are_known_and_names_its_source() -> None:
    for rule in RULES:
        assert rule.powers.keys() <= set(DRIVERS)
        assert all(powers.keys() <= NAMES.keys() for powers in rule.powers.values())
        assert rule.source.startswith("https://") or rule.name == "nothing moves"
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_only_what_changes_along_the_scale_is_judged() -> None:
    batch = judging({"batch_size": 1.0}, lr=(0.5, 0.1))
    assert "linear in the batch" in batch
    assert "nanochat" not in batch
    assert judging({}, lr=(0.5, 0.1)) == {}


def test_an_exponent_that_excludes_a_rule_rejects_it_with_the_number() -> None:
    told = judging({"batch_size": 1.0}, lr=(0.48, 0.1), weight_decay=(0.52, 0.1))
    assert told["linear in the batch"].verdict == "rejected"
    assert "lr moves as +0.48 (+0.38 … +0.58), not +1.00" in told["linear in the batch"].text
    assert told["nothing moves"].verdict == "rejected"
    assert told["square root of the batch"].verdict == "fits"
    assert told["Complete(d)P"].verdict == "fits"


def test_rules_that_both_lie_inside_are_not_told_apart_and_the_remedy_is_named() -> None:
    told = judging({"batch_size": 1.0}, lr=(0.7, 0.4))
    linear, root = told["linear in the batch"], told["square root of the batch"]
    assert (linear.verdict, root.verdict) == ("open", "open")
    assert "“square root of the batch”" in linear.text
    # an interval of half 0.25 is to part 0.5 from 1: of (0.4 / 0.25)² times the sizes
    assert "7 more sizes, or a factor of 28 between the least and the largest, would" in linear.text


def test_what_was_not_measured_is_not_judged() -> None:
    told = judging({"batch_size": 1.0}, lr=(0.5, 0.1))
    assert told["constant memory in epochs"].verdict == "unknown"


def test_where_batch_and_run_both_grow_a_rule_must_speak_of_both() -> None:
    both = {"batch_size": 1.0, "examples_seen": 1.0}  # the same steps, of larger batches
    told = judging(both, lr=(0.0, 0.1), weight_decay=(0.0, 0.1))
    assert told["Complete(d)P"].powers == {"lr": 0.0}
    assert told["Complete(d)P"].verdict == "fits"
    assert told.get("linear in the batch") is None


def test_powers_follow_what_really_grows_with_the_scale() -> None:
    told = judging({"width": 1.0, "parameters": 1.8}, lr=(-1.28, 0.1))
    assert told["Step Law"].powers == {"lr": pytest.approx(-0.713 * 1.8)}
    assert told["Step Law"].verdict == "fits"
    assert told["µP with constant product"].verdict == "rejected"


def test_width_rules_disagree_and_one_sweep_tells_them_apart() -> None:
    told = judging({"width": 1.0}, weight_decay=(0.95, 0.2))
    verdicts = {name: v.verdict for name, v in told.items()}
    assert verdicts["µP with constant product"] == "fits"
    assert verdicts["root of the width"] == verdicts["nanochat"] == "rejected"


def test_in_the_independent_form_rules_ask_for_what_they_mean_there() -> None:
    told = judging({"batch_size": 1.0}, independent=True, lr=(0.5, 0.1), weight_decay=(1.0, 0.1))
    assert told["Complete(d)P"].powers == {"lr": 0.5, "weight_decay": 1.0}
    assert told["Complete(d)P"].verdict == "fits"
    width = judging({"width": 1.0}, independent=True, weight_decay=(0.0, 0.1))
    assert width["µP with constant product"].powers["weight_decay"] == 0.0
    assert "root of the width" not in width  # without lr its meaning there is not known
