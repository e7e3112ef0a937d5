"""How far a study is: what a run counts while it trains, and how long it will take still."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, VAL_LOSS
from wdstudy.space import TrialParams
from wdstudy.words import lasting

_TOLD = 0.1  # once this part of a run is done, only what it took counts
_SHOWN = (PRIMARY_LOSS, DECAY_LOSS, VAL_LOSS)


@dataclass
class Status:
    """How far a study is.

    Attributes:
        total, done: Trials. diverged, failed: of these.
        best, best_params: The best value so far of `objective`, in its `direction`, and where.
        steps: Optimizer steps that this run has done. now: what is trained, in words.
        started: When the run began, in seconds of the monotonic clock.
        batch, why: Of a study that designs itself the newest batch, and what it is for.
        until: When the time of the run is over, where it has an end.
        ended: Nothing more is trained.
        designed: More trials are placed as the study goes on, so `total` grows.
        kept, to_do, expected, began: Since `expect`: trials that were done before, steps that
            were not, the seconds that they were to take (None: not known), and when it was.
    """

    total: int
    done: int = 0
    best: float = math.nan
    best_params: TrialParams | None = None
    objective: str = VAL_LOSS
    direction: str = "minimize"
    diverged: int = 0
    failed: int = 0
    steps: int = 0
    now: str = ""
    batch: int = 0
    why: str = ""
    designed: bool = False
    until: float | None = None
    ended: bool = False
    started: float = field(default_factory=time.monotonic)
    kept: int = 0
    to_do: int = 0
    expected: float | None = None
    began: float = math.nan

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def shown_total(self) -> int:
        """Of how many trials: a study may hold more than are asked for now."""
        return max(self.total, self.done)

    def tick(self, steps: int) -> None:
        """Count optimizer steps that were done."""
        self.steps += steps

    def expect(self, seconds: float | None, steps: int) -> None:
        """Training begins, and will take so many seconds and steps, as far as is known."""
        self.kept, self.to_do, self.expected = self.done, steps, seconds
        self.began = time.monotonic()

    def seconds_left(self) -> float | None:
        """Until the end: at first as expected, then more and more as it turns out; or None."""
        if math.isnan(self.began) or self.designed:
            return None
        trials = (self.done - self.kept) / max(1, self.total - self.kept)
        steps = self.steps / self.to_do if self.to_do else 0.0
        share = min(1.0, max(trials, steps))  # trials that diverge leave steps undone
        elapsed = time.monotonic() - self.began
        if self.expected is None:
            return elapsed / share - elapsed if share else None
        # The first reports come late, from processes that had to start.
        told = max(self.expected, elapsed)
        turned_out = elapsed / share if share else told
        trust = min(1.0, share / _TOLD)
        return trust * turned_out + (1.0 - trust) * told - elapsed

    def better(self, value: float) -> bool:
        """Whether a value would be the new best."""
        if math.isnan(self.best):
            return math.isfinite(value)
        return value < self.best if self.direction == "minimize" else value > self.best

    def add(self, other: Status) -> None:
        """Take in what another process did."""
        self.done += other.done
        self.diverged += other.diverged
        self.failed += other.failed
        self.steps += other.steps
        self.now = other.now or self.now
        self.note_batch(other.batch, other.why, other.total)
        if self.better(other.best):
            self.best, self.best_params = other.best, other.best_params

    def note_batch(self, number: int, why: str, total: int) -> None:
        """Note the newest batch of a design, and how many trials there are with it."""
        self.total = max(self.total, total)
        if number > self.batch:
            self.batch, self.why = number, why

    def rate(self) -> str:
        """The optimizer steps a second, over the whole run."""
        return f" · {self.steps / self.elapsed:,.0f} steps/s" if self.steps else ""

    def note(self, state: str, params: TrialParams, value: float | None, diverged: bool) -> None:
        """Count a trial that ended: COMPLETE, PRUNED or FAIL."""
        if state == "FAIL":
            self.failed += 1
            return
        self.done += 1
        self.diverged += diverged
        if state == "COMPLETE" and value is not None and self.better(value):
            self.best, self.best_params = value, params

    def left(self) -> str:
        """How long it will take still, in words; empty where that is not known or it is done."""
        if self.until is not None:
            time_left = self.until - time.time()
            return f"at most {lasting(time_left)} left" if time_left > 0 and not self.ended else ""
        seconds = self.seconds_left()
        return f"about {lasting(seconds)} left" if seconds else ""

    def stage(self) -> str:
        """The newest batch of a design and its reason; empty where there is none."""
        return f"batch {self.batch}, {self.why}" if self.batch and not self.ended else ""

    def headline(self) -> str:
        """The best so far, and what went wrong, in a line."""
        parts = []
        if self.best_params is not None:
            parts.append(f"best trial so far: {self.objective} {self.best:.4g}")
            parts[-1] += f" at {self.best_params}"
        if self.diverged:
            parts.append(f"{self.diverged} diverged")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return " · ".join(parts)

    def describe(self, params: TrialParams, point: Mapping[str, float]) -> None:
        """Note the newest record point of a trial that runs."""
        losses = [f"{n.removesuffix('_loss')} {point[n]:.4g}" for n in _SHOWN if n in point]
        cell = str(params).replace(", ", " · ")
        self.now = f"{cell} · loss: {', '.join(losses)}"
