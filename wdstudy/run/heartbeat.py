"""Who trains a trial, and whether he is still there.

Why not Optuna's own heartbeat: only its databases have one, not the journal, and only
`study.optimize` drives it, with a thread for each trial where a stack holds many.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Container

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import ERROR, LAST_SEEN, WORKER
from wdstudy.errors import WdstudyError
from wdstudy.run.cells import LOST
from wdstudy.storage.ids import id_of_trial
from wdstudy.storage.patient import patient
from wdstudy.workers import is_gone

HEARTBEAT_SECONDS = 15.0
STALE_SECONDS = 120.0
"""A trial whose worker was not seen for so long is given to another."""

NAMELESS_SECONDS = 20.0
"""As long may a running trial be without the name of its worker."""


class Watch:
    """Sees which running trials have lost their worker.

    A worker on this machine is gone when its process is. For any other it counts how long we
    have seen no sign of it: nobody's clock is compared with ours, and none may jump.
    """

    def __init__(self) -> None:
        self._signs: dict[int, tuple[object, float]] = {}

    def is_abandoned(self, trial: FrozenTrial) -> bool:
        """Whether a running trial is nobody's; ask now and then, it is found by waiting."""
        if is_gone(str(trial.user_attrs.get(WORKER, ""))):
            return True
        sign, now = trial.user_attrs.get(LAST_SEEN), time.monotonic()
        known, since = self._signs.get(id_of_trial(trial), (None, None))
        if since is None or sign != known:
            self._signs[id_of_trial(trial)] = (sign, now)
            return False
        # Without a sign its worker was killed between claiming it and saying so: a moment only.
        return now - since > (NAMELESS_SECONDS if sign is None else STALE_SECONDS)


def release(
    study: optuna.Study, storage: BaseStorage, watch: Watch, but: Container[int] = ()
) -> int:
    """Fail the running trials whose worker is gone, so that their cells are missing again.

    Args:
        study: Where.
        storage: Its storage.
        watch: What was seen of the workers so far.
        but: Ids of the trials that are our own.

    Returns:
        How many there were.
    """
    released = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if id_of_trial(trial) in but or not watch.is_abandoned(trial):
            continue
        try:
            storage.set_trial_user_attr(id_of_trial(trial), ERROR, LOST)
            storage.set_trial_state_values(id_of_trial(trial), TrialState.FAIL)
        except UpdateFinishedTrialError:
            continue  # another worker released it, or its own came back and finished it
        released += 1
    return released


class Heartbeat:
    """A thread that notes, every so often, that the worker of some trials is still there.

    Record points can lie far apart, so the notes don't depend on them.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._trials: dict[int, None] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join(timeout=5)

    def add(self, trial_id: int, worker: str) -> None:
        """Begin with a trial, noting at once who has it."""
        noted = {WORKER: worker, LAST_SEEN: time.time()}
        patient(self._storage).write_trial(trial_id, noted)
        self._trials[trial_id] = None

    def remove(self, trial_id: int) -> None:
        """Leave a trial that is about to be finished."""
        self._trials.pop(trial_id, None)

    def _run(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            for trial_id in list(self._trials):
                # A missed beat is mended by the next one; STALE_SECONDS is many beats long.
                with contextlib.suppress(
                    WdstudyError, StorageInternalError, UpdateFinishedTrialError, KeyError
                ):
                    self._storage.set_trial_user_attr(trial_id, LAST_SEEN, time.time())
        self._storage.remove_session()
