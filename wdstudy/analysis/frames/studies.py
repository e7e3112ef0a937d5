"""One row a study of a storage; and the best cell of a study, in a line."""

from __future__ import annotations

from typing import Any, NamedTuple

import optuna
import pandas as pd
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from wdstudy.analysis.frames.cells import CellGrid, gather
from wdstudy.analysis.frames.design import design_attribute
from wdstudy.analysis.frames.scale import along, scale_in
from wdstudy.analysis.frames.study import record_of, scale_of_record
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.errors import StudyError
from wdstudy.record import DESIGN, StudyRecord
from wdstudy.storage.opening import open_storage
from wdstudy.words import counted, number

STATES = {
    "complete": TrialState.COMPLETE,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "running": TrialState.RUNNING,
    "waiting": TrialState.WAITING,
}
"""A column → the trials that it counts. Those that a pruner ended count as diverged."""

COLUMNS = ("study", "cells", "trials", *STATES, "metric", "direction", "best", "lr",
           "weight_decay", "optimizer", "design", "scale", "at", "along", "started", "size",
           "also_varies", "damage")  # fmt: skip

_OF_BEST = {"best": "value", "lr": "lr", "weight_decay": "weight_decay"}


def studies_frame(url: str | None = None) -> pd.DataFrame:
    """One row a study of a storage.

    Returns:
        The columns `COLUMNS`. `cells`: the space; None of a study that designs itself, whose
        `design` is why it stopped, or `open`. `complete` to `waiting`: how many trials are
        in each state. `best`: the mean over seeds of the best cell, as a report names it; NaN
        where there is none. Of a study along a scale, `scale` is its name; `along` holds the best
        cell of each value that has one, as `{at, best, lr, weight_decay}`; the row's own is that
        of the largest of these, `at`. `size`: bytes of what its trials hold. `also_varies`: the
        other parameters that its cells mix. `damage`: what can't be read of it, None where all can
        be; of a study that can't be read at all, nothing else but its name is known.

    Raises:
        StorageError: the storage can't be read at all.
    """
    storage = open_storage(url, create=False)
    rows = [_row(name, storage) for name in storage.study_names()]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(("best", "lr", "weight_decay", "at"), "float64")
    whole = dict.fromkeys(("trials", *STATES, "size"), "Int64")
    return frame.astype({**numbers, **whole})


def _row(name: str, storage: BaseStorage) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"study": name}
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        trials, record = study.get_trials(deepcopy=False), record_of(study)
        judged = _judged(study)
    except (StudyError, KeyError) as error:  # deleted since it was named, or not to be read
        return {**row, "damage": str(error)}
    if judged is not None:
        cells = [{"at": at, **_best_of(grid)} for at, grid in judged.grids.items() if grid.best]
        row |= {
            "metric": judged.metric,
            "direction": judged.direction,
            **(cells[-1] if cells else {}),
            "scale": judged.scale,
            "along": cells if judged.scale else None,
            "also_varies": judged.others or None,
        }
    started = min((t.datetime_start for t in trials if t.datetime_start), default=None)
    space, design = record.spec.space, design_attribute(study, record)
    damage = f"the record of the study '{name}': {'; '.join(record.damage)}"
    return {
        **row,
        "cells": None if space is None or record.spec.sampler == DESIGN else _cells(record),
        "trials": len(trials),
        **{column: sum(t.state == state for t in trials) for column, state in STATES.items()},
        "optimizer": record.spec.optimizer,
        "design": str(design["stop"].get("reason") or "open") if design else None,
        "started": started and f"{started:%Y-%m-%d}",
        "size": sum(len(str(t.user_attrs)) + len(str(t.intermediate_values)) for t in trials),
        "damage": damage if record.damage else None,
    }


def _cells(record: StudyRecord) -> str:
    """The space of a study in words, its scale included."""
    scale = scale_of_record(record)
    rest = f" × {len(scale['values'])} {scale['name']}" if scale else ""
    return f"{record.spec.space}{rest}"


def _best_of(grid: CellGrid) -> dict[str, float]:
    """The best cell in the columns of the frame."""
    best = grid.ranked.iloc[0]
    return {key: float(best[column]) for key, column in _OF_BEST.items()}


def best_lines(study: optuna.Study) -> list[str]:
    """The best cell of a study, as its report names it, of every value where it is along a scale;
    empty where there is none.
    """
    judged = _judged(study)
    if judged is None:
        return []
    return [
        _best_line(judged, grid, "" if at is None else f" at {judged.scale} {number(at)}")
        for at, grid in judged.grids.items()
        if grid.best is not None
    ]


def _best_line(judged: _Judged, grid: CellGrid, where: str) -> str:
    best = grid.ranked.iloc[0]
    lr, weight_decay = (number(float(best[axis])) for axis in ("lr", "weight_decay"))
    of = f", mean of {counted(int(best['seeds']), 'seed')}" if grid.seeds > 1 else ""
    found = f"{judged.direction[:3]} {judged.metric} {best['value']:.4g}{of}"
    return f"best cell{where}: lr {lr}, weight_decay {weight_decay} ({found})"


class _Judged(NamedTuple):
    """What a study is judged by: metric and direction, its cells, and what these mix.

    grids: of every value of the scale, from the least on; of the one that is None where it has no
    scale.
    """

    metric: str
    direction: str
    scale: str | None
    grids: dict[float | None, CellGrid]
    others: str


def _judged(study: optuna.Study) -> _Judged | None:
    """What a study is judged by; None where its values can't be told apart by cells."""
    try:
        trials = trials_frame(study)
    except StudyError:
        return None
    low = bool(trials.attrs["minimize"])
    scale = scale_in(trials)
    parts = [*along(trials, scale).items()] if scale is not None else [(None, trials)]
    grids = {at: gather(part, "value", minimize=low) for at, part in parts}
    direction = "minimize" if low else "maximize"
    others = ", ".join(trials.attrs["others"])
    return _Judged(trials.attrs["objective"], direction, scale, grids, others)
