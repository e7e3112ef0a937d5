"""Any frame serves as a trials frame, and says what the study's own frame says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_studies import grid_study

import wdstudy
from wdstudy import curves_frame, landscape, trials_frame
from wdstudy.analysis.frames.given import as_curves, as_trials, low_is_good
from wdstudy.errors import StudyError

THEIRS = {"lr": "learning_rate", "weight_decay": "wd", "value": "val_loss"}
NAMES = {"lr": "learning_rate", "weight_decay": "wd"}


@pytest.fixture
def ours() -> pd.DataFrame:
    return trials_frame(grid_study(seeds=2))


@pytest.fixture
def theirs(ours: pd.DataFrame) -> pd.DataFrame:
    """The same numbers as somebody else has them: no more columns, other names, other index."""
    plain = ours[["lr", "weight_decay", "seed", "value"]].rename(columns=THEIRS)
    plain.attrs = {}
    plain.index = [f"run {i}" for i in range(len(plain))]
    return plain


def test_a_studys_own_frame_stays_as_it_is(ours: pd.DataFrame) -> None:
    assert as_trials(ours) is ours
    curves = curves_frame(grid_study())
    assert as_curves(curves) is curves


def test_what_a_frame_lacks_is_filled(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    filled = as_trials(theirs, "val_loss", **NAMES)
    columns = ["trial", "state", "lr", "weight_decay", "lr_x_wd", "seed", "value", "diverged"]
    pd.testing.assert_frame_equal(
        filled.reset_index(drop=True)[columns], ours[columns], check_like=True
    )
    assert filled.attrs["minimize"] is True
    assert list(theirs.columns) == ["learning_rate", "wd", "seed", "val_loss"]


def test_the_landscape_is_the_same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    found = landscape(theirs, "val_loss", **NAMES)
    plain = ours.drop(columns=["initial_loss"])
    assert found.as_data() == landscape(plain, name="validation loss").as_data()


def test_a_value_that_is_good_when_high(ours: pd.DataFrame) -> None:
    frame = ours[["lr", "weight_decay", "seed"]].assign(val_accuracy=1 - ours["value"] / 10)
    best = landscape(frame, "val_accuracy").best
    truth = landscape(ours).best
    assert (best.lr, best.weight_decay) == (truth.lr, truth.weight_decay)
    assert not low_is_good(frame, "val_accuracy")
    assert low_is_good(frame, "quux")


FIGURES: dict[str, Callable[[pd.DataFrame, Any], Any]] = {
    "heatmap": lambda t, n: wdstudy.plot_heatmap(t, "val_loss", **n),
    "axis": lambda t, n: wdstudy.plot_axis(t, "lr", "val_loss", **n),
    "isolation": lambda t, n: wdstudy.plot_isolation(t, "weight_decay", "val_loss", **n),
    "product": lambda t, n: wdstudy.plot_product(t, "val_loss", **n),
    "best of n": lambda t, n: wdstudy.plot_best_of_n(t, "val_loss", **n),
    "comparison": lambda t, n: wdstudy.plot_comparison({"a": t, "b": t}, "val_loss", **n),
    "ridge": lambda t, n: wdstudy.plot_ridge(t, landscape(t, "val_loss", **n), "val_loss", **n),
    "landscape": lambda t, n: wdstudy.plot_landscape(
        t, landscape(t, "val_loss", **n), "val_loss", **n
    ),
    "effects": lambda t, n: wdstudy.plot_effects(t, landscape(t, "val_loss", **n), "val_loss", **n),
    "search cost": lambda t, n: wdstudy.plot_search_cost(
        t, landscape(t, "val_loss", **n), "val_loss", **n
    ),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_takes_any_frame(
    ours: pd.DataFrame, theirs: pd.DataFrame, figure: str
) -> None:
    """It draws the same points, whatever the columns are called."""
    mine = ours[["lr", "weight_decay", "seed", "value"]].rename(columns={"value": "val_loss"})
    mine.attrs = {}
    drawn = []
    for frame, names in ((theirs, NAMES), (mine, {})):
        FIGURES[figure](frame, names)
        canvas = plt.gcf().canvas
        canvas.draw()
        drawn.append(np.asarray(canvas.buffer_rgba()))  # type: ignore[attr-defined]
        plt.close("all")
    assert (drawn[0] == drawn[1]).all()


def test_curves_of_any_frame(theirs: pd.DataFrame) -> None:
    curves = pd.concat([theirs.assign(epoch=e, val_loss=theirs["val_loss"] + 3 - e)
                        for e in range(4)])  # fmt: skip
    tidy = as_curves(curves, **NAMES)
    assert (tidy["trial"].nunique(), len(tidy)) == (24, 96)
    assert set(tidy["series"]) == {"val_loss"}
    wdstudy.plot_curve_grid(curves, theirs.rename(columns={"val_loss": "value"}), ["val_loss"],
                            **NAMES)  # fmt: skip
    wdstudy.plot_components(curves, **NAMES)


def test_a_report_of_a_frame(in_folder: Path, theirs: pd.DataFrame) -> None:
    page = wdstudy.write_report(theirs, name="mine", value="val_loss", **NAMES)
    assert page == Path("reports/mine/report.html")
    assert "validation loss" in page.read_text()
    assert len(list(Path("reports/mine/figures").glob("*.png"))) >= 4


@pytest.mark.parametrize(
    ("change", "call", "line"),
    [
        ({}, {}, "no column 'lr'.*say which it is: lr="),
        ({}, {"lr": "learning_rat"}, "did you mean 'learning_rate'"),
        ({}, {**NAMES, "value": "val_los"}, "no numbers 'val_los'; did you mean 'val_loss'"),
        ({"wd": "much"}, {**NAMES, "value": "val_loss"}, "'weight_decay' holds no numbers"),
    ],
)
def test_what_is_missing_is_named(
    theirs: pd.DataFrame, change: dict[str, str], call: dict[str, str], line: str
) -> None:
    with pytest.raises(StudyError, match=line):
        wdstudy.plot_heatmap(theirs.assign(**change), **call)  # type: ignore[arg-type]


def test_lost_and_odd_rows(theirs: pd.DataFrame) -> None:
    odd = theirs.assign(val_loss=[np.nan, np.inf, *theirs["val_loss"][2:]])
    assert as_trials(odd, "val_loss", **NAMES)["diverged"].sum() == 2
    wdstudy.plot_heatmap(odd, "val_loss", **NAMES)
    with pytest.raises(StudyError, match="no finished trial"):
        wdstudy.plot_heatmap(odd[:0], "val_loss", **NAMES)
