"""A storage that may be gone for a while: what is asked of it is asked again until it is back."""

from __future__ import annotations

import functools
import gc
import itertools
import random
import threading
import time
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from wdstudy.errors import StorageError
from wdstudy.storage.forwarding import Forwarding

PATIENCE_SECONDS = 300.0
"""So long a server may be restarted, a disk full or a database locked before a run stops."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


class Outage:
    """Says once that a storage is out of reach, and once that it is back.

    Args:
        shown: Its URL without a password.
        say: Told so.
        quiet: Seconds of an outage that are not worth a word.
    """

    def __init__(self, shown: str, say: Callable[[str], None], quiet: float = 0.0) -> None:
        self._shown, self._say, self._quiet = shown, say, quiet
        self._told = threading.Event()  # several threads ask one storage

    def outlast(
        self,
        attempt: Callable[[], Any],
        seconds: float,
        cause_of: Callable[[Exception], BaseException | None],
    ) -> Any:
        """What an attempt returns, made again while it fails for a cause that may pass.

        Raises:
            StorageError: it failed for so many seconds.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                answer = attempt()
            except Exception as error:
                cause = cause_of(error)
                if cause is None:
                    raise
                waited = time.monotonic() - began
                if waited > seconds:
                    raise StorageError(
                        f"the storage {self._shown} was out of reach for {seconds:.0f} s "
                        f"({_says(cause)}); what was finished is kept: mend it, and run the same "
                        "command again"
                    ) from error
                if waited >= self._quiet and not self._told.is_set():
                    self._told.set()
                    self._say(
                        f"the storage {self._shown} is out of reach ({_says(cause)}): "
                        f"trying again for {seconds:.0f} s"
                    )
            else:
                if pause > _FIRST_PAUSE and self._told.is_set():
                    self._told.clear()
                    self._say(f"the storage {self._shown} is back")
                return answer
            time.sleep(pause * random.uniform(0.5, 1.5))  # those who collided part ways
            pause = min(2 * pause, _LONGEST_PAUSE)


def cause_of(error: BaseException) -> BaseException | None:
    """What is wrong with the storage itself; None if what was asked of it was wrong."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OperationalError | InterfaceError):
            return seen.orig or seen
        if isinstance(seen, PendingRollbackError) or (
            isinstance(seen, DBAPIError) and seen.connection_invalidated
        ):  # a connection lost inside a read, which Optuna went on to use
            return ConnectionError("the connection was lost")
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ if isinstance(seen, StorageInternalError) else None
    return None


class WritesTrials(Protocol):
    """Writes much about trials at once."""

    def write(
        self, trial_id: int, attributes: Mapping[str, Any], reports: Mapping[int, float]
    ) -> None:
        """Set user attributes, and finite reports by step, of a trial: all of them or none."""
        ...

    def create(self, study_id: int, templates: Sequence[FrozenTrial]) -> None:
        """Make waiting trials with the attributes of these, in this order."""
        ...


class PatientStorage(Forwarding):
    """Hands everything on to another storage, and asks again while that one is out of reach.

    Args:
        storage: The storage itself; kept as `storage`.
        shown: Its URL without a password, for messages.
        at_once: Writes much to it at once; where there is none, one thing at a time is written.
        database: What is behind it, if that is a database: for what is faster past the cache.

    Attributes:
        patience: Seconds to go on asking; less where somebody waits for the end.

    Raises:
        StorageError: the storage stayed out of reach for so long.
    """

    def __init__(
        self,
        storage: BaseStorage,
        shown: str,
        at_once: WritesTrials | None = None,
        database: RDBStorage | None = None,
    ) -> None:
        super().__init__(storage)
        self._outage = Outage(shown, lambda line: self.say(line) if self.say is not None else None)
        self._database = database
        self._at_once = at_once
        self.patience = PATIENCE_SECONDS
        self.say: Callable[[str], None] | None = None
        """Told once when the storage goes and once when it is back."""

    def write_trial(
        self,
        trial_id: int,
        attributes: Mapping[str, Any],
        reports: Mapping[int, float] | None = None,
    ) -> None:
        """Set user attributes and finite reports of a trial: at once, where the storage can."""
        reports = reports or {}
        if self._at_once is not None:
            self._ask(self._at_once.write, trial_id, attributes, reports)
            return
        for key, value in attributes.items():
            self._ask(self.storage.set_trial_user_attr, trial_id, key, value)
        for step, value in reports.items():
            self._ask(self.storage.set_trial_intermediate_value, trial_id, step, value)

    def create_trials(self, study_id: int, templates: Sequence[FrozenTrial]) -> None:
        """Make waiting trials with the attributes of these: at once, where the storage can."""
        if self._at_once is not None:
            self._ask(self._at_once.create, study_id, templates)
            return
        for template in templates:
            self._ask(self.storage.create_new_trial, study_id, template)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """As Optuna's. Unfinished trials alone don't bring all finished ones into memory."""
        finished = [state for state in TrialState if state.is_finished()]
        past_cache = states is not None and not any(state in states for state in finished)
        source = self._database if past_cache and self._database is not None else self.storage
        read = _without_garbage_collection(source.get_all_trials)
        found: list[FrozenTrial] = self._ask(read, study_id, deepcopy, states)
        return found

    def _ask(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        attempts = itertools.count()

        def attempt() -> Any:
            again = next(attempts) > 0
            try:
                return method(*args, **kwargs)
            except UpdateFinishedTrialError:
                told = method.__name__ == "set_trial_state_values"
                if again and told and self._is_in(*args, **kwargs):
                    return True  # it was done, only the answer was lost
                raise

        return self._outage.outlast(attempt, self.patience, cause_of)

    def _is_in(self, trial_id: int, state: Any, *_: Any, **__: Any) -> bool:
        return bool(self.storage.get_trial(trial_id).state == state)


def _without_garbage_collection(method: Callable[..., Any]) -> Callable[..., Any]:
    """Half of the time of reading 1,000 trials is a search for garbage among their rows."""

    @functools.wraps(method)
    def call(*args: Any) -> Any:
        enabled = gc.isenabled()
        gc.disable()
        try:
            return method(*args)
        finally:
            if enabled:
                gc.enable()

    return call


def _says(cause: BaseException) -> str:
    """The first line of what a driver says; it never holds a password, only host and user."""
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def patient(storage: BaseStorage) -> PatientStorage:
    """A storage as a patient one: itself if it is one already."""
    if isinstance(storage, PatientStorage):
        return storage
    return PatientStorage(storage, type(storage).__name__)
