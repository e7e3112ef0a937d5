"""What a sweep says about lr and weight_decay: all numbers, and the sentences that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wdstudy.analysis.numbers.best import Best
from wdstudy.analysis.numbers.edges import Edge, StableLr, Suggestion
from wdstudy.analysis.numbers.estimate import Estimate, as_data
from wdstudy.analysis.numbers.frontier import Frontier
from wdstudy.analysis.numbers.lines import ApartCost, ValleyWidth
from wdstudy.analysis.numbers.ridge import Ridge
from wdstudy.analysis.numbers.separability import Product, Separability


@dataclass(frozen=True)
class Sentence:
    """One statement of the verdict; `about` is the field of Landscape that it rests on."""

    text: str
    about: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Landscape:
    """How lr and weight_decay shape the loss. Costs and gaps are shares of the loss.

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
    noise: Estimate
    logarithmic: bool
    suggestion: Suggestion
    verdict: tuple[Sentence, ...]

    def as_data(self) -> dict[str, Any]:
        """Everything as JSON knows it: NaN is None, sentences keep their key."""
        data: dict[str, Any] = as_data(self)
        return data
