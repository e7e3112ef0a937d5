"""A study as a report reads it: one plane, and all planes of a scale."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from made_studies import SIZES, grid_study, scaled_study
from pandas.testing import assert_frame_equal

from wdstudy import landscape, trials_frame
from wdstudy.analysis.numbers.reading import Along, Read, read_frame, read_study
from wdstudy.errors import StudyError


@pytest.fixture(scope="module")
def read() -> Read:
    return read_study(scaled_study(points=3, batch_size=8))


@pytest.fixture(scope="module")
def whole(read: Read) -> Along:
    assert read.along is not None
    return read.along


def test_what_is_read_is_the_plane_of_the_largest_value(read: Read, whole: Along) -> None:
    assert read.at == max(SIZES)
    assert read.trials["batch_size"].eq(64).all()
    assert read.curves["trial"].isin(read.trials["trial"]).all()
    assert read.whole is whole
    assert [*whole.planes] == [*SIZES]
    assert len(whole.trials) == sum(len(plane.trials) for plane in whole.planes.values())


def test_each_plane_has_the_numbers_of_its_trials_alone(whole: Along) -> None:
    for size, plane in whole.planes.items():
        part = whole.trials[whole.trials["batch_size"] == size]
        assert plane.found.best == landscape(part).best
        assert plane.found.effects == landscape(part).effects


def test_the_record_of_a_plane_is_of_its_own_value(whole: Along) -> None:
    steps = {size: plane.record.steps_per_epoch for size, plane in whole.planes.items()}
    assert steps == {8: 80, 16: 40, 32: 20, 64: 10}
    assert [plane.record.spec.batch_size for plane in whole.planes.values()] == [*SIZES]
    assert {plane.record.spec.epochs for plane in whole.planes.values()} == {3}
    assert whole.record.spec.batch_size == 8


def test_a_frame_is_read_as_the_study_it_came_from(read: Read, whole: Along) -> None:
    again = read_frame(whole.trials, read.name, curves=whole.curves)
    assert again.along is not None
    assert again.along.found.exponents == whole.found.exponents
    assert_frame_equal(again.curves, read.curves)


def test_any_frame_with_a_column_of_the_scale_is_along_it(whole: Along) -> None:
    frame = pd.DataFrame(
        {"wd": whole.trials["weight_decay"], "lr": whole.trials["lr"],
         "loss": whole.trials["value"], "size": whole.trials["batch_size"]}
    )  # fmt: skip
    read = read_frame(frame, "mine", "loss", weight_decay="wd", scale="size")
    assert read.along is not None
    assert read.along.scale == "size"
    power, known = read.along.found.exponents["lr"], whole.found.exponents["lr"]
    assert power.value == pytest.approx(known.value, rel=1e-3)  # the initial loss is not told
    with pytest.raises(StudyError, match="no column 'sizes'; did you mean 'size'"):
        read_frame(frame, "mine", "loss", weight_decay="wd", scale="sizes")


def test_of_one_value_with_results_there_is_one_plane_and_a_note() -> None:
    read = read_study(scaled_study(sizes=(8,)))
    assert read.along is None
    assert read.at == 8
    assert any("needs two values" in note for note in read.trials.attrs["notes"])
    plain = read_study(grid_study())
    assert math.isnan(plain.at)
    assert plain.whole is plain


def test_a_value_whose_trials_all_failed_is_left_out() -> None:
    study = scaled_study(sizes=(8, 16, 32), seeds=1)
    trials = trials_frame(study)
    failed = trials.assign(state=trials["state"].where(trials["batch_size"] != 32, "FAIL"))
    read = read_frame(failed, "some")
    assert read.at == 16
    assert read.along is not None
    assert [*read.along.planes] == [8, 16]


def test_a_scale_does_not_hide_that_nothing_has_finished() -> None:
    study = scaled_study(sizes=(8, 16), seeds=1)
    trials = trials_frame(study).assign(state="RUNNING")
    with pytest.raises(StudyError, match="no finished trial yet"):
        read_frame(trials, "none")
