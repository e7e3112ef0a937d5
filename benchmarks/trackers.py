"""What trackers cost: the same study without one, and with each of them.

    python benchmarks/trackers.py                     # 5 rounds: some minutes
    python benchmarks/trackers.py --small --repeats 1 # does it still work?

A small MLP, 8 lanes: record points come as fast as they ever do, one an epoch of 22 steps, from
8 trials at once. Rows in turns within each round. `training` is from the start of the first
trial to the end of the last one, `command` from start to exit: imports of the tracker's package,
the study's own run, and the flush at the end are in it. A ratio divides a row's seconds by those
without a tracker, round by round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from machine import ROOT, machine
from tasks import FILES, HERE

from wdstudy import open_study

RESULTS = HERE / "results"
TRACKERS = {
    "none": [],
    "tensorboard": ["--track", "tensorboard"],
    "wandb": ["--track", "wandb", "--set", "wandb.mode=offline"],
    "mlflow": ["--track", "mlflow"],
}


def seconds(tracker: str, lanes: int, settings: list[str]) -> tuple[float, float, int]:
    """Seconds of training and of the command, and the number of trials, of one study."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/study.db"
        command = [sys.executable, "-m", "wdstudy", "run", str(FILES["mlp"]), "--storage", url]
        command += ["--lanes", str(lanes), "--jobs", "1", *settings, *TRACKERS[tracker]]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        whole = time.perf_counter() - start
        if done.returncode or "tracker " in done.stderr:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        trials = open_study("mlp", url).get_trials(deepcopy=False)
        first = min(t.datetime_start for t in trials)
        last = max(t.datetime_complete for t in trials)
        return (last - first).total_seconds(), whole, len(trials)


def measure(given: argparse.Namespace) -> pd.DataFrame:
    small = ["--set=side=2", "--set=epochs=2", "--set=width=16"]
    settings = small if given.small else ["--set=side=6"]
    rows = []
    for repeat in range(given.repeats):
        found = {name: seconds(name, given.lanes, settings) for name in TRACKERS}
        for name, (training, command, trials) in found.items():
            rows.append(
                {
                    "tracker": name,
                    "repeat": repeat,
                    "trials": trials,
                    "lanes": given.lanes,
                    "training_seconds": round(training, 3),
                    "command_seconds": round(command, 3),
                    "training_ratio": round(training / found["none"][0], 3),
                    "command_ratio": round(command / found["none"][1], 3),
                    **machine(),
                }
            )
        print(f"round {repeat + 1} of {given.repeats}", file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Medians of the rounds, with the least and the most."""
    lines = [f"{'':14}{'training s':>12}{'times none':>22}{'command s':>12}{'times none':>22}"]
    for name, of_row in rows.groupby("tracker", sort=False):
        line = f"{name:14}"
        for part in ("training", "command"):
            ratio = of_row[f"{part}_ratio"]
            spread = f"{ratio.median():.2f} ({ratio.min():.2f}–{ratio.max():.2f})"
            line += f"{of_row[f'{part}_seconds'].median():12.2f}{spread:>22}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows = measure(given)
    given.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(given.out / "trackers.csv", index=False)
    print(", ".join(f"{key} {value}" for key, value in machine().items() if value != ""))
    print(table(rows))


if __name__ == "__main__":
    main()
