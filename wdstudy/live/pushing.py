"""Keeping a study's page in optuna-dashboard up to date while the study runs.

One process pushes: the parent of the run, between two record points, seldom enough that it takes
no more than `SHARE` of the run's time. Whatever goes wrong with it, training goes on.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage, JournalStorage

from wdstudy.run.progress import Display
from wdstudy.run.status import Status
from wdstudy.storage.ids import id_of_study, storage_of
from wdstudy.storage.patient import PatientStorage
from wdstudy.workers import is_gone, run_token, worker_name

if TYPE_CHECKING:
    from types import TracebackType

    from optuna._typing import JSONSerializable

    from wdstudy.live.along import Kept

EVERY = 15.0
"""Seconds between two pushes, at least."""

SHARE = 0.02
"""The part of the run's time that pushing may take."""

JOURNAL_SHARE = 0.1
"""In a journal, which keeps what was overwritten, pushes lie this part of the run apart."""

QUICK = 2.0
"""A run that is stopped pushes once more if the last push took fewer seconds."""

LEASE = "wdstudy:live"
"""The study's system attribute that says who pushes, and until when."""

LEASE_SECONDS = 60.0


class LivePage:
    """Pushes the page of a study, again and again, until the run ends.

    Args:
        shown: The display of the run; what it is told is the moment to push.
        command: The command line that writes the report, for the note.
        on: Whether anything is pushed at all.

    Attributes:
        study: What `watch` was told of; None before that.

    Use `display` as the run's display, tell `watch` the study once it is open, and leave the
    context at the end of the run, which pushes a last time.
    """

    def __init__(self, shown: Display, command: str, *, on: bool = True) -> None:
        self.display: Display = _Watched(shown, self) if on else shown
        self.budget = Budget()
        self._shown, self._command = shown, command
        self.study: optuna.Study | None = None
        self._lease: Lease | None = None
        self._status: Status | None = None
        self._kept: Kept | None = None
        self._on, self._warned = on, False

    def watch(self, study: optuna.Study) -> None:
        """Begin with a study. What drawing needs is imported here, before training starts."""
        self.study = study
        if not self._on:
            return
        from wdstudy.live.page import warm_up

        warm_up()
        storage = storage_of(study)
        inner = storage.storage if isinstance(storage, PatientStorage) else storage
        journal = isinstance(inner, JournalStorage)
        self._lease = Lease(storage_of(study), id_of_study(study))
        self.budget = Budget(growth=JOURNAL_SHARE if journal else 0.0)

    def tend(self, status: Status) -> None:
        """Push if it is time to."""
        self._status = status
        if self._lease and self.budget.due(time.monotonic()):
            self._push("running")

    def __enter__(self) -> LivePage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lease is None or self._status is None:
            return
        if kind is None or self.budget.last < QUICK:
            self._push("finished" if kind is None else "stopped")
        self._lease.release()

    def _push(self, state: str) -> None:
        """Push, if no other run of the study does. A failure is told once."""
        from wdstudy.live.along import Kept
        from wdstudy.live.page import live_page, push

        assert self.study is not None
        assert self._lease is not None
        assert self._status is not None
        began = time.monotonic()
        try:
            if self._lease.take(time.time(), LEASE_SECONDS + 2 * self.budget.interval(began)):
                self._kept = self._kept or Kept()
                total = self._status.total
                page = live_page(self.study, total, state, self._command, self._kept)
                push(self.study, page)
        except Exception as failure:  # whatever it is, the training matters more
            self._warn(failure)
        self.budget.spend(began, time.monotonic())

    def _warn(self, failure: Exception) -> None:
        if not self._warned:
            says = f"{type(failure).__name__}: {failure}".splitlines()[0]
            self._shown.warn(f"optuna-dashboard's page is not renewed ({says}); training goes on")
        self._warned = True


class Budget:
    """When to push: `EVERY` seconds, and more seldom where pushes are dear.

    Times are seconds of one clock. growth: pushes lie at least this part of the run apart.
    """

    def __init__(self, growth: float = 0.0, start: float | None = None) -> None:
        self._start = time.monotonic() if start is None else start
        self._ended = self._start
        self._growth = growth
        self.spent, self.pushes = 0.0, 0
        self.last = EVERY * SHARE / 2  # what the first push is taken to cost

    def due(self, now: float) -> bool:
        """Whether to push now: it is time, and the share pays for this one and for the last."""
        affordable = self.spent + 2 * self.last <= SHARE * (now - self._start)
        return affordable and now - self._ended >= max(EVERY, self._growth * (now - self._start))

    def interval(self, now: float) -> float:
        """Seconds from one push to the next, about."""
        return max(EVERY, self.last / SHARE, self._growth * (now - self._start))

    def spend(self, began: float, ended: float) -> None:
        """Note what a push took."""
        self.last, self._ended = ended - began, ended
        self.spent += self.last
        self.pushes += 1


@dataclass
class Lease:
    """The right to push a study's page: one run has it, until it ends or is not heard of.

    Two that take it in the same instant both push, once: then the one that wrote last has it.
    """

    storage: BaseStorage
    study_id: int

    def __post_init__(self) -> None:
        self._name = worker_name(run_token())
        self._held = False

    def take(self, now: float, seconds: float) -> bool:
        """Whether it is ours; then it is renewed for so many seconds."""
        holder: dict[str, Any] = self.storage.get_study_system_attrs(self.study_id).get(LEASE) or {}
        name = str(holder.get("name", ""))
        free = now > float(holder.get("until", 0)) or is_gone(name)
        self._held = free or name == self._name
        if self._held:
            self._write(now + seconds)
        return self._held

    def release(self) -> None:
        """Let another run push."""
        if self._held:
            with suppress(Exception):  # it lapses by itself
                self._write(0)

    def _write(self, until: float) -> None:
        lease: dict[str, JSONSerializable] = {"name": self._name, "until": until}
        self.storage.set_study_system_attr(self.study_id, LEASE, lease)


@dataclass
class _Watched:
    """A display that also tells the page how far the study is."""

    shown: Display
    page: LivePage

    def __enter__(self) -> Display:
        self.shown.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.shown.__exit__(*error)

    def show(self, status: Status) -> None:
        self.shown.show(status)
        self.page.tend(status)

    def say(self, line: str) -> None:
        self.shown.say(line)

    def warn(self, line: str) -> None:
        self.shown.warn(line)
