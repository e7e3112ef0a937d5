"""How many more trials the time of a run allows, by what they take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import TRAIN_SECONDS, WORKER
from wdstudy.run.outcomes import is_placed


class TimeBudget:
    """The time that a run has, which may have no end.

    A trial that has begun is trained to its end, so the last ones may go a little beyond.

    Args:
        until: When it is over, in seconds of the clock on the wall, which workers on several
            machines share well enough for that; None where it has no end.
        run: The token of the run.
    """

    def __init__(self, until: float | None, run: str) -> None:
        self._until, self._run = until, run
        self._jobs = 1
        self._guess: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._until is not None and time.time() >= self._until

    def price(self, jobs: int, seconds: float | None) -> None:
        """So many workers train, each of which a trial takes so long, before trials tell it."""
        self._jobs = jobs
        self._guess = seconds or self._guess

    def trials(self, trials: Sequence[FrozenTrial]) -> float | None:
        """How many more it allows, beside those on their way; None where it has no end, or where
        nothing tells what one takes.
        """
        if self._until is None:
            return None
        seconds = self._until - time.time()
        if seconds <= 0:
            return 0.0
        each = seconds_a_trial(trials, self._run) or self._guess
        if not each:
            return None
        pending = sum(t.state == TrialState.RUNNING or is_placed(t) for t in trials)
        return max(0.0, seconds * self._jobs / each - pending)


def seconds_a_trial(trials: Iterable[FrozenTrial], run: str) -> float | None:
    """What a trial took, on average over those that this run finished, its lanes counted; None
    before the first.
    """
    took = [
        trial.user_attrs.get(TRAIN_SECONDS)
        for trial in trials
        if trial.state == TrialState.COMPLETE
        and str(trial.user_attrs.get(WORKER, "")).endswith(f":{run}")
    ]
    known = [s for s in took if isinstance(s, int | float) and math.isfinite(s)]
    return sum(known) / len(known) if known else None
