"""What a tracker is: where else the numbers of a training go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, TOTAL_LOSS

Point = Mapping[str, float]
"""One record point: series name → value, `step` among them."""


class Tracker(Protocol):
    """Receives every record point of one training."""

    def log(self, point: Point) -> None:
        """Take one record point: series name → value, `step` among them."""
        ...


class Run(Protocol):
    """One training as a tracker's library keeps it. Its methods may wait for disks and servers."""

    def log(self, points: Sequence[Point]) -> None:
        """Write record points, in their order."""
        ...

    def end(self, scalars: Mapping[str, float], state: str) -> None:
        """Write the headline scalars and the state, and close: COMPLETE, PRUNED or FAIL."""
        ...

    def discard(self) -> None:
        """Take the run back: its training begins anew, in another run."""
        ...


@dataclass(frozen=True)
class StudyRun:
    """What groups the runs of one study.

    Args:
        name: The study's name; empty for a loop of its own.
        key: Tells apart two studies that have one name, in different storages.
    """

    name: str = ""
    key: str = ""


@dataclass(frozen=True)
class RunInfo:
    """Which training a run is of.

    Args:
        name: The run's name, `trial-0003` for a trial.
        study: The study it belongs to.
        params: Its hyperparameters: `lr`, `weight_decay`, `seed`, `decay_kind`.
    """

    name: str
    study: StudyRun = StudyRun()
    params: Mapping[str, float | str] = field(default_factory=dict)


class Backend(Protocol):
    """A tracker's library, with the options it is used with: a frozen dataclass of texts."""

    def check(self) -> None:
        """Refuse what a user can mend, before training starts; asks no server.

        Raises:
            TrackerError: an option can't be used, or credentials are missing.
        """
        ...

    def begin(self, study: StudyRun) -> None:
        """Make what all runs of the study share. Called by one process, before any `open`."""
        ...

    def open(self, info: RunInfo) -> Run:
        """Begin a run."""
        ...

    def finish(self, study: StudyRun, completed: bool) -> None:
        """Close what `begin` made, after the last run."""
        ...


def with_total(point: Point) -> dict[str, float]:
    """The point with the total loss in it, which is derived and never stored."""
    if PRIMARY_LOSS not in point or DECAY_LOSS not in point:
        return dict(point)
    return {**point, TOTAL_LOSS: point[PRIMARY_LOSS] + point[DECAY_LOSS]}
