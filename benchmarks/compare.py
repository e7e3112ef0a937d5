"""The same sweep written by hand, run by wdstudy, and at its limit: whole commands, side by side.

    python benchmarks/compare.py                       # all tasks, 5 rounds: about half an hour
    python benchmarks/compare.py --tasks ridge --repeats 5
    python benchmarks/compare.py --device cuda
    python benchmarks/compare.py --small --repeats 1   # seconds: does it still work?

Rows, in turns within each round, so that whatever else the machine does meets all of them:

    (a) plain      benchmarks/plain.py, one trial at a time: how a sweep is written by hand
    (b) plain 2    the same with n_jobs=2
    (c) one lane   wdstudy run --lanes 1 --jobs 1
    (d) wdstudy    wdstudy run, no flag
    (e) limit      benchmarks/limit.py: forward, backward, step, with the lanes and jobs of (d)

(a), (b) and (c) train a coarse part of the grid, because a whole one takes (a) minutes; (d) and
(e) train all of it. `s/trial` is the command without its start-up, by trials. `study` is the
whole study from start-up to the last trial: measured where a row trained it all, otherwise
start-up + trials · s/trial. A ratio divides (a)'s study by the row's, round by round.

Final validation losses must agree with (a)'s, cell by cell. Ridge regression is convex and not
chaotic: within 0.1 %. The networks amplify the rounding of another order of summation: in float64
all ways agree to seven digits on the MLP, in float32 those of a high lr differ by the tenth of a
nat, and by as much among plain loops. So the cells of the lowest lr must agree within 0.001 nats
(MLP) or 0.05 (ResNet), and all cells on average, and in the median, within 0.15.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from machine import ROOT, machine
from tasks import FILES, HERE, axis, load, some_cells

from wdstudy import SearchSpace, open_study
from wdstudy.run.cells import params_of
from wdstudy.space import TrialParams

RESULTS = HERE / "results"
ROWS = {"a": "plain", "b": "plain n_jobs=2", "c": "one lane", "d": "wdstudy", "e": "limit"}
PART = {"ridge": 8, "mlp": 6, "resnet": 4}
SMALL = {
    "ridge": {"n": "40", "d": "50", "epochs": "2", "side": "3", "seeds": "1"},
    "mlp": {"width": "16", "epochs": "1", "side": "3"},
    "resnet": {"epochs": "1", "side": "3"},
}
Losses = dict[tuple[float, float, int], float]


@dataclass
class Run:
    """One command: how long it took, and what it found."""

    seconds: float
    start_up: float
    trials: int
    losses: Losses
    megabytes: float
    parts: Mapping[str, float] = field(default_factory=dict)
    lanes: int = 1
    jobs: int = 1
    gpu_bytes: int = 0

    @property
    def per_trial(self) -> float:
        return (self.seconds - self.start_up) / self.trials

    def study(self, trials: int) -> float:
        """Seconds of a study of so many trials."""
        return self.start_up + trials * self.per_trial


class Bench:
    """The commands of one task."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self.name, self.device = name, given.device
        self.settings = SMALL[name] if given.small else {}
        whole = load(name, self.settings).space
        self.whole = some_cells(whole, 4) if given.small else whole
        part = given.cells or PART[name]
        self.part = some_cells(self.whole, 2 if given.small else part)
        self._lanes, self._jobs = 1, 1

    def run(self, row: str) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/study.db"
            if row in "ab":
                jobs = {"a": 1, "b": 2}[row]
                return self._scripted("plain.py", self.part, "--storage", url, n_jobs=jobs)
            if row == "e":
                lanes = ["--lanes", str(self._lanes), "--jobs", str(self._jobs)]
                return self._scripted("limit.py", self.whole, *lanes)
            return self._wdstudy(row, url)

    def parts(self, row: str) -> dict[str, float]:
        """Where the seconds of wdstudy go, in one process. An own run: watching takes time."""
        with tempfile.TemporaryDirectory() as folder:
            flags = self._flags(self._space(row)) + (["--lanes", "1"] if row == "c" else [])
            url = f"sqlite:///{folder}/study.db"
            command = ["spans.py", "run", str(FILES[self.name]), "--storage", url, *flags]
            return _last_json(_called([str(HERE / command[0]), *command[1:]])[0])

    def _space(self, row: str) -> SearchSpace:
        return self.part if row in "abc" else self.whole

    def _flags(self, space: SearchSpace) -> list[str]:
        flags = ["--lr", axis(space.lr), "--weight-decay", axis(space.weight_decay)]
        flags += ["--seeds", str(len(space.seed_list)), "--device", self.device]
        return flags + [f"--set={key}={value}" for key, value in self.settings.items()]

    def _scripted(self, script: str, space: SearchSpace, *more: str, n_jobs: int = 1) -> Run:
        jobs = ["--n-jobs", str(n_jobs)] if n_jobs > 1 else []
        command = [str(HERE / script), self.name, *self._flags(space), *more, *jobs]
        output, seconds, megabytes = _called(command)
        told = _last_json(output)
        losses = {TrialParams(**params).key: loss for params, loss in told["final"]}
        return Run(
            seconds,
            seconds - told["loop"],
            len(told["final"]),
            losses,
            megabytes,
            told.get("parts", {}),
            gpu_bytes=told.get("gpu_bytes", 0),
            lanes=self._lanes if script == "limit.py" else 1,
            jobs=self._jobs if script == "limit.py" else n_jobs,
        )

    def _wdstudy(self, row: str, url: str) -> Run:
        alone = ["--lanes", "1", "--jobs", "1"] if row == "c" else []
        command = ["-m", "wdstudy", "run", str(FILES[self.name]), "--storage", url]
        started = time.time()
        output, seconds, megabytes = _called(command + self._flags(self._space(row)) + alone)
        trials = open_study(self.name, url).get_trials(deepcopy=False)
        losses = {params_of(t).key: t.value for t in trials if t.value is not None}
        if row == "d":
            self._lanes = int(_found(r"(\d+) lanes", output))
            self._jobs = int(_found(r"(\d+) processes", output))
        first = min(t.datetime_start for t in trials).timestamp() - started
        lanes, jobs = (self._lanes, self._jobs) if row == "d" else (1, 1)
        return Run(seconds, first, len(trials), losses, megabytes, lanes=lanes, jobs=jobs)


def difference(name: str, ours: Losses, theirs: Losses) -> dict[str, float]:
    """How far final losses of the same cells lie apart."""
    common = [cell for cell in ours if cell in theirs]
    apart = [abs(ours[cell] - theirs[cell]) for cell in common]
    lowest = min(cell[0] for cell in common)
    relative = [a / abs(theirs[cell]) for a, cell in zip(apart, common, strict=True)]
    means = [statistics.fmean(losses[cell] for cell in common) for losses in (ours, theirs)]
    found = {
        "cells": len(common),
        "largest": max(apart),
        "median": statistics.median(apart),
        "relative": max(relative),
        "calm": max(a for a, cell in zip(apart, common, strict=True) if cell[0] == lowest),
        "mean": abs(means[0] - means[1]),
    }
    if not AGREE[name](found):
        raise SystemExit(f"{name}: the final losses do not agree with (a)'s: {found}")
    return found


AGREE: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "ridge": lambda d: d["relative"] <= 1e-3,
    "mlp": lambda d: d["calm"] <= 1e-3 and max(d["median"], d["mean"]) <= 0.15,
    "resnet": lambda d: d["calm"] <= 0.05 and max(d["median"], d["mean"]) <= 0.15,
}


def compare(name: str, given: argparse.Namespace) -> tuple[list[dict], list[dict]]:
    """All rounds of one task, and the parts of its rows."""
    bench, rows, parts = Bench(name, given), [], {}
    trials = len(bench.whole)
    for repeat in range(given.repeats):
        runs = {row: bench.run(row) for row in ROWS}
        for row, run in runs.items():
            apart = difference(name, run.losses, runs["a"].losses)
            rows.append(
                {
                    "task": name,
                    "row": row,
                    "repeat": repeat,
                    "trials": run.trials,
                    "command_seconds": round(run.seconds, 3),
                    "start_up_seconds": round(run.start_up, 3),
                    "seconds_per_trial": round(run.per_trial, 5),
                    "study_trials": trials,
                    "study_seconds": round(run.study(trials), 3),
                    "ratio": round(runs["a"].study(trials) / run.study(trials), 3),
                    "ratio_per_trial": round(runs["a"].per_trial / run.per_trial, 3),
                    "lanes": run.lanes,
                    "jobs": run.jobs,
                    "peak_megabytes": round(run.megabytes),
                    "gpu_megabytes": round(run.gpu_bytes / 2**20),
                    "loss_difference": f"{apart['largest']:.2g}",
                    "loss_difference_median": f"{apart['median']:.2g}",
                    **machine(given.device),
                }
            )
            parts[row] = run.parts
        print(f"{name}: round {repeat + 1} of {given.repeats}", file=sys.stderr, flush=True)
    parts.update({row: bench.parts(row) for row in "cd"})
    for row in "ab":
        mine = [r["start_up_seconds"] for r in rows if r["row"] == row]
        parts[row] = {**parts[row], "start-up": statistics.median(mine)}
    sizes = {"a": len(bench.part), "b": len(bench.part), "c": len(bench.part), "d": trials}
    return rows, [
        {"task": name, "row": row, "part": part, "seconds": round(s, 4), "trials": sizes[row]}
        for row, found in parts.items()
        for part, s in found.items()
    ]


def table(rows: pd.DataFrame, parts: pd.DataFrame) -> str:
    """The table, with a sentence a row on what limits it."""
    lines = []
    for task, of_task in rows.groupby("task", sort=False):
        first = of_task.iloc[0]
        lines += [
            "",
            f"{task}: a study of {first['study_trials']} trials; (a), (b), (c) trained "
            f"{first['trials']} of them, (d), (e) all; median of "
            f"{of_task['repeat'].nunique()} rounds (least–most)",
            f"{'':20}{'trials':>7}{'command s':>11}{'start-up s':>12}{'s/trial':>10}{'study s':>10}"
            f"{'times (a)':>22}{'per trial':>11}",
        ]
        for row, of_row in of_task.groupby("row"):
            mid = of_row.median(numeric_only=True)
            low, high = of_row["ratio"].min(), of_row["ratio"].max()
            spread = f"{mid['ratio']:.2f} ({low:.2f}–{high:.2f})"
            lines.append(
                f"({row}) {ROWS[row]:16}{mid['trials']:7.0f}{mid['command_seconds']:11.2f}"
                f"{mid['start_up_seconds']:12.2f}{mid['seconds_per_trial']:10.4f}"
                f"{mid['study_seconds']:10.1f}{spread:>22}{mid['ratio_per_trial']:11.2f}"
            )
        lines += ["", *(f"({row}) {text}" for row, text in _sentences(of_task, parts).items())]
    return "\n".join(lines)


def _sentences(rows: pd.DataFrame, parts: pd.DataFrame) -> dict[str, str]:
    """What limits each row, from the measured parts of a whole study."""
    found = {}
    task, trials = rows["task"].iloc[0], rows["study_trials"].iloc[0]
    for row in "abcd":
        mine = parts[(parts["task"] == task) & (parts["row"] == row)]
        size = mine["trials"].iloc[0]
        seconds = mine.set_index("part")["seconds"]
        once = seconds.index.isin(["start-up", "calibration", "set-up"])
        seconds = seconds.where(once, seconds * trials / size).sort_values(ascending=False)
        shares = 100 * seconds / seconds.sum()
        shown = ", ".join(f"{part} {share:.0f} %" for part, share in shares.items() if share >= 1)
        found[row] = f"limited by {shares.index[0]}: of the study's seconds, {shown}."
    study = rows.groupby("row")["study_seconds"].median()
    flags = rows[rows["row"] == "d"].iloc[-1]
    found["d"] = (
        f"{flags['lanes']} lanes, {flags['jobs']} process(es), {study['d'] / study['e']:.1f} times "
        f"the limit's time; {found['d']} (split measured in one process)"
    )
    found["e"] = "limited by the arithmetic, and by the calls that start it; start-up is imports."
    return found


def _called(command: Sequence[str]) -> tuple[str, float, float]:
    """Standard output, wall seconds and peak megabytes of a Python command and its workers."""
    path = os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "OPTUNA_STORAGE")}
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**kept, "PYTHONPATH": path},
            stdout=output,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0), errors.seek(0)
        text, said = output.read(), errors.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-1000:]}{said[-3000:]}")
    return text + said, seconds, usage.ru_maxrss / 1024


def _last_json(output: str) -> dict[str, Any]:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else "1"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(FILES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cells", type=int, help="trials of (a), (b) and (c)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    rows: list[dict] = []
    parts: list[dict] = []
    for name in given.tasks.split(","):
        more, of_rows = compare(name, given)
        rows, parts = rows + more, parts + of_rows
    given.out.mkdir(parents=True, exist_ok=True)
    suffix = "" if given.device == "cpu" else f"-{given.device.partition(':')[0]}"
    frame, split = pd.DataFrame(rows), pd.DataFrame(parts)
    frame.to_csv(given.out / f"compare{suffix}.csv", index=False)
    split.to_csv(given.out / f"parts{suffix}.csv", index=False)
    here = machine(given.device)
    print(", ".join(f"{key} {value}" for key, value in here.items() if value != ""))
    print(table(frame, split))


if __name__ == "__main__":
    main()
