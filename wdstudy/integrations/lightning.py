"""PyTorch Lightning: `Trainer(callbacks=[LightningLossRecorder()])`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wdstudy.curves import STEP
from wdstudy.errors import MissingPackageError, RecorderError
from wdstudy.recorder import LossRecorder
from wdstudy.trackers import Tracker

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise MissingPackageError("LightningLossRecorder", "lightning") from error

_VAL = re.compile(r"val(id|idation)?[_/.-](?=.)")


class LightningLossRecorder(Callback):
    """Records primary loss, decay loss, weight norm and lr of a Lightning training.

        recorder = LightningLossRecorder()
        Trainer(callbacks=[recorder]).fit(model, train, val)
        recorder.curves.to_frame()

    Each optimizer step counts once, with the mean loss of its micro-batches where gradients are
    accumulated. A record point is closed after every validation, with the metrics that the
    module logged as `val…`, and at the end of an epoch without validation.

    The loss is what `training_step` returns, so a penalty added there counts as primary loss.
    On several devices it is the loss of the first one's batches.

    Args:
        trackers: As in `LossRecorder`; their runs end with the training.

    Raises:
        RecorderError: the module trains with several optimizers.
        OptimizerError: what weight_decay does in the optimizer's class is not known.
    """

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self.recorder = LossRecorder(trackers=trackers)
        self._losses: list[Tensor] = []

    @property
    def curves(self) -> Any:
        """The recorded series, a `LossCurves`."""
        return self.recorder.curves

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the optimizer; Lightning has made it by now."""
        if len(trainer.optimizers) != 1:
            raise RecorderError(
                f"LightningLossRecorder counts the decay of one optimizer, and "
                f"{type(pl_module).__name__} has {len(trainer.optimizers)}; use a LossRecorder "
                "for each of them"
            )
        self.recorder.watch(trainer.optimizers[0])
        self.recorder.steps = trainer.global_step  # of the checkpoint that a fit goes on from
        if not trainer.is_global_zero:
            self.recorder.trackers.clear()  # one process tells

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Keep a micro-batch's loss, as `training_step` returned it."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scale = scaler.get_scale() if scaler is not None else 1.0
        self._losses.append(loss.detach() * (trainer.accumulate_grad_batches / scale))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Take the step: gradients are there, and the weights are those of the loss."""
        losses, self._losses = self._losses, []
        self.recorder.step(torch.stack(losses).mean())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close a record point with what validation found."""
        if not trainer.sanity_checking:
            self._point(
                {
                    _VAL.sub("val_", name, count=1): value
                    for name, value in trainer.callback_metrics.items()
                    if _VAL.match(name)
                }
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close a record point if no validation has."""
        self._point({})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the last record point, and the trackers' runs."""
        self._point({})
        self.recorder.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the trackers' runs as failed."""
        self.recorder.close("FAIL")

    def _point(self, values: dict[str, Tensor]) -> None:
        curves = self.recorder.curves
        if self.recorder.steps > (curves.last(STEP) if len(curves) else 0):
            self.recorder.point(**values)
