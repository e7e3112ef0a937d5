"""Optuna: a study of any storage that it can open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from wdstudy.curves import DIVERGED_AT, STEP, LossCurves
from wdstudy.errors import SourceError, nearest
from wdstudy.record import StudyRecord
from wdstudy.sources.base import (
    COMPLETE,
    DIVERGED,
    FAIL,
    PRUNED,
    RUNNING,
    Asked,
    Run,
    Sweep,
    sweep_of,
)
from wdstudy.space import SEED
from wdstudy.storage.opening import open_storage, open_study, study_names
from wdstudy.storage.url import masked
from wdstudy.words import printable

_STATES = {TrialState.COMPLETE: COMPLETE, TrialState.PRUNED: PRUNED, TrialState.FAIL: FAIL}


def read(source: str, asked: Asked) -> Sweep:
    """The trials of a study: its values, its reports, and numbers among its attributes.

    Args:
        source: A storage's URL, or its file.
        asked: Which study, if there are several; which objective, if it has several.

    Raises:
        SourceError: which study or objective is meant is not said.
        StorageError, StudyError: as `open_study`.
    """
    url = url_of(source)
    storage = open_storage(url, create=False)
    known = study_names(storage)
    shown = masked(url)
    if asked.study is None and len(known) != 1:
        if not known:
            raise SourceError(f"{shown} holds no study; name another storage")
        raise SourceError(
            f"{shown} holds {len(known)} studies; say which with --study: "
            f"{', '.join(map(printable, sorted(known)[:20]))}"
        )
    study = open_study(asked.study or known[0], storage, leave_out=True)
    place, objective = _objective(study, asked.objective)
    way = study.directions[place]
    return sweep_of(
        (_run(trial, place, objective) for trial in study.get_trials(deepcopy=False)),
        study.study_name,
        f"the Optuna study '{study.study_name}' in {shown}",
        metric=objective,
        minimize=None if way == StudyDirection.NOT_SET else way == StudyDirection.MINIMIZE,
    )


def url_of(source: str) -> str:
    """A storage's URL, from itself or its file."""
    if "://" in source or source.startswith("@"):
        return source
    with Path(source).open("rb") as file:
        kind = "sqlite" if file.read(6) == b"SQLite" else "journal"
    return f"{kind}:///{source}"


def _objective(study: optuna.Study, asked: str | None) -> tuple[int, str]:
    """Which value of the trials is meant, and its name."""
    n = len(study.directions)
    known = study.metric_names or (
        [StudyRecord.of(study.user_attrs).spec.objective or "value"]
        if n == 1
        else [f"value {i}" for i in range(n)]
    )
    if asked is None:
        if n == 1:
            return 0, known[0]
        shown = ", ".join(f"{i} ({printable(name)})" for i, name in enumerate(known))
        raise SourceError(
            f"the study '{study.study_name}' has {n} objectives; say which is to be judged by, "
            f"with --objective: {shown}"
        )
    if asked in known:
        return known.index(asked), asked
    if asked.isdecimal() and int(asked) < n:
        return int(asked), known[int(asked)]
    numbers = f"0 to {n - 1}" if n > 1 else "0"
    raise SourceError(f"--objective {asked}: {nearest(asked, known)}, or a number, {numbers}")


def _run(trial: FrozenTrial, place: int, objective: str) -> Run:
    state = _STATES.get(trial.state, RUNNING)
    if _was_lost(trial) or trial.user_attrs.get(DIVERGED_AT) is not None:
        state = DIVERGED
    value = trial.values[place] if trial.values else None
    series = LossCurves.from_attributes(trial.user_attrs)
    curves = {name: (_steps(series), series[name]) for name in series if name != STEP}
    if trial.intermediate_values and place == 0 and objective not in curves:
        reports = sorted(trial.intermediate_values.items())
        curves[objective] = [float(s) for s, _ in reports], [float(v) for _, v in reports]
    return Run(
        key=str(trial.number),
        params={**trial.params, **_seed(trial)},
        metrics={**dict(_measured(trial)), objective: value},
        state=state,
        curves=curves,
    )


def _steps(series: LossCurves) -> list[float]:
    return series[STEP] if STEP in series else [float(i + 1) for i in range(len(series))]


def _seed(trial: FrozenTrial) -> dict[str, Any]:
    """The seed where it stands in an attribute, as wdstudy and others keep it."""
    seed = trial.user_attrs.get(SEED)
    return {SEED: seed} if isinstance(seed, int) and SEED not in trial.params else {}


def _measured(trial: FrozenTrial) -> Iterator[tuple[str, float]]:
    """Numbers among a trial's attributes."""
    for name, value in trial.user_attrs.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and name != SEED:
            yield name, float(value)


def _was_lost(trial: FrozenTrial) -> bool:
    """Whether a trial diverged: by its value, or its last report. That Optuna failed it because
    its value was NaN, it does not keep.
    """
    if trial.state == TrialState.COMPLETE:
        return any(not math.isfinite(value) for value in trial.values or ())
    reports = trial.intermediate_values
    return bool(reports) and not math.isfinite(reports[max(reports)])
