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
from wdstudy.analysis.numbers.nextsweep import NextSweep, flag, lacking, seconds_a_trial
from wdstudy.analysis.numbers.prediction import spoken_at
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.analysis.numbers.transferadvice import HARDLY
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.numbers.windows import (
    Follow,
    Window,
    about,
    beyond,
    beyond_largest,
    window_of,
)
from wdstudy.record import StudyRecord
from wdstudy.space import SearchSpace
from wdstudy.words import number

MORE = 4
"""So many times the seeds halve what the noise hides."""

TOWARDS: dict[Banks, str] = {"low": "larger", "high": "smaller"}
"""Where the loss rises → on which side of what was tried the best lies."""


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
    asker = _Asker(found, record, Follow.of(record), along(trials, found.scale))
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
    follow: Follow
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
            window = window_of(part, self.follow)
            if lr in TOWARDS:
                groups.setdefault(("lr", lr, window), []).append(part.value)
            elif decay == "low":
                groups.setdefault(("weight_decay", decay, window), []).append(part.value)
        for (axis, bank, window), values in sorted(groups.items(), key=lambda item: -len(item[1])):
            wider = beyond(window, axis, bank)
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
        value = beyond_largest(values)
        windows = [window_of(part, self.follow) for part in self.found.parts.parts]
        swept = [one for one in windows if min(len(one.lr), len(one.weight_decay)) > 2]
        window = (swept or windows)[-1]  # at a value of one pair nothing was swept
        law = self.found.followed.law
        if law is not None:
            lr, decay = self._best_at(value)
            window = replace(
                window, lr=about(window.lr, lr), weight_decay=about(window.weight_decay, decay)
            )
        return self._made((f"{why}: {scale} {number(value)}",), [value], window)

    def _best_at(self, value: float) -> tuple[float, float]:
        """The pair that is foretold at a value, as a window is written; NaN what is not."""
        law, t = self.found.followed.law, self.found.parts.place(value)
        assert law is not None
        pair = [spoken_at(law, t, "lr").value, math.nan]
        if law.follows_decay:
            pair[1] = spoken_at(law, t, "weight_decay").value
        lr, decay = (self.follow.written(axis, v, value)
                     for axis, v in zip(("lr", "weight_decay"), pair, strict=True))  # fmt: skip
        return lr, decay

    def noise(self) -> Iterator[NextSweep]:
        """More seeds, where the noise hides all."""
        why = self.found.followed.why_lr
        parts = self.found.parts.parts
        windows = [window_of(part, self.follow) for part in parts]
        known = any(part.cells.noise.known for part in parts)
        times = MORE if known and max(w.seeds for w in windows) > 1 else 2
        for window, values in _alike(windows, self.found.values):
            more = replace(window, seeds=times * window.seeds)
            yield self._made((f"more seeds: {why}",), values, more)

    def _made(self, why: tuple[str, ...], values: Sequence[float], window: Window) -> NextSweep:
        """The command that trains a window at some values, and its price."""
        spaces = {v: self._space(window, v) for v in values}
        new = {v: lacking(space.cells(), self._of(v)) for v, space in spaces.items()}
        first = spaces[values[0]]
        return NextSweep(
            why,
            tuple(first.lr),
            tuple(first.weight_decay),
            window.seeds,
            command=command_at(self.record, self.found.scale, values, window),
            trials=sum(new.values()),
            seconds=sum(count * self._seconds(v) for v, count in new.items()),
            scale=self.found.scale,
            at=tuple(values),
        )

    def _space(self, window: Window, value: float) -> SearchSpace:
        """A window as it stands at a value."""
        lrs = [self.follow.moved("lr", lr, value) for lr in window.lr]
        decays = [self.follow.moved("weight_decay", d, value) for d in window.weight_decay]
        return SearchSpace(lrs, decays, window.seeds)

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
    record: StudyRecord, scale: str, values: Sequence[float], window: Window
) -> tuple[str, ...]:
    """The command that trains a window at some values of a scale, in the study that there is."""
    which = ",".join(f"{value:.6g}" for value in values)
    axes = ("--lr", flag(window.lr), "--weight-decay", flag(window.weight_decay))
    command = record.command or ("STUDY_FILE",)
    return ("run", *command, "--at", f"{scale}={which}", *axes, "--seeds", str(window.seeds))


def _among(value: float, values: Iterable[float]) -> bool:
    return any(math.isclose(value, other, rel_tol=1e-6) for other in values)


def _alike(
    windows: Sequence[Window], values: Sequence[float]
) -> Iterator[tuple[Window, list[float]]]:
    """The values that have one window."""
    for window in dict.fromkeys(windows):
        yield window, [v for v, own in zip(values, windows, strict=True) if own == window]


def _what(window: Window, axis: str) -> str:
    values = window.lr if axis == "lr" else window.weight_decay
    return f"{axis} {' and '.join(map(number, values))}"
