"""Scales of colours and axes: where values stand, and which places are named."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize

from wdstudy.analysis.numbers.estimate import Array
from wdstudy.words import number

LOG_SPAN = 8.0
"""A positive quantity whose largest value is this many times its smallest is shown by its log."""

STEP = 10**0.5
"""By so much what stands apart lies beside a logarithmic scale."""

FEW, FAR = 0.05, 1.2
"""Up to this share of the cells, beyond a gap of more decades than that, don't stretch a plane."""

MOST_NAMED = 9
"""An axis of more values has ticks at round places instead of at each."""


def spans_decades(values: pd.Series | Array) -> bool:
    """Whether values are shown by their logarithm."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return bool(known.size and known.min() > 0 and known.max() / known.min() >= LOG_SPAN)


def colour_norm(values: pd.Series | Array, most: float = math.nan) -> Normalize:
    """The scale of colours: logarithmic where the values span much, `most` at its end."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not known.size:
        return Normalize(0, 1)
    low, high = float(known.min()), float(known.max())
    if low < most < high:
        high = most
    if low == high:
        low, high = low - abs(low) * 0.1 - 1e-9, high + abs(high) * 0.1 + 1e-9
    return LogNorm(low, high) if low > 0 and high / low >= LOG_SPAN else Normalize(low, high)


def log_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round places on a logarithmic axis: decades, or 1-3 or 1-2-5 where it is short.

    >>> log_ticks(0.002, 3)
    [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{d}e{e}") for e in range(first, last + 1) for d in digits]
        ticks = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]


def _can_be_ticks(values: Array) -> bool:
    """Whether the values of a grid are few and even enough to be named one by one."""
    if not 2 <= len(values) <= MOST_NAMED:
        return False
    gaps = np.diff(np.log(values))
    return bool(gaps.min() > 0.6 * gaps.mean())


class LogPlace:
    """A logarithmic axis that has a place for 0, one step below its smallest value.

    Attributes:
        low, high: The ends of what is shown true to scale.
        zero_at: Where 0 stands; None where there is none.
        below_at, above_at: With `far`, where a few values stand that lie far out on either side,
            one step apart, for the others to have the room; None where there are none.
        tried: The values, where they are few and even.
    """

    def __init__(self, values: pd.Series, *, far: bool = False) -> None:
        positive = np.sort(values[values > 0].to_numpy(dtype=float))
        inside = positive[_near(positive)] if far else positive
        self.low = float(inside[0]) if len(inside) else 1.0
        self.high = float(inside[-1]) if len(inside) else 1.0
        self.below, self.above = (np.unique(positive[side]) for side in (
            positive < self.low, positive > self.high))  # fmt: skip
        self.below_at = self.low / STEP if len(self.below) else None
        self.above_at = self.high * STEP if len(self.above) else None
        least = np.unique(inside)
        self.tried = least.tolist() if _can_be_ticks(least) else []
        has_zero = bool((values == 0).any())
        self.zero_at = (self.below_at or self.low) / STEP if has_zero else None

    def __call__(self, values: pd.Series) -> pd.Series:
        """Where the values stand."""
        at = values.where(values > 0, self.zero_at or math.nan)
        if self.below_at:
            at = at.mask((values > 0) & (values < self.low), self.below_at)
        return at.mask(values > self.high, self.above_at) if self.above_at else at

    @property
    def apart(self) -> dict[float, str]:
        """What stands apart from the scale: its place, and its name."""
        named = {self.zero_at: "0"} if self.zero_at else {}
        if self.below_at:
            named[self.below_at] = _named(self.below, "≤", float(self.below[-1]))
        if self.above_at:
            named[self.above_at] = _named(self.above, "≥", float(self.above[0]))
        return named

    @property
    def ends(self) -> tuple[float, float]:
        """The first and the last place."""
        return self.zero_at or self.below_at or self.low, self.above_at or self.high

    @property
    def breaks(self) -> list[float]:
        """Where the scale is broken: between it and what stands apart."""
        half = math.sqrt(STEP)
        return [
            *([self.low / half] if self.zero_at or self.below_at else []),
            *([self.high * half] if self.above_at else []),
        ]


def _named(values: Array, sign: str, nearest: float) -> str:
    return number(nearest) if len(values) == 1 else f"{sign} {number(nearest)}"


def _near(values: Array) -> slice:
    """Of sorted values those that a few far ones are left out of."""
    few = int(FEW * len(values))
    gaps = np.diff(np.log10(values)) > FAR
    low = max((i + 1 for i in range(few) if gaps[i]), default=0)
    high = min((i + 1 for i in range(len(gaps) - few, len(gaps)) if gaps[i]), default=len(values))
    return slice(low, high)
