"""What a sweep says about lr and weight_decay: all numbers, and the sentences that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wdstudy.analysis.numbers.basins import Basin
from wdstudy.analysis.numbers.best import Best
from wdstudy.analysis.numbers.edges import Edge, StableLr, Suggestion
from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.estimate import Estimate, as_data
from wdstudy.analysis.numbers.frontier import Frontier
from wdstudy.analysis.numbers.goodlr import GoodLr
from wdstudy.analysis.numbers.limit import Limit
from wdstudy.analysis.numbers.lines import ApartCost, ValleyWidth
from wdstudy.analysis.numbers.ridge import Ridge
from wdstudy.analysis.numbers.separability import Product, Separability


@dataclass(frozen=True)
class Sentence:
    """One statement; `about` is the field of Landscape that it rests on.

    numbers: what stands behind a statement in plain words, for those who ask; may be empty.
    """

    text: str
    about: str
    numbers: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Landscape:
    """How lr and weight_decay shape the loss. Costs and gaps are shares of the loss.

    effects: what weight_decay does at each lr; the heart of it. limit: where its harm begins, along
    lr. advice: what to do, in four plain sentences; verdict: all that can be said, in a
    statistician's.

    slope, frontier: decades of weight_decay per decade of lr, in PyTorch's form; in the
    independent form (lr · weight_decay as the axis) the same runs have these plus one.
    noise: standard deviation of log loss from seed to seed, or, where no cell has two seeds,
    about a smooth surface. logarithmic: false if some value is not positive; then all that is
    said of log loss and shares holds for the value itself.
    """

    name: str
    trials: int
    cells: int
    best: Best
    effects: tuple[LrEffect, ...]
    good_lr: GoodLr
    limit: Limit
    slope: Estimate
    ridge: Ridge
    frontier: Estimate
    frontier_line: Frontier
    separability: Separability
    product: Product
    apart_cost: ApartCost
    lr_sensitivity: Estimate
    weight_decay_sensitivity: Estimate
    valley_width: ValleyWidth
    edges: tuple[Edge, Edge]
    diverged_share: Estimate
    stable_lr: tuple[StableLr, ...]
    baseline_gap: Estimate
    second_basin: Basin | None
    noise: Estimate
    logarithmic: bool
    suggestion: Suggestion
    advice: tuple[Sentence, ...]
    verdict: tuple[Sentence, ...]

    def as_data(self) -> dict[str, Any]:
        """Everything as JSON knows it: NaN is None, sentences keep their key."""
        data: dict[str, Any] = as_data(self)
        return data
