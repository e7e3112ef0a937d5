"""LossRecorder in Lightning's and Hugging Face's loops, beside the same training by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tasks import blobs, mlp
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from wdstudy import LossRecorder
from wdstudy.curves import LossCurves

pytestmark = [
    pytest.mark.slow,
    # What these packages and theirs are warned of is not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]

EPOCHS, MICRO_BATCHES = 3, 4  # 6 batches of 16 an epoch: the second step of each has only 2
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def model_at_start() -> nn.Sequential:
    torch.manual_seed(0)
    return mlp()


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    (x, y), _ = blobs()
    yield from zip(x.split(16), y.split(16), strict=True)


def val_loss(model: nn.Module) -> Tensor:
    _, (x, y) = blobs()
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x), y)


def plain_loop(
    make: Callable[..., torch.optim.Optimizer], *, short_step_scale: float
) -> tuple[nn.Module, LossCurves]:
    """The training as anybody writes it, gradients accumulated over `MICRO_BATCHES` batches.

    Args:
        make: The optimizer's class.
        short_step_scale: Lightning divides a last step of only 2 batches by 4 nevertheless
            (1/4 for each batch), Hugging Face by 2.
    """
    model = model_at_start()
    optimizer = make(model.parameters(), lr=0.05, weight_decay=0.1)
    recorder = LossRecorder(optimizer)
    for _ in range(EPOCHS):
        waiting = list(batches())
        while waiting:
            taken, waiting = waiting[:MICRO_BATCHES], waiting[MICRO_BATCHES:]
            scale = 1 / MICRO_BATCHES if len(taken) == MICRO_BATCHES else short_step_scale
            optimizer.zero_grad()
            losses = []
            for x, y in taken:
                loss = nn.functional.cross_entropy(model(x), y)
                (loss * scale).backward()
                losses.append(loss.detach())
            recorder.step(torch.stack(losses).mean())
            optimizer.step()
        recorder.point(val_loss=val_loss(model))
    return model, recorder.curves


def assert_same(ours: LossCurves, plain: LossCurves) -> None:
    assert set(ours) == set(plain)
    for name in plain:
        assert ours[name] == pytest.approx(plain[name], rel=1e-6), name


def assert_bit_identical(a: nn.Module, b: nn.Module) -> None:
    for ours, theirs in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def fit_lightning(
    folder: Path,
    make: Callable[..., torch.optim.Optimizer],
    callbacks: list[Any],
    epochs: int = EPOCHS,
    manual: bool = False,
    **options: Any,
) -> nn.Module:
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model_at_start()
            self.automatic_optimization = not manual

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            x, y = batch
            return nn.functional.cross_entropy(self.model(x), y)

        def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
            x, y = batch
            self.log("val/loss", nn.functional.cross_entropy(self.model(x), y))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make(self.parameters(), lr=0.05, weight_decay=0.1)

    module = Module()
    train, val = (TensorDataset(*half) for half in blobs())
    Trainer(
        max_epochs=epochs,
        accumulate_grad_batches=1 if manual else MICRO_BATCHES,
        callbacks=callbacks,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    ).fit(module, DataLoader(train, 16), DataLoader(val, 30))
    return module.model


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lightning_records_what_a_plain_loop_records(tmp_path: Path, name: str) -> None:
    from wdstudy.integrations.lightning import LightningLossRecorder

    recorder = LightningLossRecorder()
    recorded = fit_lightning(tmp_path, OPTIMIZERS[name], [recorder])
    assert_bit_identical(recorded, fit_lightning(tmp_path, OPTIMIZERS[name], []))
    trained, plain = plain_loop(OPTIMIZERS[name], short_step_scale=1 / MICRO_BATCHES)
    assert_same(recorder.curves, plain)
    for ours, theirs in zip(recorded.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5)
    assert plain["step"] == [2, 4, 6]
    assert all(loss > 0 for loss in plain["decay_loss"])


def test_lightning_closes_a_point_after_each_validation_and_each_epoch_without_one(
    tmp_path: Path,
) -> None:
    from wdstudy.integrations.lightning import LightningLossRecorder

    recorder = LightningLossRecorder()
    fit_lightning(tmp_path, torch.optim.SGD, [recorder], check_val_every_n_epoch=2)
    assert recorder.curves["step"] == [2, 4, 6]
    assert [math.isnan(loss) for loss in recorder.curves["val_loss"]] == [True, False, True]


def test_lightning_tells_trackers_how_it_ended(tmp_path: Path) -> None:
    from lightning.pytorch import Callback

    from wdstudy.integrations.lightning import LightningLossRecorder
    from wdstudy.trackers import track

    class Stop(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            raise ZeroDivisionError

    for callbacks in ([], [Stop()]):
        tracker = track("tensorboard", "run", dir=str(tmp_path / "runs"))
        callbacks.append(LightningLossRecorder(trackers=[tracker]))
        with suppress(ZeroDivisionError):
            fit_lightning(tmp_path, torch.optim.SGD, callbacks)
    from tracker_files import read, sessions

    first, second = sorted((tmp_path / "runs").iterdir())
    assert [e.step for e in read(first).Scalars("Loss/val")] == [2, 4, 6]
    status = {name: session.status for name, session in sessions(tmp_path / "runs").items()}
    assert status == {first.name: 1, second.name: 2}  # success, failure


def test_lightning_with_two_optimizers_is_refused(tmp_path: Path) -> None:
    from wdstudy.errors import RecorderError
    from wdstudy.integrations.lightning import LightningLossRecorder

    def two(parameters: Iterator[nn.Parameter], **options: float) -> Any:
        weights = list(parameters)
        return [torch.optim.SGD(weights[:2], **options), torch.optim.SGD(weights[2:], **options)]

    with pytest.raises(RecorderError, match="Module has 2; use a LossRecorder"):
        fit_lightning(tmp_path, two, [LightningLossRecorder()], 1, manual=True)


def hugging_face(
    folder: Path, name: str, attach: bool, **options: Any
) -> tuple[nn.Module, LossCurves | None]:
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

    from wdstudy.integrations.transformers import TrainerLossRecorder

    class Classifier(PreTrainedModel):  # type: ignore[misc]
        config_class = PretrainedConfig

        def __init__(self, config: PretrainedConfig) -> None:
            super().__init__(config)
            self.model = model_at_start()
            self.post_init()

        def _init_weights(self, module: nn.Module) -> None:
            pass

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.model(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    train, val = ([{"x": x, "labels": y} for x, y in zip(*half, strict=True)] for half in blobs())
    model = Classifier(PretrainedConfig())
    arguments = {
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 30,
        "num_train_epochs": EPOCHS,
        "gradient_accumulation_steps": MICRO_BATCHES,
        "eval_strategy": "epoch",
        **options,
    }
    trainer = Trainer(
        model,
        TrainingArguments(
            str(folder),
            max_grad_norm=0,
            lr_scheduler_type="constant",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            train_sampling_strategy="sequential",
            **arguments,
        ),
        train_dataset=train,
        eval_dataset=val,
        optimizers=(
            OPTIMIZERS[name](model.parameters(), lr=0.05, weight_decay=0.1),
            None,
        ),
    )
    recorder = TrainerLossRecorder.attach(trainer) if attach else None
    trainer.train()
    return model.model, recorder.curves if recorder else None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hugging_face_records_what_a_plain_loop_records(tmp_path: Path, name: str) -> None:
    recorded, curves = hugging_face(tmp_path, name, attach=True)
    assert_bit_identical(recorded, hugging_face(tmp_path, name, attach=False)[0])
    trained, plain = plain_loop(OPTIMIZERS[name], short_step_scale=1 / 2)
    assert curves is not None
    assert_same(curves, plain)
    for ours, theirs in zip(recorded.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5)


def test_hugging_face_closes_points_without_evaluation_and_at_a_stop(tmp_path: Path) -> None:
    _, curves = hugging_face(tmp_path, "sgd", True, eval_strategy="no")
    assert curves is not None
    assert curves["step"] == [2, 4, 6]
    assert "val_loss" not in curves
    _, curves = hugging_face(tmp_path, "sgd", True, eval_strategy="steps", eval_steps=3)
    assert curves is not None
    assert curves["step"] == [2, 3, 4, 6]
    assert [math.isnan(v) for v in curves["val_loss"]] == [True, False, True, False]
