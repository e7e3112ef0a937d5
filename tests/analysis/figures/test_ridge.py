from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from known_surfaces import Sweep, bowl, scatter
from made_studies import grid_study

from wdstudy.analysis.figures.ridge import _limit, _ridge_info, plot_landscape, plot_ridge
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.errors import StudyError
from wdstudy.words import signed

LRS = np.logspace(-3, 0, 7).round(6).tolist()
DECAYS = np.logspace(-4, 0, 9).round(6).tolist()


def steep(lr: float, weight_decay: float, seed: int) -> float:
    """Best on a line of constant product, with a little noise."""
    x, y = math.log10(lr) + 1.5, math.log10(max(weight_decay, 1e-5)) + 2
    wobble = 0.01 * math.sin(37 * x + 11 * y + seed)
    return float(0.1 * math.exp(0.5 * (x + y) ** 2 + 0.05 * x**2 + wobble))


def test_the_band_goes_through_the_middle_of_the_ridge_with_its_slopes() -> None:
    trials = trials_frame(grid_study(lrs=LRS, weight_decays=DECAYS, loss=steep))
    found = landscape(trials)
    info = _ridge_info(trials, found, "value")
    assert found.slope.low < -1 < found.slope.high
    x = np.log10(info.band["lr"])
    for column, slope in (("line", found.slope.value), ("low", found.slope.low)):
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


def only_harm(lr: float, weight_decay: float, seed: int) -> float:
    """From weight_decay 0.01 / lr on, up to lr 0.1, and beyond from 1000 times that."""
    onset = 0.01 / min(lr, 0.1) * max(lr / 0.1, 1) ** 2
    wobble = 0.01 * math.sin(37 * math.log(lr) + 11 * math.log(weight_decay + 1e-9) + 5 * seed)
    return float(0.1 * math.exp(min(weight_decay / onset, 9.0) / 4 + wobble))


HARM: dict[str, Any] = {
    "lrs": np.logspace(-3, 1, 9).round(6).tolist(),
    "weight_decays": [0.0, *np.logspace(-3, 3, 13).round(6).tolist()],
    "loss": only_harm,
    "seeds": 2,
}


def test_without_a_ridge_limit_best_and_the_reason_are_in_the_picture() -> None:
    trials = trials_frame(grid_study(**HARM))
    found = landscape(trials)
    assert not found.slope.known
    info = _ridge_info(trials, found, "value")
    assert info.ridge.empty
    assert info.band.empty
    assert info.best["lr"].nunique() == 9
    assert tuple(info.limit["lr"]) == found.limit.lr
    assert tuple(info.limit["weight_decay"]) == found.limit.weight_decay
    labels = plot_ridge(trials, found).get_legend_handles_labels()[1]
    assert any(" ".join(label.split()) == f"no ridge: {found.slope.reason}" for label in labels)
    assert "best at this lr" in labels
    assert any("worse than without: slope" in label for label in labels)


def test_the_line_of_a_limit_that_bends_has_its_two_slopes() -> None:
    found = landscape(trials_frame(grid_study(**HARM))).limit
    assert found.bends
    line = _limit(found)
    x, y = np.log10(line["lr"]), np.log10(line["line"])
    below, above = line["lr"] <= found.bends_at, line["lr"] >= found.bends_at
    assert np.polyfit(x[below], y[below], 1)[0] == pytest.approx(found.slope.value)
    assert np.polyfit(x[above], y[above], 1)[0] == pytest.approx(found.slope_above.value)
    assert y.mean() == pytest.approx(np.log10(line["weight_decay"]).mean())


def test_a_gain_beyond_the_noise_is_filled_and_no_cell_0_is_left_out() -> None:
    trials = trials_frame(grid_study(lrs=LRS, weight_decays=[0.0, *DECAYS], loss=steep, seeds=2))
    found = landscape(trials)
    info = _ridge_info(trials, found, "value")
    sure = {effect.lr for effect in found.effects if effect.gain.low > 0}
    assert set(info.best.loc[info.best["sure"], "lr"]) == sure
    labels = plot_ridge(trials, found).get_legend_handles_labels()[1]
    assert "best at this lr, and a gain beyond the noise" in labels


def test_samples_have_a_ridge_and_no_best_of_an_lr() -> None:
    trials = Sweep(points=scatter(80, np.random.default_rng(0))).trials(
        bowl(-1), np.random.default_rng(1)
    )
    found = landscape(trials)
    assert _ridge_info(trials, found, "value").best.empty
    assert "best at this lr" not in plot_ridge(trials, found).get_legend_handles_labels()[1]


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
