"""What recording costs: a bare loop, LossRecorder, and the recorder of the usual tutorial.

The three train the same model on the same batches in one process, in turns; a figure is the
best of all rounds, because whatever else the machine does only ever slows a round down. One
thread's processor time is taken, so that waiting for a busy core does not count.

    python benchmarks/recorder.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from wdstudy import LossRecorder

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))
from resnet import resnet

ROUNDS = 80
Loop = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor, int], None]


def bare(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, n: int) -> None:
    for _ in range(n):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


def recorded(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, n: int
) -> None:
    recorder = LossRecorder(optimizer)
    for _ in range(n):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        recorder.step(loss)
        optimizer.step()
    recorder.point()


def tutorial(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, n: int
) -> None:
    primary, decay = [], []
    for _ in range(n):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        penalty = 0.5 * 5e-4 * sum((p**2).sum() for p in model.parameters())
        loss.backward()
        primary.append(loss.item())
        decay.append(penalty.item())
        optimizer.step()


def seconds(loop: Loop, make: Callable[[], nn.Module], x: Tensor, y: Tensor, n: int) -> float:
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    loop(model, optimizer, x, y, 3)
    start = time.process_time()
    loop(model, optimizer, x, y, n)
    return time.process_time() - start


def small_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def main() -> None:
    torch.set_num_threads(1)
    x, y = torch.randn(64, 1, 8, 8), torch.randint(10, (64,))
    models = {
        "ResNet (78k weights)": (partial(resnet, channels=1, blocks=1), 20),
        "MLP (26k weights)": (small_mlp, 400),
    }
    print(f"torch {torch.__version__}, 1 thread, batch 64, best of {ROUNDS} rounds\n")
    print(f"{'model':<22}{'bare step':>12}{'LossRecorder':>15}{'tutorial':>12}")
    for name, (make, n) in models.items():
        times: dict[Loop, list[float]] = {bare: [], recorded: [], tutorial: []}
        for _ in range(ROUNDS):
            for loop, found in times.items():
                found.append(seconds(loop, make, x, y, n))
        base = min(times[bare])
        ours, theirs = min(times[recorded]) / base, min(times[tutorial]) / base
        print(f"{name:<22}{1e6 * base / n:>9.0f} µs{ours:>14.3f}x{theirs:>11.3f}x")


if __name__ == "__main__":
    main()
