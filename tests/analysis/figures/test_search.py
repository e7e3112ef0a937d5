from __future__ import annotations

import numpy as np
import pytest
from made_studies import grid_study, placed, study_of, trained

from wdstudy.analysis.figures.search import _best_of_n, plot_best_of_n, plot_search_cost
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.errors import StudyError


def test_best_of_n_is_the_distribution_that_drawing_gives() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 41.0))
    rows = [placed(0.1 + i / 100, 0.01, float(v)) for i, v in enumerate(values)]
    info = _best_of_n(trials_frame(study_of(rows)), "value")
    rng = np.random.default_rng(1)
    for n in (1, 3, 10):
        drawn = rng.choice(values, (40_000, n)).min(axis=1)
        place = info.n.tolist().index(n)
        got = (info.low[place], info.median[place], info.high[place])
        assert got == pytest.approx(np.quantile(drawn, [0.1, 0.5, 0.9]), abs=1)


def test_best_of_n_counts_the_diverged_as_untrained_and_knows_directions() -> None:
    rows = [trained(0.1, 0.01), trained(1.0, 0.1, diverged=True)]
    info = _best_of_n(trials_frame(study_of(rows, objective="val_loss")), "value")
    assert info.trials == 2
    assert info.high[0] == 2.0  # the initial loss
    best = [placed(0.1, w, v) for w, v in ((0.1, 0.5), (0.2, 0.9))]
    up = _best_of_n(trials_frame(study_of(best, direction="maximize")), "value")
    assert up.median[-1] == 0.9


def test_best_of_n_of_several_studies_has_a_line_each() -> None:
    frames = {name: trials_frame(grid_study(name)) for name in ("a", "b $x$")}
    ax = plot_best_of_n(frames)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", r"b \$x\$"]
    with pytest.raises(StudyError, match="every finished trial diverged"):
        plot_best_of_n(trials_frame(grid_study(diverges=lambda lr, wd: True)))


def test_search_cost_has_a_bar_for_every_start() -> None:
    trials = trials_frame(grid_study())
    found = landscape(trials)
    ax = plot_search_cost(trials, found)
    cost = found.apart_cost
    pairs = [*cost.by_weight_decay, *cost.by_lr]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([c for _, c in pairs])
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names[0] == "from weight_decay 0.001"
    assert names[-1] == "from lr 1"


def test_search_cost_that_can_not_be_told_says_why() -> None:
    trials = trials_frame(grid_study(lrs=[0.1]))
    with pytest.raises(StudyError, match="can't be told: fewer than 2 lr"):
        plot_search_cost(trials, landscape(trials))
