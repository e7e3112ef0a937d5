from __future__ import annotations

import re

import numpy as np
import pytest
from made_studies import BATCHES, designed_study, grid_study, placed, study_of
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Ellipse, Rectangle

from wdstudy.analysis.figures.heatmap import plot_heatmap
from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.views.heatmap import digits_for, heatmap_info, short
from wdstudy.analysis.views.products import equal_products
from wdstudy.errors import StudyError


def patches(ax: Axes, kind: type) -> list[Rectangle | Ellipse]:
    return [p for p in ax.patches if isinstance(p, kind)]


def texts(ax: Axes) -> list[str]:
    return [t.get_text() for t in ax.texts]


def legend(ax: Axes) -> list[str]:
    shown = ax.get_legend()
    return [t.get_text() for t in shown.get_texts()] if shown else []


def test_the_info_marks_cells_by_the_objective_whatever_is_shown() -> None:
    trials = trials_frame(grid_study())
    info = heatmap_info(trials, "final_decay_loss", None)
    assert info.best == (0.1, 0.01)
    assert info.grid.best != info.best  # the least decay loss is elsewhere
    assert not info.reverse
    assert heatmap_info(trials, "value", None).reverse
    assert not heatmap_info(trials, "final_val_accuracy", None).reverse


def test_lines_of_equal_product_are_decades_inside_the_plane() -> None:
    cells = heatmap_info(trials_frame(grid_study()), "value", None).grid.cells
    assert equal_products(cells) == (1e-4, 1e-3, 1e-2)
    wide = trials_frame(grid_study(lrs=np.logspace(-6, 2, 9), weight_decays=np.logspace(-6, 2, 9)))
    assert len(equal_products(heatmap_info(wide, "value", None).grid.cells)) <= 7
    one = cells[cells["lr"] == 0.1]
    assert equal_products(one) == ()


def test_an_exploded_cell_does_not_set_the_colours() -> None:
    study = study_of([placed(lr, 0.01, v, initial_loss=2.0) for lr, v in ((0.1, 1.0), (1.0, 1e9))])
    info = heatmap_info(trials_frame(study), "value", None)
    assert (info.norm.vmin, info.norm.vmax) == (1.0, 3.0)
    assert info.capped


def test_a_grid_is_drawn_with_all_its_marks() -> None:
    study = grid_study(diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    ax = plot_heatmap(trials_frame(study))
    assert len(patches(ax, Ellipse)) == 6  # half of the 12 cells
    hatched = [p for p in patches(ax, Rectangle) if p.get_hatch()]
    assert [(p.get_x(), p.get_y()) for p in hatched] == [(2, 0)]
    frames = [p for p in patches(ax, Rectangle) if p.get_linewidth() > 2]
    assert {(p.get_x(), p.get_y()) for p in frames} == {(1, 1)}
    assert legend(ax) == ["best cell", "best 6", "diverged", "equal lr · weight_decay"]
    assert "0.1" in texts(ax)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.1", "0.01", "0.001", "0"]
    assert ax.get_title(loc="left") == "made: validation loss at the end"
    assert any("12 trials · 1 seed · SGD · coupled" in t for t in texts(ax))


def test_cells_that_tie_with_the_best_are_circled_instead() -> None:
    trials = trials_frame(grid_study())
    ax = plot_heatmap(trials, tied=[(0.01, 0.1), (1.0, 0.001)])
    centres = {p.center for p in patches(ax, Ellipse)}
    assert centres == {(0.5, 0.5), (2.5, 2.5)}
    assert "as good as the best, within the noise" in legend(ax)
    alone = plot_heatmap(trials, tied=[])
    assert not patches(alone, Ellipse)
    assert legend(alone) == ["best cell", "equal lr · weight_decay"]


def test_at_most_twenty_are_circled_and_the_legend_says_of_how_many() -> None:
    axis = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    cells = [(lr, weight_decay) for lr in axis for weight_decay in axis]
    ax = plot_heatmap(trials_frame(grid_study(lrs=axis, weight_decays=axis)), tied=cells)
    assert len(patches(ax, Ellipse)) == 20
    assert "as good as the best, within the noise, 20 of 36" in legend(ax)


def test_one_cell_is_framed_and_not_circled_as_well() -> None:
    ax = plot_heatmap(trials_frame(grid_study(lrs=[0.1], weight_decays=[0.01])))
    assert not patches(ax, Ellipse)
    assert legend(ax) == ["best cell"]


def test_a_series_is_shown_at_a_record_point() -> None:
    study = grid_study(points=5)
    trials, curves = trials_frame(study), curves_frame(study)
    ax = plot_heatmap(trials, "val_loss", curves=curves, step=20)
    assert ax.get_title(loc="left") == "made: validation loss, step 20"
    expected = 2.0 * (0.1 / 2.0) ** (2 / 5)
    assert short(expected) in texts(ax)


def test_the_spread_over_seeds_is_written_on_request() -> None:
    trials = trials_frame(grid_study(seeds=3))
    assert not any("±" in t for t in texts(plot_heatmap(trials))[:12])
    assert any(t.endswith("± 0.001") for t in texts(plot_heatmap(trials, spread=True)))


def test_large_grids_show_colours_only_and_few_ticks() -> None:
    axis = np.logspace(-3, 0, 20).tolist()
    ax = plot_heatmap(trials_frame(grid_study(lrs=axis, weight_decays=axis)))
    named = [t.get_text() for t in ax.get_xticklabels() if t.get_text()]
    assert 8 <= len(named) <= 14
    assert sum(len(t) < 7 for t in texts(ax)) <= 7  # the values of the dotted lines


def test_samples_are_points_on_logarithmic_axes() -> None:
    rng = np.random.default_rng(0)
    rows = [placed(10**x, 10**y, 1 + x * x + y * y) for x, y in rng.uniform(-3, 0, (30, 2))]
    ax = plot_heatmap(trials_frame(study_of(rows)))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert len(ax.collections[0].get_offsets()) == 30
    assert legend(ax) == ["best cell", "best 10", "equal lr · weight_decay"]


def test_a_norm_can_be_shared_and_the_callers_axes_are_used() -> None:
    trials = trials_frame(grid_study())
    norm = Normalize(0, 9)
    ax = plot_heatmap(trials, norm=norm)
    assert plot_heatmap(trials, norm=norm, ax=ax) is ax
    assert ax.collections[0].norm is norm
    assert isinstance(heatmap_info(trials, "final_decay_loss", None).norm, Normalize)
    assert isinstance(heatmap_info(trials, "lr_x_wd", None).norm, Normalize)
    positive = trials[trials["weight_decay"] > 0]
    assert isinstance(heatmap_info(positive, "lr_x_wd", None).norm, LogNorm)


def test_only_diverged_cells_are_hatched_without_a_scale() -> None:
    study = grid_study(diverges=lambda lr, wd: True)
    ax = plot_heatmap(trials_frame(study))
    assert sum(bool(p.get_hatch()) for p in ax.patches) == 12
    assert len(ax.figure.axes) == 1


def test_a_series_that_was_not_recorded_is_one_line() -> None:
    study = grid_study()
    with pytest.raises(StudyError, match="'angular_update'"):
        plot_heatmap(trials_frame(study), "angular_update", curves=curves_frame(study))


def test_numbers_in_cells_are_short() -> None:
    assert [short(v) for v in (0.0712, 12.34, 123.4, 1e-5, 2.5e6, 0.0)] == [
        "0.071", "12", "123", "1e-5", "2e6", "0",
    ]  # fmt: skip


def test_the_colours_of_decay_loss_reach_its_largest_value() -> None:
    """Which lies far beyond the initial loss, where the objective's colours end."""
    decays = {0.0: 0.0, 1e-3: 0.5, 1e-1: 50.0, 1.0: 500.0}
    study = study_of(
        [placed(0.1, w, 1.0, initial_loss=2.0, final_decay_loss=d) for w, d in decays.items()]
    )
    info = heatmap_info(trials_frame(study), "final_decay_loss", None)
    assert (info.norm.vmin, info.norm.vmax) == (0.5, 500.0)
    assert not info.capped
    assert isinstance(info.norm, LogNorm)
    assert float(info.norm(0.0)) == 0


def test_so_many_digits_are_written_that_the_best_cells_differ() -> None:
    axis = (0.1, 0.2, 0.3)
    cells = [(lr, weight_decay) for lr in axis for weight_decay in axis]
    rows = [placed(*cell, 0.9 + 0.001 * i) for i, cell in enumerate(cells)]
    ax = plot_heatmap(trials_frame(study_of(rows)))
    written = [t for t in texts(ax) if t.startswith("0.9")]
    assert len(set(written)) == 9
    assert digits_for(np.array([0.1, 0.2, 0.3, 0.4]), True) == 2
    assert digits_for(np.array([0.5, 0.5, 0.5]), True) == 4  # at most


def test_a_legend_longer_than_a_narrow_map_is_wrapped() -> None:
    study = grid_study(
        lrs=[0.001, 0.01, 0.1, 1.0],
        weight_decays=[0.0, 1e-4, 1e-3, 1e-2, 0.1],
        seeds=2,
        diverges=lambda lr, wd: lr == 1.0 and wd == 0.1,
    )
    ax = plot_heatmap(trials_frame(study))
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.canvas.draw()
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 4
    inside = legend.get_window_extent()
    assert 0 <= inside.x0 < inside.x1 <= figure.bbox.x1
    assert ax.get_position().width > 0.6  # the map is not squeezed by it


def test_columns_that_fill_no_grid_are_tiles_with_their_numbers() -> None:
    column = [(0.03, wd) for wd in (2e-4, 2e-3, 2e-2, 0.2)]
    more = designed_study(batches=[*BATCHES[2:], ("map", "", [*column, (0.13, 0.005)], 0)])
    trials = trials_frame(more)
    grid = cell_grid(trials)
    assert grid.scattered
    ax = plot_heatmap(trials)
    cells = grid.cells.set_index(["lr", "weight_decay"])
    numbers = [text for text in texts(ax) if re.fullmatch(r"0\.\d+", text)]
    for lr, weight_decay in column:
        assert short(float(cells.loc[(lr, weight_decay), "value"])) in numbers
    boxes = [box for box in patches(ax, Rectangle) if box.get_fill()]
    assert len(boxes) == len(cells) - 1  # the one between columns is a point
    points = [c for c in ax.collections if len(c.get_offsets()) == 1]
    assert points[0].get_offsets()[0].tolist() == [0.13, 0.005]
    assert "half the seeds or more diverged" in legend(ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.03", "0.1", "0.3", "1", "3"]
    best = [box for box in patches(ax, Rectangle) if not box.get_fill()]
    assert len(best) == 2  # a white and a dark frame
    with_spread = plot_heatmap(trials, spread=True)
    assert not any("±" in text for text in texts(with_spread))
