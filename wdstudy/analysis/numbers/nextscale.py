"""The next sweep of a study along a scale: where it still tells most, and at what price."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.scale import along
from wdstudy.analysis.numbers.banks import Banks
from wdstudy.analysis.numbers.heldout import WITHIN
from wdstudy.analysis.numbers.nextsweep import NextSweep, flag, lacking, seconds_a_trial, without
from wdstudy.analysis.numbers.scaled import Part
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.analysis.numbers.transferadvice import HARDLY
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.record import StudyRecord
from wdstudy.space import SearchSpace, log_range
from wdstudy.words import number

FURTHER = 2
"""Steps of the grid by which a window is moved beyond an edge."""

MORE = 4
"""So many times the seeds halve what the noise hides."""

MOST, FEW = 16, 7
"""More values of an axis than the first are scattered; a window has the second of them."""

TOWARDS: dict[Banks, str] = {"low": "larger", "high": "smaller"}
"""Where the loss rises → on which side of what was tried the best lies."""


@dataclass(frozen=True)
class Window:
    """The axes that were tried at a value of the scale, and how many seeds of each cell."""

    lr: tuple[float, ...]
    weight_decay: tuple[float, ...]
    seeds: int


def next_along(found: Transfer, record: StudyRecord, trials: pd.DataFrame) -> NextSweep:
    """What would tell most about how the best moves along a scale.

    Args:
        found: What the study says so far.
        record: What it says about itself; of a study of another program, nothing.
        trials: All its trials.

    Returns:
        The first of what is open, the others being named among the reasons; without a command
        where the study has its answer.
    """
    asker = _Asker(found, record, along(trials, found.scale))
    options = [*asker.unfinished(), *asker.open()]
    if not options:
        return NextSweep(("you have your answer", *(s.text for s in found.advice)))
    first, *others = options
    then = [f"after that: {other.why[0]} ({other.price})" for other in others]
    return replace(first, why=(*first.why, *then))


def next_value(record: StudyRecord, name: str, price: int) -> NextSweep:
    """What a study asks for of which one value of its scale has results."""
    why = (
        f"only one value of {name} has results: how the best moves needs two, and three show "
        "whether it is a power law"
    )
    if not record.command:
        return NextSweep((why,))
    return NextSweep((why,), command=("run", *record.command), trials=price)


@dataclass(frozen=True)
class _Asker:
    """What is open about a scale.

    by_value: value → its trials.
    """

    found: Transfer
    record: StudyRecord
    by_value: dict[float, pd.DataFrame]

    def unfinished(self) -> Iterator[NextSweep]:
        """The values that the study lists and that have no result."""
        listed = (self.record.spec.scale or {}).get("values") or ()
        known = [float(v) for v in listed if isinstance(v, int | float)]
        missing = [v for v in known if not _among(v, self.found.values)]
        if missing:
            which = ", ".join(map(number, missing))
            why = f"{self.found.scale} {which}: listed, and without a result yet"
            price = len(missing) * self.found.parts.price
            seconds = sum(self._seconds(value) for value in missing) * self.found.parts.price
            command = ("run", *(self.record.command or ("STUDY_FILE",)))
            yield NextSweep((why,), command=command, trials=price, seconds=seconds,
                            scale=self.found.scale, at=tuple(missing))  # fmt: skip

    def open(self) -> Iterator[NextSweep]:
        """What would tell more, the most telling first; nothing where all is told."""
        if self._answered():
            return
        edges = list(self.edges())
        yield from edges
        if len(self.found.values) < 3:
            two = f"two values of {self.found.scale} show no power law: a third does"
            yield self.another(two)
        elif self.found.followed.law is not None:
            yield self.another(self._why_another())
        elif not edges:
            yield from self.noise()

    def _answered(self) -> bool:
        """Whether the law is known closely, and foretells what was measured."""
        found, law = self.found, self.found.followed.law
        if law is None or not found.test.passed:
            return False
        return all(e.high - e.low <= 2 * HARDLY for e in found.exponents.values() if e.known)

    def _why_another(self) -> str:
        """Why one more value is asked for."""
        test, exponent = self.found.test, self.found.exponents["lr"]
        if test.regret.known and not test.passed:
            return (
                f"the pair told from the smaller values costs {percent(test.regret.value)} more "
                f"than the best at {number(test.value)}, where {percent(WITHIN)} would do: "
                "another value shows whether it is a power law"
            )
        if exponent.known and exponent.high - exponent.low > 2 * HARDLY:
            return (
                f"the power of lr is known to ±{(exponent.high - exponent.low) / 2:.2f} only: a "
                "value further out tells more than one between"
            )
        return f"one more value of {self.found.scale} tells the law more closely, and tests it"

    def edges(self) -> Iterator[NextSweep]:
        """The values at which the best lies at the end of what was tried."""
        groups: dict[tuple[str, Banks, Window], list[float]] = {}
        for part, banks in zip(self.found.parts.parts, self.found.followed.banks, strict=True):
            lr, decay = banks
            window = window_of(part)
            if lr in TOWARDS:
                groups.setdefault(("lr", lr, window), []).append(part.value)
            elif decay == "low":
                groups.setdefault(("weight_decay", decay, window), []).append(part.value)
        for (axis, bank, window), values in sorted(groups.items(), key=lambda item: -len(item[1])):
            wider = _beyond(window, axis, bank)
            where = ", ".join(map(number, values))
            why = (
                f"at {self.found.scale} {where} the best lies towards {TOWARDS[bank]} {axis} than "
                f"was tried: {_what(wider, axis)}"
            )
            yield self._made((why, *self._follow(axis)), values, wider)

    def _follow(self, axis: str) -> Iterator[str]:
        """That a window should move along the scale, and by how much."""
        exponent = self.found.exponents[axis]
        if exponent.known and (exponent.low > 0 or exponent.high < 0):
            yield (
                f"the best {axis} moves, so its window should: follow={{{axis!r}: "
                f"{exponent.value:.1g}}} in the study's Scale"
            )

    def another(self, why: str) -> NextSweep:
        """One more value, beyond the largest, with a window about what is foretold there."""
        values, scale = self.found.values, self.found.scale
        value = _beyond_largest(values)
        window = window_of(self.found.parts.parts[-1])
        law = self.found.followed.law
        if law is not None:
            distance = self.found.parts.place(value) - self.found.parts.parts[-1].t
            shifts = [*(distance * law.drift.slope), 0.0]
            window = Window(
                _shifted(window.lr, shifts[0]), _shifted(window.weight_decay, shifts[1]),
                window.seeds,
            )  # fmt: skip
        return self._made((f"{why}: {scale} {number(value)}",), [value], window)

    def noise(self) -> Iterator[NextSweep]:
        """More seeds, where the noise hides all."""
        why = self.found.followed.why_lr
        parts = self.found.parts.parts
        windows = [window_of(part) for part in parts]
        known = any(part.cells.noise.known for part in parts)
        times = MORE if known and max(w.seeds for w in windows) > 1 else 2
        for window, values in _alike(windows, self.found.values):
            more = replace(window, seeds=times * window.seeds)
            yield self._made((f"more seeds: {why}",), values, more)

    def _made(self, why: tuple[str, ...], values: Sequence[float], window: Window) -> NextSweep:
        """The command that trains a window at some values, and its price."""
        space = SearchSpace(window.lr, window.weight_decay, window.seeds)
        new = {v: lacking(space.cells(), self._of(v)) for v in values}
        return NextSweep(
            why,
            tuple(space.lr),
            tuple(space.weight_decay),
            window.seeds,
            command=command_at(self.record, self.found.scale, values, space),
            trials=sum(new.values()),
            seconds=sum(count * self._seconds(v) for v, count in new.items()),
            scale=self.found.scale,
            at=tuple(values),
        )

    def _of(self, value: float) -> pd.DataFrame | None:
        near = [part for v, part in self.by_value.items() if math.isclose(v, value, rel_tol=1e-6)]
        return near[0] if near else None

    def _seconds(self, value: float) -> float:
        """What a trial takes at a value, as a power law of what it takes at those that are done."""
        known = {v: seconds_a_trial(part) for v, part in self.by_value.items()}
        known = {v: s for v, s in known.items() if s > 0}
        if len(known) < 2:
            return next(iter(known.values()), math.nan)
        x, y = np.log([*known]), np.log([*known.values()])
        return float(np.exp(np.polyval(np.polyfit(x, y, 1), math.log(value))))


def command_at(
    record: StudyRecord, scale: str, values: Sequence[float], space: SearchSpace
) -> tuple[str, ...]:
    """The command that trains a space at some values of a scale, in the study that there is."""
    command = list(record.command or ("STUDY_FILE",))
    for one in ("--scale", "--lr", "--weight-decay", "--seeds"):
        command = without(one, command)
    which = ",".join(f"{value:.6g}" for value in values)
    axes = ("--lr", flag(space.lr), "--weight-decay", flag(space.weight_decay))
    seeds = ("--seeds", str(len(space.seed_list)))
    return ("run", *command, "--scale", f"{scale}={which}", *axes, *seeds)


def window_of(part: Part) -> Window:
    """What was tried at a value of the scale."""
    table = part.cells.table
    lrs, decays = (_axis(table[axis]) for axis in ("lr", "weight_decay"))
    return Window(lrs, decays, max(1, round(float(table["seeds"].median()))))


def _axis(tried: pd.Series) -> tuple[float, ...]:
    """The values of an axis; of scattered ones a few that span them."""
    values = sorted(float(v) for v in tried.unique())
    positive = [v for v in values if v > 0]
    if len(positive) > MOST:
        ends = _tidy(positive[0]), _tidy(positive[-1])
        return (*values[: len(values) - len(positive)], *log_range(*ends, FEW))
    return tuple(values)


def _among(value: float, values: Iterable[float]) -> bool:
    return any(math.isclose(value, other, rel_tol=1e-6) for other in values)


def _alike(
    windows: Sequence[Window], values: Sequence[float]
) -> Iterator[tuple[Window, list[float]]]:
    """The values that have one window."""
    for window in dict.fromkeys(windows):
        yield window, [v for v, own in zip(values, windows, strict=True) if own == window]


def _beyond(window: Window, axis: str, bank: Banks) -> Window:
    """What lies beyond a window, on the side where the best must be."""
    tried = sorted(v for v in (window.lr if axis == "lr" else window.weight_decay) if v > 0)
    end, before = (tried[-1], tried[-2]) if bank == "low" else (tried[0], tried[1])
    new = tuple(sorted(_tidy(end * (end / before) ** (k + 1)) for k in range(FURTHER)))
    return replace(window, lr=new) if axis == "lr" else replace(window, weight_decay=new)


def _what(window: Window, axis: str) -> str:
    values = window.lr if axis == "lr" else window.weight_decay
    return f"{axis} {' and '.join(map(number, values))}"


def _beyond_largest(values: Sequence[float]) -> float:
    """The next value of a scale: as far beyond the largest as that is from the one before."""
    value = values[-1] * values[-1] / values[-2]
    return float(round(value)) if all(v == round(v) for v in values) else _tidy(value)


def _shifted(axis: Sequence[float], decades: float) -> tuple[float, ...]:
    """An axis moved by whole steps of its own; 0 stays."""
    zero, rest = [v for v in axis if v == 0], [v for v in axis if v > 0]
    if len(rest) < 2:
        return tuple(axis)
    step = math.log10(rest[-1] / rest[0]) / (len(rest) - 1)
    moved = round(decades / step) * step
    return (*zero, *(_tidy(v * 10**moved) for v in rest))


def _tidy(value: float) -> float:
    return float(f"{value:.6g}")
