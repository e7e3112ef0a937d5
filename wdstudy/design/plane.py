"""The plane as a design sees it: columns of one lr, what was trained there, what is pending."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from wdstudy.analysis.frames.cells import DIVERGED_SHARE
from wdstudy.analysis.numbers.cells import Cells, measured
from wdstudy.design.lattice import has_near
from wdstudy.design.outcomes import Outcome, frame_of
from wdstudy.space import Key, TrialParams, rounded

HARM = math.log(1.25)
"""Log loss above that without weight decay from which on it is harm."""

EQUAL = 0.01
"""Log loss by which columns differ without a choice between them."""

FAR = 10.0
"""A weight_decay that harms if any does."""

WORKS = math.log(1.3)
"""Log loss above the best up to which an lr is worth a column of its own."""


@dataclass(frozen=True)
class Line:
    """The cells of one lr, by rising weight_decay.

    z: weight_decay → mean log loss, low is good; inf where it diverged.
    seeds: weight_decay → the seeds that are done. pending: weight_decay that wait or run.
    asked: every weight_decay that was ever placed, failed ones among them.
    """

    lr: float
    z: Mapping[float, float]
    seeds: Mapping[float, frozenset[int]]
    pending: frozenset[float]
    asked: frozenset[float]

    @property
    def base(self) -> float:
        """Log loss without weight decay; NaN where that was not trained."""
        return self.z.get(0.0, math.nan)

    @cached_property
    def decays(self) -> tuple[float, ...]:
        """The positive weight decays that are done."""
        return tuple(sorted(w for w in self.z if w > 0))

    @property
    def best(self) -> float:
        """The weight_decay of the least log loss; NaN where nothing finished."""
        done = {w: z for w, z in self.z.items() if math.isfinite(z)}
        return min(done, key=lambda w: (done[w], w)) if done else math.nan

    @property
    def least(self) -> float:
        """The least log loss; inf where nothing finished."""
        return min(self.z.values(), default=math.inf)

    @property
    def bracket(self) -> tuple[float, float]:
        """The weight decays between which harm begins: (last without, first with).

        0 where the least positive one harms already, inf where none does.
        """
        start = self.best if math.isfinite(self.best) else 0.0
        level = (self.base if math.isfinite(self.base) else self.least) + HARM
        harmful = [w for w in self.decays if w > start and self.z[w] > level]
        first = harmful[0] if harmful else math.inf
        below = [w for w in (0.0, *self.decays) if w < first]
        return max(below, default=0.0), first


@dataclass(frozen=True)
class Plane:
    """All that is known of the plane.

    cells: trials of full length that are done, as the analysis takes them.
    lines: by rising lr. scouts: runs of a part of the length that are done.
    pending: what waits or runs.
    """

    cells: Cells
    lines: tuple[Line, ...]
    scouts: tuple[Outcome, ...]
    pending: tuple[Outcome, ...]
    minimize: bool = True
    keys: frozenset[Key] = field(default_factory=frozenset)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], *, minimize: bool = True) -> Plane:
        """The plane of these outcomes."""
        frame = frame_of(outcomes)
        cells = measured(frame, "value", minimize=minimize)
        full = [o for o in outcomes if not o.is_scout]
        table = cells.table
        lost = table["diverged"] >= DIVERGED_SHARE
        z = table["z"].where(~lost, math.inf)
        done = {
            (rounded(lr), rounded(wd)): float(value)
            for lr, wd, value in zip(table["lr"], table["weight_decay"], z, strict=True)
            if not math.isnan(value)
        }
        by_lr: dict[float, list[Outcome]] = {}
        for outcome in full:
            by_lr.setdefault(outcome.params.cell[0], []).append(outcome)
        lines = tuple(_line(lr, by_lr[lr], done) for lr in sorted(by_lr))
        return cls(
            cells,
            lines,
            tuple(o for o in outcomes if o.is_scout and not o.pending),
            tuple(o for o in outcomes if o.pending),
            minimize,
            frozenset(o.params.key for o in full),
        )

    @property
    def trials(self) -> int:
        """How many trials of full length are done."""
        return sum(len(seeds) for line in self.lines for seeds in line.seeds.values())

    @property
    def untrained(self) -> float:
        """Log loss of an untrained model; where it is not known, the highest seen."""
        known = self.cells.plateau if math.isfinite(self.cells.plateau) else math.inf
        return min(known, float(self.cells.finished["z"].max()))

    @property
    def tells_onset(self) -> bool:
        """Whether harm was seen to begin at any lr, or to begin nowhere at the best."""
        best = self.best
        tried = best.decays[-1] if best is not None and best.decays else 0.0
        return any(math.isfinite(line.bracket[1]) for line in self.lines) or tried >= FAR

    @property
    def best(self) -> Line | None:
        """The column of the best cell."""
        done = [line for line in self.lines if math.isfinite(line.least)]
        return min(done, key=lambda line: line.least, default=None)

    @property
    def anchor(self) -> Line | None:
        """The best column; of those that come about as near, the one that is known best."""
        best = self.best
        if best is None:
            return None
        near = [line for line in self.lines if line.least <= best.least + EQUAL]
        return max(near, key=lambda line: (len(line.z), -line.least))

    @property
    def working(self) -> tuple[Line, ...]:
        """The columns whose best comes near the best of all."""
        best = self.best
        if best is None:
            return ()
        return tuple(line for line in self.lines if line.least <= best.least + WORKS)

    def is_new(self, params: TrialParams) -> bool:
        """Whether this was never placed."""
        return params.key not in self.keys

    def is_asked(self, lr: float, weight_decay: float) -> bool:
        """Whether a cell was placed about there, with any seed."""
        near = [line for line in self.lines if abs(math.log10(line.lr / lr)) < 0.1]
        return any(has_near(line.asked, weight_decay) for line in near)

    def next_seed(self, lr: float, weight_decay: float) -> int:
        """The least seed that this cell was not placed with."""
        cell = rounded(lr), rounded(weight_decay)
        taken = {seed for *place, seed in self.keys if tuple(place) == cell}
        return next(seed for seed in range(len(taken) + 1) if seed not in taken)


def _line(lr: float, here: list[Outcome], done: Mapping[tuple[float, float], float]) -> Line:
    seeds: dict[float, set[int]] = {}
    for outcome in here:
        if not (outcome.pending or outcome.failed):
            seeds.setdefault(outcome.params.cell[1], set()).add(outcome.params.seed)
    return Line(
        lr,
        {w: done[lr, w] for w in sorted(seeds) if (lr, w) in done},
        {w: frozenset(found) for w, found in seeds.items()},
        frozenset(o.params.cell[1] for o in here if o.pending),
        frozenset(o.params.cell[1] for o in here),
    )
