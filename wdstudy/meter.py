"""Both losses of every step, apart from each other, and the record points made of them.

For tasks and for loops of one's own alike: here a record point is assembled, and here it is judged
whether a lane has diverged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wdstudy.curves import (
    DECAY_LOSS,
    LEARNING_RATE,
    PRIMARY_LOSS,
    STEP,
    WEIGHT_NORM,
    is_series,
)
from wdstudy.decay import DecayTerm

FloatArray = NDArray[np.float64]

_CHUNK = 256  # steps after which small tensors are fetched, so that a long epoch stays small


@dataclass(frozen=True)
class Measurement:
    """What is known at one record point, for every lane.

    Attributes:
        step: Optimizer steps done.
        series: Series name → value of each lane, `[B]`.
        initial_loss: The primary loss of each lane's first step, `[B]`; NaN before it.
        diverged_at: The step at which a lane diverged, 0 where it has not, `[B]`.
    """

    step: int
    series: dict[str, FloatArray]
    initial_loss: FloatArray
    diverged_at: NDArray[np.int64]

    def point(self, lane: int) -> dict[str, float]:
        """The record point of one lane."""
        return {name: float(values[lane]) for name, values in self.series.items()}


class LossMeter:
    """Collects both losses of every step without waiting for the device.

    A step keeps references to small tensors and computes nothing with them; the squares and
    sums of the decay loss are taken when a record point is measured.

    Args:
        diverged_factor: A lane has diverged once its mean primary loss exceeds this multiple of
            its first step's, or is not finite at any step.
    """

    def __init__(self, diverged_factor: float = math.inf) -> None:
        self.steps = 0
        self.initial_loss: FloatArray | None = None
        self._factor = diverged_factor
        self._primary: list[Tensor] = []
        self._terms: list[list[DecayTerm]] = []
        self._read: list[tuple[FloatArray, FloatArray]] = []

    def step(self, primary: Tensor, decay: list[DecayTerm]) -> None:
        """Take the losses of one step, both of them on the weights before its update.

        Args:
            primary: 0-d or `[B]`.
            decay: The terms of the decay loss; squares and coefficients are 0-d or `[B]`.
        """
        self._primary.append(primary.detach())
        self._terms.append(decay)
        self.steps += 1
        if len(self._primary) == _CHUNK:
            self._read.append(self._fetch())

    def measure(
        self, weight_norm: FloatArray, learning_rate: FloatArray, others: Mapping[str, FloatArray]
    ) -> Measurement:
        """Close a record point: the means of the steps since the last one. Waits for the device.

        Args:
            weight_norm: The L2 norm of the decayed weights now, `[B]`.
            learning_rate: The lr of the last step, `[B]`.
            others: Further series, such as `val_loss`, each `[B]`.

        Returns:
            The record point. Without a step since the last one its losses are NaN, which is no
            divergence.
        """
        assert all(map(is_series, others)), "what is recorded needs a row in the table of series"
        primary, decay = self._since_the_last()
        lanes = len(weight_norm)
        unknown = np.full(lanes, math.nan)
        if self.initial_loss is None and len(primary):
            self.initial_loss = primary[0]
        initial = unknown if self.initial_loss is None else self.initial_loss
        mean = primary.mean(axis=0) if len(primary) else unknown
        series = {
            STEP: np.full(lanes, float(self.steps)),
            PRIMARY_LOSS: mean,
            DECAY_LOSS: decay.mean(axis=0) if len(decay) else unknown,
            WEIGHT_NORM: weight_norm,
            LEARNING_RATE: learning_rate,
            **others,
        }
        bad_step = _first_bad_step(primary, self.steps, lanes)
        risen = mean > loss_limit(initial, self._factor)
        diverged_at = np.where(bad_step > 0, bad_step, np.where(risen, self.steps, 0))
        return Measurement(self.steps, series, initial, diverged_at)

    def keep(self, lanes: Sequence[int]) -> None:
        """Go on with these lanes only, numbered as in the last measurement."""
        if self.initial_loss is not None:
            self.initial_loss = self.initial_loss[list(lanes)]

    def _since_the_last(self) -> tuple[FloatArray, FloatArray]:
        """Primary and decay losses of the steps since the last reading, each `[steps, B]`."""
        parts, self._read = [*self._read, *([self._fetch()] if self._primary else [])], []
        if not parts:
            return np.empty((0, 0)), np.empty((0, 0))
        primary, decay = zip(*parts, strict=True)
        return np.concatenate(primary), np.concatenate(decay)

    def _fetch(self) -> tuple[FloatArray, FloatArray]:
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
        return primary, decay


def _rows(tensors: list[Tensor]) -> FloatArray:
    """Equal small tensors, 0-d or `[B]`, on the host as `[n, B]`."""
    return _on_host(torch.stack(tensors).reshape(len(tensors), -1))


def _on_host(tensor: Tensor) -> FloatArray:
    return tensor.cpu().double().numpy()


def _coefficient(weight_decay: float | Tensor) -> FloatArray:
    if isinstance(weight_decay, Tensor):
        return weight_decay.detach().cpu().double().numpy().reshape(-1)
    return np.array([weight_decay])


def loss_limit(initial: FloatArray | float, factor: float) -> FloatArray:
    """The loss beyond which a lane has diverged; a first loss of 0 or below sets no limit."""
    above = np.greater(initial, 0)
    return np.where(above, factor * np.where(above, initial, 1.0), math.inf)


def _first_bad_step(losses: FloatArray, last_step: int, lanes: int) -> NDArray[np.int64]:
    """The first step with a non-finite loss, counted from 1 over the run; 0 for none. `[B]`."""
    if not len(losses):
        return np.zeros(lanes, dtype=np.int64)
    bad = ~np.isfinite(losses)
    first = last_step - len(losses) + 1 + bad.argmax(axis=0)
    return np.where(bad.any(axis=0), first, 0)
