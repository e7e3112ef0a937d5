"""The grid as a queue of Optuna trials: enqueued once, each claimed by one worker.

A cell is enqueued as a WAITING trial; the storage hands each of them to exactly one worker.
Optuna's own grid sampler is not used: it counts a failed cell as visited, and parallel
workers train cells twice with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from wdstudy.curves import ENQUEUED_BY, ERROR
from wdstudy.run.cells import FIXED_PARAMS, INTERRUPTED, SPARE, missing, params_of, spare
from wdstudy.space import LR, SEED, WEIGHT_DECAY, TrialParams
from wdstudy.storage.ids import id_of_study, id_of_trial, storage_of
from wdstudy.storage.patient import patient

ENQUEUE_SECONDS = 20.0
"""A run that enqueues the cells of all makes some progress in this time, or it is gone."""

_POLL_SECONDS = 0.5


def enqueue(
    study: optuna.Study,
    cells: Iterable[TrialParams],
    *,
    with_seed: bool,
    by: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Put cells into the study's queue, in this order, as `Study.enqueue_trial` would.

    Each of the trials has these attributes.
    """
    mark = {**(attributes or {}), **({} if by is None else {ENQUEUED_BY: by})}
    templates = []
    for params in cells:
        values: dict[str, float] = {LR: params.lr, WEIGHT_DECAY: params.weight_decay}
        if with_seed:
            values[SEED] = params.seed
        if params.scale is not None:
            values[params.scale_name] = params.scale
        templates.append(
            create_trial(
                state=TrialState.WAITING,
                system_attrs={FIXED_PARAMS: values},
                user_attrs=mark if with_seed else {SEED: params.seed, **mark},
            )
        )
    if templates:
        patient(storage_of(study)).create_trials(id_of_study(study), templates)


def begin_at(study: optuna.Study, value: float, name: str) -> optuna.Trial:
    """A new trial at a value of a scale, now running and ours; the rest a sampler is to say.

    `Study.ask` asks the sampler before it could be told the value.
    """
    template = create_trial(state=TrialState.RUNNING, system_attrs={FIXED_PARAMS: {name: value}})
    trial_id = storage_of(study).create_new_trial(id_of_study(study), template_trial=template)
    return optuna.Trial(study, trial_id)


def enqueue_once(
    study: optuna.Study, cells: Sequence[TrialParams], *, with_seed: bool, by: str
) -> None:
    """Enqueue cells that are missing, also if several runs find them missing at once.

    Each enqueues the first cell. The storage numbers trials one after the other, so all of them
    agree on whose was first: that run enqueues the rest, and the others wait for it.

    Args:
        study: Where.
        cells: What is missing, in the order of training.
        with_seed: The seed is a parameter of the study.
        by: A name that no other run has.
    """
    while cells:
        enqueue(study, cells[:1], with_seed=with_seed, by=by)
        if _is_first(study, cells[0], by):
            enqueue(study, cells[1:], with_seed=with_seed)
            return
        cells = _still_missing(study, cells)


def _is_first(study: optuna.Study, cell: TrialParams, by: str) -> bool:
    trials = study.get_trials(deepcopy=False)
    late = spare(trials)
    ours = [t for t in trials if t.user_attrs.get(ENQUEUED_BY) == by]
    return any(
        t.number not in late and (p := params_of(t)) is not None and p.key == cell.key for t in ours
    )


def _still_missing(study: optuna.Study, cells: Sequence[TrialParams]) -> list[TrialParams]:
    """What another run did not enqueue, once it is done or makes no progress any more."""
    lacking = missing(study.get_trials(deepcopy=False), cells)
    since = time.monotonic()
    while lacking and time.monotonic() - since < ENQUEUE_SECONDS:
        time.sleep(_POLL_SECONDS)
        before, lacking = len(lacking), missing(study.get_trials(deepcopy=False), cells)
        if len(lacking) < before:
            since = time.monotonic()
    return lacking


class Queue:
    """The waiting trials of a study, claimed one by one; each goes to one worker only.

    The list of waiting trials is read once and walked through, and read again when it is used
    up: claiming stays cheap in a study of thousands of trials.

    Args:
        study, storage: Where.
        cells: Trials of others are left waiting; None for all.
        takes: Of what waits there, trials of which this is False are left waiting.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        cells: Collection[TrialParams] | None,
        takes: Callable[[FrozenTrial], bool] = lambda trial: True,
    ) -> None:
        self._study = study
        self._storage = storage
        self._cells = None if cells is None else {params.key for params in cells}
        self._takes = takes
        self._waiting: dict[int, FrozenTrial] = {}

    def claim(self, like: TrialParams | None = None) -> optuna.Trial | None:
        """The next waiting trial, now running and ours; None when no more are waiting.

        `like`: one of its seed and its value of a scale comes first, where there is one.
        """
        return self._claim_next(like) or (self._claim_next(like) if self._refill() else None)

    def _refill(self) -> bool:
        trials = self._study.get_trials(deepcopy=False)
        late = spare(trials)
        for trial in trials:
            if trial.number in late:
                self._end(id_of_trial(trial), SPARE)  # its cell another trial has
        waiting = [t for t in trials if t.state == TrialState.WAITING and self._is_wanted(t)]
        wanted = [t for t in waiting if t.number not in late]
        self._waiting = {t.number: t for t in wanted}
        return bool(wanted)

    def give_back(self, trial: optuna.Trial) -> None:
        """End a trial that was claimed and can't be begun: its cell is missing again."""
        self._end(id_of_trial(trial), INTERRUPTED)

    def _end(self, trial_id: int, reason: str) -> None:
        with suppress(UpdateFinishedTrialError):  # somebody else did
            self._storage.set_trial_user_attr(trial_id, ERROR, reason)
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _is_wanted(self, trial: FrozenTrial) -> bool:
        """A cell of a larger grid that was given up is left waiting."""
        params = params_of(trial)
        if params is None or not self._takes(trial):
            return False
        return self._cells is None or params.key in self._cells

    def _claim_next(self, like: TrialParams | None) -> optuna.Trial | None:
        while self._waiting:
            trial = self._waiting.pop(self._next(like))
            try:
                ours = self._storage.set_trial_state_values(id_of_trial(trial), TrialState.RUNNING)
            except UpdateFinishedTrialError:
                continue
            if ours:
                return optuna.Trial(self._study, id_of_trial(trial))
        return None

    def _next(self, like: TrialParams | None) -> int:
        """The number of the trial to try for."""
        if like is not None:
            for number, trial in self._waiting.items():
                params = params_of(trial)
                if params is not None and (params.seed, params.scale) == (like.seed, like.scale):
                    return number
        return next(iter(self._waiting))
