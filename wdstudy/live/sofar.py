"""The trials of a study as they are now, planned and unfinished ones among them."""

from __future__ import annotations

import html
import math
from itertools import product

import pandas as pd

from wdstudy.analysis.frames.cells import FINISHED, cells_of
from wdstudy.analysis.frames.curves import series_at
from wdstudy.analysis.numbers.windows import Follow
from wdstudy.live.note import done_of
from wdstudy.record import GRID, StudyRecord
from wdstudy.space import LR, WEIGHT_DECAY, SearchSpace


def so_far(trials: pd.DataFrame, curves: pd.DataFrame, series: str, column: str) -> pd.DataFrame:
    """The trials as if those in training had ended with their newest value of a series.

    A cell that has a finished trial shows only such: their values are final.
    """
    newest = pd.Series(math.nan, index=trials.index)
    if curves.loc[curves["series"] == series, "value"].notna().any():
        newest = series_at(trials, curves, series)[series].astype(float)
    cells = pd.Series(cells_of(trials), index=trials.index, dtype=object)
    final = set(cells[trials["state"].isin(FINISHED)])
    counts = (trials["state"] == "RUNNING") & newest.notna() & ~cells.isin(final)
    known = trials[column].astype(float) if column in trials else newest * math.nan
    shown = trials.assign(**{column: known.where(~counts, newest)})
    shown["state"] = trials["state"].where(~counts, "COMPLETE")
    shown.attrs = trials.attrs
    return shown


def with_planned(
    trials: pd.DataFrame, record: StudyRecord, at: float | None = None
) -> pd.DataFrame:
    """A row without a value for every cell of a grid: the plane is whole from the start.

    at: the value of the study's scale that the plane is of: its window may follow that.
    """
    space = record.spec.space
    if record.spec.sampler != GRID or space is None:
        return trials
    if at is not None:
        follow = Follow.of(record)
        space = SearchSpace(
            [follow.moved(LR, lr, at) for lr in space.lr],
            [follow.moved(WEIGHT_DECAY, decay, at) for decay in space.weight_decay],
        )
    cells = product(space.lr, space.weight_decay)
    rows = pd.DataFrame(cells, columns=["lr", "weight_decay"], dtype=float)
    rows = rows.assign(state="PRUNED", diverged=False, seed=trials["seed"].min())
    whole = pd.concat([trials, rows.reindex(columns=trials.columns)], ignore_index=True)
    whole["diverged"] = whole["diverged"].astype(bool)
    whole.attrs = trials.attrs
    return whole


def rests_on(trials: pd.DataFrame, target: int) -> str:
    """The line under a figure's title."""
    seeds = int(trials["seed"].nunique())
    parts = [done_of(trials, target)]
    parts += [f"mean over {seeds} seeds"] if seeds > 1 else []
    parts += [str(trials.attrs[key]) for key in ("optimizer", "decay") if trials.attrs.get(key)]
    return html.escape(" · ".join(parts))
