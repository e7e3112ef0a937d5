"""One trial's record in the study: its curves, its reports to Optuna, and its end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from wdstudy.curves import (
    DIVERGED_AT,
    ERROR,
    INITIAL_LOSS,
    STEP,
    TRAIN_SECONDS,
    LossCurves,
    json_number,
    series_named,
)
from wdstudy.meter import loss_limit
from wdstudy.space import TrialParams
from wdstudy.storage.ids import id_of_trial
from wdstudy.storage.patient import patient
from wdstudy.trackers import TrialRuns

FLUSH_SECONDS = 10.0
"""Rewriting growing lists at every point would grow a journal with the square of the points."""

REPORT_GROWTH = 1.05
"""Reports lie this factor apart: about 100 a trial, however many record points it has."""

SHOWN_GROWTH = 1.2
"""The factor where no pruner decides by them: about 30, because dashboards load every report."""

REPORTING = 100
"""Trials that report where no pruner decides by it, evenly among more: dashboards draw each."""


def reports(number: int, planned: int) -> bool:
    """Whether a trial is one of those whose reports a dashboard draws.

    Args:
        number: The trial's.
        planned: How many trials the study is to have.
    """
    return number % max(1, -(-planned // REPORTING)) == 0


class TrialLog:
    """Writes what a trial yields into its study, seldom enough that it costs little.

    Args:
        trial: A running trial of ours.
        params: Its lr, weight_decay and seed.
        objective: The series that is reported, and whose last value is the trial's value.
        eager: Report at once, because a pruner decides by reports; else with the curves.
        reporting: Report at all; without it only the curves are stored.
        diverged_factor: The multiple of the initial loss beyond which a loss is not reported,
            but to a pruner.
        runs: The trial's runs in trackers, if it has any.
        sizes: Of its run and its model, stored when it ends.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        params: TrialParams,
        objective: str,
        *,
        eager: bool,
        reporting: bool = True,
        diverged_factor: float = math.inf,
        runs: TrialRuns | None = None,
        sizes: Mapping[str, float] | None = None,
    ) -> None:
        self.trial = trial
        self.params = params
        self.curves = LossCurves()
        self.initial_loss = math.nan
        self.diverged_at = 0
        self.ended = False
        self.taken_over = False
        self._objective = objective
        self._eager, self._reporting = eager, eager or reporting
        self._factor = math.inf if eager else diverged_factor
        self._runs = runs or TrialRuns(tuple)
        self._sizes = sizes or {}
        self._growth = REPORT_GROWTH if eager else SHOWN_GROWTH
        self._next_report = 1
        self._reported_step = -1
        self._unsent: dict[int, float] = {}
        self._started = self._flushed = time.monotonic()

    def restart(self) -> None:
        """Forget what was recorded: the trial begins anew."""
        self.curves = LossCurves()
        self.diverged_at = 0
        self._next_report = 1
        self._runs.restart()

    @property
    def value(self) -> float:
        """The objective so far, NaN before the first record point."""
        return self.curves.last(self._objective)

    def log(self, point: Mapping[str, float]) -> None:
        """Take a record point; report and flush when it is time to."""
        self.curves.append(point)
        self._runs.log(point)
        with self._while_ours():
            if len(self.curves) >= self._next_report:
                self._report()
            if time.monotonic() - self._flushed >= FLUSH_SECONDS:
                self._write(self.curves.to_attributes())
                self._flushed = time.monotonic()

    def complete(self, share: float = 1.0) -> TrialState:
        """End the trial: COMPLETE, or PRUNED if it diverged; its series and scalars are stored.

        Args:
            share: The part of the wall time that this trial takes of its stack.
        """
        if not math.isfinite(self.value) and not self.diverged_at:
            # Its losses were finite to the end, its objective is not: nobody could rank it.
            self.diverged_at = int(self.curves.last(STEP)) if len(self.curves) else 1
        if self.diverged_at:
            return self._end(TrialState.PRUNED, share)
        return self._end(TrialState.COMPLETE, share)

    def prune(self, share: float = 1.0) -> TrialState:
        """End the trial early because the study's pruner says so."""
        return self._end(TrialState.PRUNED, share)

    def fail(self, reason: str) -> TrialState:
        """Give the trial up. Its cell is missing again; the reason stands in an attribute."""
        with self._while_ours():
            self._write({**self.curves.to_attributes(), ERROR: reason})
            self.trial.study.tell(self.trial, state=TrialState.FAIL)
        self.ended = True
        self._runs.end({}, TrialState.FAIL.name)
        return TrialState.FAIL

    def _end(self, state: TrialState, share: float) -> TrialState:
        scalars = {**self.curves.scalars(self.params.lr, self.params.weight_decay), **self._sizes}
        scalars[INITIAL_LOSS] = self.initial_loss
        scalars[TRAIN_SECONDS] = round((time.monotonic() - self._started) * share, 3)
        if self.diverged_at:
            scalars[DIVERGED_AT] = self.diverged_at
        value = self.value if state == TrialState.COMPLETE else None
        with self._while_ours():
            # A null would make the dashboard take the attribute for text, and not plot it.
            known = {name: json_number(v) for name, v in scalars.items() if math.isfinite(v)}
            if not self.diverged_at:
                self._report()
            self._write({**self.curves.to_attributes(), **known})
            self.trial.study.tell(self.trial, value, state)
        self.ended = True
        self._runs.end(scalars, state.name)
        return state

    @contextmanager
    def _while_ours(self) -> Iterator[None]:
        """A worker that slept too long finds its trial ended by another, and lets it be."""
        try:
            yield
        except (UpdateFinishedTrialError, ValueError):
            if not self.trial.storage.get_trial(id_of_trial(self.trial)).state.is_finished():
                raise
            self.ended = self.taken_over = True

    def _report(self) -> None:
        step = int(self.curves.last(STEP)) if len(self.curves) else 0
        if not self._reporting or not math.isfinite(self.value) or step <= self._reported_step:
            return  # not finite: samplers take the last report of a pruned trial as its value
        if series_named(self._objective).low_is_good and self.value > self._limit():
            return  # on its way to divergence: one such point would flatten every plot
        if self._eager:
            self.trial.report(self.value, step)
        else:
            self._unsent[step] = self.value
        self._reported_step = step
        self._next_report = max(len(self.curves) + 1, int(len(self.curves) * self._growth))

    def _limit(self) -> float:
        return float(loss_limit(self.initial_loss, self._factor))

    def _write(self, attributes: Mapping[str, Any]) -> None:
        storage = patient(self.trial.storage)
        storage.write_trial(id_of_trial(self.trial), attributes, self._unsent)
        self._unsent.clear()
