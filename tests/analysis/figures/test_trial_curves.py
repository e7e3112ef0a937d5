from __future__ import annotations

import pytest
from made_studies import grid_study, placed, study_of

from wdstudy.analysis.figures.trial_curves import _components_info, best_trial, plot_components
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.errors import StudyError


def test_the_total_is_primary_plus_decay() -> None:
    study = study_of([placed(0.1, 0.01, 0.5, step=[1, 2], primary_loss=[2, 1], decay_loss=[3, 4])])
    info = _components_info(curves_frame(study), 0)
    assert info.losses["total_loss"].tolist() == [5, 5]
    assert info.losses.index.tolist() == [1, 2]
    assert info.losses.index.name == "step"


def test_the_best_trial_is_drawn_by_default() -> None:
    study = grid_study()
    trials, curves = trials_frame(study), curves_frame(study)
    best = int(trials["value"].idxmin())
    assert best_trial(curves, trials) == best
    ax = plot_components(curves, trials=trials)
    assert ax.get_title(loc="left") == "made: loss components of the best trial"
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["total loss", "primary loss", "decay loss", "validation loss"]
    assert plot_components(curves, 3, ax=ax) is ax


def test_a_decay_loss_of_zero_is_said() -> None:
    ax = plot_components(curves_frame(grid_study(weight_decays=[0.0])), 0)
    assert "decay loss (0 throughout)" in ax.get_legend_handles_labels()[1]


def test_a_trial_without_curves_is_one_line() -> None:
    with pytest.raises(StudyError, match="trial 99 has recorded no losses"):
        plot_components(curves_frame(grid_study()), 99)
    with pytest.raises(StudyError, match="no trial has curves"):
        plot_components(curves_frame(study_of([placed(0.1, 0.1, 1.0)])))
