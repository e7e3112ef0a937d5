from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest
import torch
from small_tasks import blobs, mlp
from torch import nn

from wdstudy import SearchSpace, StudySpec, Task, run_study
from wdstudy.errors import SpecError
from wdstudy.record import StudyRecord

MakeSpec = Callable[..., StudySpec]


def test_a_spec_as_data_is_json_and_the_same_in_every_process(make_spec: MakeSpec) -> None:
    spec = make_spec(
        optimizer=partial(torch.optim.AdamW, betas=(0.9, 0.95)),
        schedule=lambda step, total: 1.0,
        no_decay="biases_and_norms",
        sampler=optuna.samplers.RandomSampler(),
    )
    data = StudyRecord(spec=spec.recorded()).as_data()["spec"]
    assert data["optimizer"] == "AdamW"
    assert data["optimizer_options"] == {"betas": [0.9, 0.95]}
    assert data["decay_kind"] == "decoupled"
    assert data["sampler"] == "RandomSampler"
    assert "0x" not in json.dumps(data)


def test_differences_name_the_field_and_both_values(make_spec: MakeSpec) -> None:
    old = make_spec(epochs=2).recorded()
    new = make_spec(epochs=3, space=SearchSpace([0.5], [0])).recorded()
    assert old.differences(new) == ["epochs=2, now 3"]
    assert old.differences(old) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 10**5000}, "epochs is more than 1,000,000,000"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"decay": "l2"}, "unknown decay 'l2'"),
        ({"no_decay": "biases"}, "no_decay='biases'; give 'biases_and_norms'"),
        ({"no_decay": True}, "no_decay=True; give"),
        ({"precision": "float16"}, "did you mean 'bfloat16'"),
        ({"direction": "up"}, "unknown direction"),
        ({"schedule": "cosin"}, "unknown schedule"),
        ({"diverged_factor": 1.0}, "diverged_factor=1.0"),
        ({"task": None}, "neither is given"),
        ({"train": print}, "both is given"),
        ({"space": [0.1]}, "is not a SearchSpace"),
        ({"task": 3}, "is not a Task"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    make_spec: MakeSpec, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        make_spec(**changes)


def test_the_independent_form_needs_decoupled_decay(make_spec: MakeSpec) -> None:
    assert make_spec(decay="independent", optimizer="adamw").decay_kind == "decoupled"
    with pytest.raises(SpecError, match="SGD's is coupled"):
        _ = make_spec(decay="independent", optimizer="sgd").decay_kind


@pytest.mark.parametrize(
    ("objective", "direction"),
    [
        ("val_loss", "minimize"),
        ("primary_loss", "minimize"),
        ("val_accuracy", "maximize"),
        ("val_macro_f1", "maximize"),
        ("val_AUC", "maximize"),
        ("val_rmse", "minimize"),
        ("val_accuracy_error", "minimize"),
        ("val_log_likelihood", "maximize"),
    ],
)
def test_the_direction_is_that_of_a_well_known_name(
    make_spec: MakeSpec, objective: str, direction: str
) -> None:
    assert make_spec(objective=objective).direction == direction
    other = "maximize" if direction == "minimize" else "minimize"
    assert make_spec(objective=objective, direction=other).direction == other  # as it is told


def test_a_name_that_says_nothing_must_be_told_its_direction(make_spec: MakeSpec) -> None:
    with pytest.raises(SpecError, match=r"objective 'val_quality' does not say.*direction="):
        make_spec(objective="val_quality")
    assert make_spec(objective="val_quality", direction="maximize").direction == "maximize"


def test_what_a_beginner_gives_is_named_with_its_cure(in_folder: Path, make_spec: MakeSpec) -> None:
    with pytest.raises(SpecError, match=r"model= is a Sequential, .*model=lambda: Sequential"):
        Task(mlp(), blobs, nn.functional.cross_entropy)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="schedule=CosineAnnealingLR is a class; give a name"):
        make_spec(schedule=torch.optim.lr_scheduler.CosineAnnealingLR)
    each = partial(nn.functional.cross_entropy, reduction="none")
    with pytest.raises(SpecError, match=r"returns the shape \[32\]; .*without reduction='none'"):
        run_study(make_spec(task=Task(mlp, blobs, each)), "sqlite:///wd.db")
    number = Task(mlp, blobs, lambda output, y: 1.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(SpecError, match="returns a float; return a 0-d tensor"):
        run_study(make_spec(task=number), "sqlite:///wd.db")
    assert not Path("wd.db").exists()
