"""The cells of a study: which trial holds which, and which are missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import ERROR
from wdstudy.scale import exact
from wdstudy.space import LR, SEED, WEIGHT_DECAY, Key, TrialParams

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
TAKEN = (*DONE, TrialState.RUNNING, TrialState.WAITING)

FIXED_PARAMS = "fixed_params"
"""The system attribute in which Optuna keeps what a trial was enqueued with."""

LOST = "its worker was lost"
INTERRUPTED = "interrupted"
SPARE = "its cell was enqueued twice"
NOBODYS_FAULT = (LOST, INTERRUPTED, SPARE)

MAX_LOST = 3
"""A cell that took so many workers with it is left to the next run: it may be its own fault."""


def params_of(trial: FrozenTrial) -> TrialParams | None:
    """The trial's lr, weight_decay, seed and value of a scale; None where it has not got them yet.

    A study of one seed has no parameter for it: an attribute tells which it was, so that
    seeds can be added later. Where these are no numbers, the trial stands in no cell either.
    """
    values = _values_of(trial)
    seed = values.get(SEED, trial.user_attrs.get(SEED, 0))
    at = scale_of(trial)
    try:
        return TrialParams(float(values[LR]), float(values[WEIGHT_DECAY]), int(seed), *at)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def scale_of(trial: FrozenTrial) -> tuple[float, str] | tuple[()]:
    """The value of the scale that a trial stands at, and the scale's name; nothing without one.

    A study of ours has no parameter beside its axes, its seeds and a scale.
    """
    others = {n: v for n, v in _values_of(trial).items() if n not in (LR, WEIGHT_DECAY, SEED)}
    if len(others) != 1:
        return ()
    ((name, value),) = others.items()
    known = isinstance(value, int | float) and math.isfinite(value)
    return (exact(value), name) if known else ()


def _values_of(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial was enqueued with, and what it has by now."""
    fixed = trial.system_attrs.get(FIXED_PARAMS)
    return {**(fixed if isinstance(fixed, Mapping) else {}), **trial.params}


def missing(trials: Iterable[FrozenTrial], cells: Iterable[TrialParams]) -> list[TrialParams]:
    """The cells that no trial has done, does or waits to do. A failed cell is missing."""
    taken = {p.key for t in trials if t.state in TAKEN and (p := params_of(t)) is not None}
    return [params for params in cells if params.key not in taken]


def left_behind(trials: Sequence[FrozenTrial], cells: Iterable[TrialParams]) -> list[TrialParams]:
    """The missing cells that nobody has failed at: nobody began, or whoever did was stopped.

    A cell at which the training itself failed waits for the next run, so that a run ends.
    """
    reason: dict[Key, str] = {}
    for trial in trials:
        params = params_of(trial)
        if trial.state == TrialState.FAIL and params is not None:
            reason[params.key] = trial.user_attrs.get(ERROR, LOST)
    lacking = missing(trials, cells)
    hopeless = {params.key for params in given_up(trials, lacking)}
    return [
        params
        for params in lacking
        if reason.get(params.key, LOST) in NOBODYS_FAULT and params.key not in hopeless
    ]


def given_up(trials: Iterable[FrozenTrial], cells: Iterable[TrialParams]) -> list[TrialParams]:
    """Those of these cells that have taken `MAX_LOST` workers with them, or more."""
    lost = Counter(
        params.key
        for trial in trials
        if trial.user_attrs.get(ERROR) == LOST and (params := params_of(trial)) is not None
    )
    return [params for params in cells if lost[params.key] >= MAX_LOST]


def spare(trials: Iterable[FrozenTrial]) -> set[int]:
    """The numbers of waiting trials whose cell an earlier trial has: runs that began at once."""
    holder: dict[Key, int] = {}
    found = set()
    for trial in sorted(trials, key=lambda t: t.number):
        params = params_of(trial)
        if trial.state not in TAKEN or params is None:
            continue
        first = holder.setdefault(params.key, trial.number)
        if first != trial.number and trial.state == TrialState.WAITING:
            found.add(trial.number)
    return found
