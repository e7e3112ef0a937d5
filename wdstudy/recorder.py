"""Recording the primary loss and the decay loss of a training loop, apart from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from wdstudy.curves import (
    INITIAL_LOSS,
    LR_X_WD,
    VAL_PREFIX,
    LossCurves,
)
from wdstudy.decay import DecayTerms, weight_norm
from wdstudy.errors import RecorderError
from wdstudy.meter import LossMeter
from wdstudy.trackers import Tracker
from wdstudy.trackers.sender import TrackedRun


class LossRecorder:
    """Records primary loss, decay loss, weight norm and lr in any training loop.

    It adds no node to the graph, changes no weight and does not make the host wait per step.

        recorder = LossRecorder(optimizer)
        for epoch in range(epochs):
            for x, y in loader:
                optimizer.zero_grad()
                loss = loss_fn(model(x), y)
                loss.backward()
                recorder.step(loss)
                optimizer.step()
            recorder.point(val_loss=validate(model))
        recorder.curves.to_frame()

    Args:
        optimizer: The optimizer whose weight decay is counted; may be given later to `watch`.
        trackers: Where else every record point goes: `track("tensorboard", "run")`, or any object
            with a method `log(point)`.
        diverged_factor: The run has diverged once its primary loss, averaged between record
            points, exceeds this multiple of its first step's, or is not finite.

    Attributes:
        curves: What was recorded.
        diverged_at: The step at which the run diverged; 0 while it has not.

    Raises:
        OptimizerError: what weight_decay does in the optimizer's class is not known.
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        trackers: Sequence[Tracker] = (),
        *,
        diverged_factor: float = 10.0,
    ) -> None:
        self.curves = LossCurves()
        self.trackers = list(trackers)
        self.diverged_at = 0
        self._decays: list[DecayTerms] = []
        if optimizer is not None:
            self.watch(optimizer)
        self._meter = LossMeter(diverged_factor)
        self._lr: float | Tensor = float("nan")

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer that is watched; of several, the last."""
        return self._decays[-1].optimizer if self._decays else None

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """All optimizers that are watched."""
        return tuple(decay.optimizer for decay in self._decays)

    @property
    def steps(self) -> int:
        """Optimizer steps so far; set it where a run goes on from a checkpoint.

        Its first loss is then that of the first step after it, by which divergence is judged.
        """
        return self._meter.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._meter.steps = steps

    @property
    def initial_loss(self) -> float:
        """The primary loss of the first step; NaN before the first record point."""
        initial = self._meter.initial_loss
        return math.nan if initial is None else float(initial[0])

    def watch(self, optimizer: Optimizer) -> None:
        """Count the weight decay of this optimizer from now on, beside that of others.

        One that shares weights with it is no longer counted: it was replaced. The learning rate
        that is recorded is that of the first group of the first.
        """
        weights = _weights(optimizer)
        kept = [decay for decay in self._decays if not weights & _weights(decay.optimizer)]
        self._decays = [*kept, DecayTerms(optimizer)]

    def step(self, loss: Tensor) -> None:
        """Take the primary loss of a step: after `backward()`, before `optimizer.step()`.

        Args:
            loss: The loss of the data alone, 0-d. A penalty added to it would be counted twice.
        """
        decays = self._watched()
        if self.steps == 0:
            _check_place([decay.optimizer for decay in decays], loss)
        self._meter.step(loss, [term for decay in decays for term in decay.read()])
        self._lr = decays[0].optimizer.param_groups[0]["lr"]

    def point(self, **values: float | Tensor) -> dict[str, float]:
        """Close a record point: average the losses since the last one, and add a row.

        Args:
            values: Validation results of this moment, named `val_…`, as floats or 0-d tensors.

        Returns:
            The row that was added: series name → value.
        """
        for name in values:
            if not name.startswith(VAL_PREFIX):
                raise RecorderError(f"point({name}=…): name it {VAL_PREFIX}{name}")
        norms = [float(weight_norm(decay.optimizer)) for decay in self._watched()]
        measured = self._meter.measure(
            np.array([math.hypot(*norms)]),
            np.array([float(self._lr)]),
            {name: np.array([_number(value)]) for name, value in values.items()},
        )
        self.diverged_at = self.diverged_at or int(measured.diverged_at[0])
        row = measured.point(0)
        self.curves.append(row)
        for tracker in self.trackers:
            tracker.log(row)
        return row

    def close(self, state: str = "COMPLETE") -> None:
        """End the trackers' runs after the loop; what they still hold is written.

        Args:
            state: `"COMPLETE"`, `"PRUNED"` or `"FAIL"`.
        """
        scalars = self.curves.scalars(lr=float("nan"), weight_decay=float("nan"))
        del scalars[LR_X_WD]  # a loop may change either
        for tracker in self.trackers:
            if isinstance(tracker, TrackedRun):
                tracker.end({**scalars, INITIAL_LOSS: self.initial_loss}, state)
                tracker.close()

    def _watched(self) -> list[DecayTerms]:
        if not self._decays:
            raise RecorderError(
                "the recorder has no optimizer yet; call recorder.watch(optimizer) first"
            )
        return self._decays


def _weights(optimizer: Optimizer) -> set[int]:
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def _number(value: float | Tensor) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)


def _check_place(optimizers: Sequence[Optimizer], loss: Tensor) -> None:
    if loss.numel() != 1:
        raise RecorderError(
            f"recorder.step takes the mean loss of the batch, and got the shape "
            f"{list(loss.shape)}; call .mean() on it"
        )
    groups = (group for optimizer in optimizers for group in optimizer.param_groups)
    parameters = (p for group in groups for p in group["params"])
    if all(p.grad is None for p in parameters):
        raise RecorderError(
            "no parameter has a gradient yet; call recorder.step(loss) after loss.backward() "
            "and before optimizer.step()"
        )
