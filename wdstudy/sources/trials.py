"""Chosen runs as trials of a study: their parameters, their value, their series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from wdstudy.curves import (
    DECAY_LOSS,
    DECAY_SHARE,
    DIVERGED_AT,
    FINAL_PREFIX,
    PRIMARY_LOSS,
    STEP,
    VAL_PREFIX,
    LossCurves,
    json_number,
)
from wdstudy.record import OTHER_PREFIX
from wdstudy.sources.base import Sweep
from wdstudy.sources.choosing import Choice
from wdstudy.sources.columns import Columns, numbers
from wdstudy.sources.curves import recorded, series_in
from wdstudy.sources.names import SCALARS, column_of, says_where, series_of
from wdstudy.space import LR, SEED, WEIGHT_DECAY
from wdstudy.words import printable

RUN_KEY = "source_run"
"""The trial's attribute that holds what its source knows it by."""

TAKEN = "best_"
"""What stands before a hyperparameter's name where a trial is the best of those that differ in it.

Where trials differ without such a choice, it is `OTHER_PREFIX`: the study's cells mix them."""

HALF_SQUARE = "½ · weight_decay · ‖w‖², from the weight norm"

MAX_REPORTS = 30
REPORTING = 100
"""Trials, at most, whose objective dashboards draw, and points of each."""


def objective_of(columns: Columns, sweep: Sweep) -> str:
    """What a study of wdstudy calls the metric.

    A metric whose name does not say on which data it was measured counts as one of validation.
    """
    metric = columns.metric
    named = series_of(metric, map(str, sweep.metrics.columns))
    if named is not None:
        return named
    bare = column_of(metric) == "value" and not (sweep.curves["series"] == metric).any()
    if says_where(metric) or bare:
        return column_of(metric)
    return VAL_PREFIX + column_of(metric)


def trials_of(
    sweep: Sweep, columns: Columns, choice: Choice, objective: str
) -> tuple[list[FrozenTrial], list[str]]:
    """The trials of the chosen runs, in the source's order; and what is to be said of them."""
    rows = choice.rows
    curves = sweep.curves[sweep.curves["run"].isin(rows.index)]
    curves = curves.assign(value=numbers(curves["value"]), step=numbers(curves["step"]))
    if columns.per_cent:
        shares = curves["series"] == columns.metric
        curves["value"] = curves["value"].where(~shares, curves["value"] / 100)
    axes = (columns.lr, columns.weight_decay)
    measured = [str(name) for name in sweep.metrics.columns if name not in axes]
    measured = [name for name in measured if _is_measured(name, sweep, columns)]
    drawn = list(map(str, curves["series"].unique()))
    beside = [*measured, *drawn]
    of_ends = series_in(measured, columns.metric, objective, beside)
    of_curves = series_in(drawn, columns.metric, objective, beside)
    ends = sweep.metrics.loc[rows.index, list(of_ends)].apply(numbers)
    if columns.per_cent:
        ends[columns.metric] /= 100
    ends = ends.rename(columns=of_ends)
    curves = curves[curves["series"].isin(list(of_curves))]
    curves = curves.assign(series=curves["series"].map(of_curves))
    by_run = dict(list(curves.groupby("run", sort=False)))
    seeded = rows["seed"].nunique() > 1
    space = _distributions(rows, seeded=seeded)
    stride = max(1, -(-len(rows) // REPORTING))
    trials, with_curves, with_decay = [], 0, 0
    for place, (key, row) in enumerate(rows.iterrows()):
        found = recorded(
            by_run.get(key, curves[:0]), ends.loc[key].to_dict(),
            float(row["weight_decay"]), objective,
        )  # fmt: skip
        with_curves += len(found.curves) > 0
        with_decay += DECAY_LOSS in found.last
        attributes = _attributes(str(key), row, found.curves, found.last, choice, key)
        reports = _reports(found.curves, objective) if place % stride == 0 else {}
        trials.append(_trial(row, attributes, reports, space, seeded=seeded))
    return trials, list(_said(of_curves, len(trials), with_curves, with_decay))


def _is_measured(name: str, sweep: Sweep, columns: Columns) -> bool:
    """Whether a column is a metric; of a table's column its name must say so."""
    if name == columns.metric:
        return True
    if name in (columns.lr, columns.weight_decay, columns.seed):
        return False
    if sweep.told or name not in sweep.params.columns:
        return True
    return series_of(name, map(str, sweep.metrics.columns)) is not None


def _distributions(rows: pd.DataFrame, *, seeded: bool) -> dict[str, BaseDistribution]:
    """Of numbers alone, so that a sweep can grow."""
    found: dict[str, BaseDistribution] = {
        LR: FloatDistribution(float(rows["lr"].min()), float(rows["lr"].max()), log=True),
        WEIGHT_DECAY: FloatDistribution(0, float(rows["weight_decay"].max())),
    }
    if seeded:
        found[SEED] = IntDistribution(0, int(rows["seed"].max()))
    return found


def _attributes(
    run: str,
    row: pd.Series,
    curves: LossCurves,
    last: Mapping[str, float],
    choice: Choice,
    key: Any,
) -> dict[str, Any]:
    lr, weight_decay = float(row["lr"]), float(row["weight_decay"])
    ended = {n: v for n, v in last.items() if n in (PRIMARY_LOSS, DECAY_LOSS) or VAL_PREFIX in n}
    scalars = curves.scalars(lr, weight_decay) | {FINAL_PREFIX + n: v for n, v in ended.items()}
    primary, decay = (last.get(name, math.nan) for name in (PRIMARY_LOSS, DECAY_LOSS))
    scalars[DECAY_SHARE] = decay / (primary + decay) if primary + decay else math.nan
    kept = {n: json_number(v) for n, v in last.items() if n in SCALARS}
    attributes: dict[str, Any] = {
        **kept,
        **curves.to_attributes(),
        **{n: json_number(v) for n, v in scalars.items() if math.isfinite(v)},
        SEED: int(row["seed"]),
        RUN_KEY: run,
    }
    if row["lost"]:
        step = curves.last(STEP)
        attributes[DIVERGED_AT] = int(step) if math.isfinite(step) else 1
    for name in choice.best_over:
        attributes[TAKEN + column_of(name)] = _value(choice.others.at[key, name])
    for name in choice.mixed:
        attributes[OTHER_PREFIX + column_of(name)] = _value(choice.others.at[key, name])
    return attributes


def _value(text: str) -> float | str:
    try:
        found = float(text)
    except ValueError:
        return text
    return found if math.isfinite(found) else text


def _reports(curves: LossCurves, objective: str) -> dict[int, float]:
    """The objective's curve, as dashboards draw it: at some 30 points, the last among them."""
    if objective not in curves:
        return {}
    line = dict(zip(curves[STEP], curves[objective], strict=True))
    known = [(int(s), v) for s, v in line.items() if math.isfinite(v)]
    return dict(known[:: -max(1, len(known) // MAX_REPORTS)][::-1])


def _trial(
    row: pd.Series,
    attributes: Mapping[str, Any],
    reports: Mapping[int, float],
    space: Mapping[str, BaseDistribution],
    *,
    seeded: bool,
) -> FrozenTrial:
    params: dict[str, Any] = {LR: float(row["lr"]), WEIGHT_DECAY: float(row["weight_decay"])}
    if seeded:
        params[SEED] = int(row["seed"])
    ended = TrialState.PRUNED if row["lost"] or row["pruned"] else TrialState.COMPLETE
    return create_trial(
        state=ended,
        value=float(row["value"]) if ended == TrialState.COMPLETE else None,
        params=params,
        distributions=dict(space),
        user_attrs=dict(attributes),
        intermediate_values={} if row["lost"] else dict(reports),
    )


def _said(named: Mapping[str, str], trials: int, curves: int, decays: int) -> Iterator[str]:
    """What is known of the curves and of the decay loss."""
    told = ", ".join(
        series if name == series else f"{series} ({printable(name)})"
        for name, series in named.items()
        if series != STEP
    )
    if curves == 0:
        yield "curves: none that a study has a place for"
    elif curves < trials:
        yield f"curves of {curves:,} of {trials:,} runs: {told}"
    else:
        yield f"curves: {told}"
    if decays:
        logged = DECAY_LOSS in named.values()
        yield f"decay loss: {'as the source has it' if logged else HALF_SQUARE}"
    else:
        yield "decay loss: not known, because no weight norm was logged"


def says_where_of(columns: Columns, sweep: Sweep) -> bool:
    """Whether it is known on which data the metric was measured."""
    named = series_of(columns.metric, map(str, sweep.metrics.columns))
    return says_where(columns.metric) or named == PRIMARY_LOSS
