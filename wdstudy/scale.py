"""The third axis: what is scaled beside lr and weight_decay, and what changes with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wdstudy.axes import MOST, parse_axis, readable
from wdstudy.curves import TRIAL_FACTS, is_series
from wdstudy.errors import SpaceError, nearest

BUILT_IN = ("batch_size", "epochs", "train_examples")
"""Scales that need no function: fields of a study, and the first so many training examples."""

MAKES = ("model", "data", "loss", "optimizer", "schedule")
"""What a function of the scale's value may make."""

AXES = ("lr", "weight_decay", "tau")
"""Axes whose window may move along a scale."""

BUDGETS = ("epochs", "steps")

_TAKEN = (
    *AXES, *TRIAL_FACTS, "seed", "value", "scale", "cell", "key", "trial", "state", "diverged",
    "column", "index",
)  # fmt: skip
"""Names that frames and trials have for something else."""


@dataclass(frozen=True)
class Scale:
    """What is scaled beside lr and weight_decay: a name, its values, and what changes with them.

    `batch_size`, `epochs` and `train_examples` (the first so many, the same for all values) are
    built in. Anything else is a function of the value:
    `Scale("width", [64, 128, 256], model=lambda width: Net(width))`. In a loop of one's own the
    value stands in `params`, under its name.

    Args:
        name: What is scaled: a parameter of every trial, and a column of every frame.
        values: At least two. The window of lr and weight_decay is meant for the first of them.
        model: From the value to a fresh model. The random state is seeded before it is called.
        data: From the value to `(train, val)`, as a task's data.
        loss: From the value to a function `loss(output, y)`.
        optimizer: From the value to an optimizer, as `StudySpec` takes it.
        schedule: From the value to a schedule, as `StudySpec` takes it.
        follow: How the window moves: `{"lr": 0.5}` multiplies it by (value / first) ** 0.5.
        budget: What is held along the scale: the number of `"epochs"`, or of optimizer `"steps"`,
            which are then those of the first value.
        only: Values at which trials are trained, if at no others; all if empty.

    Raises:
        SpaceError: one of these can't be used; the message names it.
    """

    name: str
    values: Sequence[float]
    model: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    data: Callable[[Any], tuple[Any, Any]] | None = field(default=None, kw_only=True)
    loss: Callable[[Any], Callable[[Any, Any], Any]] | None = field(default=None, kw_only=True)
    optimizer: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    schedule: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    follow: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    budget: Literal["epochs", "steps"] = field(default="epochs", kw_only=True)
    only: Sequence[float] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        object.__setattr__(self, "values", _values(self.name, self.values))
        for part in self.makes:
            if not callable(getattr(self, part)):
                raise SpaceError(
                    f"{part}={getattr(self, part)!r} of the scale {self.name} is no function; give "
                    f"one of the value: {part}=lambda {self.name}: …"
                )
        if self.name in BUILT_IN and self.makes:
            raise SpaceError(
                f"the scale {self.name} is built in and needs no {self.makes[0]}=; leave it out, "
                "or give the scale another name"
            )
        if self.budget not in BUDGETS:
            raise SpaceError(
                f"unknown budget {self.budget!r}; {nearest(str(self.budget), BUDGETS)}"
            )
        if self.name == "epochs" and self.budget == "steps":
            raise SpaceError(
                "budget='steps' holds the number of steps, which the scale epochs is to change; "
                "leave out budget="
            )
        self._check_follow()
        object.__setattr__(self, "only", tuple(exact(float(value)) for value in self.only))
        for value in self.only:
            if value not in self.values:
                raise SpaceError(
                    f"only={value:g} is none of the values of the scale {self.name}; list it there"
                )

    @property
    def makes(self) -> tuple[str, ...]:
        """What its functions make."""
        return tuple(part for part in MAKES if getattr(self, part) is not None)

    @property
    def trained(self) -> Sequence[float]:
        """The values at which trials are trained."""
        return self.only or self.values

    @property
    def first(self) -> float:
        """The value for which the window of lr and weight_decay is meant."""
        return self.values[0]

    @property
    def logarithmic(self) -> bool:
        """Whether its values have logarithms."""
        return min(self.values) > 0

    def moved(self, axis: str, number: float, value: float) -> float:
        """A number of an axis, as it stands in the window of a value."""
        power = self.follow.get(axis, 0.0)
        if not power or value == self.first:
            return number
        return readable(number * (value / self.first) ** power)

    def as_data(self) -> dict[str, Any]:
        """The scale as plain data, for the study's record."""
        return {
            "name": self.name,
            "values": list(self.values),
            "follow": dict(self.follow),
            "budget": self.budget,
        }

    def _check_follow(self) -> None:
        if not isinstance(self.follow, Mapping):
            raise SpaceError(f"follow={self.follow!r}; give a dict of axes: follow={{'lr': 0.5}}")
        for axis, power in self.follow.items():
            if axis not in AXES:
                raise SpaceError(f"follow: unknown axis {axis!r}; {nearest(str(axis), AXES)}")
            known = isinstance(power, int | float) and not isinstance(power, bool)
            if not known or not math.isfinite(power):
                raise SpaceError(f"follow: {axis} has the power {power!r}; give a number, like 0.5")
        moves = [axis for axis, power in self.follow.items() if power]
        if moves and not self.logarithmic:
            raise SpaceError(
                f"follow: {moves[0]} can't follow {self.name}, whose values hold 0, of which there "
                "is no share; leave out follow=, or the 0"
            )


def exact(value: float) -> float:
    """A value of a scale, a whole number where it is one: models are built by it."""
    return int(value) if value == int(value) else float(value)


def parse_scale(text: str, flag: str = "--scale") -> tuple[str, tuple[float, ...]]:
    """A scale as written on the command line: its name and its values, in their order.

    >>> parse_scale("batch_size=32,16,64")
    ('batch_size', (32.0, 16.0, 64.0))
    """
    name, is_, values = text.partition("=")
    if not is_ or not name or not values:
        raise SpaceError(f"{flag} {text}: write name=values, like batch_size=32,64,128,256")
    return name, tuple(v for item in values.split(",") for v in parse_axis(flag, item))


def parse_follow(text: str) -> dict[str, float]:
    """How the window follows a scale, as written on the command line.

    >>> parse_follow("lr=0.5,weight_decay=-1")
    {'lr': 0.5, 'weight_decay': -1.0}
    """
    found = {}
    for item in text.split(","):
        axis, _, power = item.partition("=")
        try:
            found[axis] = float(power)
        except ValueError:
            raise SpaceError(
                f"--follow: can't read '{item}'; write axis=power, like lr=0.5"
            ) from None
    return found


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise SpaceError(
            f"a scale named {name!r}: give a name of letters, digits and _, like 'width'; it is a "
            "parameter of every trial"
        )
    if name in _TAKEN or is_series(name) or name.startswith(("params_", "final_")):
        raise SpaceError(
            f"a scale named '{name}', which is something else of every trial; give another name, "
            "like 'width'"
        )


def _values(name: str, values: Iterable[float]) -> tuple[float, ...]:
    """The values in their order, whole numbers as such."""
    try:
        numbers = [float(v) for v in values]
    except (TypeError, ValueError):
        raise SpaceError(
            f"the scale {name} has values={values!r}; give a list of numbers, like [64, 128, 256]"
        ) from None
    for value in numbers:
        if not math.isfinite(value) or value < 0 or value > MOST:
            raise SpaceError(f"the scale {name} holds {value:g}; give finite numbers of 0 or above")
        if name in BUILT_IN and (value != int(value) or value < 1):
            raise SpaceError(f"the scale {name} holds {value:g}; give whole numbers of at least 1")
        if numbers.count(value) > 1:
            raise SpaceError(f"the scale {name} holds {value:g} twice; give each value once")
    if len(numbers) < 2:
        held = f"the one value {numbers[0]:g}" if numbers else "no value"
        raise SpaceError(
            f"the scale {name} holds {held}; give at least two, and four or more where exponents "
            "are to be told, or leave out the scale"
        )
    return tuple(map(exact, numbers))
