"""A sweep along a scale, value by value: the cells of each, and what else changes with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.numbers.best import Best, best_cell
from wdstudy.analysis.numbers.cells import Cells, measured
from wdstudy.analysis.numbers.effects import LrEffect, effects_by_lr
from wdstudy.analysis.numbers.estimate import Array
from wdstudy.errors import StudyError, nearest
from wdstudy.space import LR, SEED, WEIGHT_DECAY
from wdstudy.words import counted, number

STEPS, STEPS_PER_EPOCH = "steps", "steps_per_epoch"
DRIVERS = ("batch_size", "width", "train_examples", "examples_seen", "parameters")
"""What a published rule is about: a scale of this name, or a column of the trials."""


@dataclass(frozen=True)
class Part:
    """The trials at one value of a scale.

    t: log10 of the value, counted from the middle of the scale. effects: as of `landscape`.
    steps, steps_per_epoch: of a trial, NaN where they are not known.
    """

    value: float
    t: float
    cells: Cells
    effects: tuple[LrEffect, ...]
    best: Best
    steps: float
    steps_per_epoch: float
    trials: int


@dataclass(frozen=True)
class Scaled:
    """The values of a scale, from the least on.

    name: of the scale. drivers: by which power of the scale each of `DRIVERS` moves along it.
    notes: what is left out, and why. independent: whether weight decay is not scaled by lr.
    """

    name: str
    parts: tuple[Part, ...]
    drivers: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    independent: bool = False

    @property
    def t(self) -> Array:
        """log10 of the values `[K]`, counted from their middle."""
        return np.array([part.t for part in self.parts])

    @property
    def values(self) -> tuple[float, ...]:
        """The values of the scale."""
        return tuple(part.value for part in self.parts)

    @property
    def middle(self) -> float:
        """log10 of the value at which t is 0."""
        return math.log10(self.parts[0].value) - self.parts[0].t

    def place(self, value: float) -> float:
        """The t of a value."""
        return math.log10(value) - self.middle

    def memory(self, part: Part) -> tuple[float, float]:
        """log10 of a run, and of an epoch, in steps."""
        known = [n if n > 0 else math.nan for n in (part.steps, part.steps_per_epoch)]
        run, epoch = np.log10(known)
        return float(run), float(epoch)

    def below(self, k: int) -> Scaled:
        """The same scale with the values from the k-th on not yet trained; t stays what it is."""
        return Scaled(self.name, self.parts[:k], self.drivers, self.notes, self.independent)

    @property
    def price(self) -> int:
        """How many trials one more value costs, by and large."""
        return int(np.median([part.trials for part in self.parts]))


def scale_of(trials: pd.DataFrame, scale: str | None) -> str:
    """The column of the scale: as it is named, else as the study says.

    Raises:
        StudyError: no column is named, or there is none of this name, or it is an axis.
    """
    recorded = trials.attrs.get("scale")
    known = recorded.get("name") if isinstance(recorded, Mapping) else None
    name = scale or known
    if not name:
        raise StudyError("the trials name no scale; say which column it is: scale='batch_size'")
    if name in (LR, WEIGHT_DECAY, SEED, "value"):
        raise StudyError(f"the scale is '{name}', which every sweep has; name another column")
    if name not in trials.columns:
        raise StudyError(
            f"the trials have no column '{name}'; {nearest(name, map(str, trials.columns))}"
        )
    return str(name)


def scaled(
    trials: pd.DataFrame, name: str, value: str, *, minimize: bool, capped: bool, seed: int = 0
) -> Scaled:
    """The trials of a sweep parted by the values of a scale.

    Args:
        trials: One row a trial, with a column of the scale.
        name: This column.
        value: The column to judge by.
        minimize: Whether low values are good.
        capped: Whether the value compares to the loss at initialisation.
        seed: Of what is drawn for intervals.

    Raises:
        StudyError: fewer than two values above 0 have finished trials with a result.
    """
    at = pd.to_numeric(trials[name], errors="coerce").astype(float)
    usable = np.isfinite(at) & (at > 0)
    notes = []
    lost = int((~usable).sum())
    if lost:
        notes.append(f"{counted(lost, 'trial')} without a number {name} above 0 left out")
    groups, empty = [], []
    for number_, part in trials[usable].groupby(at[usable], sort=True):
        part.attrs = dict(trials.attrs)
        cells = _cells(part, value, minimize=minimize, capped=capped)
        if cells is None:
            empty.append(float(number_))
        else:
            groups.append((float(number_), part, cells))
    if empty:
        which = ", ".join(map(number, empty))
        notes.append(f"{name} {which}: no trial finished with a result, so it is left out")
    if len(groups) < 2:
        found = number(groups[0][0]) if groups else "none"
        raise StudyError(
            f"how the optimum moves along {name} needs two values of it, and there is {found}; "
            f"train another (three show whether it is a power law)"
        )
    middle = float(np.mean(np.log10([v for v, *_ in groups])))
    parts = tuple(_part(v, part, cells, middle, seed) for v, part, cells in groups)
    independent = str(trials.attrs.get("decay", "")).startswith("independent")
    return Scaled(name, parts, _drivers(name, trials[usable], at[usable]), tuple(notes),
                  independent)  # fmt: skip


def _cells(part: pd.DataFrame, value: str, *, minimize: bool, capped: bool) -> Cells | None:
    try:
        finished_trials(part)
    except StudyError:
        return None
    cells = measured(part, value, minimize=minimize, capped=capped)
    return cells if cells.best is not None else None


def _part(value: float, part: pd.DataFrame, cells: Cells, middle: float, seed: int) -> Part:
    return Part(
        value,
        math.log10(value) - middle,
        cells,
        effects_by_lr(cells, np.random.default_rng(seed)),
        best_cell(cells, np.random.default_rng(seed)),
        _median(part, STEPS),
        _median(part, STEPS_PER_EPOCH),
        len(cells.trials),
    )


def _median(part: pd.DataFrame, column: str) -> float:
    if column not in part:
        return math.nan
    numbers = pd.to_numeric(part[column], errors="coerce").astype(float)
    return float(numbers[np.isfinite(numbers) & (numbers > 0)].median())


def _drivers(name: str, trials: pd.DataFrame, at: pd.Series) -> dict[str, float]:
    """By which power of the scale each of `DRIVERS` moves, as the trials tell."""
    found = {name: 1.0} if name in DRIVERS else {}
    assumed: dict[str, Sequence[str]] = {
        "epochs": ("examples_seen",),
        "train_examples": ("examples_seen",),
    }
    found |= dict.fromkeys(assumed.get(name, ()), 1.0)
    for driver in DRIVERS:
        if driver == name or driver not in trials:
            continue
        numbers = pd.to_numeric(trials[driver], errors="coerce").astype(float)
        known = np.isfinite(numbers) & (numbers > 0)
        if at[known].nunique() < 2:
            continue
        power = float(np.polyfit(np.log10(at[known]), np.log10(numbers[known]), 1)[0])
        found[driver] = power if abs(power) > 0.02 else 0.0  # what rounding to whole batches leaves
    return {driver: power for driver, power in found.items() if power}
