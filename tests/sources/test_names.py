"""What names of columns are taken for."""

from __future__ import annotations

import pytest

from wdstudy.sources import names


@pytest.mark.parametrize(
    ("name", "lr", "decay", "seed"),
    [
        ("lr", 1, 0, 0),
        ("learning_rate", 1, 0, 0),
        ("optimizer/learningRate", 1, 0, 0),
        ("config/lr", 1, 0, 0),
        ("params_init_lr", 1, 0, 0),
        ("model.optim.lr", 1, 0, 0),
        ("lr_scheduler", 0, 0, 0),
        ("lr_decay", 0, 0, 0),
        ("min_lr", 0, 0, 0),
        ("weight_decay", 0, 1, 0),
        ("optimizer.weight_decay", 0, 1, 0),
        ("WD", 0, 1, 0),
        ("l2", 0, 1, 0),
        ("L2Regularization", 0, 1, 0),
        ("weight_norm", 0, 0, 0),
        ("seed", 0, 0, 1),
        ("random_state", 0, 0, 1),
        ("dropout", 0, 0, 0),
        ("val_loss", 0, 0, 0),
    ],
)
def test_axes(name: str, lr: int, decay: int, seed: int) -> None:
    found = [
        rank(name) is not None
        for rank in (names.rank_of_lr, names.rank_of_weight_decay, names.rank_of_seed)
    ]
    assert found == [bool(lr), bool(decay), bool(seed)]


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("val_loss", "val_loss"),
        ("eval/loss", "val_loss"),
        ("validation/accuracy", "val_accuracy"),
        ("Valid Loss", "val_loss"),
        ("final_val_loss", "val_loss"),
        ("eval_f1", "val_f1"),
        ("train_loss", "primary_loss"),
        ("train/loss_epoch", "primary_loss"),
        ("Loss/train", "primary_loss"),
        ("train_accuracy", None),
        ("test_loss", None),
        ("weights/norm", "weight_norm"),
        ("lr", "learning_rate"),
        ("accuracy", "val_accuracy"),
        ("loss", "val_loss"),
        ("time", None),
        ("primary_loss", "primary_loss"),
        ("decay_loss", "decay_loss"),
        ("total_loss", None),
    ],
)
def test_series(name: str, series: str | None) -> None:
    assert names.series_of(name) == series


def test_what_loss_alone_means() -> None:
    assert names.series_of("loss", ["loss", "val_loss"]) == "primary_loss"
    assert names.series_of("loss", ["loss", "train_loss"]) == "val_loss"


def test_which_metric_is_judged_by() -> None:
    metrics = ["train_loss", "accuracy", "test_acc", "best_val_loss", "val_acc", "val_loss", "time"]
    found = names.ranked(metrics, names.rank_of_metric)
    assert found == ["val_loss", "val_acc", "best_val_loss", "accuracy", "test_acc", "train_loss"]
    assert [names.way_of(m) for m in ("val_acc", "perplexity", "AUC", "time")] == [
        "maximize", "minimize", "maximize", None,
    ]  # fmt: skip
