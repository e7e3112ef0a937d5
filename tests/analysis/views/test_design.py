"""A design's path and questions, against the planner itself on the same trials."""

from __future__ import annotations

import math

import pytest
from made_studies import BATCHES, designed_study, grid_study, trained

from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.design import designed
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.views.design import (
    MOST_STEPS,
    asked_words,
    design_info,
    design_of,
    questions_now,
)
from wdstudy.design.design import Design, parse_until
from wdstudy.design.outcomes import Outcome
from wdstudy.design.planner import open_questions
from wdstudy.errors import StudyError
from wdstudy.space import TrialParams


def test_each_step_knows_what_the_planner_knew_by_its_trials() -> None:
    study = designed_study()
    info = design_info(trials_frame(study))
    assert [step.batch for step in info.steps] == [1, 2, 3, 4, 5]
    outcomes: list[Outcome] = []
    trials = iter(study.trials)
    for step, (*_, cells, seed) in zip(info.steps, BATCHES, strict=True):
        for (lr, weight_decay), trial in zip(cells, trials, strict=False):
            value = math.nan if trial.value is None else trial.value
            place = TrialParams(lr, weight_decay, seed)
            outcomes.append(Outcome(place, value, trial.value is None, initial_loss=2.0))
        assert step.trials == len(outcomes)
        assert step.questions == open_questions(outcomes, Design())
    assert info.questions == questions_now(trials_frame(study))


def test_the_best_so_far_is_that_of_the_trials_so_far() -> None:
    trials = trials_frame(designed_study())
    info = design_info(trials)
    for step in info.steps:
        assert step.best == cell_grid(trials[trials["batch"] <= step.batch]).best


def test_a_cell_is_that_of_its_first_batch_and_knows_of_later_ones() -> None:
    cells = design_info(trials_frame(designed_study())).cells.set_index(["lr", "weight_decay"])
    assert cells.loc[(0.18, 0.003), "batch"] == 2
    assert cells.loc[(0.3, 0.01), ["batch", "stage"]].tolist() == [3, "map"]
    assert cells.loc[(0.3, 0.01), "again"] == ("seeds",)
    assert cells.loc[(1.0, 1.0), "diverged"]
    assert not isinstance(cells.loc[(0.18, 0.003), "again"], tuple)


def test_of_very_many_batches_some_are_shown_and_the_last_is_one_of_them() -> None:
    batches = [("map", f"{k}", [(0.001 * 1.1**k, 0.0)], 0) for k in range(3 * MOST_STEPS)]
    info = design_info(trials_frame(designed_study(batches=batches)))
    assert len(info.steps) == MOST_STEPS
    assert info.steps[-1].batch == len(batches)
    assert len(info.cells) == len(batches)


def test_what_was_asked_is_the_design_again() -> None:
    asked = {"best": None, "effects": 0.025, "limit": 0.3, "trials": 50}
    found = designed(trials_frame(designed_study(asked=asked)))
    assert found is not None
    assert design_of(found) == Design(best=None, effects=0.025, limit=0.3, trials=50)
    assert asked_words(found) == "effects=2.5%,limit=0.3"
    assert parse_until(asked_words(found)) == {k: asked[k] for k in ("best", "effects", "limit")}


@pytest.mark.parametrize("asked", [{}, {"best": "much"}, {"best": -1}, {"trials": 5.5}])
def test_what_can_not_be_read_asks_nothing(asked: dict[str, object]) -> None:
    trials = trials_frame(designed_study(asked=asked))
    assert questions_now(trials) == ()
    assert len(design_info(trials).steps) == len(BATCHES)


def test_a_study_that_did_not_design_itself_has_no_path() -> None:
    trials = trials_frame(grid_study())
    assert questions_now(trials) == ()
    with pytest.raises(StudyError, match="'made' did not design itself"):
        design_info(trials)


def test_trials_of_before_are_part_of_what_is_known() -> None:
    study = designed_study()
    study.add_trial(trained(0.3, 0.005, loss=lambda *_: 0.01))
    info = design_info(trials_frame(study))
    assert info.steps[0].batch == 0
    assert info.steps[-1].best == (0.3, 0.005)
