"""What is asked of a scale, and a prediction in words."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from known_scales import X0, Y0, ScaledSweep, bowl, only_harms
from made_studies import grid_study, scaled_study

from wdstudy import predict, transfer, trials_frame
from wdstudy.analysis.numbers.asking import asked_on_line
from wdstudy.analysis.numbers.foretelling import command_of, heading, prediction_data, told_of
from wdstudy.analysis.numbers.nextscale import next_along
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.report.summary import as_json
from wdstudy.errors import StudyError, WdstudyError
from wdstudy.record import RecordedSpec, StudyRecord


@pytest.fixture(scope="module")
def found() -> Transfer:
    return transfer(trials_frame(scaled_study()))


def words(found: Transfer, value: float) -> dict[str, str]:
    trials = trials_frame(scaled_study())
    then = next_along(found, StudyRecord(), trials)
    return dict(told_of(found, predict(found, value), then))


def test_a_study_a_frame_and_what_was_told_of_it_predict_the_same(found: Transfer) -> None:
    study = scaled_study()
    first = predict(study, batch_size=128)
    assert predict(trials_frame(study), batch_size=128) == first
    assert predict(found, batch_size=128) == predict(found, 128) == first
    assert math.log10(first.lr.value) == pytest.approx(-1.5 + 0.5 * math.log10(128 / 16), abs=0.05)


def test_a_frame_is_asked_along_a_column_of_its_own() -> None:
    trials = ScaledSweep(name="width").trials(bowl(0.5, -0.5), np.random.default_rng(0))
    trials.attrs = {}
    t = math.log10(512) - np.mean(np.log10((32, 64, 128, 256)))
    ahead = predict(trials, width=512)
    assert ahead.lr.low < 10 ** (X0 + 0.5 * t) < ahead.lr.high
    assert ahead.weight_decay.low < 10 ** (Y0 - 0.5 * t) < ahead.weight_decay.high


@pytest.mark.parametrize(
    ("at", "match"),
    [
        ({"batchsize": 128}, "did you mean 'batch_size'"),
        ({"width": 128}, "not along 'width'; Known: batch_size"),
        ({"batch_size": 0}, "batch_size=0: give a number above 0"),
        ({"batch_size": "big"}, "batch_size='big': give a number above 0"),
        ({"batch_size": True}, "batch_size=True: give a number above 0"),
        ({"batch_size": math.nan}, "give a number above 0"),
        ({"batch_size": 1e6}, "predicts no further than that again: ask for 1 … 512"),
        ({}, "no value is given"),
        ({"batch_size": 1, "width": 2}, "along several scales"),
    ],
)
def test_what_can_not_be_asked_is_told_in_a_line(
    found: Transfer, at: dict[str, Any], match: str
) -> None:
    with pytest.raises(StudyError, match=match) as caught:
        predict(found, **at)
    assert "\n" not in str(caught.value)


def test_a_value_that_was_trained_is_named_with_its_optimum(found: Transfer) -> None:
    with pytest.raises(StudyError, match="batch_size=64 was trained") as caught:
        predict(found, batch_size=64)
    told = re.search(r"lr is (\S+) .*weight_decay (\S+) \(", str(caught.value))
    assert told is not None
    assert float(told[1]) == pytest.approx(found.places[-1].lr.value, rel=0.01)
    assert float(told[2]) == pytest.approx(found.places[-1].weight_decay.value, rel=0.01)


def test_a_study_is_asked_along_its_own_scale() -> None:
    with pytest.raises(StudyError, match=r"along 'batch_size' by itself; ask along batch_size"):
        predict(scaled_study(), batchsize=128)
    with pytest.raises(StudyError, match="no 'width' to be a scale"):
        predict(grid_study(), width=3)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("batch_size", "write NAME=VALUE"),
        ("=3", "write NAME=VALUE"),
        ("a=", "write NAME=VALUE"),
        ("a=-3", "give one number above 0"),
        ("a=1,2", "give one number above 0"),
        ("a=inf", "give one number above 0"),
    ],
)
def test_the_flag_is_written_as_name_and_value(text: str, match: str) -> None:
    assert asked_on_line("batch_size=1e3") == ("batch_size", 1000.0)
    with pytest.raises(WdstudyError, match=match):
        asked_on_line(text)


def test_the_words_carry_the_numbers_of_the_prediction(found: Transfer) -> None:
    ahead, told = predict(found, 128), words(found, 128)
    assert f"{ahead.lr.low:.3g} … {ahead.lr.high:.3g}" in told["lr"]
    assert "336 trials at batch_size 8, 16, 32, 64" in told["rests on"]
    assert "higher" in told["at stake"]
    assert "as good as the best" in told["tested"]
    assert heading(found, ahead) == "batch_size 128, a factor of 2 beyond 64, the largest trained"
    assert "between what was trained" in heading(found, predict(found, 20))
    assert "beyond 8, the least trained" in heading(found, predict(found, 4))


def test_where_weight_decay_only_harms_the_limit_is_told_instead() -> None:
    trials = ScaledSweep().trials(only_harms(0.5, -0.5), np.random.default_rng(0))
    found = transfer(trials)
    ahead = predict(found, 512)
    told = dict(told_of(found, ahead, next_along(found, StudyRecord(), trials)))
    assert "none is best: weight decay only harms" in told["weight_decay"]
    assert f"{ahead.limit.low:.2g}"[:4] in told["it harms from"]


def test_the_command_is_that_of_the_study_with_the_pair(found: Transfer) -> None:
    scale = {"name": "batch_size", "values": [8, 16, 32, 64], "follow": {"lr": 0.5}}
    record = StudyRecord(command=("mine.py", "--epochs", "3"), spec=RecordedSpec(scale=scale))
    ahead = predict(found, 128)
    command = command_of(ahead, record)
    assert command[:6] == ("run", "mine.py", "--epochs", "3", "--at", "batch_size=128")
    written = float(command[command.index("--lr") + 1])
    assert written * (128 / 8) ** 0.5 == pytest.approx(ahead.lr.value, rel=0.01)
    assert command_of(ahead, StudyRecord()) == ()


def test_a_prediction_is_strict_json(found: Transfer) -> None:
    trials = trials_frame(scaled_study())
    then = next_along(found, StudyRecord(), trials)
    text = as_json(prediction_data(found, predict(found, 128), then, ""))
    assert '"command": null' in text
    assert '"value": 128' in text
