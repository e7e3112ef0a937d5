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

import matplotlib
import pandas as pd
import seaborn as sns
from machine import machine
from matplotlib import pyplot as plt
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
    """The workers of a run: what its fork server has forked."""
    servers = [c for c in children(pid) if "forkserver" in command_of(c)]
    return [worker for server in servers for worker in children(server)]


def children(pid: int) -> list[int]:
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def watch(process: subprocess.Popen[bytes]) -> pd.DataFrame:
    """Memory of parent and largest worker over the time of a run."""
    rows, start = [], time.perf_counter()
    while process.poll() is None:
        sizes = [megabytes(pid) for pid in workers(process.pid)]
        rows.append((time.perf_counter() - start, megabytes(process.pid), max(sizes, default=0.0)))
        time.sleep(0.5)
    return pd.DataFrame(rows, columns=["second", "parent_mb", "worker_mb"])


def trained(name: str, storage: str) -> tuple[Counter[tuple[float, float, int]], float]:
    """How often each cell was trained, and the seconds from the first start to the last end."""
    from wdstudy import open_study
    from wdstudy.run.cells import DONE, params_of

    trials = open_study(name, storage).get_trials(deepcopy=False, states=DONE)
    began = min(t.datetime_start for t in trials)
    ended = max(t.datetime_complete for t in trials)
    found = Counter(p.key for t in trials if (p := params_of(t)) is not None)
    return found, (ended - began).total_seconds()


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
    found, training = trained(name, storage)
    working = memory[memory.worker_mb > 0].iloc[:-4]  # at its end a run reads all trials again
    row = {
        "trials": trials,
        "jobs": jobs,
        "lanes": lanes,
        "storage": storage.partition(":")[0],
        "seconds": round(seconds, 2),
        "start_up_seconds": round(seconds - training, 2),
        "milliseconds_a_trial": round(1e3 * training / trials, 2),
        "lost": trials - len(found),
        "double": sum(found.values()) - len(found),
        "exit_code": process.returncode,
        **{
            f"{who}_mb_{when}": round(part[f"{who}_mb"].median(), 1)
            for who in ("parent", "worker")
            for when, part in (
                ("early", working.iloc[len(working) // 10 : len(working) // 5 + 1]),
                ("late", working.tail(len(working) // 10 + 1)),
            )
        },
        "worker_mb_peak": round(memory.worker_mb.max(), 1),
    }
    return row, memory.assign(trials=trials)


def draw(rows: pd.DataFrame, memory: pd.DataFrame, path: Path) -> None:
    """What a trial costs as studies grow, and memory over the time of a run."""
    matplotlib.use("Agg")
    sns.set_theme(style="ticks", font_scale=0.9)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(rows.trials, rows.milliseconds_a_trial, marker="o", color="#1f618d")
    left.set_xscale("log")
    left.set_xticks(rows.trials, [f"{n:,}" for n in rows.trials])
    left.minorticks_off()
    left.set_ylim(0, 1.3 * rows.milliseconds_a_trial.max())
    left.set(xlabel="trials of the study", ylabel="milliseconds a trial, all workers together")
    left.set_title("What a trial costs without its training", loc="left", fontsize=11)
    for trials, run in memory.groupby("trials"):
        share = 100 * run.second / run.second.max()
        colour = sns.color_palette("crest", as_cmap=True)(trials / memory.trials.max())
        right.plot(share, run.parent_mb, color=colour, linestyle="--")
        seen = run.worker_mb > 0
        right.plot(share[seen], run.worker_mb[seen], color=colour, label=f"{trials:,} trials")
    right.set_ylim(0, 1.25 * memory[["parent_mb", "worker_mb"]].max().max())
    right.set(xlabel="time of the run, %", ylabel="resident memory, MB")
    right.set_title("Largest worker (line) and parent (dashes)", loc="left", fontsize=11)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    sns.despine(figure)
    first = rows.iloc[0]
    figure.supxlabel(
        f"{first.jobs} workers, {first.storage} on the same machine · {first.cpu}, {first.cores} "
        f"cores · optuna {first.optuna} · {first.date}",
        fontsize=8,
        color="0.4",
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--storage", help="a URL; a new SQLite file if none is given")
    parser.add_argument("--trials", default="100,500,2000,5000")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--lanes", default="1")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scale.csv")
    options = parser.parse_args()
    rows, memories = [], []
    with tempfile.TemporaryDirectory() as folder:
        storage = options.storage or f"sqlite:///{folder}/scale.db"
        for trials in map(int, options.trials.split(",")):
            row, memory = measure(trials, options.jobs, options.lanes, storage)
            rows.append({**row, **machine()})
            memories.append(memory)
            print(pd.DataFrame([row]).to_string(index=False), flush=True)
    options.out.parent.mkdir(exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.out, index=False)
    draw(table, pd.concat(memories), options.out.with_suffix(".png"))
    bad = [row for row in rows if row["lost"] or row["double"] or row["exit_code"]]
    if bad:
        raise SystemExit(f"cells lost or trained twice: {bad}")


if __name__ == "__main__":
    main()
