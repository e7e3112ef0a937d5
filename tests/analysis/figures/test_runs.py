"""Loss curves of the best pairs over the share of the run, and names beside lines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from made_studies import SIZES, scaled_study

from wdstudy.analysis.figures.labels import spread
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


@pytest.mark.parametrize("seed", range(5))
def test_names_lie_apart_and_as_near_as_may_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, sizes = rng.uniform(0, 1, 7), rng.uniform(0.05, 0.12, 7)
    placed = spread(wanted, sizes)
    order = np.argsort(wanted)
    for a, b in pairwise(order):
        assert placed[b] - placed[a] >= (sizes[a] + sizes[b]) / 2 - 1e-9
    assert (placed - sizes / 2).min() > -1e-9
    assert (placed + sizes / 2).max() < 1 + 1e-9
    free = np.array([0.1, 0.5, 0.9])
    assert spread(free, np.full(3, 0.1)).tolist() == pytest.approx(free.tolist())
    close = spread(np.array([0.5, 0.5]), np.full(2, 0.2))
    assert close.tolist() == pytest.approx([0.4, 0.6])
