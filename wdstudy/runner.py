"""Running a study: ask, train, record, tell, until no cell is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import optuna
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from wdstudy.cells import (
    DONE,
    TAKEN,
    Queue,
    enqueue,
    missing,
    params_of,
    release_abandoned,
)
from wdstudy.curves import DIVERGED_AT, PRIMARY_LOSS, SEED, STEP, WORKER
from wdstudy.devices import resolve_device
from wdstudy.errors import RecorderError, StudyError, fault
from wdstudy.progress import Display, Silent, Status
from wdstudy.recorder import LossRecorder
from wdstudy.sampling import GRID, resolve_pruner, resolve_sampler, suggest
from wdstudy.space import TrialParams
from wdstudy.spec import StudySpec
from wdstudy.storage import open_storage
from wdstudy.studyrecord import load_data, open_or_create, study_record
from wdstudy.training import Training
from wdstudy.triallog import TrialLog
from wdstudy.worker import Heartbeat, worker_name

MAX_FAILURES = 3
"""Trials that may fail one after the other before the run stops: the fault is not in the cell."""


def run_study(
    spec: StudySpec,
    storage: str | BaseStorage | None = None,
    display: Display | None = None,
) -> optuna.Study:
    """Train every cell that the study lacks.

    Args:
        spec: What to train; it needs a name.
        storage: A URL or an Optuna storage; the default storage where it is None.
        display: Where progress is shown; nowhere if None.

    Returns:
        The study, every trial of it told.

    Raises:
        WdstudyError: the spec, its data, device or storage can't be used, the study was
            recorded with another spec, or trial after trial failed.
    """
    runner = Runner(spec, storage, display or Silent())
    runner.run()
    return runner.study


class Runner:
    """One process that works on a study. Several may work on one study at the same time.

    Everything that can be wrong with the spec is found here, before the study is created.
    """

    def __init__(
        self, spec: StudySpec, storage: str | BaseStorage | None, display: Display
    ) -> None:
        self.spec = spec
        self._display = display
        self._device = resolve_device(spec.device)
        self._data = load_data(spec, self._device)
        sampler = resolve_sampler(spec.sampler, spec.space, seed=0)
        pruner = resolve_pruner(spec.pruner)
        record = study_record(spec, self._data, self._device)
        self.storage = storage if isinstance(storage, BaseStorage) else open_storage(storage)
        self.study = open_or_create(spec, self.storage, record, sampler, pruner)
        self._plan = Plan(spec)
        self._queue = Queue(self.study, self.storage, self._plan.grid)
        self._worker = worker_name()
        self._failures = 0
        self.status = Status(self._plan.target, objective=spec.objective, direction=spec.direction)

    def run(self) -> None:
        """Work until nothing is left to do."""
        released = release_abandoned(self.study, self.storage)
        if released:
            self._display.say(f"{counted(released, 'trial')} of a lost worker: trained again")
        self._note_past_trials()
        lacking = missing(self.study.get_trials(deepcopy=False), self._plan.cells(self.study))
        enqueue(self.study, lacking, with_seed=self._plan.with_seed)
        with self._display, Heartbeat(self.storage) as self._heartbeat:
            self._display.show(self.status)
            while (log := self._next_trial()) is not None:
                self._train(log)

    def _note_past_trials(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=DONE):
            params = params_of(trial)
            if params is not None and self._plan.wants(params):
                self._note_end(trial.state, params, trial.value, DIVERGED_AT in trial.user_attrs)
        if self.status.done:
            left = max(self.status.total - self.status.done, 0)
            self._display.say(
                f"'{self.spec.name}': {counted(self.status.done, 'finished trial')} kept, "
                f"{left} to train"
            )

    def _next_trial(self) -> TrialLog | None:
        trial = self._queue.claim() or self._sample()
        if trial is None:
            return None
        params = suggest(trial, self.spec.space)
        if not self._plan.with_seed:
            trial.set_user_attr(SEED, params.seed)
        trial.set_user_attr(WORKER, self._worker)
        self._heartbeat.add(trial._trial_id)
        eager = not isinstance(self.study.pruner, NopPruner)
        return TrialLog(trial, params, self.spec.objective, eager=eager)

    def _sample(self) -> optuna.Trial | None:
        """A new trial of the sampler, its replicas enqueued; None when there are enough."""
        if self._plan.grid is not None or not self._plan.wants_sample(self.study):
            return None
        trial = self.study.ask()
        params = suggest(trial, self.spec.space)
        replicas = [replace(params, seed=seed) for seed in self.spec.space.seed_list]
        enqueue(self.study, replicas[1:], with_seed=True)
        return trial

    def _train(self, log: TrialLog) -> None:
        try:
            state = self._train_task(log) if self.spec.task else self._train_loop(log)
        except Exception as error:
            state = log.fail(fault(error))
            self._note_failure(error)
        except BaseException:
            with suppress(Exception):  # the storage may be in the middle of what was interrupted
                log.fail("interrupted")
            raise
        finally:
            self._heartbeat.remove(log.trial._trial_id)
        if state != TrialState.FAIL:
            self._failures = 0
        value = log.value if state == TrialState.COMPLETE else None
        self._note_end(state, log.params, value, bool(log.diverged_at))
        self._display.show(self.status)

    def _train_task(self, log: TrialLog) -> TrialState:
        assert self._data is not None
        for measurement in Training(self.spec, [log.params], self._data, self._device):
            log.initial_loss = float(measurement.initial_loss[0])
            log.diverged_at = int(measurement.diverged_at[0])
            self._log_point(log, measurement.point(0))
            if log.diverged_at:
                break
            if log.trial.should_prune():
                return log.prune()
        return log.complete()

    def _train_loop(self, log: TrialLog) -> TrialState:
        """Call somebody's own loop; its recorder's points come here, and may end it."""
        assert self.spec.train is not None
        recorder = LossRecorder()
        recorder.trackers.append(_LoopWatch(self, log, recorder))
        try:
            self.spec.train(log.params, recorder)
        except StopTraining:
            return log.complete() if log.diverged_at else log.prune()
        if self.spec.objective not in log.curves:
            raise RecorderError(
                f"the loop recorded no {self.spec.objective}; call "
                f"recorder.point({self.spec.objective}=...) in it"
            )
        return log.complete()

    def _log_point(self, log: TrialLog, point: dict[str, float]) -> None:
        steps = point[STEP] - (log.curves.last(STEP) if len(log.curves) else 0)
        log.log(point)
        self.status.tick(int(steps))
        self.status.describe(log.params, point)
        self._display.show(self.status)

    def _note_end(
        self, state: TrialState, params: TrialParams, value: float | None, diverged: bool
    ) -> None:
        if state == TrialState.FAIL:
            self.status.failed += 1
            return
        self.status.done += 1
        self.status.diverged += diverged
        if state == TrialState.COMPLETE and value is not None and self.status.better(value):
            self.status.best, self.status.best_params = value, params

    def _note_failure(self, error: Exception) -> None:
        """Go on after a trial that failed, unless trial after trial does."""
        self._failures += 1
        self._display.say(f"a trial failed: {fault(error)}")
        if self._failures >= MAX_FAILURES or self.status.done == 0:
            raise StudyError(
                f"stopped, because {'trial after trial' if self.status.done else 'the first trial'}"
                f" failed: {fault(error)}; mend it and run the same command again"
            ) from error


class Plan:
    """Which cells a spec asks for."""

    def __init__(self, spec: StudySpec) -> None:
        self._space = spec.space
        self._sampled = spec.trials or len(spec.space)
        self.with_seed = len(spec.space.seed_list) > 1
        self.grid = spec.space.cells() if spec.sampler == GRID else None
        self._wanted = None if self.grid is None else {params.cell for params in self.grid}

    @property
    def target(self) -> int:
        """How many trials the study will have."""
        return len(self.grid) if self.grid is not None else self._sampled + len(self._baseline())

    def wants(self, params: TrialParams) -> bool:
        """Whether a trial with these parameters counts towards the target."""
        return self._wanted is None or params.cell in self._wanted

    def cells(self, study: optuna.Study) -> list[TrialParams]:
        """The cells known so far: the grid; or a sampler's baseline, and replicas of its points."""
        if self.grid is not None:
            return self.grid
        trials = study.get_trials(deepcopy=False, states=TAKEN)
        points = {(p.lr, p.weight_decay): None for t in trials if (p := params_of(t)) is not None}
        replicas = [TrialParams(*point, s) for point in points for s in self._space.seed_list]
        return self._baseline() + [params for params in replicas if params.weight_decay]

    def wants_sample(self, study: optuna.Study) -> bool:
        """Whether the sampler has made too few trials yet."""
        trials = study.get_trials(deepcopy=False, states=TAKEN)
        return sum(bool(p.weight_decay) for t in trials if (p := params_of(t))) < self._sampled

    def _baseline(self) -> list[TrialParams]:
        lrs = self._space.lr if 0 in self._space.weight_decay else ()
        return [TrialParams(lr, 0.0, seed) for seed in self._space.seed_list for lr in lrs]


class StopTraining(Exception):  # noqa: N818  # control flow, like StopIteration
    """Leaves somebody's own loop from inside `recorder.point`: it diverged, or was pruned."""


class _LoopWatch:
    """The tracker through which a loop's record points reach the study."""

    def __init__(self, runner: Runner, log: TrialLog, recorder: LossRecorder) -> None:
        self._runner, self._log, self._recorder = runner, log, recorder

    def log(self, point: Mapping[str, float]) -> None:
        log, initial = self._log, self._recorder.initial_loss
        log.initial_loss = initial
        limit = self._runner.spec.diverged_factor * initial if initial > 0 else math.inf
        primary = point[PRIMARY_LOSS]
        if not math.isfinite(primary) or primary > limit:
            log.diverged_at = int(point[STEP])
        self._runner._log_point(log, dict(point))
        if log.diverged_at or log.trial.should_prune():
            raise StopTraining


def counted(n: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
