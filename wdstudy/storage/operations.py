"""The operations of Optuna's journal: what each needs, and which can be applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

NEW_STUDY, END_OF_STUDY, NEW_TRIAL, NEW_STATE = 0, 1, 4, 6

NEEDED: Mapping[int, frozenset[str]] = {
    NEW_STUDY: frozenset({"study_name", "directions"}),
    END_OF_STUDY: frozenset({"study_id"}),
    2: frozenset({"study_id", "user_attr"}),
    3: frozenset({"study_id", "system_attr"}),
    NEW_TRIAL: frozenset({"study_id", "datetime_start"}),
    5: frozenset({"trial_id", "param_name", "param_value_internal", "distribution"}),
    NEW_STATE: frozenset({"trial_id", "state", "values"}),
    7: frozenset({"trial_id", "step", "intermediate_value"}),
    8: frozenset({"trial_id", "user_attr"}),
    9: frozenset({"trial_id", "system_attr"}),
    10: frozenset(),
}
"""What Optuna needs of each of its operations, by their code."""


def wrong_in(found: object) -> str:
    """Why Optuna can't apply what a line holds, in a few words; empty where it can."""
    code = found.get("op_code") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(code, int) or code not in NEEDED:
        return _MISSING
    if "worker_id" not in found or not found.keys() >= NEEDED[code] | _of_state(code, found):
        return _MISSING
    for name, value in found.items():
        if name in _FIT and not _FIT[name](value):
            return f"its {name} is {value!r:.40}"
    return ""


_MISSING = "something that Optuna needs is missing"


def _of_state(code: int, found: Mapping[str, Any]) -> frozenset[str]:
    """What a change of state needs beside: when the trial began or ended."""
    state = found.get("state")
    if code != NEW_STATE or state == TrialState.WAITING:
        return frozenset()
    return frozenset({"datetime_start" if state == TrialState.RUNNING else "datetime_complete"})


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _is_one_of(kind: type[StudyDirection] | type[TrialState]) -> Callable[[Any], bool]:
    known = [int(member) for member in kind]
    return lambda value: value in known


def _is_time(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_distribution(value: Any) -> bool:
    return isinstance(value, str) and _is_known(value)


@cache
def _is_known(distribution: str) -> bool:
    try:
        json_to_distribution(distribution)
    except Exception:  # whatever Optuna raises over it
        return False
    return True


_direction = _is_one_of(StudyDirection)

_FIT: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("study_id", "trial_id", "step"), _is(int)),
    **dict.fromkeys(("study_name", "param_name"), _is(str)),
    **dict.fromkeys(("user_attrs", "system_attrs", "params", "intermediate_values"), _is(dict)),
    **dict.fromkeys(
        ("user_attr", "system_attr"), lambda value: isinstance(value, dict) and len(value) == 1
    ),
    "directions": lambda value: isinstance(value, list) and all(map(_direction, value)),
    "state": _is_one_of(TrialState),
    "values": _is(list, type(None)),
    "param_value_internal": _is(int, float),
    "distribution": _is_distribution,
    "distributions": lambda value: (
        isinstance(value, dict) and all(map(_is_distribution, value.values()))
    ),
    "datetime_start": lambda value: value is None or _is_time(value),
    "datetime_complete": _is_time,
}
"""Whether Optuna can make something of a value, by the name of its field."""
