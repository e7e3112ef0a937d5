"""Which columns of a sweep are the axes, the seed and the metric: guessed, or as they are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from wdstudy.errors import SourceError, nearest
from wdstudy.sources import names
from wdstudy.sources.base import Sweep
from wdstudy.words import abridged, counted, printable

SHOWN = 40
"""Names that a message lists, at most."""


@dataclass(frozen=True)
class Names:
    """The names that were told; what is None is guessed.

    Attributes:
        minimize: Whether low values of the metric are good.
    """

    lr: str | None = None
    weight_decay: str | None = None
    seed: str | None = None
    metric: str | None = None
    minimize: bool | None = None


@dataclass(frozen=True)
class Columns:
    """Which column is what.

    Attributes:
        lr, weight_decay, metric: Names of columns.
        seed, optimizer: Names of columns; None where there is none.
        minimize: Whether low values of the metric are good.
        assumed: Where the direction comes from, in words.
        others: The other hyperparameters: columns that may tell two runs of one cell apart.
        candidates: Other metrics that the sweep could be judged by.
        per_cent: The metric is a share told in per cent.
    """

    lr: str
    weight_decay: str
    metric: str
    seed: str | None
    optimizer: str | None
    minimize: bool
    assumed: str
    others: tuple[str, ...] = ()
    candidates: tuple[str, ...] = field(default=())
    per_cent: bool = False


def numbers(column: pd.Series) -> pd.Series:
    """A column as floats, NaN for what is no number; `True` is none."""
    plain = column.map(lambda v: math.nan if isinstance(v, bool | np.bool_) else v)
    return pd.to_numeric(plain, errors="coerce").astype(float)


def columns_of(sweep: Sweep, told: Names, ignore: Iterable[str] = ()) -> Columns:
    """Which column of a sweep is what.

    Args:
        sweep: The runs.
        told: The names that are not to be guessed.
        ignore: Columns that are no hyperparameters.

    Raises:
        SourceError: an axis or the metric can't be found, or what is told is not there.
    """
    settings = [str(name) for name in sweep.params.columns]
    lr = _axis(sweep, "lr", told.lr, "--lr-name", names.rank_of_lr)
    weight_decay = _axis(
        sweep, "weight_decay", told.weight_decay, "--weight-decay-name", names.rank_of_weight_decay
    )
    if lr == weight_decay:
        raise SourceError(f"'{lr}' can't be both lr and weight_decay; name two columns")
    seed = _seed(sweep, told.seed)
    metric = _metric(sweep, told.metric, {lr, weight_decay, seed})
    minimize, assumed = _way(sweep, metric, told.minimize)
    shown = numbers(sweep.metrics[metric])
    candidates = [
        name
        for name in names.ranked(map(str, sweep.metrics.columns), names.rank_of_metric)
        if name != metric and numbers(sweep.metrics[name]).notna().any()
    ]
    taken = {lr, weight_decay, seed, metric, *ignore}
    unknown = [name for name in ignore if name not in settings]
    if unknown:
        raise SourceError(f"--ignore {unknown[0]}: no such column; {_known(unknown[0], settings)}")
    others = [name for name in settings if name not in taken and _is_setting(sweep, name)]
    optimizer = next(iter(names.ranked(settings, names.rank_of_optimizer)), None)
    return Columns(
        lr=lr,
        weight_decay=weight_decay,
        metric=metric,
        seed=seed,
        optimizer=optimizer,
        minimize=minimize,
        assumed=assumed,
        others=tuple(others),
        candidates=tuple(candidates),
        per_cent=_is_per_cent(metric, shown, minimize=minimize),
    )


def _axis(
    sweep: Sweep, axis: str, told: str | None, flag: str, rank: Callable[[str], int | None]
) -> str:
    """The column of an axis: the surest name among those that hold numbers, or vary."""
    settings = [str(name) for name in sweep.params.columns]
    if told is not None:
        if told not in settings:
            raise SourceError(f"{flag} {told}: no such column; {_known(told, settings)}")
        if not _is_numeric(sweep.params[told]):
            raise SourceError(f"{flag} {told}: {_no_numbers(sweep.params[told])}; name another")
        return told
    found = names.ranked(settings, rank)
    numeric = [name for name in found if _is_numeric(sweep.params[name])]
    if not numeric:
        if found:
            raise SourceError(
                f"the column '{printable(found[0])}' would be {axis}, but "
                f"{_no_numbers(sweep.params[found[0]])}; name the column with {flag}"
            )
        raise SourceError(
            f"{sweep.origin} has no {axis} that is known by its name; say which it is with "
            f"{flag}. {_listing(settings)}"
        )
    varying = [name for name in numeric if numbers(sweep.params[name]).nunique() > 1]
    return _only(varying, axis, flag, rank) or numeric[0]


def _only(
    varying: list[str], axis: str, flag: str, rank: Callable[[str], int | None]
) -> str | None:
    """The one that varies; where several do, one whose name is surer than the others'."""
    if len(varying) > 1 and (rank(varying[0]) or 0) > 1:
        shown = " or ".join(f"{flag} {printable(name)}" for name in varying[:SHOWN])
        raise SourceError(f"several columns may be {axis}: say which, {shown}")
    return varying[0] if varying else None


def _seed(sweep: Sweep, told: str | None) -> str | None:
    settings = [str(name) for name in sweep.params.columns]
    if told is not None:
        if told not in settings:
            raise SourceError(f"--seed-name {told}: no such column; {_known(told, settings)}")
        return told
    found = names.ranked(settings, names.rank_of_seed)
    varying = [name for name in found if sweep.params[name].nunique() > 1]
    return next(iter([*varying, *found]), None)


def _metric(sweep: Sweep, told: str | None, taken: set[str | None]) -> str:
    measured = [str(name) for name in sweep.metrics.columns if name not in taken]
    numeric = [name for name in measured if _is_numeric(sweep.metrics[name])]
    if told is not None:
        if told not in measured:
            raise SourceError(f"--metric {told}: no such metric; {_known(told, numeric)}")
        if told not in numeric:
            raise SourceError(
                f"--metric {told}: {_no_numbers(sweep.metrics[told])}; {_known(told, numeric)}"
            )
        return told
    if sweep.metric in numeric:
        return str(sweep.metric)
    found = names.ranked(numeric, names.rank_of_metric)
    if found:
        return found[0]
    if sweep.told and len(numeric) == 1:
        return numeric[0]
    if not numeric:
        raise SourceError(f"{sweep.origin} has no metric: no column of results holds numbers")
    raise SourceError(
        f"{sweep.origin} does not say what it is judged by; say it with --metric, and with "
        f"--minimize or --maximize. {_listing(numeric)}"
    )


def _way(sweep: Sweep, metric: str, told: bool | None) -> tuple[bool, str]:
    """Whether low is good, and who says so."""
    if told is not None:
        return told, "as you say"
    if sweep.minimize is not None and metric == sweep.metric:
        return sweep.minimize, "as the source says"
    way = names.way_of(metric)
    if way is None:
        raise SourceError(
            f"whether low or high values of '{printable(metric)}' are good, its name does not "
            "say; add --minimize or --maximize"
        )
    return way == "minimize", "by its name"


def _is_per_cent(metric: str, values: pd.Series, *, minimize: bool) -> bool:
    """Whether a share (an accuracy, an F1) is told in per cent."""
    known = values[np.isfinite(values)]
    words = set(names.words_of(metric))
    of_share = not minimize and bool(words & _SHARES)
    inside, above = bool(known.between(0, 100).all()), bool((known > 1.5).any())
    return of_share and inside and above


_SHARES = {"accuracy", "acc", "top1", "top5", "f1", "auc", "auroc", "precision", "recall", "map",
           "ap", "iou", "miou", "dice", "sensitivity", "specificity"}  # fmt: skip


def _is_setting(sweep: Sweep, name: str) -> bool:
    """Whether a column is a hyperparameter: not about the run, nor a text of its own in each.

    In a table it is one if no name tells otherwise, and its values repeat, as a measured number's
    do not.
    """
    column = sweep.params[name].dropna()
    if column.empty or not set(names.words_of(name)).isdisjoint(_ABOUT):
        return False
    kinds = len(set(map(str, column)))
    if sweep.told:
        return kinds < max(3, len(column)) or bool(numbers(column).notna().any())
    ranks = (names.rank_of_run, names.rank_of_state, names.rank_of_step)
    if any(rank(name) is not None for rank in ranks):
        return False
    if names.is_metric(name) or name.startswith("_"):
        return False
    return kinds <= max(1, len(column) // 2)


_ABOUT = {"time", "runtime", "duration", "seconds", "secs", "created", "updated", "started",
          "finished", "timestamp", "date", "user", "username", "host", "hostname", "tags", "notes",
          "pid", "gpu"}  # fmt: skip


def _is_numeric(column: pd.Series) -> bool:
    return bool(numbers(column).notna().any()) or _is_all_lost(column)


def _is_all_lost(column: pd.Series) -> bool:
    """Whether a column holds nothing but values that were lost, spelled out."""
    known = column.dropna()
    return not known.empty and all(is_lost(value) for value in known)


def is_lost(value: object) -> bool:
    """Whether a value is one that a diverged run ends with: NaN or infinite, spelled out."""
    if isinstance(value, str):
        return value.strip().lower().lstrip("+-") in ("nan", "inf", "infinity")
    return isinstance(value, float) and not math.isfinite(value)


def _no_numbers(column: pd.Series) -> str:
    known = column.dropna()
    if known.empty:
        return "it is empty"
    return f"it holds no numbers ('{abridged(printable(str(known.iloc[0])), 30)}')"


def _known(name: str, known: list[str]) -> str:
    return nearest(name, [printable(k) for k in known[:SHOWN]])


def _listing(known: list[str]) -> str:
    shown = ", ".join(abridged(printable(name), 60) for name in known[:SHOWN])
    more = f" and {counted(len(known) - SHOWN, 'other')}" if len(known) > SHOWN else ""
    return f"Columns: {shown}{more}" if known else "There are no columns"
