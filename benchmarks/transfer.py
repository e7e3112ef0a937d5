"""How often the intervals of exponents along a scale cover the truth.

Sweeps over planes whose optimum moves in a known way, many times each: mean estimate, median half
width of the 95 % interval, share of the told intervals that hold the truth, share of "cannot say".
"lr ahead" and "weight_decay ahead" are predictions for twice the largest value, as log10.

    python benchmarks/transfer.py --runs 200 --csv results/transfer.csv
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from known_scales import X0, Y0, Plane, ScaledSweep, bowl, level, lopsided, only_harms

from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.following import followed
from wdstudy.analysis.numbers.prediction import predicted
from wdstudy.analysis.numbers.scaled import scaled
from wdstudy.analysis.numbers.transfer import exponents_of
from wdstudy.errors import StudyError

SIX = (32, 64, 128, 256, 512, 1024)
EDGES = {256: (3, 3)}


@dataclass(frozen=True)
class Case:
    """A plane, how it is swept, and what truly moves: quantity → exponent."""

    plane: Plane
    sweep: ScaledSweep
    truth: Mapping[str, float]
    samples: int = 0
    ahead: bool = True


def moving(
    make: object, lr: float, decay: float, sweep: ScaledSweep | None = None, **shape
) -> Case:
    """An optimum that moves by these exponents; the window follows those that it would leave."""
    ends = {"lr": lr, "weight_decay": decay}
    follow = tuple(v if abs(v) > 1 else 0.0 for v in (lr, decay))
    sweep = sweep or ScaledSweep(follow=follow)
    return Case(make(lr, decay, **shape), sweep, ends)


DRIFTS = ((0, 0), (0.5, 0.5), (0.5, -0.5), (-0.5, 1), (1, -1), (-1, 0), (2, -2), (-2, 2))

CASES: dict[str, Case] = {
    **{f"lopsided, {a:+g}, {b:+g}": moving(lopsided, a, b) for a, b in DRIFTS},
    **{f"bowl, {a:+g}, {b:+g}": moving(bowl, a, b) for a, b in DRIFTS[::2]},
    "lopsided, tilted": moving(lopsided, 0.5, 0.5, tilt=0.4),
    "bowl, narrows": moving(bowl, 0.5, -0.5, grows=0.5),
    "lopsided, steeper": moving(lopsided, 0.5, -0.5, grows=0.5),
    "lopsided, 3 values": moving(lopsided, 0.5, -0.5, ScaledSweep(values=SIX[:3])),
    "lopsided, 5 values": moving(lopsided, 0.5, -0.5, ScaledSweep(values=SIX[:5])),
    "lopsided, 6 values": moving(lopsided, 0.5, -0.5, ScaledSweep(values=SIX)),
    "lopsided, 1 % noise": moving(lopsided, 0.5, -0.5, ScaledSweep(noise=0.01)),
    "lopsided, 5 % noise": moving(lopsided, 0.5, -0.5, ScaledSweep(noise=0.05)),
    "lopsided, 10 %, 4 seeds": moving(lopsided, 0.5, -0.5, ScaledSweep(noise=0.1, seeds=4)),
    "lopsided, 1 seed": moving(lopsided, 0.5, -0.5, ScaledSweep(seeds=1)),
    "lopsided, 7 x 6": moving(lopsided, 0.5, -0.5, ScaledSweep(size=(7, 6))),
    "lopsided, holes": moving(lopsided, 0.5, -0.5, ScaledSweep(holes=0.15)),
    "lopsided, cliff": moving(lopsided, 0.5, -0.5, ScaledSweep(cliff=-1.4)),
    "lopsided, edge at 256": moving(lopsided, 0.5, -0.5, ScaledSweep(edge=EDGES)),
    "lopsided, edge, holes": moving(lopsided, 0.5, 0.5, ScaledSweep(edge=EDGES, holes=0.1)),
    "bowl, edge at 256": moving(bowl, 0.5, 0.5, ScaledSweep(edge=EDGES)),
    "bowl, beyond the edge": moving(bowl, 0, 1, ScaledSweep(edge={256: (0, 4)})),
    "lopsided, 80 samples": Case(lopsided(0.5, -0.5), ScaledSweep(),
                                 {"lr": 0.5, "weight_decay": -0.5}, samples=80),
    "only harms, -1": Case(only_harms(0.5, -1), ScaledSweep(), {"lr": 0.5, "limit": -1},
                           ahead=False),
    "only harms, +1/2": Case(only_harms(-0.5, 0.5), ScaledSweep(seeds=3, noise=0.03),
                             {"lr": -0.5, "limit": 0.5}, ahead=False),
    "level": Case(level(0.5), ScaledSweep(), {"lr": 0.5, "weight_decay": math.nan}, ahead=False),
}  # fmt: skip


def drawn(name: str, seed: int) -> dict[str, tuple[Estimate, float]]:
    """Every quantity of one sweep: its estimate, and the truth."""
    case, rng = CASES[name], np.random.default_rng(seed)
    trials = sampled(case, rng) if case.samples else case.sweep.trials(case.plane, rng)
    parts = scaled(trials, case.sweep.name, "value", minimize=True, capped=True)
    found = followed(parts)
    told, _ = exponents_of(parts, found)
    pairs = {quantity: (told[quantity], truth) for quantity, truth in case.truth.items()}
    return pairs | (ahead(case, parts, found) if case.ahead else {})


def sampled(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    """Samples of the planes, one seed each, as a sampler leaves them."""
    sweep, rows = case.sweep, []
    for value in sweep.values:
        t = math.log10(value) - sweep.middle
        x = X0 + sweep.reach[0] * rng.uniform(-1, 1, case.samples)
        y = Y0 + sweep.reach[1] * rng.uniform(-1, 1, case.samples)
        z = case.plane(x, y, np.full(case.samples, t)) + sweep.noise * rng.standard_normal(len(x))
        rows.append(pd.DataFrame({"lr": 10**x, "weight_decay": 10**y, "value": np.exp(z),
                                  sweep.name: value}))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def ahead(case: Case, parts, found) -> dict[str, tuple[Estimate, float]]:
    """What is predicted for twice the largest value, against the true optimum there."""
    value = 2 * parts.values[-1]
    t = math.log10(value) - case.sweep.middle
    try:
        told = predicted(parts, found, value)
    except StudyError as error:
        unknown = Estimate(math.nan, reason=str(error))
        return {"lr ahead": (unknown, 0.0), "weight_decay ahead": (unknown, 0.0)}
    truth = {"lr": X0 + case.truth["lr"] * t, "weight_decay": Y0 + case.truth["weight_decay"] * t}
    return {f"{q} ahead": (logged(getattr(told, q)), truth[q]) for q in truth}


def logged(estimate: Estimate) -> Estimate:
    """An estimate of log10."""
    if not estimate.known:
        return estimate
    value, low, high = np.log10([estimate.value, estimate.low, estimate.high])
    return Estimate(float(value), float(low), float(high))


def simulate(names: Sequence[str], runs: int, jobs: int) -> Iterator[dict[str, object]]:
    """One row a case and quantity."""
    with get_context("fork").Pool(jobs, initializer=partial(os.nice, 10)) as pool:
        for name in names:
            found = pool.map(partial(drawn, name), range(runs), chunksize=5)
            for quantity in found[0]:
                yield {"case": name, "quantity": quantity, **row([one[quantity] for one in found])}


def row(pairs: Sequence[tuple[Estimate, float]]) -> dict[str, float]:
    """The summary of one quantity."""
    known = [(e, truth) for e, truth in pairs if e.known]
    off = [e.value - truth for e, truth in known]
    held = [e.low <= truth <= e.high for e, truth in known]
    truth = pairs[0][1]
    return {
        "truth": truth,
        "bias": float(np.mean(off)) if off else math.nan,
        "sd": float(np.std(off)) if off else math.nan,
        "half": float(np.median([(e.high - e.low) / 2 for e, _ in known])) if known else math.nan,
        "coverage": float(np.mean(held)) if known and truth == truth else math.nan,
        "cannot_say": 1 - len(known) / len(pairs),
    }


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = []
    for line in simulate(options.case or [*CASES], options.runs, options.jobs):
        rows.append(line)
        numbers = "  ".join(f"{k} {v:6.3f}" for k, v in line.items() if isinstance(v, float | int))
        print(f"{line['case']:26}{line['quantity']:20}{numbers}", flush=True)
        if options.csv:
            pd.DataFrame(rows).to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
