"""What the analysis says of small sweeps, held against dense tables of real trainings.

Each table of `benchmarks/tables/` is a plane of 13 × 13 cells with six seeds, made by the study
file of its name in `benchmarks/studies/`. From each, sweeps of the size that people run are drawn,
6 × 6 and 7 × 7 cells with two seeds; what is said of these is compared with the whole table.

    python benchmarks/verdicts.py                    # the table of goals, several minutes
    python benchmarks/verdicts.py --draws 10 --table gpt_adamw --csv verdicts.csv
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from wdstudy import landscape
from wdstudy.analysis.numbers.advice import PROBABLY
from wdstudy.analysis.numbers.best import Best
from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.contrasts import columns
from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.enough import ENOUGH
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.limit import Limit
from wdstudy.analysis.numbers.ridge import Valley, valley

TABLES = Path(__file__).parent / "tables"
HARM, GAIN = math.log(1.1), -math.log(0.95)
NOTHING = 0.002  # a gain of less is none: dense tables have noise of their own
SEEDS, OTHERS = 2, 4  # of a sweep, and those that it is judged by
SIZES = (6, 7)


@dataclass(frozen=True)
class Goal:
    """A row of the table of goals: what is counted, of which column, and what is hoped for."""

    label: str
    column: str
    hoped: str
    percent: bool = True


GOALS = (
    Goal("contrasts covered", "contrast_covered", "90 – 99 %"),
    Goal("all contrasts of an lr covered", "column_covered", "90 – 99 %"),
    Goal("gain at an lr covered", "gain_covered", "90 – 99 %"),
    Goal("weight_decay where harm begins covered", "onset_covered", "90 – 99 %"),
    Goal("gap of the best without decay covered", "gap_covered", "90 – 99 %"),
    Goal("slope of the harmless limit covered", "limit_covered", "90 – 99 %"),
    Goal("slope of the ridge covered", "slope_covered", "90 – 99 %"),
    Goal("slope of the ridge told", "slope_told", ""),
    Goal("slope of the wrong sign", "slope_wrong", "0"),
    Goal("helps at some lr told, where it gains more than 5 %", "effect_told", "≥ 95 %"),
    Goal("harm of more than 10 % shown", "harm_shown", "≥ 90 %"),
    Goal("gain of more than 5 % shown", "gain_shown", "≥ 70 %"),
    Goal("helps at an lr, said surely and false", "false_helps", "≤ 1 %"),
    Goal("good lr said to be gained, and are not", "gained_wrong", "≤ 2 %"),
    Goal("what the first page says, and the dense table contradicts", "contradicted", "≤ 2 %"),
    Goal("best loss: its interval, as a factor of its middle", "loss_factor", "≤ 1.12", False),
    Goal("best loss: held-out seeds covered", "loss_covered", "≥ 90 %"),
    Goal("best cell: above the dense best", "regret", "≤ 1 %"),
    Goal("best cell: the noise leaves the dense best open", "best_tied", "≥ 95 %"),
)


def read_table(name: str) -> pd.DataFrame:
    """A dense table, one row a trial."""
    return pd.read_csv(TABLES / f"{name}.csv.xz")


def sweeps(dense: pd.DataFrame, draws: int, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Sub-samples with weight_decay = 0: every second value of an axis, or any, two seeds."""
    lrs, decays = (np.sort(dense[axis].unique()) for axis in ("lr", "weight_decay"))
    seeds = dense["seed"].unique()
    for draw in range(draws):
        size = SIZES[draw % len(SIZES)]
        lr = _some(lrs, size, draw % 4 < 2, rng)
        decay = np.append(0.0, _some(decays[decays > 0], size - 1, draw % 4 < 2, rng))
        chosen = rng.choice(seeds, SEEDS, replace=False)
        keep = dense["lr"].isin(lr) & dense["weight_decay"].isin(decay)
        yield dense[keep & dense["seed"].isin(chosen)].reset_index(drop=True)


def _some(values: np.ndarray, size: int, even: bool, rng: np.random.Generator) -> np.ndarray:
    """So many values of an axis: every second where that is asked for and possible, or any."""
    if even:
        start = rng.integers(0, max(len(values) - 2 * (size - 1), 1))
        picked = values[start::2][:size]
        if len(picked) == size:
            return picked
    return np.sort(rng.choice(values, size, replace=False))


@dataclass(frozen=True)
class Truth:
    """A dense table: mean log loss `[lr, weight_decay]` of some seeds, inf where cells diverged."""

    z: pd.DataFrame
    trials: pd.DataFrame

    @classmethod
    def of(cls, dense: pd.DataFrame) -> Truth:
        """The truth of a table."""
        value = np.log(dense["value"].where(~dense["diverged"].astype(bool)))
        grouped = dense.assign(z=value).groupby(["lr", "weight_decay"])
        z = grouped["z"].mean().where(grouped["diverged"].mean() < 0.5, np.inf)
        return cls(z.unstack(), dense)

    def without(self, seeds: set[int]) -> Truth:
        """By the seeds that a sweep has not seen: what its own luck does is no truth."""
        return Truth.of(self.trials[~self.trials["seed"].isin(seeds)])

    def held_out(self, lr: float, weight_decay: float, seeds: set[int]) -> float:
        """The mean loss of a cell over the seeds that a sweep has not seen."""
        rows = self.trials
        rows = rows[(rows["lr"] == lr) & (rows["weight_decay"] == weight_decay)]
        return float(rows.loc[~rows["seed"].isin(seeds), "value"].mean())

    def slope(self, low: float, high: float) -> float:
        """The slope through the valleys of the dense columns from one lr to another."""
        cells = measured(self.trials, "value")
        found = [valley(c, np.random.default_rng(0)) for c in columns(cells)]
        held = [v for v in found if isinstance(v, Valley)]
        ends = math.log10(low) - 1e-9, math.log10(high) + 1e-9
        x, y = np.array([(v.x, v.y) for v in held if ends[0] <= v.x <= ends[1]]).reshape(-1, 2).T
        return float(np.polyfit(x, y, 1)[0]) if len(x) >= 2 else math.nan

    def onset(self, lr: float, factor: float) -> float:
        """Where the dense column first passes `factor` times the loss without; inf if never."""
        row = self.z.loc[lr].dropna()
        change = (row - row.loc[0.0]).to_numpy()
        y = np.log10(np.maximum(row.index.to_numpy(dtype=float), 1e-30))
        start = int(np.argmin(change))
        beyond = np.flatnonzero(change[start:] > math.log(factor)) + start
        if not len(beyond):
            return math.inf
        k = int(beyond[0])
        rise = change[k] - change[k - 1]
        part = (math.log(factor) - change[k - 1]) / rise if math.isfinite(rise) else 0.5
        low = y[k - 1] if k > 1 else y[k] - 1
        return float(10 ** (low + part * (y[k] - low)))


def judged(sweep: pd.DataFrame, truth: Truth) -> dict[str, list[float]]:
    """How what is said of a sweep compares with the truth: column → 0 or 1, or sizes."""
    found, whole = landscape(sweep), truth
    truth = truth.without(set(sweep["seed"].unique()))
    out: dict[str, list[float]] = {goal.column: [] for goal in GOALS}
    helped: list[bool] = []
    for effect in found.effects:
        row = truth.z.loc[effect.lr]
        base = row.loc[effect.without]
        if not math.isfinite(base):
            continue
        held = []
        for change in effect.changes:
            real = float(row.loc[change.weight_decay] - base)
            if change.weight_decay == effect.without or not math.isfinite(change.loss.value):
                continue
            held.append(_covers(_wider(change.loss), math.expm1(real)))
            if real > HARM:
                out["harm_shown"].append(change.loss.low > 0)
            if real < -GAIN:
                out["gain_shown"].append(change.loss.high < 0)
        out["contrast_covered"] += held
        out["column_covered"] += [all(held)] if held else []
        tried = [c.weight_decay for c in effect.changes]
        real_gain = -math.expm1(min(0.0, float((row.loc[tried] - base).min())))
        if effect.gain.known:
            out["gain_covered"].append(_covers(effect.gain, real_gain, 1e-4))
            out["false_helps"].append(effect.gain_chance < 0.01 and real_gain < NOTHING)
            if real_gain > -math.expm1(-GAIN):
                helped.append(effect.gain.low > 0)
        for factor, onset in effect.harms_from.items():
            real = truth.onset(effect.lr, factor)
            if onset.known and math.isfinite(onset.low):
                out["onset_covered"].append(onset.low * 0.999 <= real <= onset.high * 1.001)
    out["effect_told"] += [any(helped)] if helped else []
    _judge_whole(found, sweep, whole, out)
    out["contradicted"] += contradicted(found, sweep, whole)
    return out


def _judge_whole(
    found: Landscape, sweep: pd.DataFrame, truth: Truth, out: dict[str, list[float]]
) -> None:
    """What is said of the plane as a whole."""
    best, seeds = found.best, set(sweep["seed"].unique())
    cells = {*zip(sweep["lr"], sweep["weight_decay"], strict=True)}
    real = pd.Series({cell: truth.z.loc[cell] for cell in cells})
    named = truth.z.loc[best.lr, best.weight_decay]
    out["regret"].append(math.expm1(named - real.min()))
    out["best_tied"].append(
        real.idxmin() in best.rivals or real.idxmin() == (best.lr, best.weight_decay)
    )
    if math.isfinite(best.loss.low):
        out["loss_factor"].append(math.sqrt(best.loss.high / best.loss.low))
        out["loss_covered"].append(
            _covers(best.loss, truth.held_out(best.lr, best.weight_decay, seeds))
        )
    without = real[[wd == 0 for _, wd in real.index]].min()
    decayed = real[[wd > 0 for _, wd in real.index]].min()
    if math.isfinite(found.baseline_gap.low):
        out["gap_covered"].append(_covers(found.baseline_gap, math.expm1(without - decayed)))
    out["slope_told"].append(found.slope.known)
    if found.slope.known:
        real_slope = truth.slope(found.ridge.lr[0], found.ridge.lr[-1])
        out["slope_covered"].append(_covers(found.slope, real_slope))
        out["slope_wrong"].append(
            found.slope.excludes_zero and not found.slope.value * real_slope > 0
        )
    _judge_limit(found, truth, out)
    level = math.log(found.good_lr.factor)
    for lr in found.good_lr.gained:
        row = truth.z.loc[lr, sorted({wd for at, wd in cells if at == lr})]
        out["gained_wrong"].append(
            not (row.loc[0.0] - real.min() > level > row.min() - real.min() - 0.02)
        )


class Told(Protocol):
    """What the first page rests on; a `Landscape` has it."""

    @property
    def best(self) -> Best: ...
    @property
    def effects(self) -> tuple[LrEffect, ...]: ...
    @property
    def limit(self) -> Limit: ...


def contradicted(
    found: Told, sweep: pd.DataFrame, truth: Truth, *, loss: float = 0.0, decades: float = 0.0
) -> list[float]:
    """Of each thing that the first page claims, whether the dense table has it otherwise.

    loss, decades: by more than this share of the loss, and than so many decades of weight_decay.
    """
    best, wrong = found.best, []
    cells = {*zip(sweep["lr"], sweep["weight_decay"], strict=True)}
    real = {cell: float(truth.z.loc[cell]) for cell in cells}
    above = real[best.lr, best.weight_decay] - min(real.values())
    if math.isfinite(best.loss.low) and (best.ties == 0 or 0 <= best.regret.value < ENOUGH):
        wrong.append(math.expm1(above) > ENOUGH + loss)
    shown = math.isfinite(found.limit.factor)
    for effect in found.effects:
        row = {wd: z for (lr, wd), z in real.items() if lr == effect.lr and math.isfinite(z)}
        if not effect.gain.known or effect.without not in row:
            continue
        gain = -math.expm1(min(row.values()) - row[effect.without])
        if effect.gain_chance < PROBABLY:
            wrong.append(gain < NOTHING)
        if effect.lr == best.lr:
            wrong.append(gain > effect.gain.high + NOTHING + loss)
        if shown and (onset := effect.harms_from[found.limit.factor]).known and onset.low > 0:
            place = truth.onset(effect.lr, found.limit.factor)
            slack = 1.001 * 10**decades
            wrong.append(not onset.low / slack <= place <= onset.high * slack)
    return [float(w) for w in wrong]


def _judge_limit(found: Landscape, truth: Truth, out: dict[str, list[float]]) -> None:
    """The slopes of the harmless limit, against those of the dense table over the same lr."""
    limit = found.limit
    lr = np.array(limit.lr)
    for part, estimate in (
        (lr <= limit.bends_at if limit.bends else lr > 0, limit.slope),
        (lr >= limit.bends_at, limit.slope_above),
    ):
        real = np.array([truth.onset(at, limit.factor) for at in lr[part]])
        known = np.isfinite(real)
        if estimate.known and part.any() and known.sum() >= 2:
            line = np.polyfit(np.log10(lr[part][known]), np.log10(real[known]), 1)
            out["limit_covered"].append(_covers(estimate, float(line[0])))


def _wider(change: Estimate) -> Estimate:
    """An interval that reckons with the luck of the other seeds that it is held against."""
    middle = math.log1p(change.value)
    factor = math.sqrt(1 + SEEDS / OTHERS)
    ends = (middle + factor * (math.log1p(end) - middle) for end in (change.low, change.high))
    low, high = (math.expm1(end) for end in ends)
    return Estimate(change.value, low, high)


def _covers(estimate: Estimate, value: float, slack: float = 1e-9) -> bool:
    return estimate.low - slack <= value <= estimate.high + slack


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of goals: one row a goal, one column a table, and all of them together."""
    names = [*dict.fromkeys(rows["table"])]
    lines = []
    for goal in GOALS:
        part = rows[rows["column"] == goal.column]
        line = {"": goal.label, "goal": goal.hoped}
        for name in (*names, "all"):
            values = part["value"] if name == "all" else part.loc[part["table"] == name, "value"]
            mean = float(values.mean()) if len(values) else math.nan
            text = f"{100 * mean:.1f} %" if goal.percent else f"{mean:.3f}"
            line[name] = f"{text} ({len(values):,})" if len(values) else "–"
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    """Print the table of goals, and write what it rests on if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = sorted(path.name.removesuffix(".csv.xz") for path in TABLES.glob("*.csv.xz"))
    parser.add_argument("--draws", type=int, default=60, help="sweeps a table")
    parser.add_argument("--table", action="append", choices=known)
    parser.add_argument("--csv", type=Path, help="where to write the table of goals")
    options = parser.parse_args()
    rows = []
    for name in options.table or known:
        dense = read_table(name)
        truth, rng = Truth.of(dense), np.random.default_rng(0)
        for number, sweep in enumerate(sweeps(dense, options.draws, rng)):
            for column, values in judged(sweep, truth).items():
                rows += [(name, number, column, float(value)) for value in values]
    table = summary(pd.DataFrame(rows, columns=["table", "sweep", "column", "value"]))
    print(table.to_string(index=False))
    if options.csv:
        table.to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
