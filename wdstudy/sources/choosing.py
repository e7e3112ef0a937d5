"""Which runs of a sweep become trials: conditions, facets, the best over what else is varied."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.errors import SourceError, nearest
from wdstudy.sources.base import DIVERGED, FAIL, PRUNED, RUNNING, Sweep, left_out
from wdstudy.sources.columns import Columns, is_lost, numbers
from wdstudy.space import MOST, rounded
from wdstudy.words import abridged, counted, number, printable

FEW = 8
"""Values that a message lists, at most."""


@dataclass(frozen=True)
class Choice:
    """The runs that become the trials of one study.

    Attributes:
        rows: One row a trial, by its run's key: `lr, weight_decay, seed, value, lost, pruned`.
        constant: Hyperparameters that all of them share, name → value in words.
        best_over: Of these, each cell and seed has the best of what was tried.
        mixed: Of these, runs differ, but there was nothing to choose from.
        others: One row a trial: the values of `best_over` and `mixed`.
        notes: What was left out and what was taken.
    """

    rows: pd.DataFrame
    constant: Mapping[str, str]
    best_over: tuple[str, ...]
    mixed: tuple[str, ...]
    others: pd.DataFrame
    notes: tuple[str, ...]


def conditions(texts: Iterable[str]) -> dict[str, list[str]]:
    """What `--where name=value` asks for: name → the values that are let through.

    Raises:
        SourceError: one is not of this form.
    """
    asked: dict[str, list[str]] = {}
    for text in texts:
        name, is_, value = text.partition("=")
        if not is_ or not name.strip():
            raise SourceError(f"--where {text}: write --where name=value")
        asked.setdefault(name.strip(), []).append(value.strip())
    return asked


def where(params: pd.DataFrame, asked: Mapping[str, Sequence[str]]) -> pd.Series:
    """Which runs meet all conditions.

    Raises:
        SourceError: there is no such column, or it never has such a value.
    """
    kept = pd.Series(True, index=params.index)
    for name, values in asked.items():
        column = column_named(params, name, "--where")
        texts = column.map(in_words)
        wanted = {_plain(value) for value in values}
        for value in values:
            if _plain(value) not in set(texts):
                known = sorted(set(texts))[: 5 * FEW]
                raise SourceError(
                    f"--where {name}={value}: no run has it; {nearest(_plain(value), known)}"
                )
        kept &= texts.isin(wanted)
    if not kept.any():
        raise SourceError(f"no run meets all of: {', '.join(asked)}; leave out a --where")
    return kept


def column_named(params: pd.DataFrame, name: str, flag: str) -> pd.Series:
    """A column, which must be there."""
    if name not in params.columns:
        known = [printable(str(column)) for column in params.columns]
        raise SourceError(f"{flag} {name}: no such column; {nearest(name, known)}")
    return params[name]


def in_words(value: object) -> str:
    """A hyperparameter's value: numbers as numbers, whatever the source keeps them as."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return _plain(str(value))


def _plain(text: str) -> str:
    try:
        found = float(text)
    except ValueError:
        return abridged(printable(text.strip()), 80) or "none"
    return f"{found:.9g}"


def choose(sweep: Sweep, columns: Columns, kept: pd.Series) -> Choice:
    """The runs among these that become trials.

    Raises:
        SourceError: none is left, or they mix optimizers.
    """
    params, notes = sweep.params[kept], []
    rows, said = _usable(sweep, columns, kept)
    notes += said
    optimizer = columns.optimizer
    varied = [name for name in columns.others if _kinds(params.loc[rows.index, name]) > 1]
    others = [name for name in varied if not _follows(params.loc[rows.index, name], rows)]
    if optimizer in varied:
        raise SourceError(_mixture(optimizer, params.loc[rows.index, optimizer]))
    tried = params.loc[rows.index, others].map(in_words)
    rows, said = _seeded(params, rows, columns.seed, tried)
    notes += said
    groups = rows.groupby(["lr", "weight_decay", "seed"], sort=False)
    sizes = groups.size()
    chosen = rows
    if others and bool((sizes > 1).any()):
        ranked = rows.assign(rank=rows["value"] if columns.minimize else -rows["value"])
        ranked = ranked.sort_values("rank", kind="stable", na_position="last")
        best = ranked.drop_duplicates(["lr", "weight_decay", "seed"]).index
        chosen = rows[rows.index.isin(best)]
    everywhere = bool((sizes == sizes.max()).all()) and int(sizes.max()) > 1
    best_over, mixed = (others, []) if everywhere else ([], others)
    notes += _said_of(others, tried, len(rows), len(chosen), everywhere=everywhere)
    left = params.loc[rows.index, [name for name in columns.others if name not in varied]]
    constant = {str(name): in_words(left[name].iloc[0]) for name in left.columns}
    return Choice(chosen, constant, tuple(best_over), tuple(mixed), tried.loc[chosen.index],
                  tuple(notes))  # fmt: skip


def _usable(sweep: Sweep, columns: Columns, kept: pd.Series) -> tuple[pd.DataFrame, list[str]]:
    """The runs with a place on the plane that ended with a value, or diverged."""
    params, values = sweep.params[kept], sweep.metrics.loc[kept, columns.metric]
    states = sweep.states[kept]
    value = numbers(values) / (100 if columns.per_cent else 1)
    lr, weight_decay = numbers(params[columns.lr]), numbers(params[columns.weight_decay])
    lost = (values.map(is_lost).astype(bool) & (states != RUNNING)) | (states == DIVERGED)
    placed = (lr > 0) & (lr <= MOST) & (weight_decay >= 0) & (weight_decay <= MOST)
    running = placed & (states == RUNNING)
    failed = placed & (states == FAIL) & ~lost
    empty = placed & ~running & ~failed & ~lost & ~np.isfinite(value) & (states != PRUNED)
    left = (
        (~placed, f"without numbers {columns.lr} > 0 and {columns.weight_decay} ≥ 0"),
        (running, "still running (read again when they have ended)"),
        (failed, "that failed"),
        (empty, f"without {columns.metric}"),
    )
    notes = [left_out(int(which.sum()), why) for which, why in left if which.any()]
    usable = placed & ~running & ~failed & ~empty
    if not usable.any():
        raise SourceError(
            f"no run of {sweep.origin} can be used: {'; '.join(notes) or 'there is none'}"
        )
    rows = pd.DataFrame(
        {
            "lr": lr.map(rounded),
            "weight_decay": weight_decay.map(rounded),
            "value": value.where(np.isfinite(value) & ~lost & (states != PRUNED)),
            "lost": lost,
            "pruned": (states == PRUNED) & ~lost,
        }
    )[usable]
    diverged = int(rows["lost"].sum())
    if diverged:
        notes.append(f"{counted(diverged, 'run')} diverged (of them only the place is kept)")
    return rows, notes


def _seeded(
    params: pd.DataFrame, rows: pd.DataFrame, name: str | None, tried: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """The runs with their seeds; runs of one cell and one seed that nothing else tells apart are
    replicas, and get seeds of their own.
    """
    notes = []
    seeds = pd.Series(0, index=rows.index) if name is None else _whole(params.loc[rows.index, name])
    keys = pd.concat([rows[["lr", "weight_decay"]], seeds.rename("seed"), tried], axis=1)
    if name is not None:
        twice = pd.concat([keys, rows["value"]], axis=1).duplicated() & rows["value"].notna()
        if twice.any():
            notes.append(
                left_out(int(twice.sum()), "that another one repeats: same cell, seed and value")
            )
            rows, seeds, keys = rows[~twice], seeds[~twice], keys[~twice]
    again = keys.groupby(list(keys.columns), dropna=False).cumcount()
    if int(again.max()):
        held = sorted(set(seeds))
        fresh = [s for s in range(len(held) + len(rows) + 1) if s not in held]
        places = {pair: fresh[i] for i, pair in enumerate(
            sorted({(a, s) for a, s in zip(again, seeds, strict=True) if a}))}  # fmt: skip
        seeds = pd.Series(
            [places.get((a, s), s) for a, s in zip(again, seeds, strict=True)], index=rows.index
        )
        what = "of one cell and seed" if name is not None else "of one cell"
        notes.append(
            f"{counted(int((again > 0).sum()), 'further run')} {what}: taken as more seeds"
        )
    return rows.assign(seed=seeds.astype(int)), notes


def _whole(column: pd.Series) -> pd.Series:
    """Seeds as whole numbers ≥ 0; numbered where they are something else."""
    found = numbers(column)
    whole = bool((np.isfinite(found) & (found >= 0) & (found % 1 == 0) & (found < 2**53)).all())
    return found.astype(int) if whole else pd.Series(pd.factorize(column)[0], column.index).abs()


def _follows(column: pd.Series, rows: pd.DataFrame) -> bool:
    """Whether a column says no more than an axis does, as log_lr, or than their product."""
    product = rows["lr"] * rows["weight_decay"]
    found = numbers(column)
    if np.allclose(found, product, rtol=1e-6, atol=0):
        return True
    words = column.map(in_words)
    return any(
        rows[axis].nunique() < len(rows)
        and rows[axis].nunique() == words.nunique() == len({*zip(rows[axis], words, strict=True)})
        for axis in ("lr", "weight_decay")
    )


def _kinds(column: pd.Series) -> int:
    return int(column.map(in_words).nunique())


def _mixture(optimizer: str, column: pd.Series) -> str:
    kinds = column.map(in_words).value_counts()
    shown = " or ".join(f"--where {optimizer}={kind}" for kind in kinds.index[:FEW])
    return (
        f"the runs mix optimizers ({', '.join(f'{k}: {n}' for k, n in kinds.items())}), and lr and "
        f"weight_decay mean something else in each; add {shown}, or --facet {optimizer} for a "
        "study of each"
    )


def _said_of(
    others: Sequence[str], tried: pd.DataFrame, before: int, after: int, *, everywhere: bool
) -> list[str]:
    """What was done about hyperparameters that vary beside the axes."""
    if not others:
        return []
    told = "; ".join(f"{printable(name)}: {_which(tried[name])}" for name in others)
    remedy = f"one value instead: --where {others[0]}=…, a study of each: --facet {others[0]}"
    if pd.to_numeric(tried[others[0]], errors="coerce").notna().all():
        remedy += f" (how the best moves with it: report … --scale {others[0]} of these)"
    if before == after:
        return [f"varied as well, one value a run, so the cells mix them ({told}); {remedy}"]
    what = f"of each cell and seed the best over {', '.join(map(printable, others))} was taken"
    if not everywhere:
        what += ", though not every cell has all of their values"
    return [f"{what}: {after:,} of {before:,} runs ({told}); {remedy}"]


def _which(values: pd.Series) -> str:
    kinds = in_order(values)
    if len(kinds) <= FEW:
        return ", ".join(kinds)
    found = pd.to_numeric(pd.Series(kinds), errors="coerce")
    ends = f", {number(found.min())} … {number(found.max())}" if found.notna().all() else ""
    return f"{counted(len(kinds), 'value')}{ends}"


def in_order(texts: Iterable[str]) -> list[str]:
    """The different values of a hyperparameter, numbers by their size."""
    kinds = sorted(set(texts))
    found = pd.to_numeric(pd.Series(kinds), errors="coerce")
    return sorted(kinds, key=float) if found.notna().all() else kinds
