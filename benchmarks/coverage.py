"""How often the intervals of the ridge and the frontier cover the truth.

Sweeps over surfaces of known slope, many times each: mean estimate, median width of the 95 %
interval, share of the told intervals that hold the truth, share of "cannot say".

    python benchmarks/coverage.py --runs 200 --csv coverage.csv
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from known_surfaces import (
    MIDDLE,
    Surface,
    Sweep,
    bent,
    bowl,
    flat,
    grid,
    lopsided,
    only_hurts,
    scatter,
)

from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.frontier import frontier
from wdstudy.analysis.numbers.landscape import ridge_of
from wdstudy.analysis.numbers.surface import Surface as Table
from wdstudy.analysis.numbers.surface import surface as tabulate

BENT = "bent, mean slope -1"

# name: surface, slope of the ridge, slope of the frontier; NaN: there is none. The slope of the
# bent valley is that over the lr which it is told of.
SURFACES: dict[str, tuple[Surface, float, float]] = {
    "bowl, separable": (bowl(0), 0, 0),
    "bowl, slope -1": (bowl(-1), -1, -1),
    "bowl, slope -1/2": (bowl(-0.5), -0.5, -0.5),
    "bowl, slope +1": (bowl(1), 1, 1),
    "valley, slope -1": (bowl(-1, along=0.02), -1, -1),
    "lopsided, separable": (lopsided(0), 0, 0),
    "lopsided, slope -1": (lopsided(-1), -1, -1),
    "lopsided, slope -1/2": (lopsided(-0.5), -0.5, -0.5),
    "lopsided, slope +1": (lopsided(1), 1, 1),
    "lopsided valley, -1": (lopsided(-1, along=0.002), -1, -1),
    "lopsided, growing, -1": (lopsided(-1, growth=0.2), -1, math.nan),
    BENT: (bent(), -1, -1),
    "only hurts, -1": (only_hurts(-1), math.nan, -1),
    "flat": (flat(), math.nan, math.nan),
    "optimum below range": (lopsided(-1, y0=-8), math.nan, math.nan),
}

SWEEPS: dict[str, Sweep] = {
    "grid 8x8, 1 %": Sweep(noise=0.01),
    "grid 8x8, 5 %": Sweep(noise=0.05),
    "grid 8x8, 15 %": Sweep(noise=0.15),
    "grid 12x12, 5 %": Sweep(noise=0.05, points=grid(12, 12)),
    "grid 8x8, 3 seeds, 5 %, cliff, holes": Sweep(
        noise=0.05, seeds=3, cliff=-1.2, holes=0.1, shared=0.02, without=True
    ),
    "grid 8x8, 2 seeds, 3 %, by lr": Sweep(noise=0.03, seeds=2, by_lr=0.5),
    "grid 6x5, 3 seeds, 3 %": Sweep(noise=0.03, seeds=3, points=grid(6, 5)),
    "scatter 64, 2 %": Sweep(noise=0.02, points=(np.empty(64), np.empty(64))),
    "scatter 150, 5 %": Sweep(noise=0.05, points=(np.empty(150), np.empty(150))),
}


def slopes(
    trials: pd.DataFrame, rng: np.random.Generator
) -> tuple[Estimate, Estimate, tuple[float, ...]]:
    """Slope of the ridge, of the frontier, and the lr that the first is told of."""
    cells = measured(trials, "value")
    ridge = ridge_of(cells, rng)
    table = tabulate(cells, rng)
    line = frontier(table, cells).slope if isinstance(table, Table) else ridge.slope
    return ridge.slope, line, ridge.lr


def simulate(runs: int, names: list[str], sweeps: list[str]) -> Iterator[dict[str, object]]:
    """One row a sweep, surface and slope."""
    for sweep_name in sweeps:
        for name in names:
            sweep, (surface, *truths) = SWEEPS[sweep_name], SURFACES[name]
            rng = np.random.default_rng(0)
            told = []
            for _ in range(runs):
                if sweep_name.startswith("scatter"):
                    sweep = replace(sweep, points=scatter(len(sweep.points[0]), rng))
                told.append(slopes(sweep.trials(surface, rng), rng))
            for i, which in enumerate(("ridge", "frontier")):
                truth = [truths[i]] * runs
                if name == BENT and which == "ridge":
                    truth = [bent_slope(lr) if lr else math.nan for *_, lr in told]
                found = tuple(one[i] for one in told)
                yield {"sweep": sweep_name, "surface": name, "slope": which, **row(truth, found)}


def bent_slope(lr: Sequence[float], bend: float = -0.6) -> float:
    """The slope of the bent valley's floor over some lr."""
    t = np.log10(lr) - MIDDLE
    return float(np.polyfit(t, -t + bend / 2 * t**2, 1)[0])


def row(truths: Sequence[float], found: tuple[Estimate, ...]) -> dict[str, float]:
    """The summary of one simulation."""
    pairs = [(e, truth) for e, truth in zip(found, truths, strict=True) if e.known]
    known, truth = [e for e, _ in pairs], float(np.mean([t for _, t in pairs] or truths[:1]))
    covered = [e.low <= t <= e.high for e, t in pairs]
    return {
        "truth": truth,
        "mean": float(np.mean([e.value for e in known])) if known else math.nan,
        "sd": float(np.std([e.value for e in known])) if known else math.nan,
        "width": float(np.median([e.high - e.low for e in known])) if known else math.nan,
        "coverage": float(np.mean(covered)) if known and truth == truth else math.nan,
        "cannot_say": 1 - len(known) / len(found),
    }


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--surface", action="append", choices=SURFACES)
    parser.add_argument("--sweep", action="append", choices=SWEEPS)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = []
    for line in simulate(options.runs, options.surface or [*SURFACES], options.sweep or [*SWEEPS]):
        rows.append(line)
        numbers = "  ".join(f"{k} {v:6.2f}" for k, v in line.items() if isinstance(v, float | int))
        print(f"{line['sweep']:38}{line['surface']:24}{line['slope']:9}{numbers}", flush=True)
    if options.csv:
        pd.DataFrame(rows).to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
