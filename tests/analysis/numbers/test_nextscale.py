"""What is asked for next along a scale: known planes, cut short in known ways."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from known_scales import Plane, ScaledSweep, bowl, level
from made_studies import scaled_study

from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.nextscale import next_along, next_value
from wdstudy.analysis.numbers.nextsweep import NextSweep
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.record import RecordedSpec, StudyRecord

MINE = StudyRecord(command=("mine.py",))


def along(**scale: Any) -> StudyRecord:
    told = {"name": "batch_size", "values": [32, 64, 128, 256], "follow": {}, **scale}
    return StudyRecord(command=("mine.py",), spec=RecordedSpec(scale=told))


def swept(plane: Plane, **sweep: Any) -> pd.DataFrame:
    return ScaledSweep(**sweep).trials(plane, np.random.default_rng(0))


def asked(trials: pd.DataFrame, record: StudyRecord = MINE) -> NextSweep:
    return next_along(transfer(trials), record, trials)


def flag(found: NextSweep, name: str) -> str:
    return found.command[found.command.index(name) + 1]


def test_a_law_that_is_known_closely_and_holds_is_an_answer() -> None:
    found = asked(trials_frame(scaled_study()))
    assert found.why[0] == "you have your answer"
    assert found.command == ()


def test_at_an_edge_the_window_goes_on_at_those_values_alone() -> None:
    cut = dict.fromkeys((32, 64, 128, 256), (5, 0))
    trials = swept(bowl(0.5, 0.0), edge=cut)
    found = asked(trials)
    assert "the best lies towards larger lr than was tried" in found.why[0]
    assert found.at == (32, 64, 128, 256)
    assert flag(found, "--at") == "batch_size=32,64,128,256"
    step = (trials["lr"].max() / trials["lr"].min()) ** (1 / 3)  # four of nine lrs are left
    assert found.lr == pytest.approx([trials["lr"].max() * step**k for k in (1, 2)], rel=1e-4)
    assert found.trials == 4 * 2 * 10 * 2  # values, lrs, weight_decays, seeds
    one = asked(swept(bowl(0.5, -0.5), edge={256: (4, 0)}, noise=0.1))
    assert one.at == (256,)
    assert one.trials == 2 * 10 * 2


def test_what_is_done_already_has_no_price() -> None:
    trials = swept(bowl(0.5, 0.0), edge=dict.fromkeys((32, 64, 128, 256), (5, 0)))
    first = asked(trials)
    done = trials[(trials["batch_size"] == 32) & (trials["lr"] == trials["lr"].min())]
    some = pd.concat([trials, done.assign(lr=first.lr[0], state="FAIL", value=math.nan)])
    some.attrs = trials.attrs
    assert asked(some).trials == first.trials  # what failed is trained again
    some = pd.concat([trials, done.assign(lr=first.lr[0], state="PRUNED", value=math.nan)])
    some.attrs = trials.attrs
    assert next_along(transfer(trials), MINE, some).trials == first.trials - len(done)


def test_two_values_ask_for_a_third_about_what_is_foretold_there() -> None:
    found = asked(swept(bowl(1.0, -1.0), values=(32, 128)))
    assert "a third does: batch_size 512" in found.why[0]
    assert flag(found, "--at") == "batch_size=512"
    middle = math.log10(32 * 128) / 2
    ahead = math.log10(512) - middle
    assert math.log10(np.median(found.lr)) == pytest.approx(-1.5 + ahead, abs=0.3)
    decays = [v for v in found.weight_decay if v > 0]
    assert math.log10(np.median(decays)) == pytest.approx(-3.0 - ahead, abs=0.4)
    assert 0 in found.weight_decay
    assert found.trials == 9 * 10 * 2


def test_where_noise_hides_all_more_seeds_are_asked_for() -> None:
    trials = swept(level(0.0), noise=1.0, shift=0.0, by_lr=0.0, values=(32, 64, 128))
    found = asked(trials)
    assert "more seeds" in found.why[0]
    assert flag(found, "--seeds") == "8"
    assert found.trials == 3 * len(trials)


def test_a_value_that_is_listed_and_lacks_results_comes_first() -> None:
    trials = swept(bowl(0.5, -0.5), values=(32, 64, 128))
    found = asked(trials, along())
    assert found.why[0] == "batch_size 256: listed, and without a result yet"
    assert found.command == ("run", "mine.py")
    assert found.trials == 9 * 10 * 2
    alone = next_value(along(), "batch_size", 180)
    assert alone.command == ("run", "mine.py")
    assert "needs two" in alone.why[0]


def test_windows_that_follow_the_scale_are_written_for_its_first_value() -> None:
    """What the command asks for lies beyond what was tried once the window has moved."""
    cut = dict.fromkeys((32, 64, 128, 256), (5, 0))
    trials = swept(bowl(0.5, 0.0), follow=(0.5, 0.0), edge=cut)
    found = asked(trials, along(follow={"lr": 0.5}))
    written = [float(v) for v in flag(found, "--lr").split(",")]
    assert found.at == (32, 64, 128, 256)
    for at in found.at:
        tried = trials.loc[trials["batch_size"] == at, "lr"].max()
        assert min(written) * (at / 32) ** 0.5 > 1.5 * tried
        assert min(written) * (at / 32) ** 0.5 < 4 * tried


def test_what_a_trial_takes_is_foretold_from_the_values_that_are_done() -> None:
    trials = swept(bowl(0.5, -0.5), values=(32, 128))
    trials["train_seconds"] = trials["batch_size"] / 32  # 1 s and 4 s
    found = asked(trials)
    assert found.seconds == pytest.approx(16 * found.trials)


def test_a_value_at_which_one_pair_was_trained_sets_no_window() -> None:
    trials = swept(bowl(0.5, -0.5), values=(32, 64, 128, 256), noise=0.1)
    alone = (trials["batch_size"] == 256) & (trials["lr"] == trials["lr"].median())
    some = trials[(trials["batch_size"] < 256) | (alone & (trials["weight_decay"] == 1e-3))]
    assert 0 < (some["batch_size"] == 256).sum() < 3
    found = asked(some)
    assert flag(found, "--at") == "batch_size=512"
    assert (len(found.lr), len(found.weight_decay)) == (9, 10)
