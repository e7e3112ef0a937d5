from __future__ import annotations

import numpy as np
import pytest
from made_studies import grid_study, placed, study_of

from wdstudy.analysis.figures.curve_grid import plot_curve_grid
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.views.curve_grid import MAX_GRID, curve_grid_info
from wdstudy.errors import StudyError

LOSSES = ("primary_loss", "decay_loss")


def test_lines_are_means_over_seeds_laid_out_as_the_plane() -> None:
    study = grid_study(seeds=2, diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    info = curve_grid_info(curves_frame(study), trials_frame(study), LOSSES)
    assert info.lrs == (0.01, 0.1, 1.0)
    assert info.weight_decays == (0.1, 0.01, 0.001, 0.0)
    assert info.x == "epoch"
    assert info.best == (0.1, 0.01)
    assert info.diverged == {(1.0, 0.1)}
    line = info.lines.query("lr == 0.1 and weight_decay == 0.01 and series == 'primary_loss'")
    assert line["x"].tolist() == [1, 2, 3, 4, 5]
    assert line["value"].iloc[-1] == pytest.approx(0.1005)  # seeds end at 0.1 and 0.101


def test_of_a_large_grid_a_sub_grid_is_drawn_and_said() -> None:
    axis = np.logspace(-3, 0, 20).tolist()
    study = grid_study(lrs=axis, weight_decays=axis, points=2)
    info = curve_grid_info(curves_frame(study), trials_frame(study), LOSSES)
    assert len(info.lrs) == len(info.weight_decays) == MAX_GRID
    assert (info.lrs[0], info.lrs[-1]) == pytest.approx((axis[0], axis[-1]))
    assert info.note.endswith("12 × 12 of 20 × 20 cells")


def test_of_samples_the_best_of_each_bin_is_drawn() -> None:
    rng = np.random.default_rng(0)
    rows = [
        placed(10**x, 10**y, x * x + y * y, step=[1, 2], primary_loss=[1.0, x * x + y * y])
        for x, y in rng.uniform(-3, 0, (80, 2))
    ]
    study = study_of(rows)
    info = curve_grid_info(curves_frame(study), trials_frame(study), LOSSES)
    assert len(info.lrs) <= 8
    assert "of each of 8 × 8 bins, the best trial" in info.note
    assert info.best is not None
    best = info.lines[(info.lines["lr"] == info.best[0]) & (info.lines["x"] == 2)]
    assert best["value"].min() == pytest.approx(min(t.value or 9 for t in study.trials))
    assert len(info.lines) == 2 * len(info.lines[["lr", "weight_decay"]].drop_duplicates())


def test_every_cell_is_drawn_and_the_best_is_framed() -> None:
    study = grid_study(diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    figure = plot_curve_grid(curves_frame(study), trials_frame(study), (*LOSSES, "val_loss"))
    assert len(figure.axes) == 12
    assert [len(ax.lines) for ax in figure.axes] == [3] * 12
    framed = [ax for ax in figure.axes if any(p.get_linewidth() == 3 for p in ax.patches)]
    assert framed == [figure.axes[1 * 3 + 1]]
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["primary loss", "decay loss", "validation loss", "diverged", "best cell"]
    assert [ax.get_title() for ax in figure.axes[:3]] == ["0.01", "0.1", "1"]


def test_a_long_name_is_wrapped_inside_the_figure() -> None:
    study = grid_study("a rather long name $ of a study, sixty characters or so, as sweeps have")
    figure = plot_curve_grid(curves_frame(study), trials_frame(study), (*LOSSES, "val_loss"))
    renderer = figure.canvas.get_renderer()
    title = next(t for t in figure.texts if t.get_weight() == "bold")
    assert "\n" in title.get_text()
    assert title.get_window_extent(renderer).x1 < figure.bbox.width


def test_curves_alone_are_enough() -> None:
    figure = plot_curve_grid(curves_frame(grid_study()))
    assert len(figure.axes) == 12


def test_no_curves_is_one_line() -> None:
    curves = curves_frame(grid_study())
    with pytest.raises(StudyError, match="no trial has recorded val_los; did you mean 'val_loss'"):
        plot_curve_grid(curves, series=["val_los"])


def test_a_cell_that_diverged_does_not_set_the_limits_and_its_lines_are_marked() -> None:
    good = {"step": [1, 2, 3], "primary_loss": [2.0, 1.0, 0.5], "decay_loss": [0.1, 0.1, 0.1]}
    gone = {**good, "primary_loss": [2.0, 1e5, 1e9]}
    study = study_of(
        [placed(0.1, 0.01, 1.0, **good), placed(1.0, 0.01, 1.0, diverged_at=3, **gone)]
    )
    curves, trials = curves_frame(study), trials_frame(study)
    info = curve_grid_info(curves, trials, ("primary_loss", "decay_loss"))
    assert info.limits[1] == pytest.approx(3.0)
    figure = plot_curve_grid(curves, trials)
    marks = [[line for line in ax.lines if line.get_marker() == "^"] for ax in figure.axes[:2]]
    assert [len(found) for found in marks] == [0, 1]
    assert marks[1][0].get_xdata()[0] in (1, 2)  # it leaves at the second point
    assert "goes on outside" in [t.get_text() for t in figure.legends[0].get_texts()]
