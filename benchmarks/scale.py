"""Thousands of trials by many workers on one storage: what a trial costs, and what memory does.

    python benchmarks/scale.py --storage postgresql://me@host/db  # 8 workers, to 5,000 trials
    python benchmarks/scale.py --trials 50,100 --jobs 2           # seconds, on SQLite

The model is one weight, so what is measured is asking, recording and telling. Every size is a
study of its own, run by the command line; its processes' memory is read twice a second. Checked
after each: no cell is lost, none is trained twice.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
from machine import machine
from tasks import HERE

STUDY = HERE / "studies" / "one_weight.py"


def megabytes(pid: int) -> float:
    """Resident memory of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in lines if line.startswith("VmRSS")]
    return int(found[0]) / 1024 if found else 0.0


def workers(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(c) for c in children if "spawn_main" in Path(f"/proc/{c}/cmdline").read_text()]
    except OSError:
        return []


def watch(process: subprocess.Popen[bytes]) -> pd.DataFrame:
    """Memory of parent and largest worker over the time of a run."""
    rows, start = [], time.perf_counter()
    while process.poll() is None:
        sizes = [megabytes(pid) for pid in workers(process.pid)]
        rows.append((time.perf_counter() - start, megabytes(process.pid), max(sizes, default=0.0)))
        time.sleep(0.5)
    return pd.DataFrame(rows, columns=["second", "parent_mb", "worker_mb"])


def cells(name: str, storage: str) -> Counter[tuple[float, float, int]]:
    from wdstudy import open_study
    from wdstudy.cells import DONE, params_of

    trials = open_study(name, storage).get_trials(deepcopy=False, states=DONE)
    return Counter(p.cell for t in trials if (p := params_of(t)) is not None)


def measure(
    trials: int, jobs: int, lanes: str, storage: str
) -> tuple[dict[str, object], pd.DataFrame]:
    name = f"scale-{trials}-{os.getpid()}"
    command = [
        sys.executable, "-m", "wdstudy", "run", str(STUDY), "--name", name, "--jobs", str(jobs),
        "--lanes", lanes, "--lr", f"1e-3:1e-1:{trials // 10}", "--weight-decay", "1e-6:1e-1:10",
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "OPTUNA_STORAGE": storage}, stderr=subprocess.DEVNULL
    )
    memory = watch(process)
    seconds = time.perf_counter() - start
    found = cells(name, storage)
    half = memory[memory.worker_mb > 0]
    row = {
        "trials": trials,
        "jobs": jobs,
        "lanes": lanes,
        "storage": storage.partition(":")[0],
        "seconds": round(seconds, 2),
        "milliseconds_a_trial": round(1e3 * seconds / trials, 2),
        "lost": trials - len(found),
        "double": sum(found.values()) - len(found),
        "exit_code": process.returncode,
        # The first tenth is start-up; flat means that the last tenth is like the second.
        "parent_mb_early": round(half.parent_mb.quantile(0.2), 1) if len(half) else 0,
        "parent_mb_end": round(half.parent_mb.tail(5).median(), 1) if len(half) else 0,
        "worker_mb_early": round(half.worker_mb.quantile(0.2), 1) if len(half) else 0,
        "worker_mb_end": round(half.worker_mb.max(), 1) if len(half) else 0,
    }
    return row, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--storage", help="a URL; a new SQLite file if none is given")
    parser.add_argument("--trials", default="100,500,1000,5000")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--lanes", default="1")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scale.csv")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        storage = options.storage or f"sqlite:///{folder}/scale.db"
        for trials in map(int, options.trials.split(",")):
            row, _ = measure(trials, options.jobs, options.lanes, storage)
            rows.append({**row, **machine()})
            print(pd.DataFrame([row]).to_string(index=False), flush=True)
    options.out.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(options.out, index=False)
    bad = [row for row in rows if row["lost"] or row["double"] or row["exit_code"]]
    if bad:
        raise SystemExit(f"cells lost or trained twice: {bad}")


if __name__ == "__main__":
    main()
