"""What is asked of a design, and how far the trials that are done answer it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wdstudy.analysis.numbers.best import Best, best_cell
from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.effects import LrEffect, effects_by_lr
from wdstudy.analysis.numbers.goodlr import good_lr
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.design.batch import Question
from wdstudy.design.design import Design
from wdstudy.words import counted, number

FACTOR = 1.25
"""Harm is a loss of so many times that without weight decay."""

MOST_SEEDS, MOST_CELLS, MOST_TRIALS = 4, 6, 12
"""A sane price of an answer at one lr: so many seeds a cell of so many, and so many more trials."""

MANY = 100

ENOUGH_CELLS = 4
"""Cells that make a column of which something can be asked."""


@dataclass(frozen=True)
class Place:
    """How far a question is answered at one lr.

    width: what is open, in the question's units; inf where nothing is known.
    seeds: how many the cells have by which it is judged. needed: how many would answer it.
    cells: how many would get more.
    """

    effect: LrEffect
    width: float
    asked: float
    seeds: int
    needed: float
    cells: int = 3

    @property
    def trials(self) -> float:
        """How many more it would take."""
        return self.cells * max(self.needed - self.seeds, 1.0)

    @property
    def is_open(self) -> bool:
        """Whether more is to be known."""
        return not self.width <= self.asked

    @property
    def is_worth(self) -> bool:
        """Whether it is open, and a sane number of seeds would answer it."""
        return (
            self.is_open
            and self.needed <= MOST_SEEDS
            and self.cells <= MOST_CELLS
            and self.trials <= MOST_TRIALS
        )


@dataclass(frozen=True)
class Answers:
    """What the trials say, as far as a design asks for it.

    gains, limits: the effects and the limit at every lr that comes near the best, from the least lr
        on; empty where it is not asked.
    rescued: the good lr at which training diverges without weight decay: that is the answer there.
    replicated: seeds tell the noise, without which nothing is answered.
    shares: the values are positive, so that gains and harms are shares of them.
    """

    best: Best
    gains: tuple[Place, ...]
    limits: tuple[Place, ...]
    replicated: bool
    rescued: tuple[float, ...] = ()
    shares: bool = True

    @classmethod
    def of(cls, cells: Cells, design: Design) -> Answers:
        """What the cells say."""
        effects = effects_by_lr(cells, np.random.default_rng(0))
        low, high = good_lr(cells, effects).with_decay
        near = [e for e in effects if low <= e.lr <= high]
        good = [e for e in near if e.gain.known and len(e.changes) >= ENOUGH_CELLS]
        replicated = cells.noise.replicated and cells.noise.known
        seeds = {
            (lr, decay): int(n)
            for lr, decay, n in zip(
                *(cells.table[c] for c in ("lr", "weight_decay", "seeds")), strict=True
            )
        }
        base = [seeds.get((e.lr, e.without), 1) for e in good]
        gains = [_gain(e, n, design.effects) for e, n in zip(good, base, strict=True)]
        limits = [_limit(e, seeds, design) for e in good]
        return cls(
            best_cell(cells, np.random.default_rng(0)),
            tuple(p for p in gains if p is not None),
            tuple(p for p in limits if p is not None),
            replicated,
            tuple(e.lr for e in near if not e.gain.known),
            cells.logarithmic,
        )


def _gain(effect: LrEffect, seeds: int, asked: float | None) -> Place | None:
    """Whether a gain is shown, or one of more than `asked` ruled out."""
    if asked is None:
        return None
    gain = effect.gain
    if not math.isfinite(gain.high):
        return Place(effect, math.inf, asked, seeds, seeds + 1)
    if gain.low > 0:
        return Place(effect, 0.0, asked, seeds, seeds)
    half = gain.high - gain.value
    room = max(gain.value, asked - gain.value)
    return Place(effect, gain.high, asked, seeds, seeds * max((half / room) ** 2, 1.0))


def _limit(effect: LrEffect, seeds: dict[tuple[float, float], int], design: Design) -> Place | None:
    """Within how many decades harm begins."""
    if design.limit is None:
        return None
    asked, onset = design.limit, effect.harms_from[FACTOR]
    fewest = min(seeds.get((effect.lr, w), 1) for w in (effect.without, *open_cells(effect)))
    if not onset.known and onset.low >= 0.99 * design.weight_decay[1]:
        return Place(effect, 0.0, asked, fewest, fewest)
    cells = 1 + len(open_cells(effect))
    told = onset.known and onset.low > 0 and math.isfinite(onset.high)
    width = math.log10(onset.high / onset.low) if told else math.inf
    needed = fewest * max(_further(effect, design.limit), 1.0) if width > asked else fewest
    return Place(effect, width, asked, fewest, needed, cells)


def open_cells(effect: LrEffect) -> tuple[float, ...]:
    """The weight decays of a column of which it is not sure whether they harm."""
    level = FACTOR - 1
    return tuple(
        c.weight_decay
        for c in effect.changes
        if c.weight_decay > effect.without
        and math.isfinite(c.loss.value)
        and not (c.loss.low > level or c.loss.high < level)
    )


def _further(effect: LrEffect, asked: float) -> float:
    """How many times the seeds would tell enough of the open cells which side they are on.

    The one that is nearest to the level may stay open, where its neighbours are near enough.
    """
    level, changes = FACTOR - 1, {c.weight_decay: c.loss for c in effect.changes}
    factors = []
    for decay in open_cells(effect):
        loss = changes[decay]
        distance = abs(loss.value - level)
        reach = (loss.high - loss.value) if loss.value < level else (loss.value - loss.low)
        factors.append((reach / max(distance, 1e-9)) ** 2 if math.isfinite(reach) else 1.5)
    if len(factors) > 1 or (factors and asked >= 1):
        factors.remove(max(factors))
    return max(factors, default=1.0)


def questions(answers: Answers, design: Design) -> tuple[Question, ...]:
    """Every question of the design, in its order."""
    found = []
    if design.best is not None:
        found.append(_best(answers, design.best))
    if design.effects is not None:
        says = "whether weight decay helps"
        found.append(_of_places("effects", says, design.effects, answers.gains, answers))
    if design.limit is not None:
        says = "where harm begins"
        found.append(_of_places("limit", says, design.limit, answers.limits, answers))
    return tuple(found)


def _best(answers: Answers, asked: float) -> Question:
    best = answers.best
    known = answers.replicated and math.isfinite(best.regret.value)
    width = best.regret.value if known else math.inf
    place = f"lr {number(best.lr)}, weight_decay {number(best.weight_decay)}"
    says = f"which cell is the best takes seeds to tell; so far {place}"
    if known:
        says = f"another cell than {place} would gain about {percent(width)}"
    trials = math.nan
    if asked < width < math.inf:
        trials = math.ceil(best.seeds * ((width / asked) ** 2 - 1)) * (1 + len(best.rivals))
    given_up = (
        "" if width <= asked or best.seeds < MOST_SEEDS else f"{says}, after {best.seeds} seeds"
    )
    return Question("best", asked, width, width <= asked, says, given_up, trials)


def _of_places(
    name: str, what: str, asked: float, places: Sequence[Place], answers: Answers
) -> Question:
    """A question of several lr: as wide as the widest."""
    if not answers.shares:
        why = f"{what} can't be told of values that are not all positive"
        return Question(name, asked, math.inf, False, why, why)
    if answers.rescued and not places:
        why = f"{what}: training diverges without it at {_lrs(answers.rescued)}"
        return Question(name, asked, 0.0, True, why)
    if not (places and answers.replicated):
        return Question(name, asked, math.inf, False, f"{what} takes seeds to tell")
    width = max(p.width for p in places)
    still = [p for p in places if p.is_open]
    told = [p.effect.lr for p in places if not p.is_open]
    says = f"{what} is told at {_lrs(told)}" if told else f"{what} is told at no lr yet"
    if not still:
        return Question(name, asked, width, True, says)
    says += f", open at {_lrs([p.effect.lr for p in still])}"
    trials = float(math.ceil(sum(p.trials for p in still)))
    given_up = ""
    if not any(p.is_worth for p in still):
        more = f"about {trials:.0f}" if trials < MANY else f"more than {MANY}"
        given_up = f"{says}, where {more} trials would tell"
    return Question(name, asked, width, False, says, given_up, trials)


def _lrs(lrs: Sequence[float]) -> str:
    """`lr 0.01 and 0.1`, or how many, where they are many."""
    if len(lrs) > 3:
        return f"{counted(len(lrs), 'good lr').removesuffix('s')}"
    names = [number(lr) for lr in lrs]
    return "lr " + " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])
