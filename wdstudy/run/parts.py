"""What trials train, one part for each value of a scale: its spec, its data, and their sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils.data import DataLoader

from wdstudy.curves import (
    EXAMPLES_SEEN,
    MAX_POINTS,
    PARAMETERS,
    SERIES,
    STEPS,
    STEPS_PER_EPOCH,
    TAU_EPOCHS,
    TAU_SHARE,
)
from wdstudy.errors import DataError, SpecError, WdstudyError, fault
from wdstudy.space import TrialParams, memory_of
from wdstudy.study.spec import StudySpec
from wdstudy.training.data import TaskData, on_device
from wdstudy.training.fingerprint import trains_the_same
from wdstudy.training.probe import try_first_batch
from wdstudy.training.randomness import seeded


@dataclass(frozen=True)
class Part:
    """What trials of one value of the scale train; without a scale, all of them.

    Attributes:
        value: Of the scale; None without one.
        spec: The spec of that value, which knows no scale.
        data: On the device; None for a loop of its own.
        parameters: How many weights there are, as in a study's record.
        refused: Why nothing can be trained at this value, though at others; empty where it can.
    """

    value: float | None
    spec: StudySpec
    data: TaskData | None
    parameters: Mapping[str, int] = field(default_factory=dict)
    refused: str = ""

    @property
    def total_steps(self) -> int:
        """Optimizer steps of one trial; 0 where a loop of its own decides."""
        return self.spec.total_steps(self.data.train.steps) if self.data is not None else 0

    @property
    def numbers(self) -> int:
        """Numbers that one trial's series hold; 0 where a loop of its own decides."""
        if self.data is None or self.spec.task is None:
            return 0
        always = [row.name for row in SERIES.values() if not row.derived]
        unless = not self.spec.angular_update
        series = len(always) - unless + len(self.spec.task.metrics)
        points = self.spec.record_points(self.data.train.steps)
        return series * points // -(-points // MAX_POINTS)  # beyond, every n-th is stored

    def sizes(self, params: TrialParams) -> dict[str, float]:
        """How long a trial's whole run is, how large its model, and what weight decay remembers of
        it; nothing of a loop of its own, and no τ without weight decay.
        """
        if self.data is None:
            return {}
        independent = self.spec.decay == "independent"
        tau = memory_of(params.lr, params.weight_decay, independent=independent)
        steps, epoch = self.total_steps, self.data.train.steps
        seen = self.data.train.seen(steps)
        known = {
            STEPS: steps,
            STEPS_PER_EPOCH: epoch,
            PARAMETERS: self.parameters.get("total", math.nan),
            EXAMPLES_SEEN: math.nan if seen is None else seen,
            TAU_EPOCHS: tau / epoch,
            TAU_SHARE: tau / steps,
        }
        return {name: value for name, value in known.items() if math.isfinite(value)}


Parts = Mapping[float | None, Part]
"""By the value of the scale, in its order; None alone where there is none."""


def load_parts(spec: StudySpec, device: torch.device) -> tuple[StudySpec, Parts]:
    """The data of every value on the device, each loaded once; and that a first batch trains.

    Returns:
        The spec, its space with what τ is in steps; and the parts.

    Raises:
        WdstudyError: the data can't be loaded or trained on, or no trial of the first value.
    """
    if spec.task is None:
        return spec, {value: Part(value, spec.at(value), None) for value in spec.space.values}
    found: dict[float | None, Part] = {}
    shared = _with_data_in_hand(spec, device)
    held: int | None = None
    for value in spec.space.values:
        with _at(spec, value):
            own = shared.at(value)
            part = Part(value, replace(own, steps=held), _load(own, device))
            if spec.scale is not None and spec.scale.budget == "steps":
                held = held or part.total_steps
                part = replace(part, spec=replace(part.spec, steps=held))
        found[value] = part
    spec = _timed(spec, found)
    parts = {v: replace(p, spec=replace(p.spec, space=spec.space.at(v))) for v, p in found.items()}
    return spec, {value: _tried(part, spec, device) for value, part in parts.items()}


def check_that_it_matters(spec: StudySpec, parts: Parts, device: torch.device) -> None:
    """Refuse a scale whose functions make the same of its least and of its largest value, or two
    kinds of weight decay.

    Raises:
        SpecError: they do.
    """
    if spec.task is None or spec.scale is None or not spec.scale.makes:
        return
    kinds = {part.spec.decay_kind for part in parts.values()}
    if len(kinds) > 1:
        told = " here and ".join(sorted(kinds))
        raise SpecError(
            f"optimizer= of the scale {spec.scale.name} makes weight decay {told} there, which are "
            "two things; give optimizers of one kind"
        )
    usable = sorted(
        value for value, part in parts.items() if not part.refused and value is not None
    )
    if len(usable) < 2:
        return
    ends = [(part.spec, part.data) for v in (usable[0], usable[-1]) if (part := parts[v]).data]
    if trains_the_same(ends[0], ends[1], device):
        made = ", ".join(f"{part}=" for part in spec.scale.makes)
        raise SpecError(
            f"nothing depends on the scale {spec.scale.name}: {made} makes the same at "
            f"{usable[0]:g} and at {usable[-1]:g}; let it use the value"
        )


def _timed(spec: StudySpec, parts: Parts) -> StudySpec:
    """The spec with what a unit of τ is in steps, at every value."""
    if not spec.space.tau:
        return spec
    units = {
        value: float(part.total_steps if spec.space.tau_unit == "run" else part.data.train.steps)
        for value, part in parts.items()
        if part.data is not None
    }
    return replace(spec, space=spec.space.timed(units, independent=spec.decay == "independent"))


def _tried(part: Part, spec: StudySpec, device: torch.device) -> Part:
    """The part, marked where it can't be trained. Of the first value, or the only one, that ends
    the run: what it is compared by is taken there.
    """
    assert part.data is not None
    try:
        try_first_batch(part.spec, part.data, device)
    except SpecError as error:
        if spec.scale is None:
            raise
        where = f"{spec.scale.name}={part.value:g}"
        if part.value == spec.scale.first:
            raise SpecError(f"{where}: {error}") from error
        return replace(part, refused=f"{where}: {error}")
    return part


def _with_data_in_hand(spec: StudySpec, device: torch.device) -> StudySpec:
    """The spec whose `data()` is called once, however many values share it."""
    if spec.scale is None or spec.task is None or spec.task.data is None:
        return spec
    if "data" in spec.scale.makes:
        return spec
    halves = on_device(_called(spec.task.data), device)
    train = halves[0] if isinstance(halves, tuple | list) and len(halves) == 2 else None
    if spec.scale.name == "batch_size" and isinstance(train, DataLoader):
        raise DataError(
            "batch_size along a scale: the training data is a DataLoader, which has a batch size "
            "of its own; let data() return its Dataset, or tensors (x, y)"
        )
    return replace(spec, task=replace(spec.task, data=lambda: halves))


def _load(spec: StudySpec, device: torch.device) -> TaskData:
    """The task's data on the device.

    Raises:
        DataError: it can't be loaded, or not be trained on; the message says where and why.
    """
    assert spec.task is not None
    return TaskData(_called(spec.task.data), spec.batch_size, device)


def _called(data: Callable[[], Any]) -> Any:
    try:
        with seeded(0):  # or what is random in it would differ from worker to worker
            return data()
    except WdstudyError:
        raise
    except Exception as error:
        raise DataError(f"the data can't be loaded: {fault(error)}") from error


class _at:  # noqa: N801  # a context manager, used like a function
    """Says at which value of the scale data can't be used."""

    def __init__(self, spec: StudySpec, value: float | None) -> None:
        self._where = "" if spec.scale is None else f"{spec.scale.name}={value:g}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._where and isinstance(error, DataError) and not str(error).startswith(self._where):
            raise DataError(f"{self._where}: {error}") from error
