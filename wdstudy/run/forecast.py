"""What a run is about to do, and what time and disk that will take."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from wdstudy.curves import TRAIN_SECONDS
from wdstudy.design.design import Design
from wdstudy.record import StudyRecord
from wdstudy.run.cells import DONE
from wdstudy.run.prepared import Prepared
from wdstudy.space import Clock
from wdstudy.training.probe import LaneChoice, seconds_a_trial
from wdstudy.words import briefly, counted, lasting, sized

_TRIAL_SECONDS = 0.03  # beside its training: its place in the study, its series and reports
# Of SQLite files of 25 trials with 1 to 3,000 record points. Journals, which keep what is
# overwritten, grow by more where a trial takes long.
_TRIAL_BYTES, _VALUE_BYTES = 2500, 19


@dataclass(frozen=True)
class Forecast:
    """What a run is about to do.

    Attributes:
        trials: How many it trains.
        steps: Optimizer steps of all of them; 0 where a loop of somebody's own decides.
        seconds: What training takes all of them, one process; None where nothing tells it.
        size: Bytes they will take in the storage; None where nothing tells it.
        jobs: How many workers share them.
        choice: How many lanes each trains together, and why.
        workers: What these are. at_once: so many have room at the same time.
        design: What a study that designs itself is asked: how many trials it takes, it finds out.
        clock: How many steps τ has, where it is swept: who leads from afar has no data to tell.
    """

    trials: int
    steps: int
    seconds: float | None
    size: float | None
    jobs: int
    choice: LaneChoice
    workers: str = "processes"
    at_once: float = math.inf
    design: Design | None = None
    clock: Clock | None = None

    @classmethod
    def of(cls, prepared: Prepared, left: int, choice: LaneChoice, most: int) -> Forecast:
        """By a few measured steps; for a loop of somebody's own by the trials that are done.

        Args:
            prepared: What is trained.
            left: How many trials.
            choice: How many lanes each process trains.
            most: How many processes there may be.
        """
        each, size = _seconds_of(prepared.study.get_trials(deepcopy=False, states=DONE)), None
        seconds = None if each is None else left * (each + _TRIAL_SECONDS)
        shares = [(prepared.parts[value], n) for value, n in prepared.left(left).items()]
        if prepared.data is not None:
            size = sum(n * (_TRIAL_BYTES + _VALUE_BYTES * part.numbers) for part, n in shares)
            with suppress(Exception):  # what is wrong will show again, in a trial
                if left:
                    seconds = sum(
                        n * (seconds_a_trial(part.spec, part.data, prepared.device, own, n)
                             + _TRIAL_SECONDS)
                        for part, n in shares
                        if n and part.data is not None and not part.refused
                        for own in [choice.of(part.value)]
                    )  # fmt: skip
        jobs = max(1, min(most, -(-left // choice.lanes)))
        steps = sum(n * part.total_steps for part, n in shares if not part.refused)
        design, clock = prepared.plan.design, prepared.spec.space.clock
        return cls(left, steps, seconds, size, jobs, choice, design=design, clock=clock)

    @property
    def each(self) -> float | None:
        """What a trial takes a process, its lanes counted; None where nothing tells it."""
        return self.seconds / self.trials if self.seconds is not None and self.trials else None

    @property
    def wall_seconds(self) -> float | None:
        """From the first step to the last, with all processes."""
        return None if self.seconds is None else self.seconds / min(self.jobs, self.at_once)

    def __str__(self) -> str:
        """`112 trials: about 2 min · 2 processes · 7 lanes: 1.5 times one at a time`."""
        known = self.wall_seconds
        unknown = "its time is known after the first trial"
        when = unknown if known is None else f"about {lasting(known)}"
        parts = [f"{counted(self.trials, 'trial')} to train: {when}"]
        if self.design is not None:
            parts = [unknown if self.each is None else f"a trial takes about {briefly(self.each)}"]
            parts += self._allowed()
        parts += [f"{self.jobs} {self.workers}"] if self.jobs > 1 else []
        parts += [str(self.choice)] if self.choice.lanes > 1 else []
        return " · ".join(parts)

    def _allowed(self) -> list[str]:
        """How many trials the time allows, where it has an end."""
        assert self.design is not None
        if self.design.seconds is None or self.each is None:
            return []
        n = int(self.design.seconds / self.each * min(self.jobs, self.at_once))
        return [f"{lasting(self.design.seconds)} allow {counted(n, 'trial')}"]

    def on_disk(self) -> str:
        """`the storage grows by about 2.1 MB`."""
        if self.size is None:
            return "how much the storage grows is up to the loop"
        if self.design is not None:
            each = sized(self.size / max(1, self.trials))
            return f"the storage grows by about {each} a trial"
        return f"the storage grows by about {sized(self.size)}"


def what_is_trained(prepared: Prepared) -> str:
    """Model, optimizer and length of a trial, in a line."""
    record = StudyRecord.of(prepared.study.user_attrs)
    spec, counts = record.spec, record.parameters
    if prepared.data is None:
        return f"each trial: the loop {spec.train}(params, recorder), on {prepared.device}"
    if prepared.spec.scale is not None:
        return _along_the_scale(prepared, prepared.spec.scale.name, record)
    return (
        f"each trial: {spec.model} of {counted(counts['total'], 'parameter')}, of which "
        f"{counts['decayed']:,} decay; {spec.optimizer}; {counted(prepared.spec.epochs, 'epoch')} "
        f"of {counted(prepared.data.train.steps, 'step')}; on {prepared.device}"
    )


def _along_the_scale(prepared: Prepared, name: str, record: StudyRecord) -> str:
    """What is trained at each value of the scale."""
    each = [
        f"{name} {value:g}: {counted(part.parameters['total'], 'parameter')}, "
        f"{counted(part.total_steps, 'step')}"
        if not part.refused
        else f"{name} {value:g}: can't be trained"
        for value, part in prepared.parts.items()
    ]
    told = f"{record.spec.model}; {record.spec.optimizer}; on {prepared.device}"
    return "; ".join([f"each trial: {told}", *each])


def _seconds_of(done: list[FrozenTrial]) -> float | None:
    """What a trial took, on average over those that are done."""
    known = [t.user_attrs.get(TRAIN_SECONDS) for t in done]
    numbers = [float(value) for value in known if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else None
