from __future__ import annotations

import pytest
from made_studies import grid_study, placed, study_of, valley
from matplotlib.axes import Axes

from wdstudy.analysis.figures.axis import (
    _axis_info,
    _isolation_info,
    plot_axis,
    plot_isolation,
    plot_product,
)
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.errors import StudyError


def texts(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_every_finished_trial_has_its_point_or_its_cross() -> None:
    trials = trials_frame(grid_study(seeds=2, diverges=lambda lr, wd: lr == 1.0 and wd > 0))
    info = _axis_info(trials, "lr", "value")
    assert len(info.points) == 18
    assert info.lost.tolist() == [1.0] * 6
    assert (info.trials, info.seeds, info.initial) == (24, 2, 2.0)
    assert (
        info.points["colour"].tolist() == trials.loc[~trials["diverged"], "weight_decay"].tolist()
    )


def test_isolation_is_the_best_over_the_other_axis() -> None:
    trials = trials_frame(grid_study())
    info = _isolation_info(trials, "lr", "value")
    assert info.line.to_dict() == pytest.approx(
        {lr: min(valley(lr, wd) for wd in (0.0, 0.001, 0.01, 0.1)) for lr in (0.01, 0.1, 1.0)}
    )
    trials.attrs["minimize"] = False
    worst = _isolation_info(trials, "lr", "value").line.to_dict()
    assert worst[0.1] == pytest.approx(max(valley(0.1, wd) for wd in (0.0, 0.001, 0.01, 0.1)))


def test_isolation_of_samples_takes_the_best_of_bins() -> None:
    rows = [placed(10 ** (-3 + i / 20), 10 ** (-((7 * i) % 60) / 20), 1.0 + i % 5)
            for i in range(60)]  # fmt: skip
    line = _isolation_info(trials_frame(study_of(rows)), "lr", "value").line
    assert len(line) == 12
    assert line.tolist() == [1.0] * 12


def test_axis_plots_draw_zero_apart_and_mark_the_diverged() -> None:
    trials = trials_frame(grid_study(diverges=lambda lr, wd: lr == 1.0 and wd == 0.1))
    ax = plot_axis(trials, "weight_decay")
    assert ax.get_xscale() == "log"
    ticks = [t.get_text() for t in ax.get_xticklabels()]
    assert ticks[0] == "0"
    assert "0.01" in ticks
    assert "× 1 diverged" in texts(ax)
    assert ax.get_xlabel() == "weight_decay"
    assert ax.get_ylabel() == "validation loss at the end"


def test_isolation_breaks_its_line_before_zero() -> None:
    ax = plot_isolation(trials_frame(grid_study()), "weight_decay")
    with_decay, without = ax.lines[0], ax.lines[1]
    assert list(with_decay.get_xdata()) == [0.001, 0.01, 0.1]
    assert list(without.get_ydata()) == pytest.approx(
        [min(valley(lr, 0.0) for lr in (0.01, 0.1, 1.0))]
    )


def test_the_product_plot_has_one_colour_an_lr() -> None:
    ax = plot_product(trials_frame(grid_study()))
    assert set(ax.collections[0].get_array().tolist()) == {0.01, 0.1, 1.0}
    assert ax.get_xlabel() == "lr · weight_decay"


def test_what_has_nothing_to_compare_is_one_line() -> None:
    one = trials_frame(grid_study(lrs=[0.1]))
    with pytest.raises(StudyError, match="only one lr has a finished trial"):
        plot_isolation(one, "lr")
    lost = trials_frame(grid_study(diverges=lambda lr, wd: True))
    for draw in (plot_axis, plot_isolation):
        with pytest.raises(StudyError, match="every finished trial diverged"):
            draw(lost, "lr")
    with pytest.raises(StudyError, match="every finished trial diverged"):
        plot_product(lost)
