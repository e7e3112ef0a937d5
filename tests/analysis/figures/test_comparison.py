from __future__ import annotations

import pytest
from made_studies import grid_study, placed, study_of

from wdstudy.analysis.figures.comparison import _comparison_info, common_value, plot_comparison
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.errors import StudyError


def test_studies_share_one_scale_of_colours() -> None:
    frames = {
        "a": trials_frame(study_of([placed(0.1, 0.1, 1.0), placed(0.2, 0.1, 2.0)])),
        "b": trials_frame(study_of([placed(0.1, 0.1, 5.0), placed(0.2, 0.1, 3.0)])),
    }
    info = _comparison_info(frames, "value")
    assert (info.norm.vmin, info.norm.vmax) == (1.0, 5.0)
    figure = plot_comparison(frames)
    meshes = [ax.collections[0] for ax in figure.axes if ax.get_xlabel() == "lr"]
    assert [mesh.get_clim() for mesh in meshes] == [(1.0, 5.0), (1.0, 5.0)]


def test_a_fourth_study_goes_into_a_second_row() -> None:
    frames = {name: trials_frame(grid_study(name)) for name in "abcd"}
    figure = plot_comparison(frames)
    assert sum(ax.get_xlabel() == "lr" for ax in figure.axes) == 4


def test_different_objectives_are_compared_by_a_loss_that_all_recorded() -> None:
    down, up = grid_study("down"), grid_study("up", direction="maximize")
    frames = {"down": trials_frame(down), "up": trials_frame(up)}
    assert common_value({"a": frames["down"], "b": frames["down"]}) == "value"
    assert common_value(frames) == "final_val_loss"
    plot_comparison(frames, "final_val_loss")
    with pytest.raises(StudyError, match="'down': validation loss at the end; 'up': validation"):
        plot_comparison(frames)
    foreign = trials_frame(study_of([placed(0.1, 0.1, 1.0)], "foreign"))
    with pytest.raises(StudyError, match="no loss in common; report them one by one"):
        common_value({"down": frames["down"], "foreign": foreign})
    with pytest.raises(StudyError, match="no study to compare"):
        plot_comparison({})
