"""Running a study: ask, train, record, tell, until no cell is missing."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import replace

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import NopPruner
from optuna.trial import TrialState

from wdstudy.curves import TRACKED_AS
from wdstudy.run.cells import INTERRUPTED, params_of
from wdstudy.run.designing import Designer
from wdstudy.run.forecast import Forecast
from wdstudy.run.heartbeat import STALE_SECONDS, Heartbeat, Watch, release
from wdstudy.run.interrupts import uninterrupted
from wdstudy.run.placing import Placer, SpecPlacer
from wdstudy.run.prepared import Prepared
from wdstudy.run.progress import Display
from wdstudy.run.queue import Queue
from wdstudy.run.sampling import suggest
from wdstudy.run.stack import StackTrainer
from wdstudy.run.tally import Tally
from wdstudy.run.triallog import TrialLog, reports
from wdstudy.space import TrialParams
from wdstudy.storage.ids import id_of_trial
from wdstudy.trackers import Tracking
from wdstudy.training.probe import ONE_LANE, LaneChoice
from wdstudy.words import counted
from wdstudy.workers import run_token, worker_name

TEND_SECONDS = 10.0
"""How often a run looks at what other workers of its study do."""

TEND_SHARE = 0.02
"""The part of its time that this may take: all unfinished trials are read."""

END_SECONDS = 5.0
"""How long a run that is stopped waits for a storage out of reach to give its trials back."""

_POLL_SECONDS = 0.25


class Runner:
    """One process that works on a study. Several may work on one study at the same time.

    It claims trials, trains them as stacks, and tends: frees what lost workers held, and counts
    what others finish.

    Args:
        prepared: What to work on.
        display: Where progress is shown.
        run: The token of the run that this process is a worker of; None for one of its own.
        until: When the run's time is over, as `time.time()` has it; of a run of its own it is
            counted from now.

    Attributes:
        spec, study, storage: What is worked on.
        run: The token of the run. until: when its time is over; None where it has no end.
        status: What was done so far, as a display shows it.
        tracking: Where every trial is a run as well.
    """

    def __init__(
        self,
        prepared: Prepared,
        display: Display,
        *,
        run: str | None = None,
        until: float | None = None,
    ) -> None:
        self.spec, self.study, self.storage = prepared.spec, prepared.study, prepared.storage
        self.run = run or run_token()
        self.tracking = Tracking(prepared.trackers, self.spec.name, display.warn)
        if prepared.trackers:  # a worker joins; `enqueue` makes the key for it
            self.tracking.join(self.study.user_attrs.get(TRACKED_AS, ""))
        self.until = until if run is not None else prepared.plan.ends()
        self.status = prepared.plan.status(self.until)
        self.storage.say = display.warn
        self._prepared, self._plan, self._display = prepared, prepared.plan, display
        self._leads = run is None
        self._worker = worker_name(self.run)
        self._queue = Queue(self.study, self.storage, self._plan.grid, self._plan.takes)
        self._tally = Tally(self.study, self._plan, self.status, self.run)
        self._placer: Placer = SpecPlacer(prepared, self.status, self._worker)
        if self._plan.design is not None:
            self._placer = Designer(
                prepared, self.status, display, run=self.run, worker=self._worker, until=self.until
            )
        self._watch = Watch()
        self._next_tend = time.monotonic() + TEND_SECONDS
        self._waiting = False
        self._left = self._plan.target
        self._held: TrialLog | None = None
        self._claimed: list[TrialLog] = []

    def take_stock(self) -> int:
        """Free what a lost worker held, and count what is done.

        Returns:
            How many trials are to be trained.
        """
        if self._prepared.said:
            self._display.say(self._prepared.said)
        released = self.release()
        if released:
            self._display.say(f"{counted(released, 'trial')} of a lost worker: trained again")
        self._tally.note()
        self._left = self._placer.take_stock()
        self._say_what_is_kept()
        return self._left

    def enqueue(self, forecast: Forecast | None = None) -> None:
        """Enqueue what the study lacks, once whoever watches knows how much that is.

        `forecast`: how it will be trained; one by one, in this process, where it is None.
        """
        choice = ONE_LANE if forecast is None else forecast.choice
        if forecast is not None:
            self._placer.set_size(choice.lanes, forecast.jobs, forecast.each)
        self._placer.lead(choice)
        if self.tracking.backends and not self._left:
            self._display.say("nothing is tracked, because nothing is left to train")
        if self._left and self.tracking.backends:
            if TRACKED_AS not in self.study.user_attrs:
                self.study.set_user_attr(TRACKED_AS, secrets.token_hex(8))
            self.tracking.begin(self.study.user_attrs[TRACKED_AS])

    def foresee(self, forecast: Forecast) -> list[str]:
        """What a run would begin with, where its plan does not say it; nothing is done."""
        self._placer.set_size(forecast.choice.lanes, forecast.jobs, forecast.each)
        return self._placer.foresee()

    def release(self) -> int:
        """Free the trials of workers that are lost; how many there were."""
        ours = {id_of_trial(log.trial) for log in self._claimed}
        return release(self.study, self.storage, self._watch, ours)

    def tend(self) -> None:
        """Every so often: count what other runs have finished, and see who of them is lost."""
        began = time.monotonic()
        if began < self._next_tend:
            return
        self.release()
        if self._leads:
            self._tally.note()
        ended = time.monotonic()
        self._next_tend = ended + max(TEND_SECONDS, (ended - began) / TEND_SHARE)

    def _take_over(self) -> bool:
        """Whether there is more to do, once the queue is empty: what others left behind.

        While others still train it waits a moment and says so, to be there if they are lost.
        """
        if self.release():
            return True
        trials = self.study.get_trials(deepcopy=False)  # one look, by which all is decided
        if self._placer.go_on(trials):
            return True
        others = sum(t.state == TrialState.RUNNING and self._is_wanted(t) for t in trials)
        if others:
            self._say_that_we_wait(others)
            time.sleep(_POLL_SECONDS)
            self.tend()
        return others > 0

    def finish(self) -> None:
        """Count what all runs did, and what is still missing."""
        self._tally.finish(self._display)
        self._placer.end()
        self.status.ended = True

    def _is_wanted(self, trial: optuna.trial.FrozenTrial) -> bool:
        params = params_of(trial)
        return params is None or self._plan.wants(params)

    def _say_that_we_wait(self, others: int) -> None:
        if self._leads and not self._waiting:
            self._waiting = True
            self._display.say(
                f"waiting for {counted(others, 'trial')} of other workers; "
                f"whoever is not seen for {STALE_SECONDS:.0f} s is replaced"
            )

    def work(self, choice: LaneChoice, jobs: int = 1) -> None:
        """Train until no trial is waiting, and nobody places more.

        Args:
            choice: How many lanes to train.
            jobs: How many workers the run has.
        """
        with self._display, self.tracking, Heartbeat(self.storage) as self._heartbeat:
            self._display.show(self.status)
            trainer = StackTrainer(self._prepared, choice, self.status, self._display)
            try:
                while True:
                    self.tend()
                    self._placer.set_size(trainer.lanes, jobs)
                    if stack := self._next_stack(trainer):
                        trainer.train(stack)
                        for log in stack:
                            self._heartbeat.remove(id_of_trial(log.trial))
                        self._claimed = [log for log in self._claimed if not log.ended]
                    elif not self._take_over():
                        break
                if self._leads:
                    self.finish()
                    self._display.show(self.status)
                else:
                    self._placer.end()
            finally:
                self.storage.patience = END_SECONDS
                for log in self._claimed:
                    if not log.ended:
                        with suppress(Exception):  # the storage may be in the middle of something
                            log.fail(INTERRUPTED)

    def _say_what_is_kept(self) -> None:
        if self.status.done:
            left = "" if self._plan.design is not None else f", {self._left} to train"
            kept = counted(self.status.done, "finished trial")
            self._display.say(f"'{self.spec.name}': {kept} kept{left}")

    def _next_stack(self, trainer: StackTrainer) -> list[TrialLog]:
        """As many trials as train together, of one seed and one value of a scale; none when nothing
        is left.
        """
        stack: list[TrialLog] = []
        size = 1
        while len(stack) < size:
            first = stack[0].params if stack else None
            log, self._held = self._held or self._next_trial(first), None
            if log is None:
                break
            if first is not None and not _may_be_lanes(log.params, first):
                self._held = log  # it begins the next stack
                break
            stack.append(log)
            if first is None:
                size = self._placer.fair(trainer.lanes_at(log.params.scale))
        return stack

    def _next_trial(self, like: TrialParams | None) -> TrialLog | None:
        if self.spec.scale is None:
            like = None  # the queue has its order
        while not self._placer.is_closed:
            with uninterrupted():  # or a trial would be running, and nobody's
                trial = self._queue.claim(like) or self._placer.sample(like)
                if trial is None:
                    return None
                try:
                    log = self._begin(trial)
                except UpdateFinishedTrialError:
                    continue  # somebody has ended it in this moment
                except BaseException:
                    self.storage.patience = END_SECONDS
                    with suppress(Exception):  # else it is found to be nobody's
                        self._queue.give_back(trial)
                    raise
                self._claimed.append(log)
                return log
        return None

    def _begin(self, trial: optuna.Trial) -> TrialLog:
        params = suggest(trial, self.spec.space, designed=self._plan.design is not None)
        part = self._prepared.part(params)
        params = replace(params, scale=part.value)
        self._heartbeat.add(id_of_trial(trial), self._worker)
        return TrialLog(
            trial,
            params,
            self.spec.objective,
            eager=not isinstance(self.study.pruner, NopPruner),
            reporting=reports(trial.number, self._plan.target),
            diverged_factor=self.spec.diverged_factor,
            runs=self.tracking.trial(trial.number, self._hyperparameters(params)),
            sizes=part.sizes(params),
        )

    def _hyperparameters(self, params: TrialParams) -> dict[str, float | str]:
        """What trackers know a trial by; without the decay's kind where a loop decides it."""
        kind = {"decay_kind": self.spec.decay_kind} if self.spec.task is not None else {}
        return {**params.as_dict(), **kind}


def _may_be_lanes(some: TrialParams, other: TrialParams) -> bool:
    """Whether two trials can train as one model."""
    return (some.seed, some.scale) == (other.seed, other.scale)
