"""The lr × weight_decay space: its axes, its cells and the order in which they are trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wdstudy.errors import SpaceError

MAX_AXIS, MAX_CELLS = 10_000, 1_000_000
"""Values of an axis and trials of a grid, at most: a slip of the finger is not to fill a disk."""

MOST = 3e38
"""The largest number in single precision, by and large."""

LR, WEIGHT_DECAY, SEED = "lr", "weight_decay", "seed"
"""The parameters of a trial, and the columns of every frame."""

Cell = tuple[float, float]
"""A place on the plane: (lr, weight_decay)."""


def rounded(value: float) -> float:
    """A coordinate in nine digits: a float that came back from a database, or was computed in
    another way, is still the same cell.
    """
    return float(f"{value:.9g}")


@dataclass(frozen=True, order=True)
class TrialParams:
    """What distinguishes one trial from the others of its study."""

    lr: float
    weight_decay: float
    seed: int = 0

    @property
    def cell(self) -> Cell:
        """Its place on the plane."""
        return rounded(self.lr), rounded(self.weight_decay)

    @property
    def key(self) -> tuple[float, float, int]:
        """What no other trial of the study has as well: cell and seed."""
        return *self.cell, self.seed


@dataclass(frozen=True)
class SearchSpace:
    """The joint space of `lr` and `weight_decay`, with seeds as replicas of every cell.

    Args:
        lr: Learning rates, all positive; a list or `log_range(low, high, n)`.
        weight_decay: Coefficients ≥ 0. A 0 is the baseline without weight decay.
        seeds: A number of seeds (`3` is seeds 0, 1, 2) or the seeds themselves.
        only: Places (lr, weight_decay) of the grid, if no others are to be trained; all if empty.

    Raises:
        SpaceError: an axis is empty, or holds a value that can't be trained with.
    """

    lr: Sequence[float]
    weight_decay: Sequence[float]
    seeds: int | Sequence[int] = (0,)
    only: Sequence[Cell] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", _axis("lr", self.lr, lowest="above 0"))
        object.__setattr__(self, "weight_decay", _axis("weight_decay", self.weight_decay))
        object.__setattr__(self, "seeds", _seeds(self.seeds))
        object.__setattr__(self, "only", _places(self.only, self.lr, self.weight_decay))
        if len(self) > MAX_CELLS:
            raise SpaceError(
                f"the space holds {self}, {len(self):,} trials; give at most {MAX_CELLS:,}"
            )

    def __len__(self) -> int:
        places = len(self.only) or len(self.lr) * len(self.weight_decay)
        return places * len(self.seed_list)

    def __str__(self) -> str:
        seeds = len(self.seed_list)
        text = f"{len(self.lr)} lr × {len(self.weight_decay)} weight_decay"
        if self.only:
            text = f"{len(self.only)} of the grid's cells"
        return text if seeds == 1 else f"{text} × {seeds} seeds"

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, spelled out."""
        return self.seeds  # type: ignore[return-value]  # __post_init__ made it a tuple

    def cells(self) -> list[TrialParams]:
        """Every trial of the grid: seed by seed, and within a seed from coarse to fine.

        The order lets a half-done study show the whole landscape at a low resolution, rather
        than its first rows; trials of one seed stay together because lanes share a seed.
        """
        points = [
            (rank_lr + rank_decay, rank_lr, lr, weight_decay)
            for rank_lr, lr in zip(_spread(len(self.lr)), self.lr, strict=True)
            for rank_decay, weight_decay in zip(
                _spread(len(self.weight_decay)), self.weight_decay, strict=True
            )
        ]
        wanted = {(rounded(lr), rounded(weight_decay)) for lr, weight_decay in self.only}
        trials = (
            TrialParams(lr, weight_decay, seed)
            for seed in self.seed_list
            for *_, lr, weight_decay in sorted(points)
        )
        return [params for params in trials if not wanted or params.cell in wanted]

    def as_data(self) -> dict[str, list[float] | list[int]]:
        """The space as plain lists, for the study's attributes."""
        return {
            "lr": list(self.lr),
            "weight_decay": list(self.weight_decay),
            "seeds": list(self.seed_list),
        }


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


def _places(
    only: Sequence[Cell], lrs: Iterable[float], decays: Iterable[float]
) -> tuple[Cell, ...]:
    axes = {rounded(v) for v in lrs}, {rounded(v) for v in decays}
    for place in only:
        for name, value, axis in zip((LR, WEIGHT_DECAY), place, axes, strict=True):
            if rounded(value) not in axis:
                raise SpaceError(f"only={place}: {name} {value:g} is not on its axis; add it there")
    return tuple(dict.fromkeys((float(lr), float(decay)) for lr, decay in only))


def _axis(name: str, values: Iterable[float], lowest: str = "0 or above") -> tuple[float, ...]:
    try:
        axis = tuple(sorted({float(v) for v in values}))
    except (TypeError, ValueError):
        raise SpaceError(
            f"{name}={values!r} is not a list of numbers; write a list or log_range(low, high, n)"
        ) from None
    if not axis:
        raise SpaceError(f"{name} is empty; give at least one value")
    for value in axis:
        if not math.isfinite(value) or value < 0 or (value == 0 and name == "lr"):
            raise SpaceError(f"{name} holds {value:g}; every value must be finite and {lowest}")
        if value > MOST:
            raise SpaceError(
                f"{name} holds {value:g}; no number above {MOST:g} can be trained with"
            )
    if len(axis) > MAX_AXIS:
        raise SpaceError(f"{name} holds {len(axis):,} values; give at most {MAX_AXIS:,}")
    return axis


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int) and seeds > MAX_AXIS:
        raise SpaceError(f"seeds={seeds}; give at most {MAX_AXIS:,}")
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))
    if not chosen or any(not isinstance(s, int) or s < 0 for s in chosen):
        raise SpaceError(f"seeds={seeds!r}; give a number of seeds, or a list of whole numbers ≥ 0")
    return chosen


def _spread(n: int) -> Iterator[int]:
    """For each of `n` positions, the level at which halving the axis again and again meets it."""
    span = 1 << max(n - 1, 1).bit_length()
    for i in range(n):
        step, level = span, 0
        while i % step and i != n - 1:
            step, level = step // 2, level + 1
        yield level
