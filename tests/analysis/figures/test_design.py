"""The figure of a design: its trials in order over the plane, its questions, its costs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_studies import BATCHES, designed_study, grid_study, placed
from matplotlib.axis import Axis
from matplotlib.colors import same_color, to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from optuna.trial import TrialState

from wdstudy.analysis.figures.design import plot_design
from wdstudy.analysis.figures.progress import COLOURS
from wdstudy.analysis.figures.registry import planned_figures
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.reading import read_study
from wdstudy.analysis.views.design import design_info
from wdstudy.errors import StudyError

SCOUTS, PLANE, OPEN, COST = range(4)


def numbered(figure: Figure) -> dict[tuple[float, float], str]:
    """The numbers on the plane, by their place."""
    texts = [t for t in figure.axes[PLANE].texts if t.get_text().isdigit()]
    return {t.get_position(): t.get_text() for t in texts}


def test_every_cell_bears_the_number_of_its_batch_and_the_colour_of_its_stage() -> None:
    figure = plot_design(trials_frame(designed_study()))
    found = numbered(figure)
    cells = {(lr, wd) for *_, cells, _ in BATCHES for lr, wd in cells}
    assert len(found) == len(cells)
    assert found[0.18, 0.003] == "2"
    assert found[1.0, 0.03] == "4"
    zero = 1e-4 / 10**0.5
    assert found[0.3, zero] == "1"
    dots = [c for c in figure.axes[PLANE].collections if c.get_sizes()[0] == 105]
    painted = {
        tuple(place): to_hex(face)
        for dot in dots
        for place, face in zip(
            dot.get_offsets(), np.resize(dot.get_facecolors(), (len(dot.get_offsets()), 4)),
            strict=True,
        )
    }  # fmt: skip
    assert same_color(painted[0.18, 0.003], COLOURS["find"])
    assert same_color(painted[1.0, 0.03], COLOURS["map"])
    assert same_color(painted[1.0, 1.0], "white")  # it diverged


def test_the_way_of_the_best_ends_in_the_square() -> None:
    trials = trials_frame(designed_study())
    ax = plot_design(trials).axes[PLANE]
    way = ax.lines[0].get_xydata()
    assert way[-1].tolist() == [0.3, 0.01]
    square = [c.get_offsets()[0].tolist() for c in ax.collections if c.get_sizes()[0] > 250]
    assert square == [[0.3, 0.01]]


def test_a_line_a_question_falls_to_where_the_planner_has_it() -> None:
    trials = trials_frame(designed_study())
    ax = plot_design(trials).axes[OPEN]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["which cell is best", "what weight decay gains", "where its harm begins"]
    lines = {line.get_label(): line for line in ax.lines}
    best = lines["which cell is best"]
    assert best.get_xdata().tolist() == [3, 5, 22, 25, 37]
    heights = best.get_ydata()
    assert heights[0] > 10  # nothing is known before there are seeds
    assert heights[-1] < 1
    only = plot_design(trials_frame(designed_study(asked={"best": 0.02}))).axes[OPEN]
    assert len(only.get_legend().get_texts()) == 1


def test_each_stage_has_a_bar_as_long_as_its_time() -> None:
    ax = plot_design(trials_frame(designed_study())).axes[COST]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["scout", "find", "map", "seeds"]
    assert [bar.get_width() for bar in ax.patches] == [4.0, 5.0, 20.0, 12.0]
    assert "20 trials, 20 s" in [text.get_text() for text in ax.texts]


def test_without_times_the_bars_are_trials() -> None:
    trials = trials_frame(designed_study(scouts=None)).drop(columns="train_seconds")
    figure = plot_design(trials)
    ax = figure.axes[-1]
    assert [bar.get_width() for bar in ax.patches] == [5, 20, 12]
    assert "trials" in ax.get_title(loc="left")


def far_off() -> pd.DataFrame:
    """A plane with two trials many decades from the others."""
    study = designed_study()
    for lr in (1e-6, 900.0):
        study.add_trial(placed(lr, 0.0, 2.0, stage="find", reason="all diverged", batch=1))
    return trials_frame(study)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda: trials_frame(designed_study()),
        lambda: trials_frame(designed_study("a" * 60, scouts=None, asked={})),
        far_off,
    ],
)
def test_nothing_is_cut_and_no_labels_touch(columns: int, make: Any) -> None:
    figure = plot_design(make(), columns=columns)
    figure.savefig("/dev/null", format="png")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for ax in figure.axes:
        across, up = shown(ax.xaxis), shown(ax.yaxis)
        others = [ax.xaxis.label, ax.yaxis.label, ax.title, *ax.texts, ax.get_legend()]
        for artist in filter(None, [*across, *up, *others]):
            if not isinstance(artist, Text) or artist.get_text():
                box = artist.get_window_extent(renderer)
                assert figure.bbox.x0 <= box.x0 + 1, artist
                assert figure.bbox.y0 <= box.y0 + 1, artist
                assert figure.bbox.x1 >= box.x1 - 1, artist
                assert figure.bbox.y1 >= box.y1 - 1, artist
        boxes = sorted((t.get_window_extent(renderer) for t in across), key=lambda box: box.x0)
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def shown(axis: Axis) -> list[Text]:
    """The labels of ticks that lie in the picture."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    return [label for at, label in ticks if low <= at <= high and label.get_text()]


def test_far_off_trials_do_not_stretch_the_plane() -> None:
    ax = plot_design(far_off()).axes[PLANE]
    low, high = ax.get_xlim()
    assert 1e-3 < low < 0.03
    assert 3 < high < 50
    assert {"1e-6", "900"} <= {label.get_text() for label in ax.get_xticklabels()}


def test_while_it_goes_on_it_is_drawn_too() -> None:
    study = designed_study(stop=None, batches=BATCHES[:1])
    study.add_trial(placed(0.1, 0.1, None, TrialState.RUNNING, stage="map", reason="x", batch=2))
    assert len(numbered(plot_design(trials_frame(study)))) == 4


def test_a_study_that_did_not_design_itself_is_refused_and_its_report_has_none() -> None:
    with pytest.raises(StudyError, match="did not design itself"):
        plot_design(trials_frame(grid_study()))
    keys = [drawing.key for drawing in planned_figures(read_study(grid_study()))]
    read = read_study(designed_study())
    own = [drawing.key for drawing in planned_figures(read, design_info(read.trials))]
    assert "design" not in keys
    assert "best-of-n" in keys
    assert "design" in own
    assert "best-of-n" not in own  # its trials stand for no random ones
