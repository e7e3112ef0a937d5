"""A storage that may be gone for a while: what is asked of it is asked again until it is back."""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from wdstudy.errors import StudyError, WdstudyError
from wdstudy.storage.damage import damaged_trials, explained, studies_in, trials_apart, unsound
from wdstudy.storage.forwarding import Forwarding
from wdstudy.storage.outage import Outage, cause_of

PATIENCE_SECONDS = 300.0
"""So long a server may be restarted, a disk full or a database locked before a run stops."""

_LOOKING = ("get_study_id_from_name", "get_trial_id_from_study_id_trial_number")
"""Whether something is there is what these ask."""


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
        say: Told once when the storage goes and once when it is back.
        leave_out: Whether trials that can't be read are left out, instead of refused.

    Attributes:
        patience: Seconds to go on asking; less where somebody waits for the end.
        left_out: What was wrong with them, by their study's id.

    Raises:
        StorageError: the storage stayed out of reach for so long, its file is damaged, or it
            can't be written.
        StudyError: what stands in a study can't be read, or the study is there no more.
    """

    def __init__(
        self,
        storage: BaseStorage,
        shown: str,
        at_once: WritesTrials | None = None,
        database: RDBStorage | None = None,
        say: Callable[[str], None] | None = None,
        *,
        leave_out: bool = False,
    ) -> None:
        super().__init__(storage)
        self._shown = shown
        self._outage = Outage(shown, say)
        self._database = database
        self._at_once = at_once
        self._names: dict[int, str] = {}
        self.patience = PATIENCE_SECONDS
        self._leaves_out = leave_out
        self.left_out: dict[int, list[str]] = {}

    @property
    def say(self) -> Callable[[str], None] | None:
        """Told once when the storage goes and once when it is back."""
        return self._outage.say

    @say.setter
    def say(self, say: Callable[[str], None] | None) -> None:
        self._outage.say = say

    def leaving_out(self, leave_out: bool) -> PatientStorage:
        """The same storage for somebody who wants trials left out, or refused, as he says."""
        if leave_out == self._leaves_out:
            return self
        other = PatientStorage(
            self.storage, self._shown, self._at_once, self._database, self.say, leave_out=leave_out
        )
        other.patience = self.patience
        return other

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
        try:
            found: list[FrozenTrial] = self._ask(read, study_id, deepcopy, states)
        except StudyError:
            if not self._leaves_out:
                raise
            return self._readable(study_id, states)
        if any(map(unsound, found)):
            return self._readable(study_id, states)
        return found

    def study_names(self) -> list[str]:
        """The names of all studies, in order of creation; of damaged ones too."""
        if self._database is None:
            return [study.study_name for study in self.get_all_studies()]
        found: dict[int, str] = self._ask(studies_in, self._database)
        return list(found.values())

    def get_study_id_from_name(self, study_name: str) -> int:
        """As Optuna's."""
        found: int = self._ask(self.storage.get_study_id_from_name, study_name)
        self._names[found] = study_name
        return found

    def _readable(self, study_id: int, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """The trials that can be read, where the others may be left out."""
        source = self.storage if self._database is None else self._database
        found, lost = self._ask(trials_apart, source, study_id)
        if lost and not self._leaves_out:
            name = self._names.get(study_id, str(study_id))
            raise damaged_trials(name, self._shown, lost)
        self.left_out[study_id] = lost
        return [trial for trial in found if states is None or trial.state in states]

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
            except Exception as error:
                if (line := self._explained(error, method, *args)) is not None:
                    raise line from error
                raise

        return self._outage.outlast(attempt, self.patience, cause_of)

    def _explained(
        self, error: Exception, method: Callable[..., Any], *args: Any
    ) -> WdstudyError | None:
        """What to say of an error that patience does not mend; None where it may, or is wanted."""
        name = method.__name__
        if isinstance(error, KeyError) and name not in _LOOKING:
            if (gone := self._gone(method, *args)) is not None:
                return StudyError(
                    f"the study '{gone}' was deleted from {self._shown} meanwhile, with its "
                    "trials; to begin it anew, run the same command again"
                )
            if name.startswith("get_"):  # what it asked for is there, and lacks something
                error = ValueError(f"it lacks {error}")
        return explained(error, self._shown, self._database, name, args[0] if args else None)

    def _gone(self, method: Callable[..., Any], *args: Any) -> str | None:
        """The study that is there no more: the one asked about, where a study was."""
        known = set(self.study_names())
        gone = {study: name for study, name in self._names.items() if name not in known}
        if next(iter(inspect.signature(method).parameters), "") == "study_id":
            return gone.get(args[0])
        return next(iter(gone.values()), None)

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


def patient(storage: BaseStorage) -> PatientStorage:
    """A storage as a patient one: itself if it is one already."""
    if isinstance(storage, PatientStorage):
        return storage
    return PatientStorage(storage, type(storage).__name__)
