"""How the optimum drifts along a scale: its law, what each value shows alone, published rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.contrasts import quantile
from wdstudy.analysis.numbers.estimate import Array, Estimate
from wdstudy.analysis.numbers.following import Law
from wdstudy.analysis.numbers.prediction import raised, weights_of
from wdstudy.analysis.numbers.rules import SAME, Verdict
from wdstudy.analysis.numbers.transferfindings import QUANTITIES, Place, Transfer

LABELS = {
    "lr": "best lr",
    "weight_decay": "best weight_decay",
    "product": "lr · weight_decay",
    "tau_share": "τ as a share of the run",
    "tau_epochs": "τ in epochs",
    "limit": "harmless weight_decay",
}

FINE = 41
"""Places of the scale at which a law is drawn."""

NEXT = 2.0
"""The law is drawn on to so many times the largest value: to the size that comes next."""


@dataclass(frozen=True)
class RuleLine:
    """A line through the law's middle that published rules ask for."""

    names: tuple[str, ...]
    power: float
    verdict: str


@dataclass(frozen=True)
class DriftPanel:
    """A quantity along the scale, all in its own units.

    law: `at, middle, low, high`; own: `at, middle, low, high`, of each value alone; trained:
    `at, middle`, of the best pair that was trained. All may be empty. centre: the value of the
    scale, and of the quantity, through which rules are drawn.
    """

    quantity: str
    label: str
    law: pd.DataFrame
    own: pd.DataFrame
    trained: pd.DataFrame
    rules: tuple[RuleLine, ...]
    centre: tuple[float, float]
    exponent: Estimate


@dataclass(frozen=True)
class DriftInfo:
    """What is shown: a panel a quantity. missing: why others are not shown; may be empty."""

    scale: str
    values: tuple[float, ...]
    panels: tuple[DriftPanel, ...]
    missing: str


def drift_info(found: Transfer) -> DriftInfo:
    """What is shown of a drift."""
    shown = [q for q in QUANTITIES if found.exponents[q].known or _placed(found, q)]
    if not {"lr", "weight_decay"} & {*shown}:
        shown = ["lr", "weight_decay"]  # the best that were trained are there always
    lacking = [q for q in ("lr", "weight_decay") if not _placed(found, q)]
    why = found.exponents[lacking[0]].reason if lacking else ""
    panels = [_panel(found, quantity) for quantity in shown]
    # Where no weight_decay above 0 is the best anywhere, there is nothing to draw of it.
    some = [p for p in panels if len(p.law) or len(p.own) or len(p.trained)]
    return DriftInfo(found.scale, found.values, tuple(some), why)


def _placed(found: Transfer, quantity: str) -> bool:
    return any(getattr(place, quantity).known for place in found.places)


def _panel(found: Transfer, quantity: str) -> DriftPanel:
    law = _law(found, quantity)
    middle = 10 ** float(np.mean(np.log10(found.values)))
    at = float(np.interp(math.log10(middle), np.log10(law["at"]), np.log10(law["middle"]))) \
        if len(law) else math.nan  # fmt: skip
    return DriftPanel(
        quantity,
        LABELS[quantity],
        law,
        _table((place.value, own) for place, own in _own(found, quantity) if own.known),
        pd.DataFrame(_trained(found, quantity), columns=["at", "middle"]),
        tuple(_rules(found.rules, quantity)) if len(law) else (),
        (middle, 10**at),
        found.exponents[quantity],
    )


def _table(rows: Iterator[tuple[float, Estimate]]) -> pd.DataFrame:
    told = [(at, one.value, one.low, one.high) for at, one in rows]
    return pd.DataFrame(told, columns=["at", "middle", "low", "high"], dtype=float)


def _law(found: Transfer, quantity: str) -> pd.DataFrame:
    """The law over the values of the scale, and on to the one that comes next."""
    least, largest = found.values[0], found.values[-1]
    values = np.geomspace(least, largest * NEXT, FINE)
    values = np.unique([*values, *found.values])
    spoken = ((float(at), law_at(found, quantity, float(at))) for at in values)
    return _table((at, one) for at, one in spoken if one.known)


def law_at(found: Transfer, quantity: str, value: float) -> Estimate:
    """A quantity at a value of the scale, trained or not, as the law of all has it."""
    law, t = found.followed.law, found.parts.place(value)
    if not _placed(found, quantity) or law is None:
        return Estimate(math.nan)
    if quantity == "limit":
        assert found.followed.limit is not None
        return raised(*found.followed.limit.at(t, np.ones(1)), len(found.followed.limit.t))
    if quantity in ("lr", "weight_decay", "product"):
        return raised(*law.drift.at(t, weights_of(law, quantity)), law.alignment.cells)
    shrink = weights_of(law, "weight_decay" if found.parts.independent else "product")
    middle, half = law.drift.at(t, -shrink)
    return raised(middle - _length(found, quantity, t), half, law.alignment.cells)


def _length(found: Transfer, quantity: str, t: float) -> float:
    """log10 of the steps of a run or an epoch: between and beyond the values as they change."""
    which = int(quantity == "tau_epochs")
    known = np.array([found.parts.memory(part)[which] for part in found.parts.parts])
    at = found.parts.t
    if at[0] <= t <= at[-1]:
        return float(np.interp(t, at, known))
    end, other = (0, 1) if t < at[0] else (-1, -2)
    slope = (known[end] - known[other]) / (at[end] - at[other])
    return float(known[end] + slope * (t - at[end]))


def _own(found: Transfer, quantity: str) -> Iterator[tuple[Place, Estimate]]:
    """The optimum by the cells of each value alone."""
    law = found.followed.law
    for place in found.places:
        if quantity == "lr":
            yield place, place.own_lr
        elif quantity == "weight_decay":
            yield place, place.own_weight_decay
        elif quantity == "limit":
            yield place, _own_limit(found, place)
        elif law is not None and law.follows_decay:
            t = found.parts.place(place.value)
            yield place, _own_sum(found, law, quantity, t)


def _own_limit(found: Transfer, place: Place) -> Estimate:
    limit = found.followed.limit
    if limit is None:
        return Estimate(math.nan)
    here = np.flatnonzero(np.isclose(limit.t, found.parts.place(place.value)))
    if not len(here):
        return Estimate(math.nan)
    k = int(here[0])
    return raised(
        float(limit.places[k, 0]), 1.96 * math.sqrt(float(limit.blocks[k, 0, 0])), len(limit.t)
    )


def _own_sum(found: Transfer, law: Law, quantity: str, t: float) -> Estimate:
    """The same of a sum of the axes, whose errors hang together."""
    here = np.flatnonzero(np.isclose(law.alignment.t, t))
    if not len(here):
        return Estimate(math.nan)
    k = int(here[0])
    sign, lever, length = 1.0, weights_of(law, "product"), 0.0
    if quantity != "product":
        sign, length = -1.0, _length(found, quantity, t)
        lever = weights_of(law, "weight_decay" if found.parts.independent else "product")
    block: Array = law.drift.blocks[k]
    middle = sign * float(lever @ law.drift.places[k]) - length
    half = quantile(law.alignment.df) * math.sqrt(max(float(lever @ block @ lever), 0.0))
    return raised(middle, half, law.alignment.cells)


def _trained(found: Transfer, quantity: str) -> list[tuple[float, float]]:
    """The same of the best pair that was trained at each value."""
    rows = []
    for place, part in zip(found.places, found.parts.parts, strict=True):
        lr, decay = place.best_lr, place.best_weight_decay
        shrink = decay if found.parts.independent else lr * decay
        run, epoch = found.parts.memory(part)
        with np.errstate(divide="ignore"):
            memory = 1 / np.float64(shrink)
        told: Mapping[str, float] = {
            "lr": lr, "weight_decay": decay, "product": lr * decay,
            "tau_share": float(memory / 10**run), "tau_epochs": float(memory / 10**epoch),
        }  # fmt: skip
        at = told.get(quantity, math.nan)
        if math.isfinite(at) and at > 0:
            rows.append((place.value, at))
    return rows


def _rules(verdicts: Sequence[Verdict], quantity: str) -> Iterator[RuleLine]:
    """A line for each power that rules ask for; those of one power and one verdict together."""
    asked = [(verdict, power) for verdict in verdicts
             if (power := _power(verdict, quantity)) is not None]  # fmt: skip
    asked.sort(key=lambda one: (one[0].verdict, one[1]))
    while asked:
        first, power = asked[0]
        same = [v for v, other in asked if v.verdict == first.verdict and other - power <= SAME]
        asked = asked[len(same) :]
        yield RuleLine(tuple(verdict.rule.name for verdict in same), power, first.verdict)


def _power(verdict: Verdict, quantity: str) -> float | None:
    powers = verdict.powers
    if quantity == "product" and quantity not in powers and {"lr", "weight_decay"} <= {*powers}:
        return powers["lr"] + powers["weight_decay"]
    return powers.get(quantity)
