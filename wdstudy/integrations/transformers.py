"""Hugging Face Trainer: `recorder = TrainerLossRecorder.attach(trainer)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from wdstudy.curves import STEP
from wdstudy.errors import MissingPackageError
from wdstudy.recorder import LossRecorder
from wdstudy.trackers import Tracker

try:
    from accelerate.optimizer import AcceleratedOptimizer
    from transformers import Trainer, TrainerCallback
except ImportError as error:
    raise MissingPackageError("TrainerLossRecorder", "transformers") from error

_EVAL = "eval_"
_SPEED = ("runtime", "per_second", "preparation_time")


class TrainerLossRecorder(TrainerCallback):
    """Records primary loss, decay loss, weight norm and lr of a Hugging Face training.

        recorder = TrainerLossRecorder.attach(trainer)
        trainer.train()
        recorder.curves.to_frame()

    Each optimizer step counts once, with the loss that `Trainer` differentiates: the mean over
    its micro-batches, or over their tokens where the model counts them. A record point is closed
    after every evaluation, with `eval_loss` as `val_loss` and so on, and at the end of an epoch
    without evaluation.

    Trainer tells its callbacks everything but the loss, so `attach` watches `training_step`.
    On several devices it is the loss of the first one's batches.

    Args:
        trackers: As in `LossRecorder`; their runs end with the training.

    Raises:
        OptimizerError: what weight_decay does in the optimizer's class is not known.
    """

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self.recorder = LossRecorder(trackers=trackers)
        self._losses: list[Tensor] = []
        self._found: dict[str, float] = {}
        self._due = False

    @classmethod
    def attach(cls, trainer: Trainer, trackers: Sequence[Tracker] = ()) -> TrainerLossRecorder:
        """Add a recorder to a trainer, before its `train()`."""
        recorder, training_step = cls(trackers), trainer.training_step

        def watched(*args: Any, **kwargs: Any) -> Tensor:
            loss: Tensor = training_step(*args, **kwargs)
            recorder._losses.append(loss.detach())
            return loss

        trainer.training_step = watched  # type: ignore[method-assign]
        trainer.add_callback(recorder)
        return recorder

    @property
    def curves(self) -> Any:
        """The recorded series, a `LossCurves`."""
        return self.recorder.curves

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count from the checkpoint that a training goes on from."""
        self.recorder.steps = state.global_step
        if not state.is_world_process_zero:
            self.recorder.trackers.clear()  # one process tells

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the step: gradients are there, and the weights are those of the loss."""
        optimizer = kwargs["optimizer"]
        if isinstance(optimizer, AcceleratedOptimizer):
            optimizer = optimizer.optimizer  # its class says what weight_decay does
        if self.recorder.optimizer is not optimizer:
            self.recorder.watch(optimizer)
        losses, self._losses = self._losses, []
        self.recorder.step(torch.stack(losses).sum())  # Trainer has divided each of them

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A record point is due; an evaluation may follow that belongs to it."""
        self._due = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep what evaluation found; several data sets are evaluated one after the other."""
        self._due = True
        self._found |= {
            f"val_{name.removeprefix(_EVAL)}": value
            for name, value in kwargs["metrics"].items()
            if name.startswith(_EVAL) and not name.endswith(_SPEED)
        }

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the record point that is due: no weight has changed since."""
        if self._due:
            self._point()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the last record point, and the trackers' runs."""
        self._point()
        self.recorder.close()

    def _point(self) -> None:
        curves, found = self.recorder.curves, self._found
        self._found, self._due = {}, False
        if self.recorder.steps > (curves.last(STEP) if len(curves) else 0):
            self.recorder.point(**found)
