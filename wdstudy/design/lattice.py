"""The values that a design may place: 1 and 3 times powers of ten, and those between."""

from __future__ import annotations

import math
from collections.abc import Iterable

_MANTISSAS = {1: (1.0,), 2: (1.0, 3.0), 4: (1.0, 1.8, 3.0, 5.5)}
"""How many a decade → what stands before the power of ten. They read well, and refine."""

DECADES, HALVES, QUARTERS = 1, 2, 4


def nice(value: float, steps: int = HALVES) -> float:
    """The value of the lattice that lies nearest on a logarithmic scale; `steps` a decade."""
    power = math.floor(math.log10(value))
    near = [float(f"{m * 10.0**p:.3g}") for p in (power, power + 1) for m in _MANTISSAS[steps]]
    return min(near, key=lambda v: abs(math.log(v / value)))


def between(low: float, high: float, steps: int = HALVES) -> tuple[float, ...]:
    """The values of the lattice from `low` to `high`, both included where they stand on it."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    values = (float(f"{m * 10.0**p:.3g}") for p in powers for m in _MANTISSAS[steps])
    return tuple(v for v in values if low / 1.001 <= v <= high * 1.001)


def middle(low: float, high: float) -> float:
    """The value of the finest lattice next to the geometric mean."""
    return nice(math.sqrt(low * high), QUARTERS)


def has_near(values: Iterable[float], value: float, decades: float = 0.2) -> bool:
    """Whether one of these lies about there; 0 is near 0 alone."""
    if value == 0:
        return any(v == 0 for v in values)
    return any(v > 0 and abs(math.log10(v / value)) < decades for v in values)
