"""Running a study: ask, train, record, tell, until no cell is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import optuna
import torch
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from wdstudy.cells import (
    DONE,
    Queue,
    enqueue,
    missing,
    params_of,
    release_abandoned,
)
from wdstudy.curves import DIVERGED_AT, PRIMARY_LOSS, SEED, STEP, WORKER
from wdstudy.devices import is_out_of_memory, release_memory, resolve_device
from wdstudy.errors import RecorderError, StudyError, fault
from wdstudy.plan import Plan
from wdstudy.probe import LaneChoice, choose_lanes, dry_run, why_not_stacked
from wdstudy.progress import Display, Silent, Status
from wdstudy.recorder import LossRecorder
from wdstudy.sampling import resolve_pruner, resolve_sampler, suggest
from wdstudy.space import TrialParams
from wdstudy.spec import StudySpec
from wdstudy.storage import default_url, open_storage
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
    lanes: int | None = None,
) -> optuna.Study:
    """Train every cell that the study lacks, in this process.

    Args:
        spec: What to train; it needs a name.
        storage: A URL or an Optuna storage; the default storage where it is None.
        display: Where progress is shown; nowhere if None.
        lanes: How many trials to train as one model; as many as are fastest if None.

    Returns:
        The study, every trial of it told.

    Raises:
        WdstudyError: the spec, its data, device or storage can't be used, the study was
            recorded with another spec, or trial after trial failed.
    """
    runner = Runner(spec, storage, display or Silent())
    runner.prepare()
    runner.work(runner.choose_lanes(lanes))
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
        if self._data is not None:
            dry_run(spec, self._data, self._device)
        sampler = resolve_sampler(spec.sampler, spec.space, seed=0)
        pruner = resolve_pruner(spec.pruner)
        record = study_record(spec, self._data, self._device)
        self.url = None if isinstance(storage, BaseStorage) else storage or default_url()
        self.storage = storage if isinstance(storage, BaseStorage) else open_storage(storage)
        self.study = open_or_create(spec, self.storage, record, sampler, pruner)
        self._plan = Plan(spec)
        self._queue = Queue(self.study, self.storage, self._plan.grid)
        self._worker = worker_name()
        self._failures = 0
        self._held: TrialLog | None = None
        self._lanes = 1
        self.status = Status(self._plan.target, objective=spec.objective, direction=spec.direction)

    def prepare(self) -> int:
        """Make the study ready to be worked on: free what a lost worker held, enqueue what lacks.

        Returns:
            How many trials are to be trained.
        """
        released = release_abandoned(self.study, self.storage)
        if released:
            self._display.say(f"{counted(released, 'trial')} of a lost worker: trained again")
        self._note_past_trials()
        self._enqueue_missing()
        return max(self.status.total - self.status.done, 0)

    def refill(self) -> None:
        """After a worker was lost: give its trials to the others."""
        release_abandoned(self.study, self.storage)
        self._enqueue_missing()

    def _enqueue_missing(self) -> None:
        lacking = missing(self.study.get_trials(deepcopy=False), self._plan.cells(self.study))
        enqueue(self.study, lacking, with_seed=self._plan.with_seed)

    def choose_lanes(self, lanes: int | None, jobs: int = 1) -> LaneChoice:
        """How many lanes to train together: as many as asked for if they can be stacked.

        Args:
            lanes: A number, or None for the fastest.
            jobs: How many processes share the trials.
        """
        left = self.status.total - self.status.done
        if self._data is None or left <= 0 or lanes == 1:
            return LaneChoice(1, "one lane at a time")
        if lanes is None:
            most = -(-left // (jobs * len(self.spec.space.seed_list)))
            try:
                return choose_lanes(self.spec, self._data, self._device, left, most)
            except Exception as error:  # what is wrong will show again, in a trial
                return LaneChoice(1, fault(error))
        reason = why_not_stacked(self.spec, self._data, self._device)
        if reason is not None:
            self._display.say(f"lanes can't be stacked, so they train one at a time: {reason}")
            return LaneChoice(1, reason)
        return LaneChoice(lanes, "as asked for")

    def work(self, choice: LaneChoice) -> None:
        """Train until no trial is waiting and the sampler has made enough."""
        self._lanes = choice.lanes
        with self._display, Heartbeat(self.storage) as self._heartbeat:
            self._display.show(self.status)
            while batch := self._next_batch():
                self._train(batch)

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

    def _next_batch(self) -> list[TrialLog]:
        """Trials of one seed, as many as there are lanes; none when nothing is left."""
        batch: list[TrialLog] = []
        while len(batch) < self._lanes:
            log, self._held = self._held or self._next_trial(), None
            if log is not None and batch and log.params.seed != batch[0].params.seed:
                self._held = log  # it begins the next batch
                break
            if log is None:
                break
            batch.append(log)
        return batch

    def _next_trial(self) -> TrialLog | None:
        trial = self._queue.claim() or self._sample()
        if trial is None:
            return None
        params = suggest(trial, self.spec.space)
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
        if not self._plan.with_seed:
            trial.set_user_attr(SEED, params.seed)
        replicas = [replace(params, seed=seed) for seed in self.spec.space.seed_list]
        enqueue(self.study, replicas[1:], with_seed=True)
        return trial

    def _train(self, batch: list[TrialLog]) -> None:
        """Train a batch to its end, whatever happens in it."""
        try:
            if self.spec.task is not None:
                self._train_task(batch)
            else:
                self._finish(batch[0], self._train_loop(batch[0]))
            self._failures = 0
        except Exception as error:
            self._mend(batch, error)
        except BaseException:
            for log in self._unfinished(batch):
                with suppress(Exception):  # the storage may be in the middle of something
                    log.fail("interrupted")
            raise
        finally:
            for log in batch:
                self._heartbeat.remove(log.trial._trial_id)

    def _train_task(self, batch: list[TrialLog]) -> None:
        assert self._data is not None
        share = 1 / len(batch)
        training = Training(self.spec, [log.params for log in batch], self._data, self._device)
        going = list(batch)
        for measurement in training:
            for lane, log in enumerate(going):
                log.initial_loss = float(measurement.initial_loss[lane])
                log.diverged_at = int(measurement.diverged_at[lane])
                self._log_point(log, measurement.point(lane))
                if log.diverged_at:
                    self._finish(log, log.complete(share))
                elif measurement.step < training.total_steps and log.trial.should_prune():
                    self._finish(log, log.prune(share))
            lanes = [lane for lane, log in enumerate(going) if not log.ended]
            if not lanes:
                return
            going = [going[lane] for lane in lanes]
            training.keep(lanes)
        for log in going:
            self._finish(log, log.complete(share))

    def _mend(self, batch: list[TrialLog], error: Exception) -> None:
        """After an error in a batch: smaller batches if memory ran out, else its trials failed."""
        unfinished = self._unfinished(batch)
        if is_out_of_memory(error) and len(unfinished) > 1:
            self._lanes = (len(unfinished) + 1) // 2
            self._display.say(f"out of memory with {len(batch)} lanes: going on with {self._lanes}")
            release_memory()
            for log in unfinished:
                log.restart()
            while unfinished:
                self._train(unfinished[: self._lanes])
                unfinished = self._unfinished(unfinished)
            return
        for log in unfinished:
            self._finish(log, log.fail(fault(error)))
        self._note_failure(error)

    @staticmethod
    def _unfinished(batch: list[TrialLog]) -> list[TrialLog]:
        return [log for log in batch if not log.ended]

    @property
    def device(self) -> torch.device:
        """Where this process trains."""
        return self._device

    @property
    def total_steps(self) -> int:
        """Optimizer steps of one trial; 0 where a loop of its own decides."""
        return self.spec.epochs * self._data.train.steps if self._data is not None else 0

    def _finish(self, log: TrialLog, state: TrialState) -> None:
        self._heartbeat.remove(log.trial._trial_id)
        value = log.value if state == TrialState.COMPLETE else None
        self._note_end(state, log.params, value, bool(log.diverged_at))
        self._display.show(self.status)

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
