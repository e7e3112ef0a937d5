"""What a source gives: the runs of a sweep, in the source's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from wdstudy.errors import SourceError
from wdstudy.words import counted, printable

COMPLETE, PRUNED, FAIL, RUNNING = "COMPLETE", "PRUNED", "FAIL", "RUNNING"
DIVERGED = "DIVERGED"
"""How a run ended; RUNNING where it has not."""

CURVE_COLUMNS = ("run", "step", "series", "value")


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        key: What the source knows it by, the same each time.
        params: Hyperparameters, nested ones flattened with dots.
        metrics: The last value of each metric.
        state: One of COMPLETE, PRUNED, FAIL, RUNNING, DIVERGED.
        curves: Metric → (steps, values).
    """

    key: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    state: str = COMPLETE
    curves: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep.

    Attributes:
        name: The study's name, unless another is given.
        origin: Where it was read from, in a word and without secrets.
        params: One row a run, by its key: its hyperparameters.
        metrics: One row a run, by its key: where each metric ended.
        states: How each run ended.
        curves: Columns `run, step, series, value`.
        told: Whether the source tells hyperparameters from metrics. A table does not: there
            `params` and `metrics` are all its columns.
        metric: The metric that the sweep was judged by, where the source says so.
        minimize: Whether low is good, where the source says so.
        notes: What is to be said of what was read.
    """

    name: str
    origin: str
    params: pd.DataFrame
    metrics: pd.DataFrame
    states: pd.Series
    curves: pd.DataFrame
    told: bool = True
    metric: str | None = None
    minimize: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What was said of the source.

    Attributes:
        study: Which one of those it holds: an Optuna study, an experiment, a project.
        objective: Which objective of an Optuna study that has several: a number or a name.
        curves: The table of curves that belongs to a table of runs.
    """

    study: str | None = None
    objective: str | None = None
    curves: Path | None = None


class Reader(Protocol):
    """Reads one kind of source."""

    def __call__(self, source: str, asked: Asked) -> Sweep:
        """The runs that lie there.

        Raises:
            SourceError: nothing that can be read lies there.
            MissingPackageError: it takes a package that is not installed.
        """
        ...


def sweep_of(
    runs: Iterable[Run],
    name: str,
    origin: str,
    *,
    metric: str | None = None,
    minimize: bool | None = None,
    notes: Iterable[str] = (),
) -> Sweep:
    """The sweep of runs whose hyperparameters and metrics the source tells apart.

    Raises:
        SourceError: there are none.
    """
    runs = list(runs)
    if not runs:
        raise SourceError(f"{origin} holds no runs; name another source")
    keys = pd.Index([run.key for run in runs], dtype=object)
    parts = [
        pd.DataFrame({"run": run.key, "step": steps, "series": name, "value": values})
        for run in runs
        for name, (steps, values) in run.curves.items()
    ]
    return Sweep(
        name=name,
        origin=printable(origin),
        params=pd.DataFrame([dict(run.params) for run in runs], index=keys, dtype=object),
        metrics=pd.DataFrame([dict(run.metrics) for run in runs], index=keys, dtype=object),
        states=pd.Series([run.state for run in runs], index=keys, dtype=object),
        curves=pd.concat(parts, ignore_index=True) if parts else no_curves(),
        metric=metric,
        minimize=minimize,
        notes=tuple(notes),
    )


def no_curves() -> pd.DataFrame:
    """The curves of runs that have none."""
    return pd.DataFrame(columns=list(CURVE_COLUMNS))


def flattened(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dots.

    >>> flattened({"optimizer": {"lr": 0.1}, "seed": 1})
    {'optimizer.lr': 0.1, 'seed': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str | int | float | None) else str(value)
    return flat


def left_out(n: int, why: str) -> str:
    """How many runs are left out, and why."""
    return f"left out: {counted(n, 'run')} {why}"


_STATES = {
    COMPLETE: "complete completed finished done success succeeded ok terminated true",
    RUNNING: "running pending waiting queued scheduled paused preempting starting unfinished",
    FAIL: "fail failed error crashed killed aborted canceled cancelled false",
    PRUNED: "pruned stopped early_stopped",
    DIVERGED: "diverged",
}


def state_of(text: object) -> str:
    """How a run ended, in whatever words its source has for it."""
    word = str(text).strip().lower().rpartition(".")[2]
    return next((state for state, words in _STATES.items() if word in words.split()), COMPLETE)
