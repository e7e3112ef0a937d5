"""Columns of weight_decay at every good lr: where to look next, a column at a time.

A column holds 0, the weight_decay where harm begins between two cells that are near enough, and
the valley below it. Columns lie half a decade of lr apart, as wide as training works, and one more
on either side shows that it does not work there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wdstudy.design.design import Design
from wdstudy.design.lattice import HALVES, QUARTERS, between, has_near, middle, nice
from wdstudy.design.plane import Line, Plane
from wdstudy.space import TrialParams
from wdstudy.words import number

APART = 0.3
"""Decades of lr that columns lie apart, at least."""

MOST_COLUMNS, ENOUGH_COLUMNS = 5, 4
"""So many columns at most; and as many, good or not, where training works at fewer lr."""

LONG = 10
"""Cells of a column at most: what these don't tell, noise hides."""

FOR_A_CELL = 3
"""Columns that are looked at where only a good cell is asked for."""

TRAINED, HALFWAY = math.log(2.0), 0.5
"""Log loss above the best up to which a column tells anything; or so far on the way from the best
to an untrained model, where training brings more than that."""

GAINS = 0.01
"""A fall of log loss below that without weight decay that is worth a look at smaller ones."""

WORTH = 0.005
"""A fall of log loss that is worth a trial."""

FLAT = 0.08
"""Log loss by which a neighbour may lie above the best, if a better one may lie between them."""

WIDE = 0.6
"""Decades of weight_decay between which harm begins, at most, before seeds are spent on it."""

STEEP = 0.5
"""Decades of weight_decay by which harm begins earlier a decade of lr higher, to begin with."""


@dataclass(frozen=True)
class Want:
    """A cell that would tell something, and what; the first are the most urgent."""

    params: TrialParams
    why: str


def columns_of(plane: Plane, design: Design) -> tuple[Line, ...]:
    """The columns worth mapping, the best first, not too near to each other.

    All that work; and the nearest that train at all, where a line through the onsets of harm would
    have too few points without them.
    """
    best = plane.best
    if best is None:
        return ()
    chosen: list[Line] = []
    works = {line.lr for line in plane.working}
    level = best.least + max(TRAINED, HALFWAY * (plane.untrained - best.least))
    trained = [line for line in plane.lines if line.least < level]
    first = plane.anchor
    order = sorted(
        trained,
        key=lambda line: (line is not first, line.lr not in works, -len(line.z) > -4, line.least),
    )
    most, enough = (MOST_COLUMNS, ENOUGH_COLUMNS) if design.asks_effects else (FOR_A_CELL, 1)
    for line in order:
        if len(chosen) >= (most if line.lr in works else enough):
            continue
        if all(abs(math.log10(line.lr / other.lr)) > APART for other in chosen):
            chosen.append(line)
    return tuple(sorted(chosen, key=lambda line: line.least))


def outward(plane: Plane, onset: float, design: Design) -> Iterator[Want]:
    """Lr beyond those that work, until one on either side does not."""
    working = plane.working
    if not working:
        return
    for edge, step in ((working[0], -1), (working[-1], 1)):
        enough = MOST_COLUMNS if design.asks_effects else 1
        if edge.pending or (edge is not plane.best and len(working) >= enough):
            continue
        lr = _next(edge.lr, step)
        if lr is None or not design.lr[0] * 0.999 <= lr <= design.lr[1] * 1.001:
            continue
        there = [line for line in plane.lines if abs(math.log10(line.lr / lr)) < 0.1]
        if any(line.pending for line in there):
            continue
        asked = {w for line in there for w in line.asked}
        at = there[0].lr if there else lr
        why = f"does lr {number(at)} work as well?"
        if 0 not in asked:
            yield Want(TrialParams(at, 0.0), why)
        guess = edge.best if edge.best > 0 else onset_at(at, plane, onset) / 10
        guess = _inside(guess / 10 ** (STEEP * step / HALVES), design)
        if not has_near(asked, guess, 0.3):
            yield Want(TrialParams(at, guess), why)


def onset_at(lr: float, plane: Plane, otherwise: float) -> float:
    """Where harm probably begins at an lr, by the nearest column that tells."""
    told = []
    for line in plane.lines:
        low, high = line.bracket
        if math.isfinite(high):
            told.append(
                (abs(math.log10(line.lr / lr)), line.lr, math.sqrt((low or high / 10) * high))
            )
    if not told:
        return otherwise
    _, near, onset = min(told)
    return onset * math.pow(near / lr, STEEP)


def down_the_column(line: Line, guess: float, design: Design) -> Iterator[Want]:
    """What a column lacks; nothing while some of it runs."""
    lr = line.lr
    if 0 not in line.asked:
        yield _want(lr, 0.0, "what it is without weight decay")
    if line.pending:
        return
    if not line.decays:
        for decay in (guess, guess / 10):
            yield from _new(line, decay, design, f"where harm begins at lr {number(lr)}")
        return
    last, first = line.bracket
    why = f"where harm begins at lr {number(lr)}"
    if math.isinf(first):
        yield from _upward(line, guess, design, why)
    elif last == 0:
        yield from _new(line, min(first / 10, guess / 3), design, why)
    elif math.log10(first / last) > WIDE:
        yield from _new(line, math.sqrt(first * last), design, why)


def _upward(line: Line, guess: float, design: Design, why: str) -> Iterator[Want]:
    """Larger weight decays than any that was tried: to where others tell, else by decades."""
    largest = line.decays[-1]
    if 2 * largest < 3 * guess < 30 * largest:
        yield from _new(line, 3 * guess, design, why)
        return
    for decade in range(1, 4):
        if largest * 10 ** (decade - 1) < design.weight_decay[1]:
            yield from _new(line, largest * 10**decade, design, why)


def down_the_valley(line: Line, design: Design) -> Iterator[Want]:
    """The cells about the best weight_decay of a column, and one well below the onset of harm."""
    why = f"what weight decay gains at lr {number(line.lr)}"
    if line.pending or not line.decays:
        return
    first = line.bracket[1]
    if math.isfinite(first):
        yield from _new(line, first / 10, design, why)
    best = line.best
    if not best > 0:
        return
    below = [w for w in line.asked if 0 < w < best]
    above = [w for w in line.asked if w > best]
    gains = not line.z.get(0.0, math.inf) - line.z[best] < GAINS
    if not below and gains:
        yield from _new(line, best / 10, design, why)
    elif gains and best / max(below) > 10**0.7:
        yield from _new(line, best / 3, design, why)
    if gains and above and min(above) / best > 10**0.7:
        yield from _new(line, best * 3, design, why)


def closer_in_lr(plane: Plane) -> Iterator[Want]:
    """Between the best cell and its neighbours, where one of these comes so near to it that a
    better one may lie between them.
    """
    best = plane.best
    if best is None or best.pending or not math.isfinite(best.best):
        return
    for other in _beside(plane.lines, best):
        lr = middle(best.lr, other.lr)
        near = other.least < best.least + FLAT and not other.pending
        if near and not has_near([line.lr for line in plane.lines], lr, 0.1):
            product = best.best * max(other.best, 0.0)
            at = nice(math.sqrt(product), QUARTERS) if product > 0 else min(best.best, other.best)
            yield Want(TrialParams(lr, at), f"does lr {number(lr)} do better than its neighbours?")


def closer_in_decay(plane: Plane, design: Design) -> Iterator[Want]:
    """Beside the best weight_decay of the best lr, where a parabola falls below it."""
    best = plane.best
    if best is None or best.pending or not best.best > 0:
        return
    done = [w for w in best.decays if math.isfinite(best.z[w])]
    place = done.index(best.best)
    if not 0 < place < len(done) - 1:
        return
    below, above = done[place - 1], done[place + 1]
    left, right = (best.z[w] - best.least for w in (below, above))
    if (right - left) ** 2 / max(8 * (right + left), 1e-12) > WORTH:
        at = middle(best.best, below if left < right else above)
        why = f"which weight_decay is the best at lr {number(best.lr)}"
        yield from _new(best, at, design, why, steps=QUARTERS, near=0.1)


def _beside(lines: Sequence[Line], best: Line) -> Iterator[Line]:
    """The lines next to the best, on either side, whatever they came out at."""
    below = [line for line in lines if line.lr < best.lr and math.isfinite(line.least)]
    above = [line for line in lines if line.lr > best.lr and math.isfinite(line.least)]
    yield from below[-1:]
    yield from above[:1]


def _new(
    line: Line, decay: float, design: Design, why: str, *, steps: int = HALVES, near: float = 0.2
) -> Iterator[Want]:
    decay = _inside(decay, design, steps)
    if len(line.asked) < LONG and not has_near(line.asked, decay, near):
        yield _want(line.lr, decay, why)


def _want(lr: float, decay: float, why: str) -> Want:
    return Want(TrialParams(lr, decay), why)


def _inside(decay: float, design: Design, steps: int = HALVES) -> float:
    low, high = design.weight_decay
    return min(max(nice(min(max(decay, low), high), steps), low), high)


def _next(lr: float, step: int) -> float | None:
    """The lr of the lattice of half decades beside one, upwards or downwards."""
    values = between(lr / 10, lr * 10)
    beyond = [v for v in values if step * math.log10(v / lr) > 0.25]
    return min(beyond, key=lambda v: abs(math.log(v / lr)), default=None)
