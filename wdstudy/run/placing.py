"""Who says which trials a study has next: its spec, by a grid or a sampler; or its design."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from wdstudy.errors import StudyError, fault
from wdstudy.run.cells import left_behind, missing
from wdstudy.run.prepared import Prepared
from wdstudy.run.queue import begin_at, enqueue, enqueue_once
from wdstudy.run.sampling import suggest
from wdstudy.run.status import Status
from wdstudy.space import SEED, TrialParams
from wdstudy.training.probe import LaneChoice


class Placer(Protocol):
    """Places a study's trials on behalf of one worker."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is to be begun, though trials wait."""
        ...

    def set_size(self, lanes: int, jobs: int, seconds: float | None = None) -> None:
        """So many trials train at once: each of so many workers' lanes.

        `seconds`: what a trial takes a worker, its lanes counted, before trials themselves tell.
        """
        ...

    def take_stock(self) -> int:
        """How many trials are to be trained; of a design about how many."""
        ...

    def foresee(self) -> list[str]:
        """What a run would begin with, where that is not known already; nothing is done."""
        ...

    def lead(self, choice: LaneChoice) -> None:
        """Enqueue what is known to be wanted, before the run's workers start."""
        ...

    def go_on(self, trials: list[FrozenTrial]) -> bool:
        """Whether there is more to claim, once the queue is empty: it is placed here.

        `trials`: those of the study, as they are seen now.
        """
        ...

    def fair(self, lanes: int) -> int:
        """How many of its lanes a worker is to fill, so that others have something as well."""
        ...

    def sample(self, like: TrialParams | None = None) -> optuna.Trial | None:
        """A new trial that nobody enqueued, now ours; None where there is none to make.

        `like`: one at its value of a scale.
        """
        ...

    def end(self) -> None:
        """Write down why nothing more is placed, where that is a finding."""
        ...


class SpecPlacer:
    """Places what the spec itself asks for: the cells of a grid, or what a sampler draws.

    Args:
        prepared: What is worked on.
        status: How far it is.
        worker: The name of this worker.
    """

    is_closed = False

    def __init__(self, prepared: Prepared, status: Status, worker: str) -> None:
        self._spec, self._plan, self._study = prepared.spec, prepared.plan, prepared.study
        self._status, self._worker = status, worker

    def set_size(self, lanes: int, jobs: int, seconds: float | None = None) -> None:
        """A grid has its size, however many train at once."""

    def take_stock(self) -> int:
        """How many trials are to be trained."""
        return max(self._status.total - self._status.done, 0)

    def foresee(self) -> list[str]:
        """A grid begins with its cells."""
        return []

    def lead(self, choice: LaneChoice) -> None:
        """Enqueue what the study lacks."""
        trials = self._study.get_trials(deepcopy=False)
        lacking = missing(trials, self._plan.cells(self._study))
        enqueue_once(self._study, lacking, with_seed=self._plan.with_seed, by=self._worker)

    def go_on(self, trials: list[FrozenTrial]) -> bool:
        """Enqueue what others left behind; whether there was any."""
        left = left_behind(trials, self._plan.cells(self._study))
        enqueue_once(self._study, left, with_seed=self._plan.with_seed, by=self._worker)
        return bool(left)

    def fair(self, lanes: int) -> int:
        """All of them: a grid has enough for others."""
        return lanes

    def sample(self, like: TrialParams | None = None) -> optuna.Trial | None:
        """A new trial of the sampler, its replicas enqueued; None when there are enough.

        The values of a scale have their turn, and lr and weight_decay are drawn.
        """
        if self._plan.grid is not None or not self._plan.wants_sample(self._study):
            return None
        scale = self._spec.scale
        value = self._plan.next_value(self._study) if like is None else like.scale
        if value is None or scale is None:
            trial = self._study.ask()
        else:
            trial = begin_at(self._study, value, scale.name)
        try:
            params = suggest(trial, self._spec.space)
        except Exception as error:
            self._study.tell(trial, state=TrialState.FAIL)
            name = type(self._spec.sampler).__name__
            which = self._spec.sampler if isinstance(self._spec.sampler, str) else name
            raise StudyError(f"the sampler {which} can't place a trial: {fault(error)}") from error
        if not self._plan.with_seed:
            trial.set_user_attr(SEED, params.seed)
        replicas = [replace(params, seed=seed) for seed in self._spec.space.seed_list]
        enqueue(self._study, replicas[1:], with_seed=True)
        return trial

    def end(self) -> None:
        """A grid ends when it is full."""
