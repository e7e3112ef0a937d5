"""Studies made by formula, with the attributes that training writes, for tests of the analysis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

LRS = (0.01, 0.1, 1.0)
WEIGHT_DECAYS = (0.0, 0.001, 0.01, 0.1)
STEPS_PER_EPOCH = 10

_PLACES = {
    "lr": FloatDistribution(1e-6, 1e3, log=True),
    "weight_decay": FloatDistribution(0, 1e3),
    "seed": IntDistribution(0, 99),
}


def valley(lr: float, weight_decay: float, seed: int = 0) -> float:
    """A loss with its best at lr 0.1, weight_decay 0.01, in a valley of constant product."""
    x, y = math.log10(lr) + 1, math.log10(max(weight_decay, 1e-4)) + 2
    return 0.1 + 0.1 * (x + y) ** 2 + 0.02 * x**2 + 0.001 * seed


def placed(
    lr: float,
    weight_decay: float,
    value: float | None = None,
    state: TrialState = TrialState.COMPLETE,
    **attributes: Any,
) -> FrozenTrial:
    """A trial at a place of the plane."""
    parameters = {"lr": lr, "weight_decay": weight_decay}
    return create_trial(
        params=parameters,
        distributions={name: _PLACES[name] for name in parameters},
        value=value,
        state=state,
        user_attrs=attributes,
    )


def trained(
    lr: float,
    weight_decay: float,
    seed: int = 0,
    *,
    points: int = 5,
    loss: Callable[[float, float, int], float] = valley,
    diverged: bool = False,
    maximize: bool = False,
) -> FrozenTrial:
    """A trial as training leaves it. Its losses fall from 2 to `loss`; diverged, they end early."""
    end = loss(lr, weight_decay, seed)
    shown = max(1, points // 2) if diverged else points
    share = [(i + 1) / points for i in range(shown)]
    falling: list[float | None] = [2.0 * (end / 2.0) ** t for t in share]
    steps = [STEPS_PER_EPOCH * (i + 1) for i in range(shown)]
    decay = [0.5 * weight_decay * 16.0 for _ in share]
    accuracy = [None if v is None else 1 - v / 2 for v in falling]
    if diverged:
        falling[-1] = accuracy[-1] = None
    attributes: dict[str, Any] = {
        "step": steps,
        "primary_loss": falling,
        "decay_loss": decay,
        "val_loss": falling,
        "val_accuracy": accuracy,
        "weight_norm": [4.0 for _ in share],
        "learning_rate": [lr for _ in share],
        "final_primary_loss": falling[-1],
        "final_decay_loss": decay[-1],
        "final_val_loss": falling[-1],
        "final_val_accuracy": accuracy[-1],
        "initial_loss": 2.0,
        "seed": seed,
        "train_seconds": 1.0,
        "worker": "w",
    }
    if not diverged:
        attributes["decay_share"] = decay[-1] / (decay[-1] + end)
        value = accuracy[-1] if maximize else falling[-1]
        return placed(lr, weight_decay, value, **attributes)
    attributes["diverged_at"] = steps[-1]
    return placed(lr, weight_decay, None, TrialState.PRUNED, **attributes)


def study_of(
    trials: Iterable[FrozenTrial], name: str = "made", direction: str = "minimize", **spec: Any
) -> optuna.Study:
    """A study in memory that holds these trials; with `spec`, described as training does it."""
    study = optuna.create_study(study_name=name, direction=direction)
    study.add_trials(trials)
    if spec:
        plan = {
            "objective": "val_loss",
            "optimizer": "SGD",
            "optimizer_options": {"momentum": 0.9},
            "decay": "pytorch",
            "decay_kind": "coupled",
            "sampler": "grid",
            "epochs": 5,
            **spec,
        }
        parameters = {"total": 100, "decayed": 80}
        record = {"schema": 1, "spec": plan, "parameters": parameters}
        study.set_user_attr("wdstudy", {**record, "steps_per_epoch": STEPS_PER_EPOCH})
    return study


def grid_study(
    name: str = "made",
    lrs: Sequence[float] = LRS,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    seeds: int = 1,
    *,
    points: int = 5,
    diverges: Callable[[float, float], bool] = lambda lr, weight_decay: False,
    loss: Callable[[float, float, int], float] = valley,
    **spec: Any,
) -> optuna.Study:
    """A full grid of trained cells."""
    maximize = spec.get("direction") == "maximize"
    trials = [
        trained(
            lr,
            weight_decay,
            seed,
            points=points,
            loss=loss,
            diverged=diverges(lr, weight_decay),
            maximize=maximize,
        )
        for seed in range(seeds)
        for lr in lrs
        for weight_decay in weight_decays
    ]
    objective = "val_accuracy" if maximize else "val_loss"
    return study_of(trials, name, **{"optimizer": "SGD", "objective": objective, **spec})


SCOUTS = [
    {"lr": 10.0**k, "weight_decay": 0.0, "seed": 0, "steps": 3, "share": 0.05, "seconds": 0.25,
     "value": None if k > 0 else 2.0 if k < -3 else 1.0 - 0.1 * k, "diverged": k > 0}
    for k in range(-7, 4)
] + [
    {"lr": 1.0, "weight_decay": 10.0**k, "seed": 0, "steps": 3, "share": 0.05, "seconds": 0.25,
     "value": 1.0 + (k > -2), "diverged": False}
    for k in range(-5, 0)
]  # fmt: skip
"""The rows of short runs as a run keeps them: they diverge from lr 10 on."""

BATCHES = (
    ("find", "short runs work best at lr 1", [(lr, 0.0) for lr in (0.03, 0.3, 3.0)], 0),
    ("find", "a good cell about lr 0.3", [(0.18, 0.003), (0.3, 0.003)], 0),
    ("map", "what weight decay gains at lr 0.1, 0.3, 1",
     [(lr, wd) for lr in (0.1, 0.3, 1.0) for wd in (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
      if (lr, wd) != (0.3, 0.0)], 0),
    ("map", "where harm begins at lr 1", [(1.0, 0.03), (1.0, 0.003), (3.0, 0.01)], 0),
    ("seeds", "how noisy lr 0.1, 0.3 and 1 are",
     [(lr, wd) for lr in (0.1, 0.3, 1.0) for wd in (0.0, 1e-3, 1e-2, 0.1)], 1),
)  # fmt: skip
"""Stage, reason, cells and seed of each batch of `designed_study`: columns that fill no grid."""


def gains_at_high_lr(lr: float, weight_decay: float, seed: int = 0) -> float:
    """Best at lr 0.3 and weight_decay 0.01; weight decay gains little at lr 0.1, much at 1."""
    x, y = math.log10(lr / 0.3), math.log10(max(weight_decay, 1e-6))
    gain = 0.3 / (1 + math.exp(-4 * x)) * math.exp(-0.5 * (y + 2) ** 2)
    wobble = 0.01 * math.sin(37 * x + 11 * y + 5 * seed)
    return 0.3 * math.exp(0.8 * x**2 - gain + 0.8 * max(0.0, y + 1.2) ** 2 + wobble)


def designed_study(
    name: str = "designed",
    *,
    batches: Sequence[tuple[str, str, list[tuple[float, float]], int]] = BATCHES,
    stop: tuple[str, str] | None = ("answered", "choosing better would gain about 1 %"),
    scouts: list[dict[str, Any]] | None = SCOUTS,
    diverges: Callable[[float, float], bool] = lambda lr, weight_decay: lr * weight_decay >= 1,
    asked: dict[str, Any] | None = None,
    **spec: Any,
) -> optuna.Study:
    """A study whose trials carry what those of a design do, in these batches."""
    trials = []
    for number, (stage, reason, cells, seed) in enumerate(batches, start=1):
        for lr, weight_decay in cells:
            lost = diverges(lr, weight_decay)
            trial = trained(lr, weight_decay, seed, loss=gains_at_high_lr, diverged=lost)
            trial.user_attrs.update(stage=stage, reason=reason, batch=number)
            trials.append(trial)
    design = {"best": 0.02, "effects": 0.05, "limit": 0.5} if asked is None else asked
    space = {"lr": [1e-7, 1e3], "weight_decay": [0.0, 1e-7, 1e2], "seeds": [0]}
    own = {"sampler": "design", "design": design, "space": space}
    study = study_of(trials, name, **{**own, **spec})
    if scouts is not None:
        study.set_user_attr("wdstudy_scouts", scouts)
    if stop is not None:
        study.set_user_attr("wdstudy_design_stop", dict(zip(("reason", "why"), stop, strict=True)))
    return study


SIZES = (8.0, 16.0, 32.0, 64.0)


def drifting(lr: float, weight_decay: float, seed: int, size: float) -> float:
    """A loss whose best lr goes with the root of the size, and its weight_decay against it."""
    t = math.log10(size / 16)
    x, y = math.log10(lr) + 1.5 - 0.5 * t, math.log10(max(weight_decay, 1e-6)) + 2 + 0.5 * t
    luck = math.sin(37.0 * seed + 11.0 * x + 5.0 * y + 3.0 * t)  # of no seed in particular
    return 0.2 * math.exp(-0.2 * t + 0.25 * x**2 + 0.15 * y**2 + 0.02 * luck)


def scaled_study(
    name: str = "made",
    sizes: Sequence[float] = SIZES,
    *,
    lrs: Sequence[float] = tuple(10.0**k for k in (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0)),
    weight_decays: Sequence[float] = tuple(
        10.0**k for k in (-4.0, -3.25, -2.5, -1.75, -1.0, -0.25)
    ),
    seeds: int = 2,
    points: int = 4,
    loss: Callable[[float, float, int, float], float] = drifting,
    **spec: Any,
) -> optuna.Study:
    """A study along `batch_size`, as a run leaves it: the scale is a parameter of every trial."""
    trials = []
    for size in sizes:
        for seed in range(seeds):
            for lr in lrs:
                for decay in weight_decays:
                    one = trained(
                        lr, decay, seed, points=points, loss=lambda *at, s=size: loss(*at, s)
                    )
                    trials.append(_sized(one, size, points))
    scale = {"name": "batch_size", "values": list(sizes), "follow": {}, "budget": "epochs"}
    axes = {"lr": list(lrs), "weight_decay": list(weight_decays), "seeds": [*range(seeds)]}
    return study_of(trials, name, **{"space": axes, "scale": scale, **spec})


def _sized(trial: FrozenTrial, size: float, points: int) -> FrozenTrial:
    """A trial at a size, its steps fewer the larger the batch is."""
    epoch = 640 / size
    told = {
        "step": [round(epoch * (i + 1)) for i in range(points)], "steps": round(epoch * points),
        "steps_per_epoch": epoch, "examples_seen": 640.0 * points, "parameters": 100,
    }  # fmt: skip
    return create_trial(
        params={**trial.params, "batch_size": size},
        distributions={**trial.distributions, "batch_size": FloatDistribution(1, 1e6, log=True)},
        value=trial.value,
        state=trial.state,
        user_attrs={**trial.user_attrs, **told},
    )
