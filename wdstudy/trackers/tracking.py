"""The trackers of a study's trials, or of a loop of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Protocol

from wdstudy.trackers.base import Backend, Point, RunInfo, StudyRun
from wdstudy.trackers.options import CLASSES, make_backend
from wdstudy.trackers.sender import Sender, TrackedRun

BEGIN_SECONDS = 15.0
"""For so long at most a study waits at its start, so that its runs find a parent to join."""


def track(
    name: str,
    run: str,
    params: Mapping[str, float | str] | None = None,
    *,
    group: str = "",
    **options: str,
) -> TrackedRun:
    """A tracker for a loop of your own: `LossRecorder(optimizer, trackers=[track(...)])`.

    It writes in a thread of its own. If it fails it warns once, and training goes on.
    `recorder.close()` writes what is left; at the latest the end of the process does.

    Args:
        name: `tensorboard`, `wandb` or `mlflow`.
        run: The run's name.
        params: Its hyperparameters.
        group: What groups this run with others: a folder, a group, a parent run.
        options: The tracker's: `dir="runs"` for tensorboard; `project=`, `entity=`, `mode=`,
            `dir=` for wandb; `uri=`, `experiment=` for mlflow.

    Raises:
        TrackerError: no tracker has this name or this option, or credentials are missing.
        MissingPackageError: its package is not installed.
    """
    backend = make_backend(name, options)
    backend.check()
    info = RunInfo(run, StudyRun(group, group), dict(params or {}))
    return TrackedRun(Sender(name), lambda: backend.open(info))


class Once(Protocol):
    """A lock of threads or of processes: whoever acquires it is the first."""

    def acquire(self, blocking: bool, /) -> bool:
        """Whether it was free."""
        ...


class TrialRuns:
    """The runs of one trial, one a tracker."""

    def __init__(self, begin: Callable[[], Sequence[TrackedRun]]) -> None:
        self._begin = begin
        self._runs = begin()

    def log(self, point: Point) -> None:
        """Pass a record point on."""
        for run in self._runs:
            run.log(point)

    def restart(self) -> None:
        """Take back what was logged: the trial begins anew."""
        for run in self._runs:
            run.discard()
        self._runs = self._begin()

    def end(self, scalars: Mapping[str, float], state: str) -> None:
        """End the trial's runs: COMPLETE, PRUNED or FAIL."""
        for run in self._runs:
            run.end(scalars, state)


class Tracking:
    """The trackers of a study, as far as one process trains it.

    A context: its end writes what is left, in bounded time.

    Args:
        backends: The trackers.
        study: The study's name.
        warn: Where the one line goes that a failing tracker is told of.
    """

    def __init__(
        self, backends: Sequence[Backend], study: str, warn: Callable[[str], None]
    ) -> None:
        self.backends = tuple(backends)
        self._study = StudyRun(study)
        self._leads = False
        self.told: dict[str, Once] = {_name_of(b): threading.Lock() for b in backends}
        self._warn = warn
        # Each process has connections of its own, which can't be sent to another one.
        self._used = [(Sender(n, partial(self._tell, n)), _fresh(b)) for n, b in self._named()]

    def begin(self, key: str) -> None:
        """Make what all trials share, in the process that others wait for.

        Args:
            key: The study's, in its storage.
        """
        self.join(key)
        self._leads = True
        for sender, backend in self._used:
            sender.wake(_Call(lambda backend=backend: backend.begin(self._study)))  # type: ignore[misc]
        for sender, _ in self._used:
            sender.drain(BEGIN_SECONDS)

    def join(self, key: str) -> None:
        """Track trials of a study that another process began."""
        self._study = replace(self._study, key=key)

    def trial(self, number: int, params: Mapping[str, float | str]) -> TrialRuns:
        """The runs of a trial; they begin at its first record point.

        Args:
            number: The trial's.
            params: Its hyperparameters.
        """
        info = RunInfo(f"trial-{number:04d}", self._study, dict(params))

        def begin() -> list[TrackedRun]:
            return [
                TrackedRun(sender, lambda backend=backend: backend.open(info))  # type: ignore[misc]
                for sender, backend in self._used
            ]

        return TrialRuns(begin)

    def share(self, make: Callable[[], Once]) -> None:
        """Warn once among all processes that have `told`, whose locks are made so."""
        for name, before in self.told.items():
            self.told[name] = make()
            if not before.acquire(False):
                self.told[name].acquire(False)

    def _tell(self, name: str, line: str) -> None:
        if self.told[name].acquire(False):
            self._warn(line)

    def _named(self) -> list[tuple[str, Backend]]:
        return [(_name_of(backend), backend) for backend in self.backends]

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        completed = kind is None
        for sender, backend in self._used:
            if self._leads:
                sender.wake(
                    _Call(lambda backend=backend: backend.finish(self._study, completed))  # type: ignore[misc]
                )
        for sender, _ in self._used:
            sender.close(hurry=not completed)


@dataclass(frozen=True, eq=False)
class _Call:
    """A single call for a sender."""

    update: Callable[[], None]


def _fresh(backend: Any) -> Any:
    return replace(backend)


def _name_of(backend: Backend) -> str:
    """The name of a tracker in `--track`; the class's for one of somebody's own."""
    names = {name for name, kind in CLASSES.items() if kind == type(backend).__name__}
    return names.pop() if names else type(backend).__name__
