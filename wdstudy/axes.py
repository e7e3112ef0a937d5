"""An axis of the space: how it is written, what may stand on it, in which order it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from wdstudy.errors import SpaceError

MAX_AXIS = 10_000
"""Values of an axis, at most: a slip of the finger is not to fill a disk."""

MOST = 3e38
"""The largest number in single precision, by and large."""

Cell = tuple[float, float]
"""A place on the plane: (lr, weight_decay)."""


def rounded(value: float) -> float:
    """A coordinate in nine digits: a float that came back from a database, or was computed in
    another way, is still the same cell.
    """
    return float(f"{value:.9g}")


def readable(value: float) -> float:
    """A number that was computed, in six digits: it reads well, and computed again it is met."""
    return float(f"{value:.6g}")


def log_range(low: float, high: float, n: int) -> tuple[float, ...]:
    """`n` points from `low` to `high`, equally spaced on a logarithmic scale.

    Points are rounded to six digits: they read well, and a range that is enlarged later meets
    the points it already has.

    >>> log_range(1e-3, 1, 4)
    (0.001, 0.01, 0.1, 1.0)
    """
    if n > MAX_AXIS:
        raise SpaceError(f"log_range({low:g}, {high:g}, {n}): give at most {MAX_AXIS:,} points")
    if n < 1 or (n == 1 and low != high):
        raise SpaceError(f"log_range({low:g}, {high:g}, {n}): n is {n}; give at least 2 points")
    if not (0 < low < math.inf and 0 < high < math.inf):
        raise SpaceError(
            f"log_range({low:g}, {high:g}, {n}): a logarithmic range needs 0 < low < high"
        )
    if low > high:
        raise SpaceError(
            f"log_range({low:g}, {high:g}, {n}): the range is reversed; "
            f"write log_range({high:g}, {low:g}, {n})"
        )
    exponents = (i / max(n - 1, 1) for i in range(n))
    return tuple(float(f"{low * (high / low) ** e:.6g}") for e in exponents)


def parse_axis(name: str, text: str) -> tuple[float, ...]:
    """An axis as written on the command line: values and `low:high:n` ranges, comma-separated.

    >>> parse_axis("weight_decay", "0,1e-4:1e-2:3")
    (0.0, 0.0001, 0.001, 0.01)
    """
    values: list[float] = []
    for item in text.split(","):
        try:
            match item.split(":"):
                case [value]:
                    values.append(float(value))
                case [low, high, n]:
                    values.extend(log_range(float(low), float(high), int(n)))
                case _:
                    raise ValueError
        except ValueError:
            raise SpaceError(
                f"{name}: can't read '{item}' in '{text}'; write values and low:high:n ranges, "
                "like 0,1e-5:1e-1:6"
            ) from None
        except SpaceError as error:
            zero = item.startswith("0:") and "weight" in name
            hint = "; for the baseline at 0, list it beside the range: 0,1e-5:1e-1:6"
            raise SpaceError(f"{name}: {error}{hint if zero else ''}") from None
    return tuple(values)


def parse_cells(text: str) -> tuple[Cell, ...]:
    """Places as written on the command line: lr:weight_decay, comma-separated.

    >>> parse_cells("0.1:0.003,0.03:0")
    ((0.1, 0.003), (0.03, 0.0))
    """
    found = []
    for item in text.split(","):
        try:
            lr, weight_decay = map(float, item.split(":"))
        except ValueError:
            raise SpaceError(
                f"--cells: can't read '{item}'; write lr:weight_decay, like 0.1:0.003,0.03:0"
            ) from None
        found.append((lr, weight_decay))
    return tuple(found)


def places(only: Sequence[Cell], lrs: Iterable[float], decays: Iterable[float]) -> tuple[Cell, ...]:
    """Places of the grid, each once.

    Raises:
        SpaceError: one of them does not lie on the axes.
    """
    axes = {rounded(v) for v in lrs}, {rounded(v) for v in decays}
    for place in only:
        for name, value, axis in zip(("lr", "weight_decay"), place, axes, strict=True):
            if rounded(value) not in axis:
                raise SpaceError(f"only={place}: {name} {value:g} is not on its axis; add it there")
    return tuple(dict.fromkeys((float(lr), float(decay)) for lr, decay in only))


def axis_of(
    name: str, values: Iterable[float], lowest: str = "0 or above", *, endless: bool = False
) -> tuple[float, ...]:
    """The values of an axis, from the least on, each once.

    endless: whether infinity may stand there.

    Raises:
        SpaceError: it is empty, or holds a value that can't be trained with.
    """
    try:
        axis = tuple(sorted({float(v) for v in values}))
    except (TypeError, ValueError):
        raise SpaceError(
            f"{name}={values!r} is not a list of numbers; write a list or log_range(low, high, n)"
        ) from None
    if not axis:
        raise SpaceError(f"{name} is empty; give at least one value")
    for value in axis:
        if endless and value == math.inf:
            continue
        if not math.isfinite(value) or value < 0 or (value == 0 and lowest == "above 0"):
            raise SpaceError(f"{name} holds {value:g}; every value must be finite and {lowest}")
        if value > MOST:
            raise SpaceError(
                f"{name} holds {value:g}; no number above {MOST:g} can be trained with"
            )
    if len(axis) > MAX_AXIS:
        raise SpaceError(f"{name} holds {len(axis):,} values; give at most {MAX_AXIS:,}")
    return axis


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds, spelled out: a number of them, or a list.

    Raises:
        SpaceError: there are none, too many, or one is no whole number.
    """
    if isinstance(seeds, int) and seeds > MAX_AXIS:
        raise SpaceError(f"seeds={seeds}; give at most {MAX_AXIS:,}")
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))
    if not chosen or any(not isinstance(s, int) or s < 0 for s in chosen):
        raise SpaceError(f"seeds={seeds!r}; give a number of seeds, or a list of whole numbers ≥ 0")
    return chosen


def spread(n: int) -> Iterator[int]:
    """For each of `n` positions, the level at which halving the axis again and again meets it."""
    span = 1 << max(n - 1, 1).bit_length()
    for i in range(n):
        step, level = span, 0
        while i % step and i != n - 1:
            step, level = step // 2, level + 1
        yield level
