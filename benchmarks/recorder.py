"""What recording costs: a bare loop, LossRecorder, and the recorder of the usual tutorial.

The three train the same model on the same batches in one process, in turns; a figure is the
best of all rounds, because whatever else the machine does only ever slows a round down. One
thread's processor time is taken, so that waiting for a busy core does not count. Of a step that
takes long no two rounds are alike to a percent; `in step()` is the share of the recorded loop's own
time that `recorder.step` took, the median of the rounds.

    python benchmarks/recorder.py
"""

from __future__ import annotations

import statistics
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

Loop = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor, int], None]


def bare(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, n: int) -> None:
    for _ in range(n):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


def recorded(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    n: int,
    recorder: LossRecorder | None = None,
) -> None:
    recorder = recorder or LossRecorder(optimizer)
    for _ in range(n):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        recorder.step(loss)
        optimizer.step()
    recorder.point()


def share_of_recorder(make: Callable[[], nn.Module], x: Tensor, y: Tensor, n: int) -> float:
    """The part of a recorded loop's time that `recorder.step` takes."""
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    recorder, inside = LossRecorder(optimizer), 0.0
    step = recorder.step

    def timed(loss: Tensor) -> None:
        nonlocal inside
        start = time.perf_counter()
        step(loss)
        inside += time.perf_counter() - start

    recorder.step = timed  # type: ignore[method-assign]
    began = time.perf_counter()
    recorded(model, optimizer, x, y, n, recorder)
    return inside / (time.perf_counter() - began)


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
    digits, photos = torch.randn(64, 1, 8, 8), torch.randn(128, 3, 32, 32)
    models: dict[str, tuple[Callable[[], nn.Module], Tensor, int, int]] = {
        "MLP (26k weights)": (small_mlp, digits, 400, 80),
        "ResNet (78k weights)": (partial(resnet, channels=1, blocks=1), digits, 20, 80),
        "ResNet-20 (272k weights)": (partial(resnet, channels=3, blocks=3), photos, 2, 20),
    }
    print(f"torch {torch.__version__}, 1 thread, best of all rounds\n")
    print(f"{'model':<26}{'batch':>6}{'bare step':>12}{'LossRecorder':>15}{'in step()':>12}"
          f"{'tutorial':>12}")  # fmt: skip
    for name, (make, x, n, rounds) in models.items():
        y = torch.randint(10, (len(x),))
        times: dict[Loop, list[float]] = {bare: [], recorded: [], tutorial: []}
        for _ in range(rounds):
            for loop, found in times.items():
                found.append(seconds(loop, make, x, y, n))
        inside = statistics.median(share_of_recorder(make, x, y, n) for _ in range(rounds))
        base = min(times[bare])
        ours, theirs = min(times[recorded]) / base, min(times[tutorial]) / base
        print(f"{name:<26}{len(x):>6}{1e6 * base / n:>9.0f} µs{ours:>14.3f}x"
              f"{100 * inside:>10.2f} %{theirs:>11.3f}x")  # fmt: skip


if __name__ == "__main__":
    main()
