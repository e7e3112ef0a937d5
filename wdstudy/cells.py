"""Which cells a study lacks, and who trains which: the grid as a queue of Optuna trials.

A cell is enqueued as a WAITING trial; the storage hands each of them to exactly one worker.
Optuna's own grid sampler is not used: it counts a failed cell as visited, and parallel
workers train cells twice with it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import ERROR, SEED
from wdstudy.sampling import LR, WEIGHT_DECAY
from wdstudy.space import TrialParams
from wdstudy.worker import is_abandoned

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
TAKEN = (*DONE, TrialState.RUNNING, TrialState.WAITING)


def params_of(trial: FrozenTrial) -> TrialParams | None:
    """The trial's lr, weight_decay and seed; None where it has not got them yet.

    A study of one seed has no parameter for it: an attribute tells which it was, so that
    seeds can be added later.
    """
    values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    if LR not in values or WEIGHT_DECAY not in values:
        return None
    seed = values.get(SEED, trial.user_attrs.get(SEED, 0))
    return TrialParams(float(values[LR]), float(values[WEIGHT_DECAY]), int(seed))


def missing(trials: Iterable[FrozenTrial], cells: Iterable[TrialParams]) -> list[TrialParams]:
    """The cells that no trial has done, does or waits to do. A failed cell is missing."""
    taken = {p.cell for t in trials if t.state in TAKEN and (p := params_of(t)) is not None}
    return [params for params in cells if params.cell not in taken]


def enqueue(study: optuna.Study, cells: Iterable[TrialParams], *, with_seed: bool) -> None:
    """Put cells into the study's queue, in this order."""
    for params in cells:
        values = {LR: params.lr, WEIGHT_DECAY: params.weight_decay}
        if with_seed:
            study.enqueue_trial({**values, SEED: params.seed})
        else:
            study.enqueue_trial(values, user_attrs={SEED: params.seed})


def release_abandoned(study: optuna.Study, storage: BaseStorage) -> int:
    """Fail the running trials whose worker is gone, so that their cells are missing again.

    Returns:
        How many there were.
    """
    now, released = time.time(), 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not is_abandoned(trial, now):
            continue
        try:
            storage.set_trial_user_attr(trial._trial_id, ERROR, "its worker was lost")
            storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            continue  # another worker released it, or its own came back and finished it
        released += 1
    return released


class Queue:
    """The waiting trials of a study, claimed one by one; each goes to one worker only.

    The list of waiting trials is read once and walked through, and read again when it is used
    up: claiming stays cheap in a study of thousands of trials.
    """

    def __init__(
        self, study: optuna.Study, storage: BaseStorage, cells: Collection[TrialParams] | None
    ) -> None:
        self._study = study
        self._storage = storage
        self._cells = None if cells is None else {params.cell for params in cells}
        self._waiting: Iterator[FrozenTrial] = iter(())

    def claim(self) -> optuna.Trial | None:
        """The next waiting trial, now running and ours; None when no more are waiting."""
        return self._claim_next() or (self._claim_next() if self._refill() else None)

    def _refill(self) -> bool:
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        wanted = [t for t in trials if self._is_wanted(t)]
        self._waiting = iter(wanted)
        return bool(wanted)

    def _is_wanted(self, trial: FrozenTrial) -> bool:
        """A cell of a larger grid that was given up is left waiting."""
        params = params_of(trial)
        return params is not None and (self._cells is None or params.cell in self._cells)

    def _claim_next(self) -> optuna.Trial | None:
        for trial in self._waiting:
            try:
                ours = self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
            except UpdateFinishedTrialError:
                continue
            if ours:
                return optuna.Trial(self._study, trial._trial_id)
        return None
