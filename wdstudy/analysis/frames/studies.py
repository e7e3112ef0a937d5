"""One row a study of a storage; and the best cell of a study, in a line."""

from __future__ import annotations

import math

import optuna
import pandas as pd

from wdstudy.analysis.frames.cells import CellGrid, gather
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.errors import StudyError
from wdstudy.storage.opening import open_storage
from wdstudy.words import counted, number


def studies_frame(url: str | None = None) -> pd.DataFrame:
    """One row a study of a storage.

    Returns:
        Columns `study, trials, metric, best, lr, weight_decay, optimizer, started, also_varies`:
        `best` is the mean over seeds of the best cell, as a report names it; NaN where there is
        none. `also_varies` names the other parameters that a study's cells mix.
    """
    storage = open_storage(url, create=False)
    rows = []
    for summary in optuna.get_all_study_summaries(storage):
        study = optuna.load_study(study_name=summary.study_name, storage=storage)
        metric, grid, others = _judged(study)
        best = grid.ranked.iloc[0] if grid is not None and grid.best else {}
        started = summary.datetime_start
        rows.append(
            {
                "study": study.study_name,
                "trials": summary.n_trials,
                "metric": metric,
                "best": float(best.get("value", math.nan)),
                "lr": float(best.get("lr", math.nan)),
                "weight_decay": float(best.get("weight_decay", math.nan)),
                "optimizer": record_of(study).spec.optimizer or "—",
                "started": f"{started:%Y-%m-%d}" if started else "—",
                "also_varies": others,
            }
        )
    return pd.DataFrame(rows)


def best_line(study: optuna.Study) -> str:
    """The best cell of a study, as its report names it; empty where there is none."""
    metric, grid, _ = _judged(study)
    if grid is None or grid.best is None:
        return ""
    best = grid.ranked.iloc[0]
    lr, weight_decay = (number(float(value)) for value in grid.best)
    of = f", mean of {counted(int(best['seeds']), 'seed')}" if grid.seeds > 1 else ""
    return f"best cell: lr {lr}, weight_decay {weight_decay} ({metric} {best['value']:.4g}{of})"


def _judged(study: optuna.Study) -> tuple[str, CellGrid | None, str]:
    """A study's metric with its direction, its cells, and what they mix; none if unreadable."""
    try:
        trials = trials_frame(study)
    except StudyError:
        return "—", None, ""
    low = bool(trials.attrs["minimize"])
    metric = f"{'min' if low else 'max'} {trials.attrs['objective']}"
    return metric, gather(trials, "value", minimize=low), ", ".join(trials.attrs["others"])
