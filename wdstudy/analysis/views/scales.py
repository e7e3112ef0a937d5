"""Scales of colours and axes: where values stand, and which places are named."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize

from wdstudy.analysis.numbers.estimate import Array

LOG_SPAN = 8.0
"""A positive quantity whose largest value is this many times its smallest is shown by its log."""

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
    """A logarithmic axis that has a place for 0, one step below its smallest value."""

    def __init__(self, values: pd.Series) -> None:
        positive = np.unique(values[values > 0].to_numpy(dtype=float))
        self.tried = positive.tolist() if _can_be_ticks(positive) else []
        self.low = float(positive[0]) if len(positive) else 1.0
        self.high = float(positive[-1]) if len(positive) else 1.0
        self.zero_at = self.low / 10**0.5 if bool((values == 0).any()) else None

    def __call__(self, values: pd.Series) -> pd.Series:
        """Where the values stand."""
        return values.where(values > 0, self.zero_at or math.nan)
