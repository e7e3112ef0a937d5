"""What is said of a sweep that is read: which column was taken for what, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from wdstudy.record import StudyRecord
from wdstudy.sources.base import Sweep
from wdstudy.sources.columns import Columns
from wdstudy.sources.trials import objective_of, says_where_of
from wdstudy.words import number, printable

FEW = 12
"""Values that a line lists, at most."""


def mapping_lines(sweep: Sweep, columns: Columns) -> Iterator[str]:
    """How columns were taken."""
    for axis, name, flag in (
        ("lr", columns.lr, "--lr-name"),
        ("weight_decay", columns.weight_decay, "--weight-decay-name"),
    ):
        if axis != name:
            yield f"{axis}: the column '{printable(name)}' ({flag} for another)"
    if columns.seed is not None and columns.seed != "seed":
        yield f"seed: the column '{printable(columns.seed)}' (--seed-name for another)"
    way = "minimized" if columns.minimize else "maximized"
    line = f"metric: {printable(columns.metric)}, {way} {columns.assumed}"
    if columns.candidates:
        shown = ", ".join(map(printable, columns.candidates[:FEW]))
        line += f" (--metric for another: {shown})"
    yield line
    if columns.per_cent:
        yield f"{printable(columns.metric)} is in per cent: divided by 100, to be a share"
    if not says_where_of(columns, sweep):
        named = objective_of(columns, sweep)
        yield f"its name does not say on which data it was measured: taken for validation, {named}"


def one_value(rows: pd.DataFrame) -> Iterator[str]:
    """That a sweep with one value on an axis can't tell much."""
    for axis, flag in (("lr", "lr"), ("weight_decay", "weight_decay")):
        values = rows[axis].unique()
        if len(values) == 1:
            yield (
                f"{flag} has one value, {number(float(values[0]))}: how lr and weight_decay work "
                f"together can't be told; add runs with other values of {flag} and read again"
            )


def optimizer_line(name: str | None, decay: tuple[str, str] | None) -> Iterator[str]:
    """What is known of the optimizer: its class and the kind of its decay."""
    if decay is not None:
        yield f"optimizer: {decay[0]}; its weight_decay is {decay[1]}, as PyTorch has it"
    elif name is not None:
        yield f"optimizer: {name}; how it applies weight_decay is not known"


def sampled(record: StudyRecord) -> Iterator[str]:
    """That scattered runs may have been placed by a sampler."""
    if record.spec.space is None:
        yield (
            "the runs are scattered over the plane; if a sampler placed them that looks at "
            "results, what is said about the whole plane is biased"
        )


def values_of(column: pd.Series) -> str:
    """The values of an axis: all of a few, else how many and between which ends."""
    values = sorted(column.unique())
    if len(values) <= FEW:
        return ", ".join(number(float(value)) for value in values)
    return f"{len(values):,} values, {number(float(values[0]))} … {number(float(values[-1]))}"
