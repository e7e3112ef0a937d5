"""Counting what a study holds already, and what others finish in it meanwhile."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from wdstudy.curves import DIVERGED_AT, REASON, STAGE, WORKER
from wdstudy.run.cells import DONE, MAX_LOST, TAKEN, given_up, missing, params_of
from wdstudy.run.outcomes import batch_of, failed_in
from wdstudy.run.plan import Plan
from wdstudy.run.progress import Display
from wdstudy.run.status import Status


class Tally:
    """Counts finished trials into a status, each once.

    Args:
        study: Where they are.
        plan: Which of them count.
        status: What they are counted into.
        run: The token of the run whose own trials are counted elsewhere; None to count all.
    """

    def __init__(self, study: optuna.Study, plan: Plan, status: Status, run: str | None) -> None:
        self._study, self._plan, self._run = study, plan, run
        self._noted: set[int] = set()
        self.status = status

    def note(self) -> None:
        """Count what was finished since the last time."""
        for trial in self._study.get_trials(deepcopy=False, states=DONE):
            params, worker = params_of(trial), str(trial.user_attrs.get(WORKER, ""))
            ours = self._run is not None and worker.endswith(f":{self._run}")
            if trial.number in self._noted or ours or params is None:
                continue
            self._noted.add(trial.number)
            if self._plan.wants(params):
                self.status.note(
                    trial.state.name, params, trial.value, DIVERGED_AT in trial.user_attrs
                )
        if self._plan.design is not None:
            self._note_batch()

    def _note_batch(self) -> None:
        """See how many trials a design, asked by whomever, has placed so far, and what for."""
        trials = self._study.get_trials(deepcopy=False, states=TAKEN)
        newest = max(trials, key=batch_of, default=None)
        ours = [t for t in trials if t.state != TrialState.WAITING or self._plan.takes(t)]
        if newest is not None:
            why = f"{newest.user_attrs.get(STAGE)}: {newest.user_attrs.get(REASON)}"
            self.status.note_batch(batch_of(newest), why, len(ours))

    def finish(self, display: Display, run: str = "") -> None:
        """Count what was finished, and as failed whatever is missing in the end.

        It says which cells were given up because they took their workers along. `run`: whose
        failures are meant, where all runs' trials are counted.
        """
        self.note()
        trials = self._study.get_trials(deepcopy=False)
        lacking = missing(trials, self._plan.cells(self._study))
        if self._plan.design is not None:
            lacking = failed_in(trials, self._run or run)
        for params in given_up(trials, lacking):
            display.warn(
                f"given up: {params}, seed {params.seed}, with which {MAX_LOST} workers were lost; "
                "is memory short?"
            )
        self.status.failed = len(lacking)
