"""Ways to a faster training step that are not taken by default, beside the step as it is.

Forward and backward pass of the benchmarks' models, one lane and many, one thread: through
torch.compile, and under bfloat16 autocast. Times as fast as without, median of the rounds.

    python benchmarks/tried.py --device cuda
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from machine import machine
from tasks import FILES, load
from torch.func import functional_call, vmap

from wdstudy.training.devices import resolve_device
from wdstudy.training.lanes import SingleLane
from wdstudy.training.stacked import StackedLanes

Step = Callable[[], None]


def steps_of(task: str, lanes: int, device: torch.device) -> dict[str, Step]:
    """A step as it is, and in the other ways."""
    spec = load(task, {})
    assert spec.task is not None
    (x, y), _ = spec.task.data()
    x, y = x[: spec.batch_size].to(device), y[: spec.batch_size].to(device)
    loss = spec.task.loss
    model = spec.task.model().to(device)
    kept = StackedLanes(model, lanes) if lanes > 1 else SingleLane(model)

    def plain() -> None:
        kept.backward(kept.losses(loss, x, y))

    def bfloat16() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            losses = kept.losses(loss, x, y)
        kept.backward(losses)

    def of_lanes(weights: dict, buffers: dict) -> torch.Tensor:
        def of_one(weights: dict, buffers: dict) -> torch.Tensor:
            return loss(functional_call(model, (weights, buffers), (x,)), y)

        return vmap(of_one, randomness="same")(weights, buffers)

    if isinstance(kept, StackedLanes):
        fused = torch.compile(of_lanes)
        state = (kept.stacked, kept._buffers)
    else:
        fused = torch.compile(lambda: loss(model(x), y).reshape(1))
        state = ()

    def compiled() -> None:
        kept.backward(fused(*state))

    return {"as it is": plain, "compiled": compiled, "bfloat16": bfloat16}


def seconds(step: Step, device: torch.device) -> float:
    """Of one step; as many are made as take a quarter of a second or so."""
    count, spent = 1, 0.0
    while spent < 0.25:
        began = time.perf_counter()
        for _ in range(count):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent = time.perf_counter() - began
        count *= 2
    return spent / (count // 2)


def measure(task: str, lanes: int, device: torch.device, rounds: int) -> list[dict]:
    torch._dynamo.reset()
    steps = steps_of(task, lanes, device)
    first = {}
    for name, step in steps.items():
        began = time.perf_counter()
        step()
        first[name] = time.perf_counter() - began
    times = [{name: seconds(step, device) for name, step in steps.items()} for _ in range(rounds)]
    rows = []
    for name in list(steps)[1:]:
        ratios = [found["as it is"] / found[name] for found in times]
        rows.append({"task": task, "lanes": lanes, "way": name,
                     "times_as_fast": statistics.median(ratios), "least": min(ratios),
                     "most": max(ratios), "first_step_seconds": first[name],
                     "rounds": rounds})  # fmt: skip
        shown = rows[-1]
        print(f"{task:7} {lanes:3} lanes  {name:9} {shown['times_as_fast']:.2f} times as fast "
              f"({shown['least']:.2f} – {shown['most']:.2f}), first step {first[name]:.1f} s",
              flush=True)  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="see that it runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch._inductor.config.compile_threads = 1
    device = resolve_device(given.device)
    tasks = ["mlp"] if given.small else list(FILES)
    lanes = [1, 4] if given.small else [1, 8, 32]
    rounds = 1 if given.small else given.rounds
    rows = [row for task in tasks for n in lanes for row in measure(task, n, device, rounds)]
    given.out.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([{**row, **machine(given.device)} for row in rows])
    frame.to_csv(given.out / "tried.csv", index=False)


if __name__ == "__main__":
    main()
