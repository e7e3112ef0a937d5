"""Chosen runs as a study of wdstudy: made, or added to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from wdstudy.errors import SourceError
from wdstudy.record import GRID, MAX_NAME, READ_KEY, SCHEMA, STUDY_KEY, RecordedSpec, StudyRecord
from wdstudy.sources.choosing import Choice
from wdstudy.sources.columns import Columns
from wdstudy.sources.trials import RUN_KEY
from wdstudy.space import LR, SEED, WEIGHT_DECAY, SearchSpace
from wdstudy.storage.opening import study_names
from wdstudy.words import abridged, counted, printable

DENSE = 0.5
"""The share of a grid's places that are filled, at least."""


@dataclass(frozen=True)
class Written:
    """What became of a study: how many trials were there and were added."""

    study: optuna.Study
    kept: int
    added: int
    gone: int
    notes: tuple[str, ...]


def write(
    storage: BaseStorage,
    name: str,
    trials: Sequence[FrozenTrial],
    record: StudyRecord,
    told: Mapping[str, Any],
    *,
    minimize: bool,
    anew: bool = False,
) -> Written:
    """A study that holds these trials; one that was read from there before gets what it lacks.

    Args:
        storage: Where to.
        name: The study's name.
        trials: As from `trials_of`.
        record: What the study says about itself.
        told: Where it was read from, and how: what must be the same when it is read again.
        minimize: Whether low is good.
        anew: Make the study anew if there is one that was read.

    Raises:
        SourceError: it is no name, or a study of that name is something else.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise SourceError(
            f"'{abridged(printable(name), 40)}' is no name for a study; give one with --name"
        )
    if name in study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        there = _readable(study, told, anew=anew)
        if there is not None:
            return _add(study, there, trials, record, told)
        optuna.delete_study(study_name=name, storage=storage)
    direction = StudyDirection.MINIMIZE if minimize else StudyDirection.MAXIMIZE
    study = optuna.create_study(study_name=name, storage=storage, direction=direction)
    try:
        _describe(study, record, told)
        study.add_trials(trials)
    except BaseException:  # Ctrl-C too: a part of a sweep would pass for all of it
        with suppress(KeyError):
            optuna.delete_study(study_name=name, storage=storage)
        raise
    return Written(study, 0, len(trials), 0, ())


def _readable(
    study: optuna.Study, told: Mapping[str, Any], *, anew: bool
) -> dict[str, FrozenTrial] | None:
    """The trials that the study holds, by their runs; None where it is to be made anew."""
    name = study.study_name
    before = study.user_attrs.get(READ_KEY)
    if not isinstance(before, Mapping):
        raise SourceError(
            f"there is a study '{name}' that was not read from another program; give --name"
        )
    if anew:
        return None
    same = {key: before.get(key) for key in told if key != "notes"}
    now = {key: value for key, value in told.items() if key != "notes"}
    if same != now:
        changed = [f"{key} was {same[key]}, is {now[key]}" for key in now if same[key] != now[key]]
        raise SourceError(
            f"the study '{name}' was read in another way ({abridged('; '.join(changed), 300)}); "
            "give --name for a study of its own, or --anew to make it anew"
        )
    return {str(t.user_attrs.get(RUN_KEY)): t for t in study.get_trials(deepcopy=False)}


def _add(
    study: optuna.Study,
    there: Mapping[str, FrozenTrial],
    trials: Sequence[FrozenTrial],
    record: StudyRecord,
    told: Mapping[str, Any],
) -> Written:
    """Add what is new.

    Raises:
        SourceError: a run has another result by now, or its cell another best run.
    """
    fresh = [t for t in trials if t.user_attrs[RUN_KEY] not in there]
    same = [t for t in trials if t.user_attrs[RUN_KEY] in there]
    places = {_place(t) for t in there.values()}
    changed = sum(not _alike(t, there[t.user_attrs[RUN_KEY]]) for t in same)
    changed += sum(_place(t) in places for t in fresh)
    if changed:
        raise SourceError(
            f"the source says something else by now of {counted(changed, 'trial')} of the study "
            f"'{study.study_name}'; add --anew to make it anew from what the source holds"
        )
    _describe(study, record, told)
    study.add_trials(fresh)
    gone = len(there) - len(same)
    notes = [f"{counted(gone, 'trial')} that the source has no more, kept"] if gone else []
    return Written(study, len(there), len(fresh), gone, tuple(notes))


def _describe(study: optuna.Study, record: StudyRecord, told: Mapping[str, Any]) -> None:
    study.set_user_attr(STUDY_KEY, record.as_data())
    study.set_user_attr(READ_KEY, dict(told))


def record_for(
    columns: Columns,
    choice: Choice,
    objective: str,
    optimizer: tuple[str, str] | None,
    origin: str,
) -> StudyRecord:
    """What the study says about itself.

    Args:
        columns: Which column is what.
        choice: The runs.
        objective: What the metric is called.
        optimizer: Its class and the kind of its decay, where they are known.
        origin: Where it was read from.
    """
    rows = choice.rows
    axes = [sorted(rows[axis].unique().tolist()) for axis in (LR, WEIGHT_DECAY, SEED)]
    cells = len(rows[[LR, WEIGHT_DECAY]].drop_duplicates())
    is_grid = cells >= DENSE * len(axes[0]) * len(axes[1])
    space = SearchSpace(axes[0], axes[1], [int(s) for s in axes[2]]) if is_grid else None
    named = {"lr": columns.lr, "weight_decay": columns.weight_decay, "value": columns.metric}
    settings = {"read from": origin, **{k: v for k, v in named.items() if k != v}}
    fixed = {k: v for k, v in choice.constant.items() if k != columns.optimizer}
    spec = RecordedSpec(
        space=space,
        objective=objective,
        direction="minimize" if columns.minimize else "maximize",
        sampler=GRID if is_grid else None,
        settings={**settings, **fixed},
        optimizer=optimizer[0] if optimizer else choice.constant.get(columns.optimizer or ""),
        decay="pytorch" if optimizer else None,
        decay_kind=optimizer[1] if optimizer else None,
    )
    return StudyRecord(schema=SCHEMA, spec=spec)


def _place(trial: FrozenTrial) -> tuple[Any, ...]:
    """Cell and seed."""
    return (trial.params.get(LR), trial.params.get(WEIGHT_DECAY),
            trial.params.get(SEED, trial.user_attrs.get(SEED, 0)))  # fmt: skip


def _alike(a: FrozenTrial, b: FrozenTrial) -> bool:
    return _place(a) == _place(b) and a.state == b.state and a.values == b.values
