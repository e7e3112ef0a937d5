"""Whether what a method knows after so many trials is the answer, by the whole table.

Three things are asked of a run, each at every look at what it knows:

(a) The best cell that it names is within 2 % of the best of the dense table.

(b) The effects by lr are told as the table has them, and the harmless limit is known:
    gain: where weight_decay gains more than 5 % at some lr whose best comes within 25 % of the best
        of all, a gain is told (its interval lies above 0) at one of these lr at least; where it
        nowhere does, none is told at an lr where it gains nothing.
    clean: nothing that the first page says is contradicted (`verdicts.contradicted`), but for
        trifles: of intervals of 95 % some miss, and a run is looked at thirty times. So what is
        off by less than 1 % of the loss or a tenth of a decade counts only in the columns
        `contradicted` and `statements`, which are of the end of the run.
    limit: the place where harm of 25 % begins, at the lr of the best cell named (or at the nearest
        that has a column, 0.3 decades from it at most), has an interval of less than half a decade,
        and lies in it. It ends at the largest weight_decay there is: "beyond 50" is as good as
        "between 50 and 100". Harm is against weight_decay = 0, or the least tried at that lr, if
        that truly does nothing. A grid of 7 weight decays has steps of 0.67 decades, so the same is
        asked to 0.7 decades as well.
    slope: the same of the slope of `Landscape.limit`, in decades a decade.
    Four columns: `told` with the limit at the best lr, `told_coarse` with it to 0.7 decades,
    `told_slope` with the slope, `effects` with none of them.

(c) A design's own questions are answered, (a) holds and nothing is contradicted: that was enough.

"And stays so": what counts is the first look from which on it holds at all others of that run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from replays import Table, level
from verdicts import NOTHING, Truth, contradicted

from wdstudy.analysis.numbers.best import Best, best_cell
from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.effects import LrEffect, effects_by_lr
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.limit import Limit, harmless_limit
from wdstudy.design.design import HIGHEST_DECAY
from wdstudy.design.outcomes import Outcome, frame_of

NEAR, GAIN, GOOD, HARM, WIDTH = 0.02, 0.05, 1.25, 1.25, 0.5
COARSE = 0.7
SLACK_LOSS, SLACK_DECADES = 0.01, 0.1
BESIDE = 0.3
COLUMN = 4  # cells: with fewer there is no place where harm begins, only two on either side


@dataclass(frozen=True)
class Found:
    """The part of a landscape that is held against the truth."""

    best: Best
    effects: tuple[LrEffect, ...]
    limit: Limit

    @classmethod
    def of(cls, trials: pd.DataFrame) -> Found:
        """What `landscape` says of it, in half its time."""
        cells = measured(trials, "value")
        effects = effects_by_lr(cells, np.random.default_rng(0))
        return cls(best_cell(cells, np.random.default_rng(0)), effects, harmless_limit(effects))

    def at_best(self) -> LrEffect | None:
        """The effect at the lr of the best cell, or of the column beside it."""
        columns = [e for e in self.effects if e.without == 0 and len(e.changes) >= COLUMN]
        away = {abs(math.log10(e.lr / self.best.lr)): e for e in columns}
        return away[min(away)] if away and min(away) <= BESIDE else None


@dataclass(frozen=True)
class Answers:
    """What a table truly says.

    best: the least log loss of the dense part. gains: lr → the share of the loss that weight_decay
    takes off. gaining: the good lr at which that is more than 5 %.
    """

    table: Table
    truth: Truth
    best: float
    gains: dict[float, float]
    gaining: frozenset[float]

    @classmethod
    def of(cls, table: Table) -> Answers:
        """The answers of a table, by all its seeds."""
        truth = Truth.of(table.trials)
        dense = truth.z.loc[list(table.lr), list(table.weight_decay)]
        best = float(dense.min().min())
        least = truth.z.min(axis=1)
        gains = (1 - np.exp(least - truth.z[0.0])).where(np.isfinite(truth.z[0.0])).dropna()
        good = [lr for lr in table.lr if least[lr] <= best + math.log(GOOD)]
        gaining = frozenset(lr for lr in good if gains.get(lr, 0.0) > GAIN)
        return cls(table, truth, best, {float(k): float(v) for k, v in gains.items()}, gaining)

    def about(self, sweep: pd.DataFrame) -> Truth:
        """The truth at the lr of a sweep, its own weight decays among those of the table."""
        decays = sorted({*self.truth.z.columns, *sweep["weight_decay"]})
        columns = {lr: self.table.full[lr] for lr in sorted(sweep["lr"].unique())}
        lattice = {lr: sorted(column) for lr, column in columns.items()}
        asked = sweep.groupby("lr")["weight_decay"].agg(set)
        z = {
            lr: {w: level(column, w) for w in {*lattice[lr], *asked[lr]}}
            for lr, column in columns.items()
        }
        frame = pd.DataFrame.from_dict(z, orient="index").reindex(columns=decays)
        return Truth(frame, self.table.trials)


@dataclass(frozen=True)
class Look:
    """What was known after so many trials, and whether it is so.

    trials: short runs count by their share. prices: the same with the price of lanes.
    regret: how much worse the best cell named is than the dense best, as a share of the loss.
    limit, slope: widths; inf where nothing is known, or it is false.
    contradicted, statements: how many of the first page are false to the letter, and are made.
    open: the questions of a design that are not answered.
    """

    stage: str
    trials: float
    prices: tuple[float, ...]
    lr: float = math.nan
    weight_decay: float = math.nan
    regret: float = math.inf
    gain: bool = False
    clean: bool = True
    limit: float = math.inf
    slope: float = math.inf
    contradicted: int = 0
    statements: int = 0
    open: tuple[str, ...] | None = None

    @property
    def near(self) -> bool:
        """Whether (a) holds."""
        return self.regret <= NEAR

    @property
    def effects(self) -> bool:
        """Whether (b) does, but for the limit."""
        return self.gain and self.clean

    @property
    def told(self) -> bool:
        """Whether (b) does, the limit by its place."""
        return self.effects and self.limit < WIDTH

    @property
    def told_coarse(self) -> bool:
        """Whether (b) does, the limit by its place, as near as a grid of 7 may know it."""
        return self.effects and self.limit < COARSE

    @property
    def told_slope(self) -> bool:
        """Whether (b) does, the limit by its slope."""
        return self.effects and self.slope < WIDTH

    @property
    def enough(self) -> bool:
        """Whether (c) does."""
        return self.near and self.clean and self.open == ()


def look(
    outcomes: Sequence[Outcome],
    answers: Answers,
    *,
    stage: str,
    trials: float,
    prices: Sequence[float],
    open_now: tuple[str, ...] | None = None,
) -> Look:
    """How what is known compares with the truth."""
    sweep, paid = frame_of(outcomes), tuple(prices)
    if sweep.empty or sweep["value"].isna().all():
        return Look(stage, trials, paid, open=open_now)
    found, truth = Found.of(sweep), answers.about(sweep)
    best = found.best
    letter = contradicted(found, sweep, truth)
    trifles_aside = contradicted(found, sweep, truth, loss=SLACK_LOSS, decades=SLACK_DECADES)
    return Look(
        stage,
        trials,
        paid,
        best.lr,
        best.weight_decay,
        math.expm1(float(truth.z.loc[best.lr, best.weight_decay]) - answers.best),
        _gain_told(found, answers),
        not any(trifles_aside),
        _limit_width(found.at_best(), truth),
        _slope_width(found.limit, truth),
        int(sum(letter)),
        len(letter),
        open_now,
    )


def _gain_told(found: Found, answers: Answers) -> bool:
    shown = {e.lr for e in found.effects if e.gain.known and e.gain.low > 0}
    if answers.gaining:
        return bool(shown & answers.gaining)
    return bool(found.effects) and all(answers.gains.get(lr, 1.0) >= NOTHING for lr in shown)


def _limit_width(effect: LrEffect | None, truth: Truth) -> float:
    """Decades in which harm begins at an lr; inf where it doesn't begin there."""
    if effect is None:
        return math.inf
    row = truth.z.loc[effect.lr]
    if not abs(row[effect.without] - row[0.0]) < SLACK_LOSS:
        return math.inf
    low, high = effect.harms_from[HARM].low, min(effect.harms_from[HARM].high, HIGHEST_DECAY)
    place = min(truth.onset(effect.lr, HARM), HIGHEST_DECAY)
    if not low > 0 or not math.isfinite(high):
        return math.inf
    slack = 10**SLACK_DECADES
    if not low / slack <= place <= max(low, high) * slack:
        return math.inf
    return max(math.log10(high / low), 0.0)


def _slope_width(limit: Limit, truth: Truth) -> float:
    """The width of the slope's interval; inf where it is not told, or is false."""
    told = limit.slope
    if not told.known or not math.isfinite(told.low + told.high):
        return math.inf
    lr = np.array([at for at in limit.lr if not limit.bends or at <= limit.bends_at])
    onset = np.array([truth.onset(at, limit.factor) for at in lr])
    there = np.isfinite(onset)
    if there.sum() >= 2:
        real = float(np.polyfit(np.log10(lr[there]), np.log10(onset[there]), 1)[0])
        if not _holds(told, real, SLACK_DECADES):
            return math.inf
    return told.high - told.low


def _holds(estimate: Estimate, value: float, slack: float) -> bool:
    return estimate.low - slack <= value <= estimate.high + slack


def first_for_good(looks: Sequence[Look], holds: Callable[[Look], bool]) -> Look | None:
    """The first look from which on something holds; None where it does not hold at the end."""
    since = None
    for one in looks:
        since = (since or one) if holds(one) else None
    return since


def first(looks: Iterable[Look], holds: Callable[[Look], bool]) -> Look | None:
    """The first look at which something holds."""
    return next((one for one in looks if holds(one)), None)
