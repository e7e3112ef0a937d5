"""What the trials of a study tell its design: what came of each, and what is on its way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import (
    BATCH,
    BATCH_TRIALS,
    DIVERGED_AT,
    ENQUEUED_BY,
    ERROR,
    INITIAL_LOSS,
    SCOUTS,
    TRAIN_SECONDS,
    WORKER,
    series_named,
)
from wdstudy.run.cells import DONE, LOST, NOBODYS_FAULT, given_up, missing, params_of
from wdstudy.space import TrialParams

if TYPE_CHECKING:
    from wdstudy.design.outcomes import Outcome


def outcomes_of(
    trials: Sequence[FrozenTrial],
    scouts: Iterable[Mapping[str, Any]],
    *,
    objective: str,
    run: str,
    waiting: bool = True,
) -> list[Outcome]:
    """All that a design may look at: scouts, and trials in any state, whoever placed them.

    A trial that was given back, or whose worker was lost, is no outcome: its cell is free again.
    One whose training failed in this run would fail again, and waits for the next run.

    Args:
        trials: Of the study.
        scouts: Rows of its short runs.
        objective: The series that is judged by.
        run: The token of this run.
        waiting: Whether what a design enqueued, and nobody has begun, counts as pending.
    """
    from wdstudy.design.outcomes import Outcome

    known = [
        Outcome(
            TrialParams(float(row["lr"]), float(row["weight_decay"]), int(row.get("seed", 0))),
            _number(row.get("value")),
            bool(row.get("diverged")),
            initial_loss=_number(row.get(INITIAL_LOSS)),
            share=float(row["share"]),
        )
        for row in scouts
    ]
    of_a_loss = series_named(objective).low_is_good
    for trial in trials:
        if (params := params_of(trial)) is None:
            continue
        if trial.state in DONE:
            first = trial.user_attrs.get(INITIAL_LOSS) if of_a_loss else None
            value = trial.value if trial.state == TrialState.COMPLETE else None
            diverged = DIVERGED_AT in trial.user_attrs
            known.append(Outcome(params, _number(value), diverged, initial_loss=_number(first)))
        elif trial.state == TrialState.RUNNING or (waiting and is_placed(trial)):
            known.append(Outcome(params, pending=True))
    known += [Outcome(params, failed=True) for params in failed_in(trials, run)]
    return known


def is_placed(trial: FrozenTrial) -> bool:
    """Whether a design enqueued it, and it waits."""
    return trial.state == TrialState.WAITING and BATCH in trial.user_attrs


def failed_in(trials: Sequence[FrozenTrial], run: str) -> list[TrialParams]:
    """The cells at which training failed in a run, or that took too many workers along.

    Those of which another trial is done, or on its way, are none.
    """
    tried = {
        params.key: params
        for trial in trials
        if trial.state == TrialState.FAIL
        and str(trial.user_attrs.get(WORKER, "")).endswith(f":{run}")
        and (params := params_of(trial)) is not None
    }
    at_fault = {
        params.key
        for trial in trials
        if trial.state == TrialState.FAIL
        and trial.user_attrs.get(ERROR, LOST) not in NOBODYS_FAULT
        and (params := params_of(trial)) is not None
    }
    lacking = missing(trials, tried.values())
    lost = {params.key for params in given_up(trials, lacking)}
    return [params for params in lacking if params.key in at_fault | lost]


def scouts_of(study: optuna.Study) -> list[dict[str, Any]]:
    """The rows of a study's short runs that can be read."""
    rows = study.user_attrs.get(SCOUTS)
    needed = ("lr", "weight_decay", "share")
    return [
        dict(row)
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, Mapping) and all(math.isfinite(_number(row.get(n))) for n in needed)
    ]


def newest_batch(trials: Iterable[FrozenTrial]) -> int:
    """The number of the newest batch; 0 where a design has placed none yet."""
    return max((batch_of(trial) for trial in trials), default=0)


def batch_of(trial: FrozenTrial) -> int:
    """The number of the batch that a trial came with; 0 where it came with none."""
    number = trial.user_attrs.get(BATCH)
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def on_the_way(trials: Sequence[FrozenTrial]) -> int:
    """How many trials of the newest batch are not enqueued yet: whoever places it is at it."""
    newest = newest_batch(trials)
    held = [t for t in trials if newest and batch_of(t) == newest]
    if not held:
        return 0
    rest = [t for t in held if ENQUEUED_BY not in t.user_attrs]
    announced = min(held, key=lambda t: t.number).user_attrs.get(BATCH_TRIALS)
    return max(0, announced - 1 - len(rest)) if isinstance(announced, int) else 0


def seconds_a_trial(trials: Iterable[FrozenTrial], run: str) -> float | None:
    """What a trial took, on average over those that this run finished, its lanes counted; None
    before the first.
    """
    took = [
        _number(trial.user_attrs.get(TRAIN_SECONDS))
        for trial in trials
        if trial.state == TrialState.COMPLETE
        and str(trial.user_attrs.get(WORKER, "")).endswith(f":{run}")
    ]
    known = [seconds for seconds in took if math.isfinite(seconds)]
    return sum(known) / len(known) if known else None


def _number(value: object) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan  # type: ignore[arg-type]
