"""The bare forward pass, backward pass and optimizer step of the same models, and nothing else.

No recording, no storage, no progress; one validation at the end of a trial, to show that the
same was trained. Lanes are stacked by `torch.func` as wdstudy stacks them, with an update of
AdamW or SGD written out here; one lane is the plain module with `torch.optim`'s fused step.

    python benchmarks/limit.py ridge --lanes 32 --jobs 2

Its last line is JSON: final losses, and the seconds of the steps alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

STARTED = time.perf_counter()

import torch
from tasks import FILES, load
from torch import Tensor
from torch.func import functional_call, grad, vmap

from wdstudy import StudySpec
from wdstudy.space import TrialParams, parse_axis
from wdstudy.study.schedules import SCHEDULES
from wdstudy.training.devices import resolve_device

Losses = list[float]


def batches(spec: StudySpec, half: Sequence[Tensor], seed: int) -> Iterator[Sequence[Tensor]]:
    order = torch.Generator().manual_seed(seed)
    x, y = half
    for _ in range(spec.epochs):
        index = torch.randperm(len(x), generator=order).to(x.device).split(spec.batch_size)
        for i in index[: len(x) // spec.batch_size]:
            yield x[i], y[i]


def rates(spec: StudySpec, steps: int) -> list[float]:
    return [SCHEDULES[spec.schedule](step, steps) for step in range(steps)]


def train_alone(spec: StudySpec, halves: Sequence, params: Sequence[TrialParams]) -> Losses:
    (train, val), (one,) = halves, params
    torch.manual_seed(one.seed)
    model = spec.task.model().to(train[0].device)
    factory = partial(torch.optim.AdamW) if spec.optimizer == "adamw" else spec.optimizer
    optimizer = factory(model.parameters(), lr=one.lr, weight_decay=one.weight_decay, fused=True)
    steps = spec.epochs * (len(train[0]) // spec.batch_size)
    for rate, (x, y) in zip(rates(spec, steps), batches(spec, train, one.seed), strict=True):
        optimizer.zero_grad()
        spec.task.loss(model(x), y).backward()
        optimizer.param_groups[0]["lr"] = one.lr * rate
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return [spec.task.loss(model(val[0]), val[1]).item()]


def train_stacked(spec: StudySpec, halves: Sequence, params: Sequence[TrialParams]) -> Losses:
    train, val = halves
    device, lanes = train[0].device, len(params)
    torch.manual_seed(params[0].seed)
    model = spec.task.model().to(device)
    weights = {n: p.detach().repeat(lanes, *[1] * p.ndim) for n, p in model.named_parameters()}
    buffers = {n: b.repeat(lanes, *[1] * b.ndim) for n, b in model.named_buffers()}

    def loss(weights: dict, buffers: dict, x: Tensor, y: Tensor) -> tuple[Tensor, dict]:
        buffers = dict(buffers)
        found = spec.task.loss(functional_call(model, {**weights, **buffers}, (x,)), y)
        return found, buffers

    gradient = vmap(grad(loss, has_aux=True), in_dims=(0, 0, None, None), randomness="same")
    update = updates(spec, weights, params)
    steps = spec.epochs * (len(train[0]) // spec.batch_size)
    for rate, (x, y) in zip(rates(spec, steps), batches(spec, train, params[0].seed), strict=True):
        gradients, buffers = gradient(weights, buffers, x, y)
        update(gradients, rate)
    model.eval()
    with torch.no_grad():
        return vmap(loss, in_dims=(0, 0, None, None))(weights, buffers, *val)[0].tolist()


def updates(
    spec: StudySpec, weights: dict[str, Tensor], params: Sequence[TrialParams]
) -> Callable[[dict[str, Tensor], float], None]:
    """One step of AdamW or of SGD with momentum on stacked weights, in place."""
    first = {n: torch.zeros_like(w) for n, w in weights.items()}
    second = {n: torch.zeros_like(w) for n, w in weights.items()}
    shape = {n: (-1, *[1] * (w.ndim - 1)) for n, w in weights.items()}
    device = next(iter(weights.values())).device
    lr = torch.tensor([p.lr for p in params], device=device)
    decay = torch.tensor([p.weight_decay for p in params], device=device)
    done = 0

    def adamw(gradients: dict[str, Tensor], rate: float) -> None:
        nonlocal done
        done += 1
        scale = (1 - 0.999**done) ** 0.5
        shrink, size = 1 - lr * rate * decay, -lr * rate * scale / (1 - 0.9**done)
        for n, w in weights.items():
            g = gradients[n]
            w.mul_(shrink.view(shape[n]))
            first[n].lerp_(g, 0.1)
            second[n].mul_(0.999).addcmul_(g, g, value=0.001)
            step = second[n].sqrt().add_(1e-8 * scale)
            torch.div(first[n], step, out=step)
            w.addcmul_(step, size.view(shape[n]))

    def sgd(gradients: dict[str, Tensor], rate: float) -> None:
        momentum = spec.optimizer.keywords["momentum"]
        for n, w in weights.items():
            g = torch.addcmul(gradients[n], w, decay.view(shape[n]))
            first[n].mul_(momentum).add_(g)
            w.addcmul_(first[n], (-lr * rate).view(shape[n]))

    return adamw if spec.optimizer == "adamw" else sgd


def train_all(spec: StudySpec, cells: Sequence[TrialParams], lanes: int, device: str) -> dict:
    place = resolve_device(device)
    halves = [[part.to(place) for part in half] for half in spec.task.data()]
    final, start = [], time.perf_counter()
    for batch in by_lanes(cells, lanes):
        train = train_alone if len(batch) == 1 else train_stacked
        losses = train(spec, halves, batch)
        final += [[p.__dict__, loss] for p, loss in zip(batch, losses, strict=True)]
    memory = torch.cuda.max_memory_allocated(place) if place.type == "cuda" else 0
    return {"final": final, "loop": time.perf_counter() - start, "gpu_bytes": memory}


def by_lanes(cells: Sequence[TrialParams], lanes: int) -> Iterator[Sequence[TrialParams]]:
    """Batches of one seed each, as wdstudy fills them."""
    for seed in dict.fromkeys(p.seed for p in cells):
        of_seed = [p for p in cells if p.seed == seed]
        yield from (of_seed[i : i + lanes] for i in range(0, len(of_seed), lanes))


def worker(given: argparse.Namespace, job: int) -> dict:
    torch.set_num_threads(given.threads)
    spec, cells = cells_of(given)
    batches = list(by_lanes(cells, given.lanes))[job :: given.jobs]
    return train_all(spec, [p for batch in batches for p in batch], given.lanes, given.device)


def cells_of(given: argparse.Namespace) -> tuple[StudySpec, list[TrialParams]]:
    spec = load(given.task, dict(item.split("=", 1) for item in given.settings), given.epochs)
    space = spec.space
    lrs = parse_axis("lr", given.lr) if given.lr else space.lr
    decays = parse_axis("weight_decay", given.weight_decay) if given.weight_decay else None
    seeds = space.seed_list[: given.seeds]
    return spec, [
        TrialParams(lr, decay, seed)
        for seed in seeds
        for lr in lrs
        for decay in (space.weight_decay if decays is None else decays)
    ]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=FILES)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process, as wdstudy has")
    parser.add_argument("--lr")
    parser.add_argument("--weight-decay")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.jobs == 1:
        results = [worker(given, 0)]
    else:
        with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
            results = pool.starmap(worker, [(given, job) for job in range(given.jobs)])
    print(
        json.dumps(
            {
                "final": [pair for result in results for pair in result["final"]],
                "loop": max(result["loop"] for result in results),
                "gpu_bytes": max(result["gpu_bytes"] for result in results),
                "start_up": time.perf_counter() - STARTED - max(r["loop"] for r in results),
            }
        )
    )


if __name__ == "__main__":
    main()
