"""Training a stack of trials to its end, whatever happens in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optuna.trial import TrialState

from wdstudy.curves import STEP
from wdstudy.errors import RecorderError, StudyError, fault
from wdstudy.recorder import LossRecorder
from wdstudy.run.cells import DONE, params_of
from wdstudy.run.prepared import Prepared
from wdstudy.run.progress import Display
from wdstudy.run.status import Status
from wdstudy.run.triallog import TrialLog
from wdstudy.space import Key, TrialParams
from wdstudy.study.spec import StudySpec
from wdstudy.training.data import TaskData
from wdstudy.training.devices import is_out_of_memory, release_memory
from wdstudy.training.loop import Training
from wdstudy.training.probe import LaneChoice

MAX_FAILURES = 3
"""Stacks that may fail one after the other before the run stops: the fault is not in a cell."""


class StackTrainer:
    """Trains a stack of trials, as lanes of one model or one by one in somebody's own loop.

    Args:
        prepared: What is trained, on what and where.
        choice: How many trials a stack may have, and how; fewer after memory ran out.
        status, display: What is told about it, and to whom.
    """

    def __init__(
        self, prepared: Prepared, choice: LaneChoice, status: Status, display: Display
    ) -> None:
        self._prepared, self._spec, self._device = prepared, prepared.spec, prepared.device
        self._status, self._display = status, display
        self._failures: Counter[float | None] = Counter()
        self._refused = {value: part.refused for value, part in prepared.parts.items()}
        self._warned: set[float | None] = set()
        self._told = False
        self._seen: dict[Key, float] = {}
        self._choice, self._fewer = choice, dict[float | None, int]()
        self._compiles = prepared.spec.compile

    @property
    def lanes(self) -> int:
        """How many trials a stack may have, at most."""
        return max(self.lanes_at(value) for value in self._prepared.parts)

    def lanes_at(self, value: float | None) -> int:
        """How many trials a stack may have at a value of the scale; None where there is none."""
        return self._fewer.get(value, self._choice.of(value).lanes)

    def train(self, stack: list[TrialLog]) -> None:
        """Train until every trial of the stack is told: complete, pruned or failed.

        Raises:
            StudyError: the study's first trial failed, or stack after stack.
        """
        value, part = stack[0].params.scale, self._prepared.part(stack[0].params)
        if self._refused.get(value):
            self._refuse(stack, self._refused[value])
            return
        try:
            if part.data is not None:
                self._train_task(stack, part.spec, part.data)
            else:
                for log in stack:
                    self._train_loop(log)
            self._failures[value] = 0
        except (Exception, SystemExit) as error:  # exit() in somebody's code ends its trial alone
            self._mend(stack, error)

    def _train_task(self, stack: list[TrialLog], spec: StudySpec, data: TaskData) -> None:
        share = 1 / len(stack)
        params = [log.params for log in stack]
        apart = self._choice.of(params[0].scale).apart
        spec = spec if spec.compile == self._compiles else replace(spec, compile=self._compiles)
        training = Training(spec, params, data, self._device, apart=apart)
        going = list(stack)
        for measurement in training:
            for lane, log in enumerate(going):
                log.initial_loss = float(measurement.initial_loss[lane])
                log.diverged_at = int(measurement.diverged_at[lane])
                self.log_point(log, measurement.point(lane))
                if log.taken_over:
                    self._note(log, TrialState.FAIL)
                elif log.diverged_at:
                    self._note(log, log.complete(share))
                elif measurement.step < training.total_steps and log.trial.should_prune():
                    self._note(log, log.prune(share))
            lanes = [lane for lane, log in enumerate(going) if not log.ended]
            if not lanes:
                return
            going = [going[lane] for lane in lanes]
            training.keep(lanes)
        for log in going:
            self._note(log, log.complete(share))

    def _train_loop(self, log: TrialLog) -> None:
        """Call somebody's own loop; its recorder's points come here, and may end it."""
        assert self._spec.train is not None
        recorder = LossRecorder(diverged_factor=self._spec.diverged_factor)
        watch = _LoopWatch(self, log, recorder)
        recorder.trackers.append(watch)
        params = _Noticing(**vars(log.params))
        try:
            self._spec.train(params, recorder)
        except (Exception, StopTraining):
            if not watch.stopped:
                raise
        if watch.stopped:  # also where the loop caught that, and went on or failed over it
            if not log.ended:
                log.complete() if log.diverged_at else log.prune()
            self._note(log, TrialState.PRUNED)
            return
        objective = self._spec.objective
        if objective not in log.curves:
            raise RecorderError(
                f"the loop recorded no {objective}; call recorder.point({objective}=...) in it"
            )
        if not recorder.steps:
            raise RecorderError(
                "the loop recorded no step; call recorder.step(loss) after loss.backward() and "
                "before optimizer.step(), or neither loss is known"
            )
        self._note(log, log.complete())
        self._tell_what_is_not_swept(params, recorder)
        self._tell_what_is_the_same(log)

    def _tell_what_is_not_swept(self, params: _Noticing, recorder: LossRecorder) -> None:
        """A loop that overlooks its parameters makes a map of nothing: said once."""
        swept = ["lr", "weight_decay", *([params.scale_name] if params.scale_name else [])]
        found = [f"never uses params.{name}" for name in swept if name not in params.used]
        if not found:
            groups = [group for each in recorder.optimizers for group in each.param_groups]
            decays = {float(group.get("weight_decay", 0.0)) for group in groups}
            meant = params.weight_decay, params.weight_decay / params.lr  # the independent form
            if not any(math.isclose(decay, m) for decay in decays for m in meant):
                told = ", ".join(f"{decay:g}" for decay in sorted(decays))
                found = [
                    f"has weight_decay {told} in its optimizer where the trial's is "
                    f"{params.weight_decay:g}"
                ]
        if found and not self._told:
            self._told = True
            self._display.warn(f"the loop {' and '.join(found)}: is the map one of what it trains?")

    def _tell_what_is_the_same(self, log: TrialLog) -> None:
        """A loop that reads the value of a scale and does nothing with it: said once."""
        own, name = log.params, log.params.scale_name
        if own.scale is None:
            return
        found = hash(repr({series: log.curves[series] for series in sorted(log.curves)}))
        same = self._seen.setdefault((*own.cell, own.seed, found), own.scale)
        if same != own.scale and not self._told:
            self._told = True
            self._display.warn(
                f"the loop trains the same, to the last digit, at {name} {same:g} and "
                f"{own.scale:g}: does it use params.{name}?"
            )

    def _mend(self, stack: list[TrialLog], error: BaseException) -> None:
        """After an error in a stack: a smaller one if memory ran out, one that is not compiled if
        it was; else its trials failed.
        """
        unfinished = _unfinished(stack)
        value = stack[0].params.scale
        if is_out_of_memory(error) and len(unfinished) > 1:
            lanes = self._fewer[value] = (len(unfinished) + 1) // 2
            self._display.warn(f"out of memory with {len(stack)} lanes: going on with {lanes}")
            release_memory()
            for log in unfinished:
                log.restart()
            while unfinished:
                self.train(unfinished[: self.lanes_at(value)])
                unfinished = _unfinished(unfinished)
            return
        if self._compiles:
            self._compiles = False
            self._display.warn(f"compiled it fails, so it is trained uncompiled: {fault(error)}")
            for log in unfinished:
                log.restart()
            self.train(unfinished)
            return
        for log in unfinished:
            self._note(log, log.fail(fault(error)))
        if is_out_of_memory(error):
            release_memory()
        self._note_failure(stack[0], error)

    def _refuse(self, stack: list[TrialLog], reason: str) -> None:
        """Let trials of a value at which nothing can be trained fail, and say so once."""
        value = stack[0].params.scale
        if value not in self._warned:
            self._warned.add(value)
            self._display.warn(f"trials of {reason}; they fail, and the others are trained")
        for log in _unfinished(stack):
            self._note(log, log.fail(reason))

    def _note_failure(self, log: TrialLog, error: BaseException) -> None:
        """Go on after a stack that failed, unless nothing ever worked, or it happens again.

        Along a scale that holds for each value: the others are trained though one of them can't be.
        """
        value = log.params.scale
        self._failures[value] += 1
        self._display.warn(f"a trial failed: {fault(error)}")
        done = log.trial.study.get_trials(deepcopy=False, states=DONE)
        first = not any((p := params_of(t)) is None or p.scale == value for t in done)
        if (first or self._failures[value] >= MAX_FAILURES) and self._others_may_work(value):
            self._refused[value] = f"{log.params.scale_name}={value:g}: {fault(error)}"
            return
        if first or self._failures[value] >= MAX_FAILURES:
            raise StudyError(
                f"stopped, because {'the first trial' if first else 'trial after trial'} failed: "
                f"{fault(error)}; mend it and run the same command again"
            ) from error

    def _others_may_work(self, value: float | None) -> bool:
        """Whether there is another value of the scale at which nothing has failed."""
        others = [other for other in self._prepared.parts if other != value]
        return any(not self._refused.get(other) for other in others)

    def log_point(self, log: TrialLog, point: Mapping[str, float]) -> None:
        """Store a record point and show it."""
        steps = point[STEP] - (log.curves.last(STEP) if len(log.curves) else 0)
        log.log(point)
        self._status.tick(int(steps))
        self._status.describe(log.params, point)
        self._display.show(self._status)

    def _note(self, log: TrialLog, state: TrialState) -> None:
        if log.taken_over:
            self._display.warn("a trial was taken over by another worker: this one was not seen")
            return
        value = log.value if state == TrialState.COMPLETE else None
        self._status.note(state.name, log.params, value, bool(log.diverged_at))
        self._display.show(self._status)


class StopTraining(BaseException):  # control flow, like GeneratorExit
    """Leaves somebody's own loop from inside `recorder.point`: it diverged, or was pruned.

    No `Exception`: a loop that catches those, as many do around a step, must not go on.
    """


class _Noticing(TrialParams):
    """The parameters of a trial, which notice what a loop reads of them."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name in ("lr", "weight_decay", "scale"):
            known = super().__getattribute__("__dict__")
            known.setdefault("read", set()).add(name if name != "scale" else known["scale_name"])
        return value

    def __getattr__(self, name: str) -> float:
        value = super().__getattr__(name)  # only what is no field: the scale by its own name
        self.__dict__.setdefault("read", set()).add(name)
        return value

    @property
    def used(self) -> set[str]:
        """The names that were read."""
        found: set[str] = self.__dict__.get("read", set())
        return set(found)


class _LoopWatch:
    """The tracker through which the record points of somebody's loop reach the study."""

    def __init__(self, trainer: StackTrainer, log: TrialLog, recorder: LossRecorder) -> None:
        self._trainer, self._log, self._recorder = trainer, log, recorder
        self.stopped = False

    def log(self, point: Mapping[str, float]) -> None:
        log = self._log
        if not self.stopped:
            log.initial_loss = self._recorder.initial_loss
            log.diverged_at = self._recorder.diverged_at
            self._trainer.log_point(log, point)
            self.stopped = log.ended or bool(log.diverged_at) or log.trial.should_prune()
        if self.stopped:
            raise StopTraining


def _unfinished(stack: list[TrialLog]) -> list[TrialLog]:
    return [log for log in stack if not log.ended]
