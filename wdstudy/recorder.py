"""Recording the primary loss and the decay loss of a training loop, apart from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from wdstudy.curves import (
    DECAY_LOSS,
    INITIAL_LOSS,
    LEARNING_RATE,
    LR_X_WD,
    PRIMARY_LOSS,
    STEP,
    VAL_PREFIX,
    WEIGHT_NORM,
    LossCurves,
)
from wdstudy.decay import DecayTerm, DecayTerms, weight_norm
from wdstudy.errors import RecorderError
from wdstudy.trackers import Tracker
from wdstudy.trackers.sender import TrackedRun

FloatArray = NDArray[np.float64]

_CHUNK = 256  # steps after which small tensors are fetched, so that a long epoch stays small


class Interval(NamedTuple):
    """The losses of the steps between two record points, each `[steps, B]`."""

    primary_loss: FloatArray
    decay_loss: FloatArray


class LossMeter:
    """Collects both losses of every step without waiting for the device.

    A step keeps references to small tensors and computes nothing with them; the squares and
    sums of the decay loss are taken when the meter is read.
    """

    def __init__(self) -> None:
        self._primary: list[Tensor] = []
        self._terms: list[list[DecayTerm]] = []
        self._read: list[Interval] = []

    def step(self, primary: Tensor, decay: list[DecayTerm]) -> None:
        """Take the losses of one step, both of them on the weights before its update.

        Args:
            primary: 0-d or `[B]`.
            decay: The terms of the decay loss; squares and coefficients are 0-d or `[B]`.
        """
        self._primary.append(primary.detach())
        self._terms.append(decay)
        if len(self._primary) == _CHUNK:
            self._read.append(self._fetch())

    def read(self) -> Interval:
        """Hand over the steps since the last reading. Waits for the device."""
        parts, self._read = [*self._read, self._fetch()], []
        return Interval(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def _fetch(self) -> Interval:
        if not self._primary:
            return Interval(np.empty((0, 1)), np.empty((0, 1)))
        primary = _rows(self._primary)
        decay = np.zeros_like(primary)
        terms = [
            (step, t) for step, at in enumerate(self._terms) for t in at if t.squares is not None
        ]
        if terms:
            each = [term.squares for _, term in terms if term.squares is not None]
            counts = [len(squares) for squares in each]
            halves = np.vstack([0.5 * _coefficient(term.weight_decay) for _, term in terms])
            squares = _on_host(torch.cat(each).reshape(sum(counts), -1))
            steps = np.repeat([step for step, _ in terms], counts)
            halves = np.repeat(halves, counts, axis=0)
            # A lane without weight decay has no decay loss, also when its weights are infinite.
            np.add.at(decay, steps, halves * np.where(halves, squares, 0))
        self._primary, self._terms = [], []
        return Interval(primary, decay)


def _rows(tensors: list[Tensor]) -> FloatArray:
    """Equal small tensors, 0-d or `[B]`, on the host as `[n, B]`."""
    return _on_host(torch.stack(tensors).reshape(len(tensors), -1))


def _on_host(tensor: Tensor) -> FloatArray:
    return tensor.cpu().double().numpy()


def _coefficient(weight_decay: float | Tensor) -> FloatArray:
    if isinstance(weight_decay, Tensor):
        return weight_decay.detach().cpu().double().numpy().reshape(-1)
    return np.array([weight_decay])


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

    Raises:
        OptimizerError: what weight_decay does in the optimizer's class is not known.
    """

    def __init__(
        self, optimizer: Optimizer | None = None, trackers: Sequence[Tracker] = ()
    ) -> None:
        self.curves = LossCurves()
        self.trackers = list(trackers)
        self.initial_loss = float("nan")
        self.steps = 0
        self._decay = DecayTerms(optimizer) if optimizer is not None else None
        self._meter = LossMeter()
        self._lr: float | Tensor = float("nan")

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer whose weight decay is counted."""
        return self._decay.optimizer if self._decay is not None else None

    def watch(self, optimizer: Optimizer) -> None:
        """Count the weight decay of this optimizer from now on."""
        self._decay = DecayTerms(optimizer)

    def step(self, loss: Tensor) -> None:
        """Take the primary loss of a step: after `backward()`, before `optimizer.step()`.

        Args:
            loss: The loss of the data alone, 0-d. A penalty added to it would be counted twice.
        """
        decay = self._watched()
        if self.steps == 0:
            _check_place(decay.optimizer, loss)
        self._meter.step(loss, decay.read())
        self._lr = decay.optimizer.param_groups[0]["lr"]
        self.steps += 1

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
        interval = self._meter.read()
        steps = len(interval.primary_loss)
        if steps and np.isnan(self.initial_loss):
            self.initial_loss = float(interval.primary_loss[0, 0])
        row = {
            STEP: float(self.steps),
            PRIMARY_LOSS: float(interval.primary_loss.mean()) if steps else float("nan"),
            DECAY_LOSS: float(interval.decay_loss.mean()) if steps else float("nan"),
            WEIGHT_NORM: float(weight_norm(self._watched().optimizer)),
            LEARNING_RATE: float(self._lr),
            **{name: _number(value) for name, value in values.items()},
        }
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

    def _watched(self) -> DecayTerms:
        if self._decay is None:
            raise RecorderError(
                "the recorder has no optimizer yet; call recorder.watch(optimizer) first"
            )
        return self._decay


def _number(value: float | Tensor) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)


def _check_place(optimizer: Optimizer, loss: Tensor) -> None:
    if loss.numel() != 1:
        raise RecorderError(
            f"recorder.step takes the mean loss of the batch, and got the shape "
            f"{list(loss.shape)}; call .mean() on it"
        )
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    if all(p.grad is None for p in parameters):
        raise RecorderError(
            "no parameter has a gradient yet; call recorder.step(loss) after loss.backward() "
            "and before optimizer.step()"
        )
