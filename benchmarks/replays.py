"""Tables of real trainings as something to be asked: a method's trials without the training.

A table of `tables/` and the wide one around it answer for any place of ten decades of lr and nine
of weight_decay: at the nearest lr that was trained, and there by what was trained on either side of
the weight_decay. Replays of one table differ: in which of its seeds is called the first, and in
where its origin lies, by a part of the table's steps.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from tables import TABLES, WIDE, read

from wdstudy.design.design import HIGHEST_DECAY, HIGHEST_LR, LOWEST_DECAY, LOWEST_LR
from wdstudy.design.outcomes import FULL, Outcome
from wdstudy.space import TrialParams, rounded

SHIFT_LR = 0.07  # decades to either side: what is asked for stays the nearest place
SHIFT_DECAY = 1 / 3  # decades down, a step of the tables: up, the largest would be lost
MOST_LANES = 16
RESULTS = Path(__file__).parent / "results"

Place = tuple[float, float]
Row = tuple[float, bool, float]
"""value, diverged, initial loss."""
Columns = Mapping[float, Mapping[float, "Cell"]]
Law = Callable[[int], float]
"""What lanes that train at once cost, in trials that train alone."""


@dataclass(frozen=True)
class Cell:
    """What was trained at a place: its seeds, in a replay's order, and their mean log loss.

    z: inf where half of them diverged or more, as `verdicts.Truth` has it.
    """

    rows: tuple[Row, ...]
    z: float


@dataclass(frozen=True)
class Table:
    """What was trained of a task, with an origin and an order of seeds of its own.

    lr, weight_decay: the axes of the dense table, weight_decay = 0 among them.
    full, short: lr → weight_decay → what was trained there. share: how long the short runs are.
    trials: the rows of full length, one a trial.
    snaps: whether weight_decay is the nearest that was trained, rather than lies between two.
    """

    name: str
    lr: tuple[float, ...]
    weight_decay: tuple[float, ...]
    full: Columns
    short: Columns
    share: float
    trials: pd.DataFrame
    snaps: bool = False

    @classmethod
    def of(cls, name: str, replay: int | None = None, *, snaps: bool = False) -> Table:
        """The table of this name; as it is where no replay is given."""
        dense, wide = read(name).assign(share=FULL), _wide(name)
        rng = np.random.default_rng([zlib.crc32(name.encode()), replay or 0])
        seeds = sorted(dense["seed"].unique())
        up, down = rng.uniform(-SHIFT_LR, SHIFT_LR), rng.uniform(0, SHIFT_DECAY)
        order = [*rng.permutation(seeds)]
        if replay is None:
            up, down, order = 0.0, 0.0, seeds
        rows = pd.concat([dense, wide], ignore_index=True)
        return cls.made(name, _moved(rows, up, down), _moved(dense, up, down), order, snaps=snaps)

    @classmethod
    def made(
        cls,
        name: str,
        rows: pd.DataFrame,
        dense: pd.DataFrame,
        order: Sequence[int],
        *,
        snaps: bool = False,
    ) -> Table:
        """A table of some rows, of which those of `dense` are the plane that is to be found."""
        whole, shorter = rows[rows["share"] == FULL], rows[rows["share"] < FULL]
        return cls(
            name,
            tuple(sorted(dense["lr"].unique())),
            tuple(sorted(dense["weight_decay"].unique())),
            _columns(whole, order),
            _columns(shorter, order),
            float(shorter["share"].iloc[0]) if len(shorter) else FULL,
            whole.reset_index(drop=True),
            snaps,
        )

    def ask(self, params: TrialParams, share: float = FULL) -> Outcome:
        """What came of a trial near to this one, whose parameters it names.

        lr is the nearest of the trained ones, by its logarithm; a seed that was not trained there
        is one that was. Log loss between two weight decays lies on the line between their means,
        and as far from it as this seed's is at the nearer one. 0 is nothing but 0.
        """
        columns = self.full if share == FULL else self.short
        if not columns:
            raise LookupError(f"{self.name}: no run of share {share:g} was recorded")
        lr = min(columns, key=lambda at: abs(math.log(at / params.lr)))
        column = columns[lr]
        decay, near = self._place(column, params.weight_decay)
        seed = params.seed % len(column[near].rows)
        value, diverged, initial = column[near].rows[seed]
        if not diverged and decay != near:
            value *= math.exp(level(column, decay) - column[near].z)
        return Outcome(
            TrialParams(lr, decay, seed),
            math.nan if diverged else value,
            diverged,
            initial_loss=initial,
            share=FULL if share == FULL else self.share,
        )

    def _place(self, column: Mapping[float, Cell], decay: float) -> tuple[float, float]:
        """The weight_decay that is meant, and the nearest one that was trained."""
        if decay == 0 and 0.0 in column:
            return 0.0, 0.0
        positive = [w for w in column if w > 0]
        inside = rounded(min(max(decay, min(positive)), max(positive)))
        near = min(positive, key=lambda w: abs(math.log(w / inside)))
        return (near if self.snaps or not math.isfinite(column[near].z) else inside), near


def level(column: Mapping[float, Cell], decay: float) -> float:
    """The mean log loss at a weight_decay: on the line between those around it, against its log.

    inf where the nearest one diverged; as at that one where the other did.
    """
    if decay in column:
        return column[decay].z
    positive = np.array(sorted(w for w in column if w > 0))
    k = int(np.clip(np.searchsorted(positive, decay), 1, len(positive) - 1))
    low, high = positive[k - 1], positive[k]
    part = math.log(decay / low) / math.log(high / low)
    near, far = (column[high].z, column[low].z) if part > 0.5 else (column[low].z, column[high].z)
    if not (math.isfinite(near) and math.isfinite(far)):
        return near
    return column[low].z + part * (column[high].z - column[low].z)


def _wide(name: str) -> pd.DataFrame:
    if (WIDE / f"{name}.csv.xz").exists():
        return read(name, WIDE)
    return read(name).iloc[:0].assign(share=FULL)


def _moved(rows: pd.DataFrame, up: float, down: float) -> pd.DataFrame:
    """The rows with a shifted origin, by decades of lr and of weight_decay, in six digits."""
    lr = (rows["lr"] * 10**up).map(_six)
    decay = (rows["weight_decay"] / 10**down).map(_six)
    inside = lr.between(LOWEST_LR * 0.999, HIGHEST_LR * 1.001)
    inside &= (decay == 0) | decay.between(LOWEST_DECAY * 0.999, HIGHEST_DECAY * 1.001)
    return rows.assign(lr=lr, weight_decay=decay)[inside]


def _six(value: float) -> float:
    return float(f"{value:.6g}")


def _columns(rows: pd.DataFrame, order: Sequence[int]) -> Columns:
    found: dict[Place, list[tuple[int, Row]]] = {}
    for row in rows.itertuples():
        told = float(row.value), bool(row.diverged), float(row.initial_loss)
        place = float(row.lr), float(row.weight_decay)
        found.setdefault(place, []).append((order.index(row.seed), told))
    columns: dict[float, dict[float, Cell]] = {}
    for (lr, decay), of in sorted(found.items()):
        told_by_seed = tuple(told for _, told in sorted(of))
        done = [math.log(value) for value, diverged, _ in told_by_seed if not diverged]
        z = sum(done) / len(done) if 2 * len(done) > len(of) else math.inf
        columns.setdefault(lr, {})[decay] = Cell(told_by_seed, z)
    return columns


def stated(lanes: int) -> float:
    """The price of a batch as the goals state it: 16 lanes cost as much as four single trials."""
    return 0.8 + 0.2 * lanes


def measured_law(task: str = "mlp", results: Path = RESULTS) -> Law:
    """The price of a batch as `compare.py` measured it: a line through one lane and many."""
    rows = pd.read_csv(results / "compare.csv")
    rows = rows[rows["task"] == task].pivot(index="repeat", columns="row")
    cost = rows["seconds_per_trial", "d"] * rows["jobs", "d"] / rows["seconds_per_trial", "c"]
    lanes = rows["lanes", "d"].where(rows["lanes", "d"] > 1)
    each = float(((lanes * cost - 1) / (lanes - 1)).median())
    return lambda n: 1 + each * (n - 1)


@dataclass
class Replay:
    """A method's run on a table: what it was told, and what it has cost.

    trials: short runs count by their share. prices: in trials that train alone, by the stated law
    and by the measured one. again: how many trials of the last batch were known before: those cost
    nothing, and where all were, the same question would be asked for ever.
    """

    table: Table
    laws: tuple[Law, ...] = (stated,)
    outcomes: list[Outcome] = field(default_factory=list)
    trials: float = 0.0
    prices: list[float] = field(default_factory=list)
    again: int = 0

    def train(
        self, cells: Iterable[TrialParams], share: float = FULL, *, alone: bool = False
    ) -> list[Outcome]:
        """What comes of some trials, in their order; what is new is counted and kept.

        alone: they train one after the other, because each waits for the last one's result.
        """
        known = {(o.params.key, o.is_scout): o for o in self.outcomes}
        told, new = [], []
        for params in cells:
            outcome = self.table.ask(params, share)
            key = outcome.params.key, outcome.is_scout
            if key not in known:
                known[key] = outcome
                new.append(outcome)
            told.append(known[key])
        self.again = len(told) - len(new)
        self.outcomes += new
        self._pay(new, alone=alone)
        return told

    def _pay(self, new: Sequence[Outcome], *, alone: bool) -> None:
        """Lanes that train at once share their seed, as wdstudy's do."""
        self.trials += sum(o.share for o in new)
        self.prices = self.prices or [0.0] * len(self.laws)
        for seed in {o.params.seed for o in new}:
            stack = [o.share for o in new if o.params.seed == seed]
            most = 1 if alone else MOST_LANES
            for i in range(0, len(stack), most):
                part = stack[i : i + most]
                for k, law in enumerate(self.laws):
                    self.prices[k] += law(len(part)) * max(part)


def names() -> list[str]:
    """The tables that are there."""
    return sorted(path.name.removesuffix(".csv.xz") for path in TABLES.glob("*.csv.xz"))
