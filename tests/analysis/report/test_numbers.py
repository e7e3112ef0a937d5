"""The tables of numbers of a report, held to the numbers themselves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_studies import grid_study, study_of, trained

from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.estimate import Estimate, cannot_say
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.analysis.numbers.spoken import shared
from wdstudy.analysis.report.numbers import HARMS, effect_rows, number_rows
from wdstudy.record import RecordedSpec, StudyRecord

WIDE: dict[str, Any] = {"lrs": [0.01, 0.1, 1.0], "weight_decays": [0.0, 1e-3, 1e-2, 0.1, 1.0]}


def noisy(lr: float, weight_decay: float, seed: int) -> float:
    """At high lr weight_decay takes a half off, and from 0.1 on it harms everywhere."""
    gain = 0.7 if lr == 1.0 and 0 < weight_decay < 0.1 else 0.0
    harm = 0.4 if weight_decay == 0.1 else 1.5 if weight_decay > 0.1 else 0.0
    wobble = 0.02 * math.sin(37 * math.log(lr) + 11 * math.log(weight_decay + 1e-9) + 5 * seed)
    return 0.1 * math.exp(0.1 * abs(math.log10(lr) + 1) + harm - gain + wobble)


def found_of(**changes: Any) -> Landscape:
    study = grid_study(**{**WIDE, "seeds": 3, "loss": noisy, **changes})
    return landscape(trials_frame(study), name="validation loss")


def test_a_row_an_lr_says_gain_and_where_harm_begins() -> None:
    found = found_of()
    rows = effect_rows(found)
    assert [row[0] for row in rows] == ["0.01", "0.1", "1"]
    assert len(rows[0]) == 3 + len(HARMS)
    high = found.effects[2]
    assert rows[2][2] == shared(high.gain)
    assert high.gain.low > 0.3
    assert "not shown; above" in rows[0][2]
    onset = high.harms_from[1.25]
    assert onset.known
    assert rows[0][4].startswith(f"{found.effects[0].harms_from[1.25].value:.2g} (")
    assert "…" in rows[0][4]


def test_what_no_cell_shows_is_no_number() -> None:
    found = found_of(weight_decays=[0.0, 1e-3, 1e-2])
    assert all(row[3:] == ("not up to 0.01",) * 3 for row in effect_rows(found))
    lost = found_of(diverges=lambda lr, wd: lr == 1.0 and wd == 0.0)
    assert effect_rows(lost)[2][2:] == ("can't say: nothing to compare with", "–", "–", "–")
    one = effect_rows(found_of(seeds=1, lrs=[0.1, 1.0], weight_decays=[0.0, 0.01]))
    assert one[1][2].endswith("%, no interval")


def test_numbers_that_tell_nothing_are_left_out_and_say_why() -> None:
    found = found_of()
    rows, silent = number_rows(found, StudyRecord())
    names = [row.name for row in rows]
    assert not found.slope.known
    assert not any(name.startswith("slope of the ridge") for name in names)
    assert any("slope of the ridge" in name and why == found.slope.reason for name, why in silent)
    assert not any("can't say" in row.value for row in rows)
    wide = Estimate(0.6, 0.1, 0.95, 20)
    found = replace(found, separability=replace(found.separability, additive=wide))
    rows, silent = number_rows(found, StudyRecord())
    (names,) = [names for names, why in silent if why == "the interval holds nearly every share"]
    assert "explained by f(lr) + g(weight_decay)" in names
    assert "explained by f(lr) + g(weight_decay)" not in [row.name for row in rows]


def test_reasons_are_told_once() -> None:
    found = found_of()
    cost = replace(
        found.apart_cost, lr_first=cannot_say("few"), weight_decay_first=cannot_say("few")
    )
    _, silent = number_rows(replace(found, apart_cost=cost), StudyRecord())
    (names,) = [names for names, why in silent if why == "few"]
    assert names == "cost of tuning lr first, median start; " \
        "cost of tuning weight_decay first, median start"  # fmt: skip


def test_the_limit_stands_for_the_frontier_where_it_has_a_slope() -> None:
    found = found_of()
    slope = Estimate(-0.5, -0.7, -0.3, 6)
    straight = replace(found, limit=replace(found.limit, slope=slope))
    names = [row.name for row in number_rows(straight, StudyRecord())[0]]
    assert "slope of where harm begins" in names
    bent = replace(straight, limit=replace(straight.limit, bends_at=0.1, slope_above=slope))
    rows = {row.name: row for row in number_rows(bent, StudyRecord())[0]}
    assert rows["slope of where harm begins, up to lr 0.1"].interval == "−0.70 … −0.30"
    assert "slope of where harm begins, beyond" in rows
    frontier = replace(found, limit=replace(found.limit, slope=cannot_say("few")), frontier=slope)
    names = [row.name for row in number_rows(frontier, StudyRecord())[0]]
    assert "slope of the largest harmless weight_decay" in names
    assert "slope of where harm begins" not in names


def test_what_was_maximised_has_its_own_sign() -> None:
    rng = np.random.default_rng(0)
    trials = [
        trained(lr, wd, seed, loss=lambda *_: float(rng.uniform(0.1, 0.2)), maximize=True)
        for lr in (0.01, 0.1, 1.0) for wd in (0.0, 0.01, 0.1) for seed in (0, 1)
    ]  # fmt: skip
    frame = trials_frame(study_of(trials, direction="maximize")).assign(
        value=lambda t: t["value"] + 5
    )
    frame.attrs["minimize"] = False
    found = landscape(frame, name="score")
    assert found.name == "−score"
    row = number_rows(found, StudyRecord())[0][0]
    assert row.name == "score of the best cell, with new seeds"
    assert float(row.value) == pytest.approx(-found.best.loss.value, rel=1e-2)
    assert row.rests.startswith("2 seeds")


def test_the_timescale_stands_beside_the_length_of_the_run() -> None:
    record = StudyRecord(spec=RecordedSpec(epochs=5), steps_per_epoch=10)
    row = number_rows(found_of(), record)[0][-1]
    assert row.name == "timescale of the best cell, steps"
    assert "epochs, of a run of 5" in row.rests
