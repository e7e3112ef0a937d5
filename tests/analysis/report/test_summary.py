"""The keys of summary.json and of `report --json`, which scripts rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from made_studies import grid_study

from wdstudy.analysis.numbers.reading import read_study
from wdstudy.analysis.report.summary import as_json, summary

KEYS = {
    "": "study trials diverged objective minimize other_parameters landscape design "
    "transfer still_improving caveats record",
    "landscape": "name trials cells best effects good_lr limit slope ridge frontier frontier_line "
    "separability product apart_cost lr_sensitivity weight_decay_sensitivity valley_width edges "
    "diverged_share stable_lr baseline_gap second_basin noise logarithmic suggestion advice "
    "verdict",
    "landscape.best": "lr weight_decay loss seen seeds diverged_seeds gap ties tied regret "
    "timescale",
    "landscape.effects": "lr without best_weight_decay gain gain_chance harms_from changes",
    "landscape.effects.harms_from": "1.1 1.25 1.5 2.0",
    "landscape.effects.changes": "weight_decay loss",
    "landscape.good_lr": "factor with_decay without gained",
    "landscape.limit": "slope slope_above factor bends_at lr weight_decay",
    "landscape.ridge": "slope bend lr weight_decay",
    "landscape.frontier_line": "slope factor lr weight_decay",
    "landscape.separability": "additive interaction_p",
    "landscape.product": "product lr weight_decay",
    "landscape.apart_cost": "lr_first weight_decay_first worst",
    "landscape.valley_width": "fixed_weight_decay fixed_product factor",
    "landscape.edges": "axis where low high at_lower at_upper top firm extend_to",
    "landscape.stable_lr": "weight_decay lr diverges_at n",
    "landscape.suggestion": "action lr weight_decay why",
    "landscape.advice": "text about numbers",
    "landscape.verdict": "text about numbers",
}
ESTIMATES = (
    "best.loss best.gap best.regret effects.gain effects.changes.loss effects.harms_from.1.25 "
    "limit.slope limit.slope_above slope ridge.slope ridge.bend frontier separability.additive "
    "product.product apart_cost.worst lr_sensitivity weight_decay_sensitivity "
    "valley_width.fixed_product diverged_share baseline_gap noise"
)


def at(data: Any, path: str) -> Any:
    """What lies at a path of keys, of lists the first."""
    while path:
        key = next(k for k in sorted(data, key=len, reverse=True)
                   if path == k or path.startswith(f"{k}."))  # fmt: skip
        data, path = data[key], path[len(key) + 1 :]
        data = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else data
    return data


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return summary(read_study(grid_study(seeds=2)))


@pytest.mark.parametrize("path", KEYS)
def test_keys_that_are_told_of_stay(data: dict[str, Any], path: str) -> None:
    wanted = set(KEYS[path].split())
    assert wanted <= at(data, path).keys()
    told = str(summary.__doc__)
    if "harms_from" not in path:
        assert not {key for key in wanted if key not in told}


@pytest.mark.parametrize("path", ESTIMATES.split())
def test_numbers_with_uncertainty_are_estimates(data: dict[str, Any], path: str) -> None:
    assert set(at(data["landscape"], path)) == {"value", "low", "high", "n", "reason"}


def test_no_key_of_the_landscape_is_untold(data: dict[str, Any]) -> None:
    assert data.keys() == set(KEYS[""].split())
    assert data["landscape"].keys() == set(KEYS["landscape"].split())


def test_it_is_strict_json_with_a_line_end(data: dict[str, Any]) -> None:
    text = as_json(data)
    assert text.endswith("}\n")
    assert json.loads(text, parse_constant=pytest.fail) == data
