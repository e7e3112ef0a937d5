"""Dense tables of real trainings, which the analysis is held against.

    python benchmarks/tables.py                 # all of them: a quarter of an hour on two cores
    python benchmarks/tables.py head_sgd        # one
    python benchmarks/tables.py --show          # the mean loss of every cell

A table is the study of the same name in `studies/`, 13 lr × 13 weight_decay × 6 seeds, one row a
trial: `lr`, `weight_decay`, `seed`, `value` (the validation loss at the end), `diverged`,
`initial_loss`. Sub-samples of it are the sweeps that somebody could have run, and the rest says
whether what was told of them is so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from tasks import HERE

TABLES = HERE / "tables"
COLUMNS = ["lr", "weight_decay", "seed", "value", "diverged", "initial_loss"]
STUDIES = {
    name: HERE / "studies" / f"{name}.py"
    for name in (
        "head_sgd",
        "regression_adamw",
        "mlp_adam",
        "mlp_muon",
        "patches_nesterov",
        "cnn_sgd",
        "gpt_adamw",
        "teacher_sgd",
    )
}


def read(name: str, folder: Path = TABLES) -> pd.DataFrame:
    """A table as it was recorded: a trials frame of these columns."""
    return pd.read_csv(folder / f"{name}.csv.xz")


def train(name: str, storage: str) -> pd.DataFrame:
    """Train the study of a table, or what is left of it, and make the table."""
    from wdstudy import open_study, trials_frame

    run = [sys.executable, "-m", "wdstudy", "run", str(STUDIES[name]), "--no-live"]
    subprocess.run([*run, "--storage", storage], check=True)
    trials = trials_frame(open_study(name, storage))
    done = trials[trials["state"].isin(["COMPLETE", "PRUNED"])]  # PRUNED: diverged
    return done[COLUMNS].sort_values(COLUMNS[:3], ignore_index=True)


def write(table: pd.DataFrame, name: str, folder: Path) -> Path:
    path = folder / f"{name}.csv.xz"
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g")
    return path


def shown(table: pd.DataFrame) -> str:
    """The mean loss over the seeds of every cell; empty where one diverged."""
    lost = table["value"].where(~table["diverged"])
    cells = table.assign(value=lost).groupby(["weight_decay", "lr"])["value"]
    return str(cells.agg(lambda v: v.mean(skipna=False)).unstack().round(3).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*STUDIES, []], help="which; all if none")
    parser.add_argument("--show", action="store_true", help="show what is there; train nothing")
    parser.add_argument("--out", type=Path, default=TABLES)
    parser.add_argument("--storage", help="to go on after a stop; else a file that is forgotten")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or STUDIES:
            storage = options.storage or f"journal:///{folder}/{name}.journal"
            table = read(name, options.out) if options.show else train(name, storage)
            if not options.show:
                write(table, name, options.out)
            print(f"{name}: {len(table)} trials\n{shown(table)}\n")


if __name__ == "__main__":
    main()
