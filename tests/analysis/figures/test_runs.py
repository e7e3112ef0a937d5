"""Loss curves of the best pairs over the share of the run."""

from __future__ import annotations

import numpy as np
import pytest
from made_studies import SIZES, scaled_study

from wdstudy.analysis.figures.runs import plot_runs
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.errors import StudyError


def test_each_line_is_the_mean_curve_of_the_best_pair_over_the_share_of_its_run() -> None:
    study = scaled_study(points=5)
    trials, curves = trials_frame(study), curves_frame(study)
    ax = plot_runs(trials, curves)
    places = transfer(trials).places
    assert len(ax.lines) == len(SIZES)
    for line, place in zip(ax.lines, places, strict=True):
        best = trials[
            (trials["batch_size"] == place.value)
            & np.isclose(trials["lr"], place.best_lr)
            & np.isclose(trials["weight_decay"], place.best_weight_decay)
        ]
        rows = curves[curves["trial"].isin(best["trial"]) & (curves["series"] == "val_loss")]
        assert line.get_xdata().tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
        assert line.get_ydata().tolist() == pytest.approx(
            rows.groupby("step")["value"].mean().tolist()
        )
    names = [text.get_text() for text in ax.texts]
    assert [n.partition(":")[0] for n in names if ": lr" in n] == ["8", "16", "32", "64"]


def test_without_curves_it_says_so() -> None:
    study = scaled_study()
    trials, curves = trials_frame(study), curves_frame(study)
    with pytest.raises(StudyError, match="no trial has recorded losses"):
        plot_runs(trials, curves[:0])
    worst = curves[curves["lr"] == 1e-3]
    with pytest.raises(StudyError, match="the best pairs have recorded no losses"):
        plot_runs(trials, worst)
