"""The window of lr and weight_decay that was tried at a value of a scale, and windows like it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from wdstudy.analysis.numbers.banks import Banks
from wdstudy.analysis.numbers.scaled import Part
from wdstudy.record import StudyRecord
from wdstudy.space import log_range

FURTHER = 2
"""Steps of the grid by which a window is moved beyond an edge."""

MOST, FEW = 16, 7
"""More values of an axis than the first are scattered; a window has the second of them."""


@dataclass(frozen=True)
class Window:
    """The axes that were tried at a value of the scale, and how many seeds of each cell.

    Where windows follow the scale, as they are written: for its first value.
    """

    lr: tuple[float, ...]
    weight_decay: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class Follow:
    """How windows move along a scale, as its record says: axis → power of value / first."""

    first: float
    powers: Mapping[str, float]

    @classmethod
    def of(cls, record: StudyRecord) -> Follow:
        """What the record says; that nothing moves where it says nothing."""
        told = record.spec.scale or {}
        values, powers = told.get("values"), told.get("follow")
        known = isinstance(values, list | tuple) and values and isinstance(powers, Mapping)
        return cls(float(values[0]), dict(powers)) if known and values and powers else cls(1.0, {})

    def moved(self, axis: str, number: float, value: float) -> float:
        """A number of a window as it is written, as it stands at a value."""
        power = self.powers.get(axis, 0.0)
        return tidy(number * (value / self.first) ** power) if power else number

    def written(self, axis: str, number: float, value: float) -> float:
        """The other way round."""
        power = self.powers.get(axis, 0.0)
        return tidy(number / (value / self.first) ** power) if power else number


def window_of(part: Part, follow: Follow) -> Window:
    """What was tried at a value of the scale."""
    table = part.cells.table
    lrs, decays = (
        _axis(table[axis].map(lambda v, axis=axis: follow.written(axis, v, part.value)))
        for axis in ("lr", "weight_decay")
    )
    return Window(lrs, decays, max(1, round(float(table["seeds"].median()))))


def _axis(tried: pd.Series) -> tuple[float, ...]:
    """The values of an axis; of scattered ones a few that span them."""
    values = sorted(float(v) for v in tried.unique())
    positive = [v for v in values if v > 0]
    if len(positive) > MOST:
        ends = tidy(positive[0]), tidy(positive[-1])
        return (*values[: len(values) - len(positive)], *log_range(*ends, FEW))
    return tuple(values)


def beyond(window: Window, axis: str, bank: Banks) -> Window:
    """What lies beyond a window, on the side where the best must be."""
    tried = sorted(v for v in (window.lr if axis == "lr" else window.weight_decay) if v > 0)
    end, before = (tried[-1], tried[-2]) if bank == "low" else (tried[0], tried[1])
    new = tuple(sorted(tidy(end * (end / before) ** (k + 1)) for k in range(FURTHER)))
    return replace(window, lr=new) if axis == "lr" else replace(window, weight_decay=new)


def beyond_largest(values: Sequence[float]) -> float:
    """The next value of a scale: as far beyond the largest as that is from the one before."""
    value = values[-1] * values[-1] / values[-2]
    return float(round(value)) if all(v == round(v) for v in values) else tidy(value)


def about(axis: Sequence[float], best: float) -> tuple[float, ...]:
    """An axis moved by whole steps of its own until its middle is near `best`; 0 stays.

    best: NaN where it is not known: then nothing is moved.
    """
    zero, rest = [v for v in axis if v == 0], [v for v in axis if v > 0]
    if len(rest) < 2 or math.isnan(best):
        return tuple(axis)
    step = math.log10(rest[-1] / rest[0]) / (len(rest) - 1)
    middle = math.log10(rest[-1] * rest[0]) / 2
    moved = round((math.log10(best) - middle) / step) * step
    return (*zero, *(tidy(v * 10**moved) for v in rest))


def tidy(value: float) -> float:
    """A number that was computed, in six digits."""
    return float(f"{value:.6g}")
