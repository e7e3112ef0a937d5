"""Published rules of how lr and weight_decay move with scale, and which of them a sweep bears.

All are in PyTorch's form, where a step shrinks the weights by lr · weight_decay, and say by which
power a quantity moves with what changes. They were found in different set-ups, and several
contradict each other: which holds for a model is for its own sweep to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wdstudy.analysis.numbers.contrasts import quantile
from wdstudy.words import signed

SAME = 0.02
"""Powers that differ by less are one rule."""

TOO_MANY = 30
"""So many more sizes are no advice."""


@dataclass(frozen=True)
class Rule:
    """A published rule.

    powers: what changes (a name of `scaled.DRIVERS`) → quantity → power. A quantity is `lr`,
        `weight_decay`, `product` (lr · weight_decay), `tau_epochs` or `tau_share`.
    setting: what it was found with. source: where it stands, a link.
    """

    name: str
    says: str
    powers: Mapping[str, Mapping[str, float]]
    setting: str
    source: str


ARXIV = "https://arxiv.org/abs/"
TOKENS = -0.527
"""The exponent of τ as a share of the run with tokens per parameter, Bergsma et al. 2025."""

RULES = (
    Rule(
        "nothing moves",
        "keep lr and weight_decay",
        {driver: {"lr": 0.0, "weight_decay": 0.0} for driver in
         ("batch_size", "width", "train_examples", "examples_seen", "parameters")},
        "what is done without a rule", "",
    ),
    Rule(
        "linear in the batch", "lr ∝ batch", {"batch_size": {"lr": 1.0}},
        "SGD on ImageNet", ARXIV + "1706.02677",
    ),
    Rule(
        "square root of the batch", "lr ∝ √batch", {"batch_size": {"lr": 0.5}},
        "Adam and RMSprop", ARXIV + "2205.10287",
    ),
    Rule(
        "Complete(d)P", "lr and weight_decay ∝ √batch; lr ∝ 1/√examples seen",
        {"batch_size": {"lr": 0.5, "weight_decay": 0.5}, "examples_seen": {"lr": -0.5}},
        "AdamW, language models", ARXIV + "2512.22382",
    ),
    Rule(
        "constant memory in epochs", "τ in epochs stays, whatever grows",
        {"batch_size": {"tau_epochs": 0.0}, "train_examples": {"tau_epochs": 0.0},
         "examples_seen": {"tau_epochs": 0.0}, "width": {"tau_epochs": 0.0},
         "parameters": {"tau_epochs": 0.0}},
        "AdamW, ResNet, ViT and GPT", ARXIV + "2405.13698",
    ),
    Rule(
        "power law of tokens per parameter", "τ/run ∝ (examples seen / parameters)^−0.527",
        {"batch_size": {"tau_share": 0.0}, "examples_seen": {"tau_share": TOKENS},
         "parameters": {"tau_share": -TOKENS}},
        "AdamW, language models seen once", ARXIV + "2505.13738",
    ),
    Rule(
        "Step Law", "lr ∝ parameters^−0.713 · examples seen^0.307",
        {"parameters": {"lr": -0.713}, "examples_seen": {"lr": 0.307}},
        "AdamW, language models seen once", ARXIV + "2503.04715",
    ),
    Rule(
        "µP with constant product", "lr ∝ 1/width, weight_decay ∝ width",
        {"width": {"lr": -1.0, "weight_decay": 1.0}},
        "AdamW, hidden layers under µP", ARXIV + "2510.19093",
    ),
    Rule(
        "root of the width", "weight_decay ∝ √width", {"width": {"weight_decay": 0.5}},
        "AdamW, hidden layers under µP", ARXIV + "2510.15262",
    ),
    Rule(
        "nanochat", "weight_decay ∝ 1/width²", {"width": {"weight_decay": -2.0}},
        "Muon", "https://github.com/karpathy/nanochat",
    ),
)  # fmt: skip
"""The rules, as read in the sources' abstracts and in the constants that code quotes."""


@dataclass(frozen=True)
class Measured:
    """An exponent as measured: its value, half its 95 % interval, and degrees of freedom."""

    value: float
    half: float
    df: float


@dataclass(frozen=True)
class Verdict:
    """What a sweep says of a rule.

    powers: quantity → power of the scale that the rule asks for, in the parametrisation of the
        sweep. verdict: "fits": it alone of the rules that contradict each other;
        "rejected": some power lies outside of what was measured; "open": not told from others;
        "unknown": nothing that it speaks of was measured.
    text: the verdict in words, with its number or with what would tell.
    """

    rule: Rule
    powers: Mapping[str, float]
    verdict: Literal["fits", "rejected", "open", "unknown"]
    text: str


def judged(
    drivers: Mapping[str, float],
    measured: Mapping[str, Measured],
    *,
    independent: bool,
    sizes: int,
    span: float,
) -> tuple[Verdict, ...]:
    """What the measured exponents say of every rule that speaks of what changes.

    Args:
        drivers: By which power of the scale each thing moves along it.
        measured: Quantity → exponent; those that are not known are missing.
        independent: Whether weight_decay is not scaled by lr.
        sizes: How many values of the scale there are.
        span: Their range, in decades.
    """
    asked = [(rule, powers) for rule in RULES
             if (powers := _asked(rule, drivers, independent=independent))]  # fmt: skip
    standing = [
        (rule, powers)
        for rule, powers in asked
        if any(q in measured for q in powers) and not _outside(powers, measured)
    ]
    return tuple(_verdict(rule, powers, measured, standing, sizes, span) for rule, powers in asked)


def _asked(rule: Rule, drivers: Mapping[str, float], *, independent: bool) -> dict[str, float]:
    """The powers of the scale that a rule asks for; a quantity of which it says all it must."""
    moving = [driver for driver in drivers if driver in rule.powers]
    # Where batch and run both grow, what is said of each adds up, and both must be said. A width
    # and its parameters, or the data and how much of it is seen, are one thing under two names.
    apart = {driver for driver in drivers if driver in ("batch_size", "examples_seen")}
    found = {}
    for quantity in NAMES:
        about = [driver for driver in moving if quantity in rule.powers[driver]]
        if about and not apart - {*about}:
            found[quantity] = sum(rule.powers[d][quantity] * drivers[d] for d in about)
    return _translated(found) if independent else found


def _translated(powers: dict[str, float]) -> dict[str, float]:
    """Of weight_decay in the independent form, which is that of PyTorch's times lr."""
    others = {q: p for q, p in powers.items() if q not in ("weight_decay", "product")}
    if {"lr", "weight_decay"} <= powers.keys():
        return {**others, "weight_decay": powers["lr"] + powers["weight_decay"]}
    return others


def _outside(powers: Mapping[str, float], measured: Mapping[str, Measured]) -> list[str]:
    """The quantities whose measured exponent excludes the rule's, all of them at 95 % together."""
    known = {q: measured[q] for q in powers if q in measured}
    return [q for q, m in known.items() if abs(powers[q] - m.value) > _reach(m, len(known))]


def _reach(exponent: Measured, count: int) -> float:
    """Half the interval, where so many are to hold together."""
    return exponent.half * quantile(exponent.df, count) / quantile(exponent.df)


def _verdict(
    rule: Rule,
    powers: Mapping[str, float],
    measured: Mapping[str, Measured],
    standing: Sequence[tuple[Rule, Mapping[str, float]]],
    sizes: int,
    span: float,
) -> Verdict:
    known = [q for q in powers if q in measured]
    if not known:
        return Verdict(rule, powers, "unknown", f"of {_and(powers)} nothing is measured here")
    outside = _outside(powers, measured)
    if outside:
        worst = max(outside, key=lambda q: abs(powers[q] - measured[q].value) / measured[q].half)
        found = _interval(measured[worst])
        text = f"rejected: {NAMES[worst]} moves as {found}, not {signed(powers[worst])}"
        return Verdict(rule, powers, "rejected", text)
    rivals = [
        (other, theirs, quantity)
        for other, theirs in standing
        for quantity in known
        if other is not rule
        and abs(theirs.get(quantity, powers[quantity]) - powers[quantity]) > SAME
    ]
    if not rivals:
        told = "; ".join(f"{NAMES[q]} {signed(powers[q])}, measured {_interval(measured[q])}"
                         for q in known)  # fmt: skip
        return Verdict(rule, powers, "fits", f"fits: {told}")
    far: dict[str, float] = {}
    for other, theirs, quantity in rivals:
        apart = abs(theirs[quantity] - powers[quantity]) / measured[quantity].half
        far[other.name] = max(far.get(other.name, 0.0), apart)
    names = " and ".join(f"“{name}”" for name in far)
    text = f"can't be told from {names} with this sweep: {_remedy(min(far.values()), sizes, span)}"
    return Verdict(rule, powers, "open", text)


def _remedy(apart: float, sizes: int, span: float) -> str:
    """What would tell two rules apart whose powers differ by so many half intervals."""
    ratio = 2 / apart  # an interval is to hold one of them and not the other, wherever it lies
    more = math.ceil(sizes * (ratio**2 - 1))
    factor = 10 ** (span * ratio)
    wider = f"a factor of {_round(factor)} between the least and the largest"
    if more > TOO_MANY:
        return f"{wider} would" if factor < 1e4 else "it takes more seeds first"
    return f"{max(more, 1)} more sizes, or {wider}, would"


def _round(factor: float) -> str:
    digits = f"{factor:.1e}".split("e")
    return f"{float(digits[0]) * 10 ** int(digits[1]):,.0f}"


NAMES = {
    "lr": "lr", "weight_decay": "weight_decay", "product": "lr · weight_decay",
    "tau_share": "τ as a share of the run", "tau_epochs": "τ in epochs",
    "limit": "the harmless limit",
}  # fmt: skip
"""A quantity in words."""


def _interval(exponent: Measured) -> str:
    low, high = exponent.value - exponent.half, exponent.value + exponent.half
    return f"{signed(exponent.value)} ({signed(low)} … {signed(high)})"


def _and(names: Mapping[str, float]) -> str:
    return " and ".join(NAMES[name] for name in names)
