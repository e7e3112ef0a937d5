"""Whether a sweep is enough: a design knows by itself, and no sentence may contradict its stop."""

from __future__ import annotations

import pytest
from made_studies import BATCHES, designed_study, grid_study

from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape, landscape_of_study

WARNING = "The sampler looked at results"
SIMULATED = "simulated in benchmarks/adaptive.py"


def found(**changes: object) -> Landscape:
    study = designed_study(**changes)  # type: ignore[arg-type]
    return landscape_of_study(trials_frame(study), record_of(study))


def told(found: Landscape) -> str:
    return " ".join(sentence.text for sentence in (*found.advice, *found.verdict))


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("answered", "You have your answer: all that the design was asked is answered."),
        ("budget", "The budget was spent before all that the design was asked is answered"),
        ("hopeless", "The design stopped before all that it was asked is answered"),
    ],
)
def test_the_last_sentence_is_the_designs_own_with_its_reason_beside_it(
    reason: str, says: str
) -> None:
    last = found(stop=(reason, "the reason in a line")).advice[-1]
    assert last.text.startswith(says)
    assert last.numbers == "the reason in a line"


def test_while_a_design_goes_on_it_says_so() -> None:
    here = found(stop=None)
    assert here.advice[-1].text.startswith("The design goes on")
    assert "at its stop, which has not come yet" in told(here)


@pytest.mark.parametrize("reason", ["answered", "budget", "hopeless", None])
@pytest.mark.parametrize("batches", [BATCHES, BATCHES[:3], BATCHES[2:3]])
def test_nothing_sends_to_a_grid_or_contradicts_the_stop(
    reason: str | None, batches: object
) -> None:
    stop = None if reason is None else (reason, "why")
    text = told(found(stop=stop, batches=batches))
    for other in ("extend", "more seeds of those alone", "makes nothing sure", WARNING):
        assert other not in text
    assert ("You have your answer" in text) is (reason == "answered")
    assert text.count(SIMULATED) == 1


def test_other_samplers_keep_the_warning() -> None:
    study = grid_study(seeds=2, sampler="tpe")
    text = told(landscape_of_study(trials_frame(study), record_of(study)))
    assert WARNING in text
    assert SIMULATED not in text
    grid = grid_study(seeds=2)
    assert WARNING not in told(landscape_of_study(trials_frame(grid), record_of(grid)))
    assert WARNING in told(landscape(trials_frame(grid), adaptive=True))


def test_the_stop_is_about_the_objective_and_says_nothing_of_other_columns() -> None:
    trials = trials_frame(designed_study())
    other = told(landscape(trials, "final_primary_loss", adaptive=True))
    assert "the design was asked" not in other
    assert WARNING in other


def test_where_nothing_finished_the_reason_is_told() -> None:
    here = found(stop=("hopeless", "it trains at no lr"), diverges=lambda lr, wd: True)
    assert not here.advice
    assert "Nothing can be said" in here.verdict[0].text
    assert here.verdict[-1].numbers == "it trains at no lr"
    assert "The design stopped" in here.verdict[-1].text
