from __future__ import annotations

import math

import numpy as np
import pytest
from made_studies import grid_study

from wdstudy.analysis.figures.ridge import _ridge_info, plot_landscape, plot_ridge
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.errors import StudyError
from wdstudy.words import signed

LRS = np.logspace(-3, 0, 7).round(6).tolist()
DECAYS = np.logspace(-4, 0, 9).round(6).tolist()


def steep(lr: float, weight_decay: float, seed: int) -> float:
    """Best on a line of constant product, with a little noise."""
    x, y = math.log10(lr) + 1.5, math.log10(weight_decay) + 2
    wobble = 0.01 * math.sin(37 * x + 11 * y + seed)
    return float(0.1 * math.exp(0.5 * (x + y) ** 2 + 0.05 * x**2 + wobble))


def test_the_band_goes_through_the_middle_of_the_ridge_with_its_slopes() -> None:
    trials = trials_frame(grid_study(lrs=LRS, weight_decays=DECAYS, loss=steep))
    found = landscape(trials)
    info = _ridge_info(trials, found, "value")
    assert found.slope.low < -1 < found.slope.high
    x = np.log10(info.band["lr"])
    for column, slope in (("line", info.slope.value), ("low", info.slope.low)):
        y = np.log10(info.band[column])
        assert np.polyfit(x, y, 1)[0] == pytest.approx(slope)
        assert y.mean() == pytest.approx(np.log10(info.ridge["weight_decay"]).mean(), abs=1e-3)
    for row in info.best.itertuples():
        column = trials[np.isclose(trials["lr"], row.lr)]
        assert row.weight_decay == column.loc[column["value"].idxmin(), "weight_decay"]


def test_the_legend_carries_the_slope_and_its_interval() -> None:
    trials = trials_frame(grid_study(lrs=LRS, weight_decays=DECAYS, loss=steep))
    found = landscape(trials)
    labels = plot_ridge(trials, found).get_legend_handles_labels()[1]
    interval = f"(95 % {signed(found.slope.low)} … {signed(found.slope.high)})"
    assert f"ridge: slope {signed(found.slope.value)} {interval}" in labels


def test_without_a_ridge_the_reason_is_in_the_picture() -> None:
    trials = trials_frame(grid_study())
    found = landscape(trials)
    assert not found.slope.known
    labels = plot_ridge(trials, found).get_legend_handles_labels()[1]
    assert any(label.startswith("no ridge: ") for label in labels)


def test_one_lr_has_no_ridge_to_show() -> None:
    trials = trials_frame(grid_study(lrs=[0.1]))
    with pytest.raises(StudyError, match="there is no ridge to show"):
        plot_ridge(trials, landscape(trials))


def test_the_overview_holds_four_pictures() -> None:
    trials = trials_frame(grid_study(lrs=LRS, weight_decays=DECAYS, loss=steep))
    figure = plot_landscape(trials, landscape(trials))
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert titles == [
        "made: validation loss at the end",
        "made: best weight_decay against lr",
        "made: best over weight_decay, against lr",
        "made: best over lr, against weight_decay",
    ]
