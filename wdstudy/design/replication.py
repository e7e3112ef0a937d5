"""More seeds: first of what every column is judged by, then of what the noise leaves open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.design.design import Design
from wdstudy.design.lattice import has_near, middle, nice
from wdstudy.design.mapping import GAINS, LONG, Want
from wdstudy.design.plane import Line, Plane
from wdstudy.design.questions import FACTOR, MOST_SEEDS, Answers, Place, open_cells
from wdstudy.space import Cell, TrialParams
from wdstudy.words import number

RIVALS = 3
"""So many of the cells that may be better get a seed at a time, the best first."""


def second_seeds(plane: Plane, columns: Sequence[Line]) -> Iterator[Want]:
    """A second seed of what a column is judged by: without weight decay, and the best with it; the
    last that does no harm, where none gains.
    """
    for line in columns:
        if sum(len(seeds) > 1 for seeds in line.seeds.values()) > 1:
            continue
        gains = line.best > 0 and not line.base - line.least < GAINS
        for decay in dict.fromkeys((0.0, line.best if gains else line.bracket[0])):
            if len(line.seeds.get(decay, ())) == 1 and decay not in line.pending:
                yield _again(plane, (line.lr, decay), f"how noisy lr {number(line.lr)} is")


def more_seeds(plane: Plane, answers: Answers, design: Design) -> Iterator[Want]:
    """Seeds of what is asked and open, where they may close it at a sane price."""
    best = answers.best
    if design.best is not None and not best.regret.value <= design.best:
        cells = [(best.lr, best.weight_decay), *best.rivals[:RIVALS]]
        yield from _level(plane, cells, "which of the best cells is the best")
    for place in answers.gains:
        if place.is_worth:
            effect = place.effect
            why = f"whether weight decay helps at lr {number(effect.lr)}"
            yield from _level(plane, [(effect.lr, effect.without), *_promising(effect)], why)
    for place in answers.limits:
        if place.is_open:
            yield from _about_the_limit(plane, place, design)


def _about_the_limit(plane: Plane, place: Place, design: Design) -> Iterator[Want]:
    """A larger weight_decay, where none surely harms; cells between those that are too far apart;
    else seeds of those that are not told.
    """
    effect, lr = place.effect, place.effect.lr
    why = f"where harm begins at lr {number(lr)}"
    line = next(line for line in plane.lines if line.lr == lr)
    # Where noise hides more than one cell, others between them would be hidden as well.
    near = _between(effect, place.asked) if len(open_cells(effect)) < 2 else ()
    for decay in (*_beyond(effect, design), *near):
        if len(line.asked) < LONG and not has_near(line.asked, decay, 0.1):
            yield Want(TrialParams(lr, decay), why)
            return
    if place.is_worth:
        cells = [(lr, effect.without), *((lr, decay) for decay in open_cells(effect))]
        yield from _level(plane, cells, why)


def _beyond(effect: LrEffect, design: Design) -> Iterator[float]:
    """A larger weight_decay than any, where it is not sure that the largest harms."""
    largest = effect.changes[-1].weight_decay
    if math.isinf(effect.harms_from[FACTOR].high) and largest < 0.99 * design.weight_decay[1]:
        yield min(nice(3 * largest), design.weight_decay[1])


def _between(effect: LrEffect, asked: float) -> Iterator[float]:
    """Weight decays between cells that are too far apart within the interval, the widest first."""
    onset = effect.harms_from[FACTOR]
    low, high = onset.low * 0.999, onset.high * 1.001
    there = [c.weight_decay for c in effect.changes if low <= c.weight_decay <= high]
    steps = [(above / below, below, above) for below, above in pairwise(there) if below > 0]
    for ratio, below, above in sorted(steps, reverse=True):
        if math.log10(ratio) > 0.6 * asked:
            yield middle(below, above)


def _promising(effect: LrEffect) -> list[Cell]:
    """The cells of a column that may gain most."""
    decayed = [c for c in effect.changes if c.weight_decay > effect.without]
    ranked = sorted(decayed, key=lambda c: c.loss.value)
    return [(effect.lr, c.weight_decay) for c in ranked[:2]]


def _level(plane: Plane, cells: Sequence[Cell], why: str) -> Iterator[Want]:
    """A seed more for those of some cells that have fewest, so that they stay comparable."""
    counts = {cell: plane.next_seed(*cell) for cell in cells}
    fewest = min(counts.values())
    if fewest >= MOST_SEEDS:
        return
    for cell, count in counts.items():
        if count == fewest or count < 2:
            yield _again(plane, cell, why)


def _again(plane: Plane, cell: Cell, why: str) -> Want:
    lr, decay = cell
    return Want(TrialParams(lr, decay, plane.next_seed(lr, decay)), why)
