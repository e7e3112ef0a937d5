"""The training loop: from a spec and some lanes' parameters to a stream of measurements."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Generator, Tensor

from wdstudy.curves import (
    ANGULAR_UPDATE,
    VAL_PREFIX,
)
from wdstudy.meter import FloatArray, LossMeter, Measurement
from wdstudy.space import TrialParams
from wdstudy.study.metrics import split
from wdstudy.study.schedules import resolve_schedule
from wdstudy.study.spec import StudySpec
from wdstudy.training.apart import OptimizersApart, build_for_lanes
from wdstudy.training.compiled import compiled
from wdstudy.training.data import Batch, Batches, TaskData
from wdstudy.training.lanes import Lanes, SingleLane
from wdstudy.training.randomness import RandomStream
from wdstudy.training.stacked import StackedLanes
from wdstudy.training.step import StackedStep, make_step

PEAK_LR = "initial_lr"  # torch.optim.lr_scheduler's name for it


class Training:
    """One run of the training loop over some lanes, as an iterable of Measurements.

    The result depends on the spec and the seed alone: the global random state is swapped in
    while this trains and handed back at every record point, and data order and augmentation
    have generators of their own.

    Args:
        spec: A study with a task.
        params: One lane each; they share a seed.
        data: The task's data, on the device.
        device: Where to train.
        apart: Give each lane an optimizer of its own.
        steps: Train for so many steps, fewer than the spec's, with the schedule scaled to them;
            None for the spec's.
    """

    def __init__(
        self,
        spec: StudySpec,
        params: Sequence[TrialParams],
        data: TaskData,
        device: torch.device,
        *,
        apart: bool = False,
        steps: int | None = None,
    ) -> None:
        assert spec.task is not None  # a study with a loop of its own is not trained here
        self._spec, self._task, self._data, self._device = spec, spec.task, data, device
        self._stream = RandomStream(params[0].seed, device)
        with self._stream:
            model = self._task.model().to(device)
        wrap = partial(compiled, device=device) if spec.compile else None
        stacked = StackedLanes(model, len(params), wrap) if len(params) > 1 else None
        self._lanes: Lanes = stacked or SingleLane(model, wrap)
        named = self._lanes.named_parameters()
        self._optimizer = build_for_lanes(spec, named, params, apart=apart and len(params) > 1)
        self._stepper = make_step(stacked, self._optimizer) if stacked else self._optimizer
        self._decay = self._lanes.decay_terms(self._optimizer)
        for group in self._optimizer.param_groups:
            group[PEAK_LR] = group["lr"]
        self._schedule = resolve_schedule(spec.schedule, spec.warmup)
        self._batches = _training_batches(data.train, spec, params[0].seed, device)
        self._meter = LossMeter(spec.diverged_factor)
        whole = spec.total_steps(data.train.steps)
        self.total_steps = whole if steps is None else min(steps, whole)

    def __iter__(self) -> Iterator[Measurement]:
        every = self._spec.record_every or self._data.train.steps
        for start in range(0, self.total_steps, every):
            end = min(start + every, self.total_steps)
            with self._stream, _deterministic():
                for step in range(start, end - 1):
                    self._step(step)
                angular_update = self._last_step(end - 1)
            yield self._measure(angular_update)

    def one_step(self) -> None:
        """The first step alone, again and again: for measuring how long it takes."""
        with self._stream, _deterministic():
            self._step(0)

    def some_validation(self, batches: int) -> None:
        """Validate on at most so many batches: for measuring how long it takes."""
        with self._stream, _deterministic():
            self._validate(batches)

    def keep(self, lanes: Sequence[int]) -> None:
        """Go on with these lanes only, numbered as in the last measurement. Not with none."""
        if len(lanes) == len(self._lanes.named_parameters()):
            return
        self._lanes.keep(lanes, self._optimizer)
        if isinstance(self._stepper, StackedStep):
            self._stepper.keep(lanes)
        if isinstance(self._optimizer, OptimizersApart):
            self._optimizer.keep(lanes)
        self._decay = self._lanes.decay_terms(self._optimizer)
        self._meter.keep(lanes)

    def _step(self, step: int) -> None:
        x, y = next(self._batches)
        with _precision(self._spec, self._device):
            losses = self._lanes.losses(self._task.loss, x, y)
        self._lanes.backward(losses)
        self._meter.step(losses, self._decay.read())
        multiplier = self._schedule(step, self.total_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group[PEAK_LR] * multiplier
        self._stepper.step()

    def _last_step(self, step: int) -> Tensor | None:
        """The step before a record point, with the angle of its update where that is asked for."""
        if not self._spec.angular_update:
            self._step(step)
            return None
        before = self._lanes.decayed_weights(self._optimizer)
        self._step(step)
        return mean_angle(before, self._lanes.decayed_weights(self._optimizer))

    def _measure(self, angular_update: Tensor | None) -> Measurement:
        others = self._validate()
        if angular_update is not None:
            others[ANGULAR_UPDATE] = _on_host(angular_update)
        norms = _on_host(self._lanes.weight_norms(self._optimizer))
        return self._meter.measure(norms, self._learning_rates(), others)

    def _validate(self, most: int | None = None) -> dict[str, FloatArray]:
        batch, whole = split(self._task.metrics)
        functions = {"loss": self._task.loss, **batch}
        unused = Generator()
        # A user's loader may draw from the global state: give it one that training doesn't see.
        with torch.random.fork_rng(), _precision(self._spec, self._device):
            batches = islice(self._data.val.epoch(unused), most)
            means = self._lanes.evaluate(functions, batches, whole)
        return {VAL_PREFIX + name: _on_host(value) for name, value in means.items()}

    def _learning_rates(self) -> FloatArray:
        groups = self._optimizer.param_groups
        step = len(groups) // len(self._lanes.named_parameters())
        return np.array([float(group["lr"]) for group in groups[::step]])


def mean_angle(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """The angle in radians between two versions of some tensors, each `[B, n]`: RMS, `[B]`."""
    angles = []
    for old, new in zip(before, after, strict=True):
        unit = torch.nn.functional.normalize
        chord = (unit(old, dim=1) - unit(new, dim=1)).norm(dim=1)  # arccos would lose small angles
        angles.append(2 * torch.asin((chord / 2).clamp(max=1)))
    return torch.stack(angles).square().mean(dim=0).sqrt()


def _training_batches(
    batches: Batches, spec: StudySpec, seed: int, device: torch.device
) -> Iterator[Batch]:
    order = Generator().manual_seed(seed)
    drawn = Generator(device).manual_seed(seed)
    augment = spec.task.augment if spec.task else None
    for _ in range(-(-spec.total_steps(batches.steps) // batches.steps)):
        for x, y in batches.epoch(order):
            yield (x if augment is None else augment(x, drawn)), y


def _precision(spec: StudySpec, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=spec.precision == "bfloat16")


def _deterministic() -> contextlib.AbstractContextManager[None]:
    flags: contextlib.AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True
    )
    return flags


def _on_host(values: Tensor) -> FloatArray:
    return values.detach().cpu().double().numpy()
