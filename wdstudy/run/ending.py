"""How a design ended: as it stands in the study, and as it is said."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.study import StudyDirection

from wdstudy.curves import DESIGN_STOP
from wdstudy.design.batch import Stop
from wdstudy.design.design import Design
from wdstudy.run.outcomes import outcomes_of

ALREADY = {
    "answered": "answered already, so nothing is trained; to ask for more: --until, with smaller "
    "widths",
    "budget": "nothing is trained: what was allowed is spent; to allow more: --trials or --budget",
    "hopeless": "nothing is trained: more trials would not tell what is open",
}
"""What to say where a run begins with a stop."""


def note_stop(study: optuna.Study, stop: Stop) -> None:
    """Write down why nothing more is placed."""
    told = {"reason": stop.reason, "why": stop.why}
    if study.user_attrs.get(DESIGN_STOP) != told:
        study.set_user_attr(DESIGN_STOP, told)


def forget_stop(study: optuna.Study) -> None:
    """The study goes on; Optuna can't remove an attribute, so it is null."""
    if study.user_attrs.get(DESIGN_STOP) is not None:
        study.set_user_attr(DESIGN_STOP, None)


def how_it_ended(study: optuna.Study, design: Design, objective: str) -> list[str]:
    """Why a study's design ended, and what it has answered; nothing where it did not end."""
    from wdstudy.design.planner import open_questions

    stop = study.user_attrs.get(DESIGN_STOP)
    if not isinstance(stop, Mapping):
        return []
    if stop.get("reason") == "answered":
        return [f"answered: {stop.get('why')}"]
    known = outcomes_of(study.get_trials(deepcopy=False), (), objective=objective, run="")
    minimize = study.direction == StudyDirection.MINIMIZE
    asked = open_questions(known, design, minimize=minimize)
    answers = [f"{question.name}: {question.says}" for question in asked if question.answered]
    return [
        f"stopped: {stop.get('why')}",
        *(["answered: " + "; ".join(answers)] if answers else []),
    ]
