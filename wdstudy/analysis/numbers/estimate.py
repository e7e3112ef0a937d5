"""A number, the interval it may lie in, what it rests on, and why it is missing if it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """`value` with its 95 % interval `low … high`, resting on `n` finished trials or cells.

    `value` is NaN when the data can't say, and `reason` then says why in words. A known value
    with NaN `low` and `high` has no interval; with a `reason`, that is its caveat.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether the data can say."""
        return math.isfinite(self.value)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if not self.known:
            return f"cannot say: {self.reason}"
        if not math.isfinite(self.low + self.high):
            return f"{self.value:.3g}"
        return f"{self.value:.3g} (95 % {self.low:.3g} … {self.high:.3g})"


def cannot_say(reason: str, n: int = 0) -> Estimate:
    """The estimate of a number that the data does not carry."""
    return Estimate(math.nan, n=n, reason=reason)


def reflected(
    value: float,
    replicates: Array,
    n: int,
    *,
    floor: float = -math.inf,
    ceiling: float = math.inf,
    reason: str = "",
) -> Estimate:
    """An estimate with the basic bootstrap interval of its `replicates` `[R]`.

    Numbers that rest on a minimum over noisy cells are biased, and bootstrap replicates are biased
    once more in the same direction. The basic interval (Davison & Hinkley 1997, section 5.2)
    reflects the replicates about the value and so takes the bias off. It is joined with the
    percentile interval, because where the true number is at its bound either may miss it.
    """
    if not math.isfinite(value):
        return cannot_say(reason or "the number is not finite", n)
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 0.8 * len(replicates) or len(finite) < 20:
        return Estimate(value, n=n, reason=reason or "no interval: noise not known")
    q_low, q_high = np.quantile(finite, [0.025, 0.975])
    low, high = min(2 * value - q_high, q_low), max(2 * value - q_low, q_high)
    low, high = (float(np.clip(end, floor, ceiling)) for end in (low, high))
    return Estimate(value, min(low, value), max(high, value), n, reason)


def as_data(thing: Any) -> Any:
    """Dataclasses, tuples and numpy scalars as JSON knows them; a non-finite number is None."""
    if is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: as_data(getattr(thing, field.name)) for field in fields(thing)}
    if isinstance(thing, dict):
        return {str(key): as_data(item) for key, item in thing.items()}
    if isinstance(thing, list | tuple):
        return [as_data(item) for item in thing]
    if isinstance(thing, np.generic):
        thing = thing.item()
    if isinstance(thing, float) and not math.isfinite(thing):
        return None
    return thing
