"""A sweep as it is written without wdstudy: Optuna, a DataLoader, one trial at a time.

The loop is that of the tutorials, written with care: the decay loss is summed over the
parameters, both losses are read with `.item()`, the curves are attributes that are rewritten
each epoch so that a dashboard shows them live, and the study is an SQLite file. Model, data,
order of the batches and seed are those of the study file, so that final losses can be compared.

    python benchmarks/plain.py ridge --lr 0.001,0.1 --weight-decay 0.001,1 --storage sqlite:///p.db
    python benchmarks/plain.py ridge ... --n-jobs 2

Its last line is JSON: final losses, and the seconds that went into each part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

STARTED = time.perf_counter()

import optuna
import torch
from tasks import FILES, load
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from wdstudy import SearchSpace, StudySpec
from wdstudy.space import parse_axis
from wdstudy.study.optimizers import resolve_optimizer
from wdstudy.study.schedules import SCHEDULES
from wdstudy.training.devices import resolve_device

SECONDS: dict[str, float] = defaultdict(float)
RANDOM_STATE = threading.Lock()  # torch has one for all threads


@contextlib.contextmanager
def counted(part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    SECONDS[part] += time.perf_counter() - start


class EpochOrder(Sampler[int]):
    """Another order in every epoch; `shuffle=True` draws it otherwise, at the same cost."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.generator = n, torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.n, generator=self.generator).tolist())

    def __len__(self) -> int:
        return self.n


def decay_loss(model: nn.Module, weight_decay: float) -> Tensor:
    return 0.5 * weight_decay * sum((p**2).sum() for p in model.parameters())


@torch.no_grad()
def validate(model: nn.Module, spec: StudySpec, loader: DataLoader) -> float:
    model.eval()
    device, total, n = next(model.parameters()).device, 0.0, 0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        total += spec.task.loss(model(x), y).item() * len(y)
        n += len(y)
    model.train()
    return total / n


def objective(trial: optuna.Trial, spec: StudySpec, device: torch.device) -> float:
    space = spec.space
    lr = trial.suggest_float("lr", space.lr[0], space.lr[-1], log=True)
    weight_decay = trial.suggest_float("weight_decay", 0, space.weight_decay[-1])
    seed = trial.suggest_categorical("seed", list(space.seed_list))
    with counted("set-up"), RANDOM_STATE:
        torch.manual_seed(seed)
        model = spec.task.model().to(device)
    train, val = (TensorDataset(*half) for half in DATA)
    own = torch.Generator()  # or a loader draws from the state that another thread has seeded
    loader = DataLoader(
        train,
        spec.batch_size,
        sampler=EpochOrder(len(train), seed),
        drop_last=True,
        generator=own,
    )
    val_loader = DataLoader(val, 512, generator=own)
    with counted("set-up"):
        optimizer = resolve_optimizer(spec.optimizer)(
            model.parameters(), lr=lr, weight_decay=weight_decay
        )
    total = spec.epochs * len(loader)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: SCHEDULES[spec.schedule](step, total)
    )
    primary_curve, decay_curve, val_curve = [], [], []
    for epoch in range(spec.epochs):
        primary, decay = 0.0, 0.0
        with counted("training"):
            for x, y in loader:
                x, y = x.to(device), y.to(device)
                optimizer.zero_grad()
                loss = spec.task.loss(model(x), y)
                penalty = decay_loss(model, weight_decay)
                loss.backward()
                optimizer.step()
                scheduler.step()
                primary += loss.item()
                decay += penalty.item()
        primary_curve.append(primary / len(loader))
        decay_curve.append(decay / len(loader))
        with counted("validation"):
            val_curve.append(validate(model, spec, val_loader))
        with counted("storage"):
            trial.report(val_curve[-1], epoch)
            trial.set_user_attr("primary_loss", primary_curve)
            trial.set_user_attr("decay_loss", decay_curve)
            trial.set_user_attr("val_loss", val_curve)
    return val_curve[-1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=FILES)
    parser.add_argument("--lr", required=True)
    parser.add_argument("--weight-decay", required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--storage", required=True)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser.parse_args()


def main() -> None:
    global DATA
    given = arguments()
    spec = load(given.task, dict(item.split("=", 1) for item in given.settings), given.epochs)
    axes = {
        "lr": parse_axis("lr", given.lr),
        "weight_decay": parse_axis("weight_decay", given.weight_decay),
        "seed": list(range(given.seeds)),
    }
    space = SearchSpace(lr=axes["lr"], weight_decay=axes["weight_decay"], seeds=axes["seed"])
    spec = replace(spec, space=space)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    device = resolve_device(given.device)
    DATA = spec.task.data()
    study = optuna.create_study(
        study_name=f"plain-{spec.name}",
        storage=given.storage,
        sampler=optuna.samplers.GridSampler(axes, seed=0),
        direction="minimize",
    )
    started = time.perf_counter()
    study.optimize(
        lambda trial: objective(trial, spec, device),
        n_trials=len(spec.space),
        n_jobs=given.n_jobs,
    )
    ended = time.perf_counter()
    rest = (ended - started) * given.n_jobs - sum(SECONDS.values())
    print(
        json.dumps(
            {
                "final": [[t.params, t.value] for t in study.trials],
                "start_up": started - STARTED,
                "loop": ended - started,
                "parts": {**SECONDS, "storage": SECONDS["storage"] + rest},
            }
        )
    )


if __name__ == "__main__":
    main()
