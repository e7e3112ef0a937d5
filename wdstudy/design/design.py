"""What a study that designs itself is to answer, and what it may cost."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wdstudy.errors import SpecError
from wdstudy.space import SearchSpace

LOWEST_LR, HIGHEST_LR = 1e-7, 1e3
LOWEST_DECAY, HIGHEST_DECAY = 1e-7, 1e2

SCOUT_SHARE = 0.05
"""The length of a scouting run, as a share of a trial's."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Design:
    """What a study that designs itself is to answer, and what it may cost.

    Args:
        best: The best cell is to be known so well that choosing better would gain less than this
            share of the loss; None: it is not asked.
        effects: At every good lr a gain by weight decay is to be shown, or one of more than this
            share of the loss to be ruled out; None: not asked.
        limit: At every good lr the weight_decay where harm begins is to be known within so many
            decades; None: not asked.
        trials: How many trials of full length there may be; None: as many as it takes.
        seconds: How long the run may take; None: as long as it takes.
        lr, weight_decay: (least, largest) to look at; weight_decay = 0 is looked at besides.

    Raises:
        SpecError: a field can't be used; the message names it.
    """

    best: float | None = 0.02
    effects: float | None = 0.05
    limit: float | None = 0.5
    trials: int | None = None
    seconds: float | None = None
    lr: tuple[float, float] = (LOWEST_LR, HIGHEST_LR)
    weight_decay: tuple[float, float] = (LOWEST_DECAY, HIGHEST_DECAY)

    def __post_init__(self) -> None:
        for name in ("best", "effects", "limit", "seconds"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value < math.inf):
                raise SpecError(f"Design({name}={value!r}): give a number above 0, or None")
        if self.best is None and self.effects is None and self.limit is None:
            raise SpecError("Design asks nothing: give one of best, effects and limit")
        counted = isinstance(self.trials, int) and not isinstance(self.trials, bool)
        if self.trials is not None and not (counted and self.trials > 0):
            raise SpecError(f"Design(trials={self.trials!r}): give a whole number of at least 1")
        for name in ("lr", "weight_decay"):
            ends = getattr(self, name)
            pair = isinstance(ends, tuple | list) and len(ends) == 2 and all(map(_is_number, ends))
            if not (pair and 0 < ends[0] < ends[1] < math.inf):
                raise SpecError(f"Design({name}={ends!r}): give (least, largest), both above 0")

    @property
    def asks_effects(self) -> bool:
        """Whether columns of weight_decay are to be mapped, rather than a good cell found."""
        return self.effects is not None or self.limit is not None

    @property
    def space(self) -> SearchSpace:
        """The ranges, as a study's space: its ends, and weight_decay = 0."""
        return SearchSpace(self.lr, (0.0, *self.weight_decay))

    def as_data(self) -> dict[str, Any]:
        """What is asked and allowed, as JSON has it."""
        return {name: getattr(self, name) for name in ("best", "effects", "limit")} | {
            name: getattr(self, name) for name in ("trials", "seconds") if getattr(self, name)
        }


def parse_until(text: str) -> dict[str, float | None]:
    """The questions as written on the command line; those that are not named are not asked.

    >>> parse_until("best=2%,effects,limit=0.3")
    {'best': 0.02, 'effects': 0.05, 'limit': 0.3}
    """
    defaults: Mapping[str, float | None] = {"best": 0.02, "effects": 0.05, "limit": 0.5}
    found: dict[str, float | None] = dict.fromkeys(defaults)
    for item in text.split(","):
        name, given, value = item.strip().partition("=")
        if name not in defaults:
            raise SpecError(
                f"--until {text}: '{name}' is no question; they are best=2%, effects=5% and "
                "limit=0.5 (decades of weight_decay), each with or without its width"
            )
        found[name] = _width(name, value, text) if given else defaults[name]
    return found


def parse_budget(text: str) -> float:
    """Seconds, as written on the command line: `20m`, `1.5h`, `90s`.

    >>> parse_budget("20m")
    1200.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not match or not float(match[1]):
        raise SpecError(f"--budget {text}: give a time, like 90s, 20m or 1.5h")
    return float(match[1]) * _UNITS[match[2]]


def _width(name: str, value: str, text: str) -> float:
    share = value.endswith("%")
    try:
        width = float(value.removesuffix("%")) / (100 if share else 1)
    except ValueError:
        width = math.nan
    if not 0 < width < math.inf or (share and name == "limit"):
        like = "limit=0.3, in decades" if name == "limit" else f"{name}=2%"
        raise SpecError(f"--until {text}: can't read '{name}={value}'; write {like}")
    return width


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
