"""Trials along a scale: parted by its values, and never taken for one plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from made_studies import SIZES, grid_study, scaled_study

from wdstudy import landscape, plot_axis, plot_heatmap, plot_product, trials_frame
from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.scale import along, scale_in
from wdstudy.errors import StudyError


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return trials_frame(scaled_study(sizes=SIZES[:2], seeds=1))


@pytest.mark.parametrize(
    "ask", [landscape, plot_heatmap, cell_grid, plot_product, lambda f: plot_axis(f, "lr")]
)
def test_a_plane_of_several_values_is_refused_with_the_remedy_which_works(
    ask: Callable[[pd.DataFrame], Any], trials: pd.DataFrame
) -> None:
    with pytest.raises(StudyError, match=r"several values of batch_size \(8, 16\)") as error:
        ask(trials)
    remedy = str(error.value).partition("take those of one, ")[2].partition(";")[0]
    assert remedy == "trials[trials['batch_size'] == 16]"
    ask(eval(remedy, {"trials": trials}))


def test_every_trial_is_in_the_part_of_its_value(trials: pd.DataFrame) -> None:
    lacking = trials.assign(batch_size=trials["batch_size"].where(trials["trial"] > 3))
    parts = along(lacking, "batch_size")
    assert [*parts] == [8, 16]
    assert [len(part) for part in parts.values()] == [38, 42]
    assert parts[8]["batch_size"].eq(8).all()
    assert parts[16].attrs["at"] == "batch_size 16"
    assert parts[16].attrs["objective"] == trials.attrs["objective"]


def test_a_study_without_a_scale_tells_of_none(trials: pd.DataFrame) -> None:
    assert scale_in(trials) == "batch_size"
    assert scale_in(trials_frame(grid_study())) is None
    assert scale_in(trials.drop(columns="batch_size")) is None


def test_epochs_are_counted_in_the_steps_of_each_trials_own() -> None:
    """All train four epochs; of a batch twice as large these are half the steps."""
    curves = curves_frame(scaled_study(sizes=SIZES[:2], seeds=1))
    assert curves.groupby("trial")["epoch"].max().eq(4).all()
    assert sorted(curves["step"].unique()) == [40, 80, 120, 160, 240, 320]
