"""How cost grows: with trials, lanes, epochs and weights; and what storing a trial costs.

    python benchmarks/scaling.py                 # minutes
    python benchmarks/scaling.py --most-lanes 32 --most-trials 100 --most-epochs 100
    python benchmarks/scaling.py --small         # seconds: does it still work?

Every point is measured in a fresh process, so that its peak memory is its own. Each series
changes one size and keeps the others small:

    trials      seconds a trial of a whole study of one epoch, one trial at a time, on SQLite:
                what asking, recording and telling cost as a study grows
    lanes       milliseconds of a training step divided by its lanes, and peak memory
    epochs      seconds a trial of a whole study of two trials
    parameters  milliseconds of a training step of one lane, and peak memory
    storage     milliseconds to store a trial with 20 record points, without training
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from machine import ROOT, machine
from tasks import HERE, load

POINTS = 20
SERIES = ("primary_loss", "decay_loss", "weight_norm", "learning_rate", "val_loss")


def powers(low: int, high: int, factor: int) -> Iterator[int]:
    while low <= high:
        yield low
        low *= factor


def measure(kind: str, task: str, size: int, device: str) -> dict[str, float]:
    """One point, in this process."""
    import optuna
    import torch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    before = memory(device)
    if kind == "storage":
        found = storing(task, size)
    elif kind in ("trials", "epochs"):
        found = whole_study(kind, task, size, device)
    else:
        found = one_step(kind, task, size, device)
    return {**found, "megabytes": memory(device), "megabytes_before": before}


def memory(device: str) -> float:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_step(kind: str, task: str, size: int, device: str) -> dict[str, float]:
    """The best of some steps, after the first ones, which allocate."""
    import torch

    from wdstudy.space import TrialParams
    from wdstudy.training.data import TaskData
    from wdstudy.training.loop import Training

    lanes = size if kind == "lanes" else 1
    width = round((size + 37**2) ** 0.5 - 37)  # the MLP has about width² + 74 · width weights
    spec = load(task, {"width": str(width)} if kind == "parameters" else {})
    place = torch.device(device)
    data = TaskData(spec.task.data(), spec.batch_size, place)
    params = [TrialParams(spec.space.lr[0], spec.space.weight_decay[-1])] * lanes
    training = Training(spec, params, data, place)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        training.one_step()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        times.append(time.perf_counter() - start)
    return {"value": 1e3 * min(times[2:]) / lanes}


def whole_study(kind: str, task: str, size: int, device: str) -> dict[str, float]:
    """Seconds a trial from the first enqueued to the last told."""
    from wdstudy import SearchSpace, log_range
    from wdstudy.run.prepared import prepare
    from wdstudy.run.progress import Silent
    from wdstudy.run.runner import Runner
    from wdstudy.training.probe import LaneChoice

    trials = size if kind == "trials" else 2
    spec = load(task, {"d": "100", "epochs": str(size) if kind == "epochs" else "1"})
    lr = log_range(1e-3, 1e-1, trials // 2) if trials > 2 else [1e-2]
    space = SearchSpace(lr=lr, weight_decay=[0, 1e-3])
    with tempfile.TemporaryDirectory() as folder:
        spec = replace(spec, space=space, device=device)
        runner = Runner(prepare(spec, f"sqlite:///{folder}/s.db"), Silent())
        start = time.perf_counter()
        runner.enqueue()
        runner.work(LaneChoice(1, ""))
        return {"value": (time.perf_counter() - start) / trials}


def storing(scheme: str, trials: int) -> dict[str, float]:
    """Milliseconds a trial: enqueue it, claim it, log its points, complete it."""
    import optuna

    from wdstudy import SearchSpace, log_range
    from wdstudy.run.heartbeat import Heartbeat
    from wdstudy.run.queue import Queue, enqueue
    from wdstudy.run.sampling import suggest
    from wdstudy.run.triallog import TrialLog
    from wdstudy.storage.opening import open_storage
    from wdstudy.workers import worker_name

    space = SearchSpace(lr=log_range(1e-3, 1e-1, trials), weight_decay=[1e-3])
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"{scheme}:///{folder}/s.db")
        study = optuna.create_study(study_name="s", storage=storage)
        queue = Queue(study, storage, space.cells())
        start = time.perf_counter()
        enqueue(study, space.cells(), with_seed=False)
        with Heartbeat(storage) as heartbeat:
            while trial := queue.claim():
                params = suggest(trial, space)
                heartbeat.add(trial._trial_id, worker_name("0"))
                log = TrialLog(trial, params, "val_loss", eager=False)
                log.initial_loss = 1.0
                for i in range(1, POINTS + 1):
                    log.log({"step": 10.0 * i, **dict.fromkeys(SERIES, 0.9**i)})
                log.complete()
                heartbeat.remove(trial._trial_id)
        spent = time.perf_counter() - start
    return {"value": 1e3 * spent / trials}


def sizes(given: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Kind, task (or storage) and size of every point."""
    few = given.small
    yield from (("storage", scheme, 100) for scheme in ("sqlite", "journal"))
    for n in powers(10, 10 if few else given.most_trials, 10):
        yield "trials", "ridge", n
    for task in ("ridge",) if few else ("ridge", "mlp", "resnet"):
        most = given.most_lanes if task != "resnet" else min(given.most_lanes, 64)
        for n in powers(1, 2 if few else most, 2 if few else 4):
            yield "lanes", task, n
    for n in powers(10, 10 if few else given.most_epochs, 10):
        yield "epochs", "ridge", n
    for n in powers(10**4, 10**4 if few else given.most_parameters, 10):
        yield "parameters", "mlp", n


def fresh(kind: str, task: str, size: int, device: str) -> dict[str, Any]:
    """One point, in a process of its own."""
    path = os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, __file__, "--point", kind, task, str(size), "--device", device],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{kind} {task} {size} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most-trials", type=int, default=1000)
    parser.add_argument("--most-lanes", type=int, default=256)
    parser.add_argument("--most-epochs", type=int, default=1000)
    parser.add_argument("--most-parameters", type=int, default=10**7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--point", nargs=3, metavar=("KIND", "TASK", "SIZE"))
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.point:
        kind, task, size = given.point
        print(json.dumps(measure(kind, task, int(size), given.device)))
        return
    rows = []
    for repeat in range(given.repeats):
        for kind, task, size in sizes(given):
            if repeat and kind in ("trials", "epochs") and size >= 1000:
                continue  # long enough to be its own average
            found = fresh(kind, task, size, given.device)
            unit = "s/trial" if kind in ("trials", "epochs") else "ms"
            rows.append(
                {"kind": kind, "task": task, "size": size, "repeat": repeat, "unit": unit}
                | {key: round(value, 5) for key, value in found.items()}
                | machine(given.device)
            )
            print(f"{kind} {task} {size}: {found['value']:.4g} {unit}", file=sys.stderr, flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    suffix = "" if given.device == "cpu" else f"-{given.device.partition(':')[0]}"
    frame = pd.DataFrame(rows)
    frame.to_csv(given.out / f"scaling{suffix}.csv", index=False)
    by_size = frame.groupby(["kind", "task", "size", "unit"], sort=False)
    print(by_size[["value", "megabytes"]].median().to_string())


if __name__ == "__main__":
    main()
