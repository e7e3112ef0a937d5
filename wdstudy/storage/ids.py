"""What Optuna keeps private, and its own public storage methods ask for.

`BaseStorage` takes ids, but neither studies nor trials have one to show, nor a study its storage.
An Optuna that renames them breaks this module and no other.
"""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial


def storage_of(study: optuna.Study) -> BaseStorage:
    """The storage that a study lies in."""
    return study._storage


def id_of_study(study: optuna.Study) -> int:
    """The number by which its storage knows a study."""
    return study._study_id


def id_of_trial(trial: optuna.Trial | FrozenTrial) -> int:
    """The number by which its storage knows a trial."""
    return trial._trial_id
