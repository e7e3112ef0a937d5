"""Placing a design's batches, where several workers may plan at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import BATCH, BATCH_TRIALS, ENQUEUED_BY, ERROR, REASON, STAGE
from wdstudy.design.batch import Batch
from wdstudy.run.cells import SPARE, missing, params_of
from wdstudy.run.outcomes import batch_of, newest_batch
from wdstudy.run.queue import enqueue
from wdstudy.space import TrialParams
from wdstudy.storage.ids import id_of_trial, storage_of


def place(study: optuna.Study, batch: Batch, *, after: int, by: str) -> int:
    """Enqueue a batch, unless another worker has placed one since this was planned.

    Each that plans enqueues the first cell of its batch with the number after the newest that it
    has seen. The storage numbers trials one after the other, so all of them agree on whose was
    first: that worker enqueues the rest, and the others withdraw theirs and plan anew, on what is
    on its way now. So every batch is planned on all those before it, also where workers saw
    different trials and planned different ones. What may happen is that somebody claims such a
    cell before it is withdrawn: one trial more than was asked for, and one that tells something.

    Args:
        study: Where.
        batch: What to place; cells that some trial has already are left out.
        after: The number of the newest batch by which it was planned.
        by: A name that no other worker has.

    Returns:
        The number of the batch; 0 where another worker was first, or there is nothing to place.
    """
    _clear(study, study.get_trials(deepcopy=False), batch.cells)
    trials = study.get_trials(deepcopy=False)
    cells = missing(trials, batch.cells)
    if not cells or newest_batch(trials) > after:
        return 0
    number = after + 1
    mark = {STAGE: batch.stage, REASON: batch.why, BATCH: number}
    first = {**mark, BATCH_TRIALS: len(cells)}
    enqueue(study, cells[:1], with_seed=True, by=by, attributes=first)
    placed = [t for t in study.get_trials(deepcopy=False) if batch_of(t) == number]
    holder = min(placed, key=lambda t: t.number)
    if holder.user_attrs.get(ENQUEUED_BY) != by:
        for trial in placed:
            if trial.user_attrs.get(ENQUEUED_BY) == by:
                _withdraw(study, trial)
        return 0
    enqueue(study, cells[1:], with_seed=True, attributes=mark)
    return number


def _clear(
    study: optuna.Study, trials: Sequence[FrozenTrial], cells: Sequence[TrialParams]
) -> None:
    """Withdraw what waits in these cells without a batch: a grid's, which its run left behind."""
    keys = {params.key for params in cells}
    for trial in trials:
        params = params_of(trial)
        waits = trial.state == TrialState.WAITING and BATCH not in trial.user_attrs
        if waits and params is not None and params.key in keys:
            _withdraw(study, trial)


def _withdraw(study: optuna.Study, trial: FrozenTrial) -> None:
    """End a waiting trial; claimed first, so that nobody's running one is ended."""
    storage, trial_id = storage_of(study), id_of_trial(trial)
    with suppress(UpdateFinishedTrialError):  # somebody has ended it
        if storage.set_trial_state_values(trial_id, TrialState.RUNNING):
            storage.set_trial_user_attr(trial_id, ERROR, SPARE)
            storage.set_trial_state_values(trial_id, TrialState.FAIL)
