"""What a sweep says of a scale: how lr and weight_decay move along it, and what that rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from wdstudy.analysis.numbers.banks import Banks
from wdstudy.analysis.numbers.estimate import Estimate, as_data
from wdstudy.analysis.numbers.findings import Sentence
from wdstudy.analysis.numbers.following import Followed
from wdstudy.analysis.numbers.heldout import HeldOut
from wdstudy.analysis.numbers.rules import Measured, Verdict
from wdstudy.analysis.numbers.scaled import Scaled

QUANTITIES = ("lr", "weight_decay", "product", "tau_share", "tau_epochs", "limit")
"""What is followed: lr · weight_decay is `product`, τ is counted in runs and in epochs, and `limit`
is the weight_decay from which on it harms."""

HIDDEN = ("parts", "followed", "measured")
"""The fields of a Transfer that are the means to an end."""


@dataclass(frozen=True)
class Place:
    """The optimum at one value of the scale.

    lr … limit: as the law of all values has it. own_lr, own_weight_decay: as this value's cells
        have it, the basin's shape apart; not known where it shows none.
    banks: on which sides of its best the loss rises, along lr and along weight_decay.
    best_lr, best_weight_decay, loss: the best pair that was trained, and its loss.
    """

    value: float
    lr: Estimate
    weight_decay: Estimate
    product: Estimate
    tau_share: Estimate
    tau_epochs: Estimate
    limit: Estimate
    own_lr: Estimate
    own_weight_decay: Estimate
    banks: tuple[Banks, Banks]
    best_lr: float
    best_weight_decay: float
    loss: Estimate
    trials: int


@dataclass(frozen=True)
class Shape:
    """Whether one basin serves all values.

    shared: no value's cells object. p: of that test. depth: of the basin, as a share of the loss.
    cells: in it. misfit: by how much these scatter more than their noise, a ratio of variances.
    """

    shared: bool
    p: float
    depth: float
    cells: int
    misfit: float


@dataclass(frozen=True)
class Transfer:
    """How lr and weight_decay move along a scale.

    scale, values: the scale. name: the word for the loss. places: of each value.
    exponents: quantity → the power of the scale with which it moves; 0: it stays.
    straight: P value of the test that the logs lie on one line; NaN where nothing could show it.
    shape: of the basin. rules: what is said of each published rule. test: the largest value
        predicted from the others. advice: what to do, in sentences. notes: what is left out.

    parts, followed, measured: what it was told from, for predictions.
    """

    scale: str
    values: tuple[float, ...]
    name: str
    trials: int
    places: tuple[Place, ...]
    exponents: Mapping[str, Estimate]
    straight: float
    shape: Shape | None
    rules: tuple[Verdict, ...]
    test: HeldOut
    advice: tuple[Sentence, ...]
    notes: tuple[str, ...]
    parts: Scaled
    followed: Followed
    measured: Mapping[str, Measured]

    def as_data(self) -> dict[str, Any]:
        """Everything as JSON knows it, but for what predictions are made from."""
        told = [f.name for f in fields(self) if f.name not in HIDDEN]
        return {name: as_data(getattr(self, name)) for name in told}
