"""Metrics that no mean over batches can give, and those that one can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tasks import accuracy, blobs, mlp
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from wdstudy import Metric, StudySpec, Task, run_study
from wdstudy.errors import SpecError

MakeSpec = Callable[..., StudySpec]


def macro_f1(output: Tensor, y: Tensor) -> float:
    """With branches and Python numbers, as such functions are written."""
    found = output.argmax(-1)
    scores = []
    for label in range(3):
        hits = int(((found == label) & (y == label)).sum())
        if hits == 0:
            scores.append(0.0)
            continue
        precision, recall = hits / int((found == label).sum()), hits / int((y == label).sum())
        scores.append(2 * precision * recall / (precision + recall))
    return sum(scores) / 3


class Confusion:
    """As those of torchmetrics: it takes batches and computes at the end."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.table = torch.zeros(3, 3)

    def update(self, output: Tensor, y: Tensor) -> None:
        for guess, label in zip(output.argmax(-1), y, strict=True):
            self.table[label, guess] += 1

    def compute(self) -> Tensor:
        hits = self.table.diag()
        return (2 * hits / (self.table.sum(0) + self.table.sum(1)).clamp(min=1)).mean()


def loaders() -> Any:
    """Validation in batches so small that most hold one class or two."""
    (train, val) = blobs()
    return train, DataLoader(TensorDataset(*val), batch_size=2)


@pytest.mark.parametrize("lanes", [1, 4])
def test_an_f1_score_is_that_of_all_examples(
    in_folder: Path, make_spec: MakeSpec, lanes: int
) -> None:
    kept: list[dict[str, Tensor]] = []

    def keeps(output: Tensor, y: Tensor) -> float:
        kept.append({"output": output.clone(), "y": y})
        return 0.0

    metrics = {
        "f1": Metric(macro_f1, whole=True), "table": Confusion(), "accuracy": accuracy,
        "mean": Metric(accuracy), "kept": Metric(keeps, whole=True),
    }  # fmt: skip
    task = Task(mlp, loaders, nn.functional.cross_entropy, metrics)
    study = run_study(
        make_spec(task=task, epochs=8, record_every=24), "sqlite:///wd.db", lanes=lanes
    )
    del kept[: len(kept) - 4]  # the batch that is tried first may have asked as well
    assert {len(k["y"]) for k in kept} == {30}
    truth = sorted(macro_f1(**k) for k in kept)
    attributes = [t.user_attrs for t in study.trials]
    assert sorted(a["final_val_f1"] for a in attributes) == pytest.approx(truth)
    assert sorted(a["final_val_table"] for a in attributes) == pytest.approx(truth)
    for a in attributes:
        assert a["final_val_mean"] == a["final_val_accuracy"]
    batches = [
        sum(macro_f1(k["output"][i : i + 2], k["y"][i : i + 2]) for i in range(0, 30, 2)) / 15
        for k in kept
    ]
    assert len(set(truth)) > 1
    assert max(truth) > 1.3 * max(batches)  # what a mean over batches says


def test_a_metric_may_return_a_float(in_folder: Path, make_spec: MakeSpec) -> None:
    as_float = Task(
        mlp,
        blobs,
        nn.functional.cross_entropy,
        {"a": lambda o, y: float(accuracy(o, y)), "b": accuracy},
    )
    study = run_study(make_spec(task=as_float), "sqlite:///wd.db", lanes=1)
    for trial in study.trials:
        assert trial.user_attrs["val_a"] == trial.user_attrs["val_b"]


def test_a_whole_metric_that_fails_is_told_before_the_study(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    def broken(output: Tensor, y: Tensor) -> float:
        raise ValueError("one class only")

    task = Task(mlp, blobs, nn.functional.cross_entropy, {"f1": Metric(broken, whole=True)})
    with pytest.raises(SpecError, match="one class only"):
        run_study(make_spec(task=task), "sqlite:///wd.db")
    assert not Path("wd.db").exists()
