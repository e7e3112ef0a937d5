"""What to do, in at most four sentences that never contradict the numbers or each other."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from known_surfaces import Sweep, bent, bowl, flat, lopsided, only_hurts, scatter

from wdstudy import landscape
from wdstudy.analysis.numbers.basins import second_basin
from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.findings import Landscape

CONTRADICTIONS = [
    (r"Weight decay surely helps", r"That weight decay helps is not shown: at lr"),
    (r"Weight decay surely helps", r"At each lr no gain is shown"),
    (r"no other setting tried did as well", r"The noise does not tell it from"),
    (r"no other setting tried did as well", r"more seeds of those alone"),
    (r"You have your answer", r"lies at the edge of what was tried: extend"),
    (r"You have your answer", r"more seeds of those alone"),
    (r"beats its neighbours", r"The noise does not tell it from"),
    (r"weight decay only hurts", r"surely helps at lr .*at the best lr, \S+, it takes"),
    (r"rise together", r"trade off"),
    (r"does not depend on weight_decay", r"helps"),
    (r"hardly moves with lr", r"when you double lr"),
    (r"The best lr lies inside", r"The best lr is at the"),
    (r"The best weight_decay lies inside", r"The best weight_decay is at the"),
    (r"The best lr lies inside", r"extend .*\blr to"),
    (r"beats its neighbours by 0(\.0)? %", r"."),
]
"""Pairs of sentences of which a report may hold one at most."""


def planes() -> Iterator[tuple[str, pd.DataFrame]]:
    """Sweeps of all kinds, with and without a baseline, seeds, holes and cliffs."""
    surfaces = {
        "bowl": bowl(-1), "apart": bowl(0), "together": bowl(1), "lopsided": lopsided(-1),
        "growing": lopsided(-0.5, growth=0.4), "bent": bent(), "hurts": only_hurts(-1),
        "flat": flat(), "below": lopsided(-1, y0=-8.0),
    }  # fmt: skip
    for number, (name, surface) in enumerate(surfaces.items()):
        for k, noise in [(number % 2, (0.02, 0.15)[number % 2])]:
            rng = np.random.default_rng(k)
            for seeds, without, points in ((1, True, None), (2, True, None), (3, False, None),
                                           (1, False, scatter(40, rng))):  # fmt: skip
                sweep = Sweep(noise=noise, seeds=seeds, without=without, cliff=-0.6 if k else 9)
                if points is not None:
                    sweep = Sweep(noise=noise, points=points)
                yield f"{name}, {noise}, {seeds}, {without}", sweep.trials(surface, rng)


@pytest.fixture(scope="module")
def told() -> list[tuple[str, Landscape]]:
    return [(name, landscape(trials)) for name, trials in planes()]


def said(found: Landscape) -> str:
    return "\n".join(map(str, (*found.advice, *found.verdict)))


@pytest.mark.slow
def test_no_two_sentences_contradict_each_other(told: list[tuple[str, Landscape]]) -> None:
    for name, found in told:
        text = said(found)
        for one, other in CONTRADICTIONS:
            assert not (re.search(one, text) and re.search(other, text)), (name, one, other, text)


def test_at_most_four_sentences_to_act_on(told: list[tuple[str, Landscape]]) -> None:
    for _, found in told:
        assert 1 <= len(found.advice) <= 4
        assert found.advice[0].text.startswith("Train with lr ")
        assert all(s.text.endswith((".", ").")) for s in found.advice)
        assert {s.about for s in found.advice} <= {"best", "effects", "limit", "edges"}
        assert not re.search(r"\b(nan|inf)\b", said(found))


def test_what_is_not_shown_comes_with_what_is_ruled_out() -> None:
    trials = Sweep(noise=0.02, seeds=2, without=True).trials(flat(), np.random.default_rng(0))
    found = landscape(trials)
    (gain,) = [s for s in found.advice if s.about == "effects"]
    assert re.fullmatch(
        r"That weight decay helps is not shown: at lr \S+, beside weight_decay = 0, a gain of more "
        r"than [\d.]+ % is ruled out\.",
        gain.text,
    )
    assert "95 %" in gain.numbers


def test_a_gain_and_where_harm_begins_are_told_at_their_lr() -> None:
    sweep = Sweep(noise=0.01, seeds=3, without=True)
    found = landscape(sweep.trials(lopsided(-1, amplitude=0.05), np.random.default_rng(0)))
    text = said(found)
    assert "Weight decay surely helps at lr" in text
    assert re.search(r"At lr \S+ stay below weight_decay \S+, at \S+ below \S+", text)


def test_others_that_vary_are_called_trials_and_the_command_names_the_study() -> None:
    trials = Sweep(noise=0.2, seeds=2).trials(bowl(-1), np.random.default_rng(0))
    trials.attrs.update(study="mine", others={"dropout": "0, 0.1"})
    text = said(landscape(trials))
    assert "2 trials can tell" in text
    assert "suggest mine" in text


def test_nothing_finished_advises_nothing() -> None:
    trials = Sweep(noise=0.02).trials(bowl(-1), np.random.default_rng(0))
    assert landscape(trials.assign(value=np.nan, diverged=True)).advice == ()


def two_basins(depth: float) -> pd.DataFrame:
    """Two bowls in a plane: the best one, and another that is `depth` of its depth."""
    rows = []
    rng = np.random.default_rng(0)
    for x in np.arange(-3, 0.1, 0.5):
        for y in np.arange(-5, -0.9, 0.5):
            far = (x + 2.5) ** 2 + (y + 4) ** 2, (x + 0.5) ** 2 + (y + 2) ** 2
            z = -np.exp(-far[0]) - depth * np.exp(-far[1])
            rows += [(10**x, 10**y, s, np.exp(z + 0.01 * rng.standard_normal())) for s in (0, 1)]
    return pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])


def test_a_second_basin_is_named() -> None:
    found = landscape(two_basins(0.9))
    basin = found.second_basin
    assert basin is not None
    assert (basin.lr, basin.weight_decay) == pytest.approx((10**-0.5, 0.01))
    assert basin.above == pytest.approx(np.expm1(0.1), abs=0.03)
    assert basin.over > 0.5
    assert "a second basin at lr 0.316, weight_decay 0.01" in said(found)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_ripples_of_noise_and_poor_basins_are_none(noise: float) -> None:
    assert landscape(two_basins(0.3)).second_basin is None
    for seed in range(10):
        trials = Sweep(noise=noise, seeds=2).trials(bowl(-1), np.random.default_rng(seed))
        assert second_basin(measured(trials, "value")) is None


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ("weight_decay == 0", "Nothing with weight decay finished"),
        ("lr == lr.min()", "Only one lr was tried"),
        ("lr == lr.min() and weight_decay == 0", "Only one setting was tried"),
    ],
)
def test_a_sweep_that_can_not_answer_says_so(kept: str, says: str) -> None:
    trials = Sweep(noise=0.02, seeds=2, without=True).trials(flat(), np.random.default_rng(0))
    found = landscape(trials.query(kept, engine="python"))
    assert any(says in str(s) for s in found.advice)
    assert not any("your answer" in str(s) for s in found.advice)


def test_an_accuracy_that_reaches_one_keeps_its_effects() -> None:
    trials = Sweep(noise=0.05, seeds=2, without=True).trials(bowl(-1), np.random.default_rng(0))
    shares = trials.assign(val_accuracy=lambda t: 1 - t["value"].clip(upper=0.9))
    shares.loc[shares["val_accuracy"].idxmax(), "val_accuracy"] = 1.0
    found = landscape(shares, "val_accuracy")
    assert found.logarithmic
    assert found.effects
    assert "1 − validation accuracy" in found.name


def test_where_it_diverges_without_weight_decay_everywhere_that_is_the_sentence() -> None:
    trials = Sweep(noise=0.02, seeds=2, without=True).trials(flat(), np.random.default_rng(0))
    lost = trials["weight_decay"] == 0
    found = landscape(trials.assign(diverged=lost, value=trials["value"].where(~lost)))
    assert any("trainable: without it training diverges" in str(s) for s in found.advice)


def test_where_it_diverges_without_weight_decay_at_some_lr_they_are_named() -> None:
    trials = Sweep(noise=0.02, seeds=2, without=True).trials(flat(), np.random.default_rng(0))
    lost = (trials["weight_decay"] == 0) & (trials["lr"] > 0.1)
    found = landscape(trials.assign(diverged=lost, value=trials["value"].where(~lost)))
    (said_of_it,) = [s for s in found.advice if s.about == "effects"]
    assert re.match(r"Weight decay makes lr \S+ … 1 trainable", said_of_it.text)
