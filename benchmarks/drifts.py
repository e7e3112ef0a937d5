"""What is told of sweeps along a scale, held against seeds that they have not seen.

Each table of `benchmarks/tables/scales/` is a study of `studies/` with six seeds: four values of a
scale, 7 lr × 9 weight_decay. Every pair of seeds is a sweep that somebody could have run; what is
told of it is compared with what the other four seeds tell.

    python benchmarks/drifts.py --csv results/drifts.csv   # a minute
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from wdstudy import transfer
from wdstudy.analysis.numbers.heldout import cost
from wdstudy.analysis.numbers.transferfindings import Transfer

TABLES = Path(__file__).parent / "tables" / "scales"
QUANTITIES = ("lr", "weight_decay")
SEEDS = 2
SCALES = ("batch_size", "width", "epochs")


def sweeps(table: pd.DataFrame, name: str) -> Iterator[tuple[Transfer, Transfer]]:
    """What two seeds tell of a table, and what the others do."""
    seeds = sorted(table["seed"].unique())
    for some in combinations(seeds, SEEDS):
        chosen = table["seed"].isin(some)
        yield tuple(transfer(table[rows], name, minimize=True) for rows in (chosen, ~chosen))


def row(name: str, pairs: list[tuple[Transfer, Transfer]]) -> dict[str, object]:
    """The summary of one table: shares, and medians over its sweeps."""
    found: dict[str, object] = {"table": name, "sweeps": len(pairs)}
    for quantity in QUANTITIES:
        told = [(one.exponents[quantity], other.exponents[quantity]) for one, other in pairs]
        both = [(one, other) for one, other in told if one.known and other.known]
        found[f"{quantity}"] = np.median([other.value for _, other in told if other.known])
        found[f"{quantity}_half"] = np.median([(one.high - one.low) / 2 for one, _ in both])
        found[f"{quantity}_holds"] = np.mean([one.low <= o.value <= one.high for one, o in both])
        found[f"{quantity}_told"] = np.mean([one.known for one, _ in told])
    regrets = [seen_by(one, other) for one, other in pairs if not one.test.reason]
    found["regret"], found["regret_worst"] = np.median(regrets), np.max(regrets)
    kept = [one.test.kept.value for one, _ in pairs if one.test.kept.known]
    found["kept"] = np.median(kept)
    return found


def seen_by(one: Transfer, other: Transfer) -> float:
    """What the pair that two seeds predict for the largest value costs by the other seeds."""
    return cost(other.parts.parts[-1], one.test.lr.value, one.test.weight_decay.value).value


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = []
    for path in sorted(TABLES.glob("*.csv.xz")):
        table = pd.read_csv(path)
        name = next(
            column for column in table.columns if column in ("batch_size", "width", "epochs")
        )
        rows.append(row(path.name.partition(".")[0], list(sweeps(table, name))))
        print("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}"
                        for k, v in rows[-1].items()), flush=True)  # fmt: skip
    if options.csv:
        pd.DataFrame(rows).to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
