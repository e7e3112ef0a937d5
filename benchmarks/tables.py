"""Dense tables of real trainings, which the analysis is held against.

    python benchmarks/tables.py                 # all of them: a quarter of an hour on two cores
    python benchmarks/tables.py head_sgd        # one
    python benchmarks/tables.py --show          # the mean loss of every cell
    python benchmarks/tables.py --wide          # what lies around them: as long again

A table is the study of the same name in `studies/`, 13 lr × 13 weight_decay × 6 seeds, one row a
trial: `lr`, `weight_decay`, `seed`, `value` (the validation loss at the end), `diverged`,
`initial_loss`. Sub-samples of it are the sweeps that somebody could have run, and the rest says
whether what was told of them is so.

A wide table holds what lies around a dense one, for the replays that know no range (`design.py`):
half decades of lr from 1e-7 to 1e3, weight_decay in the same steps as there from 1e-7 to 100, and
short runs. It has a column more: `share`, how long a trial was trained, as a share of its length.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tasks import HERE

if TYPE_CHECKING:
    from wdstudy import SearchSpace, StudySpec

TABLES = HERE / "tables"
WIDE = TABLES / "wide"
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

HALF_DECADES = tuple(float(f"{10 ** (k / 2):.6g}") for k in range(-14, 7))
"""The lr of a wide table; inside the dense range the dense ones serve."""
THIRDS = (0.0, *(float(f"{10 ** (k / 3):.6g}") for k in range(-21, 7)))
DECADES = (0.0, *THIRDS[1::3])
"""The weight_decay of a wide table, and of its short runs."""
OUTER_SEEDS = 2
SHORT = 0.05


def read(name: str, folder: Path = TABLES) -> pd.DataFrame:
    """A table as it was recorded: a trials frame of these columns."""
    return pd.read_csv(folder / f"{name}.csv.xz")


def train(name: str, storage: str) -> pd.DataFrame:
    """Train the study of a table, or what is left of it, and make the table."""
    from wdstudy import open_study, trials_frame

    run = [sys.executable, "-m", "wdstudy", "run", str(STUDIES[name]), "--no-live"]
    subprocess.run([*run, "--storage", storage], check=True)
    return finished(trials_frame(open_study(name, storage)))


def finished(trials: pd.DataFrame) -> pd.DataFrame:
    done = trials[trials["state"].isin(["COMPLETE", "PRUNED"])]  # PRUNED: diverged
    return done[COLUMNS].sort_values(COLUMNS[:3], ignore_index=True)


def train_wide(name: str, storage: str) -> pd.DataFrame:
    """Train what lies around a dense table, short runs among it, and make the table."""
    import torch

    from wdstudy import run_study, trials_frame
    from wdstudy.study.file import load_specs

    torch.set_num_threads(1)
    (spec,) = load_specs(STUDIES[name])
    parts = []
    for part, share in around(spec):
        trials = trials_frame(run_study(part, storage))
        parts.append(finished(trials).assign(share=share))
        print(f"{part.name}: {len(parts[-1])} trials", flush=True)
    return pd.concat(parts, ignore_index=True)


def around(spec: StudySpec) -> Iterator[tuple[StudySpec, float]]:
    """The studies of a wide table, and how long their trials are trained.

    Around the dense lr lies more weight_decay, with every seed, because columns of one lr are
    paired by seed; beyond them little is to be learnt, and two seeds do.
    """
    from wdstudy import SearchSpace

    inner, decays = spec.space.lr, spec.space.weight_decay
    outer = [lr for lr in HALF_DECADES if not inner[0] * 0.99 < lr < inner[-1] * 1.01]
    beyond = [w for w in THIRDS if w and not decays[1] * 0.99 < w < decays[-1] * 1.01]
    yield _part(spec, "beyond", SearchSpace(inner, beyond, spec.space.seed_list)), 1.0
    yield _part(spec, "outside", SearchSpace(outer, THIRDS, OUTER_SEEDS)), 1.0
    yield shortened(_part(spec, "short", SearchSpace(HALF_DECADES[::2], DECADES, 1)))


def _part(spec: StudySpec, word: str, space: SearchSpace) -> StudySpec:
    return replace(spec, name=f"{spec.name}_{word}", space=space)


def shortened(spec: StudySpec, share: float = SHORT) -> tuple[StudySpec, float]:
    """The study with about this share of its steps, its schedule as much shorter; and the share.

    Whole epochs where that gives one; else an epoch of the first examples.
    """
    assert spec.task is not None
    examples = len(spec.task.data()[0][0])
    epoch = examples // spec.batch_size
    epochs, steps = max(1, round(share * spec.epochs)), epoch
    task = spec.task
    if share * spec.epochs < 1:
        steps = max(1, round(share * spec.epochs * epoch))
        task = replace(task, data=partial(_first, task.data, steps * spec.batch_size))
    true = epochs * steps / (spec.epochs * epoch)
    every = max(1, round(true * (spec.record_every or epoch)))
    return replace(spec, task=task, epochs=epochs, record_every=every), true


def _first(data: Any, examples: int) -> Any:
    """Data whose training half is cut off after so many examples."""
    (x, y), val = data()
    return (x[:examples], y[:examples]), val


def write(table: pd.DataFrame, name: str, folder: Path) -> Path:
    path = folder / f"{name}.csv.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
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
    parser.add_argument("--wide", action="store_true", help="what lies around the dense tables")
    parser.add_argument("--out", type=Path, help="where the tables are")
    parser.add_argument("--storage", help="to go on after a stop; else a file that is forgotten")
    options = parser.parse_args()
    out = options.out or (WIDE if options.wide else TABLES)
    made = train_wide if options.wide else train
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or STUDIES:
            storage = options.storage or f"journal:///{folder}/{name}.journal"
            table = read(name, out) if options.show else made(name, storage)
            if not options.show:
                write(table, name, out)
            whole = table[table["share"] == 1] if options.wide else table
            print(f"{name}: {len(table)} trials\n{shown(whole)}\n", flush=True)


if __name__ == "__main__":
    main()
