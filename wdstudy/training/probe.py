"""Trying a task before it is trained: does it run, can lanes be stacked, how many pay?"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn.parameter import is_lazy

from wdstudy.errors import SpecError, fault
from wdstudy.space import TrialParams
from wdstudy.study.metrics import split
from wdstudy.study.optimizers import optimizer_name
from wdstudy.study.schedules import check_schedule, resolve_schedule
from wdstudy.study.spec import StudySpec
from wdstudy.study.task import Task
from wdstudy.training.apart import LaneMode, how_lanes_may_train
from wdstudy.training.data import Batch, TaskData
from wdstudy.training.lanes import Lanes, SingleLane
from wdstudy.training.loop import Training
from wdstudy.training.stacked import StackedLanes

WORTHWHILE = 1.1
"""Stacked lanes must train this much faster than one at a time to be chosen."""

BUDGET = 0.03
"""Share of the expected time of the whole run that measuring may take."""

MAX_LANES = 256
_MEASURED_STEPS = 5
_LEAST_STEPS = 2  # or one slow one would stand for all
_MEASURED_BATCHES = 8  # of validation
_MEMORY_SHARE = 0.1  # of what is free, for weights: activations and other processes need theirs
_COPIES = 6  # of the weights: themselves, gradients twice, two moments, what a step makes


@dataclass(frozen=True)
class LaneChoice:
    """How many lanes to train together, the reason in words, and what one step of one lane takes.

    Attributes:
        seconds: The time of a step divided by the lanes; 0 where it was not measured.
        apart: Whether each lane needs an optimizer of its own.
        each: Along a scale the choice of each value; this one is then the largest of them. scale:
            its name.
    """

    lanes: int
    reason: str
    seconds: float = 0.0
    apart: bool = False
    each: Mapping[float, LaneChoice] = field(default_factory=dict)
    scale: str = ""

    def of(self, value: float | None) -> LaneChoice:
        """The choice of a value of the scale."""
        return self if value is None else self.each.get(value, self)

    def __str__(self) -> str:
        """`7 lanes: 1.5 times one at a time`; along a scale `lanes by width: 7 at 64, 4 at 128`."""
        numbers = {choice.lanes for choice in self.each.values()}
        if len(numbers) < 2:
            return f"{self.lanes} lanes: {self.reason}"
        by = ", ".join(f"{choice.lanes} at {value:g}" for value, choice in self.each.items())
        return f"lanes by {self.scale}: {by}"

    @classmethod
    def of_values(cls, each: Mapping[float, LaneChoice], scale: str) -> LaneChoice:
        """The choice of a study along a scale, from those of its values."""
        largest = max(each.values(), key=lambda choice: choice.lanes)
        return replace(largest, each=dict(each), scale=scale)


ONE_LANE = LaneChoice(1, "one lane at a time")


def try_first_batch(spec: StudySpec, data: TaskData, device: torch.device) -> None:
    """Train one lane on one batch and validate it on one, to find what doesn't fit.

    Raises:
        SpecError: model, data, loss, a metric or the schedule fail; the message says where and why.
    """
    assert spec.task is not None
    schedule = resolve_schedule(spec.schedule, spec.warmup)
    check_schedule(schedule, spec.total_steps(data.train.steps))
    try:
        with torch.random.fork_rng():
            model, batches = _built(spec.task).to(device), _first_batches(data)
            _check_loss(spec.task, model, batches[0])
            _try(SingleLane(model), spec.task, *batches)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(f"the first batch can't be trained on: {fault(error)}") from error


def why_not_stacked(spec: StudySpec, data: TaskData, device: torch.device) -> str | None:
    """Why lanes of this task can't be stacked, in one line; None if they can."""
    assert spec.task is not None
    try:
        with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng():
            warnings.simplefilter("always")
            lanes = StackedLanes(spec.task.model().to(device), 2)
            _try(lanes, spec.task, *_first_batches(data))
    except Exception as error:
        return fault(error)
    slow = [str(w.message) for w in caught if "batching rule" in str(w.message)]
    return slow[0].split(". ")[0] if slow else None


def choose_lanes(
    spec: StudySpec, data: TaskData, device: torch.device, trials: int, most: int
) -> LaneChoice:
    """The number of lanes that trains the most trials a second, by measured steps.

    Sizes are doubled as long as that pays, and as long as measuring stays a small part of what
    the run will take. On a GPU what memory allows is found by running out of it, and halving.
    The best size is lowered until all batches have as many lanes.

    Args:
        spec: What is trained.
        data: The task's data.
        device: Where.
        trials: How many trials are to be trained.
        most: The most lanes that can be filled.
    """
    mode, reason = lane_mode(spec) if most > 1 else ("together", None)
    measured = _worth_measuring(spec, data, trials)
    alone = _seconds_a_step(spec, data, device, 1, measured)
    left = BUDGET * alone * spec.total_steps(data.train.steps) * trials
    if most > 1 and reason is None:
        reason = why_not_stacked(spec, data, device)
    if most == 1 or reason is not None:
        return LaneChoice(1, reason or "there is one trial to train", alone)
    best, best_seconds, before = 1, alone, alone
    fit = min(most, MAX_LANES, _lanes_that_fit(spec, device))
    for size in _doubled(fit):
        if left <= 0:
            break
        start = time.perf_counter()
        try:
            seconds = _seconds_a_step(spec, data, device, size, measured, apart=mode == "apart")
        except torch.OutOfMemoryError:
            break
        left -= time.perf_counter() - start
        if seconds < best_seconds:
            best, best_seconds = size, seconds
        if size >= 4 and not _may_gain(alone, best_seconds, before, seconds):
            break
        before = seconds
    if best_seconds * WORTHWHILE > alone:
        return LaneChoice(1, "stacked lanes would not be faster", alone)
    even = -(-most // -(-most // best))
    told = f"{alone / best_seconds:.1f} times one at a time"
    if mode == "apart":
        told += ", each with an optimizer of its own"
    return LaneChoice(even, told, best_seconds, apart=mode == "apart")


def seconds_a_trial(
    spec: StudySpec, data: TaskData, device: torch.device, choice: LaneChoice, trials: int
) -> float:
    """What training one of so many trials takes, its validation included, with the lanes chosen."""
    measured = _worth_measuring(spec, data, trials)
    step = choice.seconds or _seconds_a_step(
        spec, data, device, choice.lanes, measured, apart=choice.apart
    )
    batches = min(_MEASURED_BATCHES, data.val.steps)
    training = _a_training(spec, data, device, choice.lanes, apart=choice.apart)
    validating = min(_timed(device, training.some_validation, batches) for _ in range(2))
    point = validating / choice.lanes * data.val.steps / batches
    steps = data.train.steps
    return spec.total_steps(steps) * step + spec.record_points(steps) * point


def lane_mode(spec: StudySpec) -> tuple[LaneMode, str | None]:
    """How lanes may train, and where they may not, why: in one line."""
    name = optimizer_name(spec.optimizer)
    try:
        mode = how_lanes_may_train(spec)
    except Exception as error:  # it may want a GPU, or single precision
        return "alone", f"whether {name} keeps lanes apart can't be tried: {fault(error)}"
    mixes = f"{name}'s step mixes lanes, also with an optimizer for each"
    return mode, mixes if mode == "alone" else None


def _may_gain(alone: float, best: float, before: float, now: float) -> bool:
    """Whether more lanes may be faster, by seconds a lane of the last two sizes, one the double.

    What a step costs whatever its size is shared by its lanes, so a lane takes a / B + b: to
    double B once and again ends at b. Past the size that the cache holds, b itself grows.
    """
    at_last = 2 * now - before
    return at_last < 0.95 * best and at_last * WORTHWHILE < alone


def _doubled(most: int) -> Iterator[int]:
    """2, 4, 8 … and `most` itself."""
    size = 2
    while size < most:
        yield size
        size *= 2
    if most > 1:
        yield most


def choose_threads(
    spec: StudySpec, data: TaskData, device: torch.device, trials: int, most: int
) -> int:
    """All of `most` threads if a step of one lane is a tenth faster with them, else one."""
    measured, seconds = _worth_measuring(spec, data, trials), {}
    for threads in (1, most):
        torch.set_num_threads(threads)
        # The slowest step decides: on a busy machine threads wait for each other now and then.
        seconds[threads] = _seconds_a_step(spec, data, device, 1, measured, of=max)
    return most if seconds[most] * WORTHWHILE < seconds[1] else 1


def _lanes_that_fit(spec: StudySpec, device: torch.device) -> int:
    """How many lanes may be tried on a CPU, whose memory does not say when it is used up."""
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return MAX_LANES
    assert spec.task is not None
    with torch.random.fork_rng():
        weights = sum(p.numel() * p.element_size() for p in spec.task.model().parameters())
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, int(_MEMORY_SHARE * free / (_COPIES * max(weights, 1))))


def _worth_measuring(spec: StudySpec, data: TaskData, trials: int) -> int:
    """How many steps to measure: a small part of those of the whole run."""
    whole = spec.total_steps(data.train.steps) * trials
    return min(_MEASURED_STEPS, max(_LEAST_STEPS, int(BUDGET * whole)))


def _seconds_a_step(
    spec: StudySpec,
    data: TaskData,
    device: torch.device,
    lanes: int,
    steps: int,
    of: Callable[[list[float]], float] = min,
    *,
    apart: bool = False,
) -> float:
    """The time of one training step divided by the lanes; of a few steps, the least."""
    training = _a_training(spec, data, device, lanes, apart=apart)
    times = [_timed(device, training.one_step) for _ in range(1 + steps)]
    return of(times[1:]) / lanes  # the first one allocates


def _a_training(
    spec: StudySpec, data: TaskData, device: torch.device, lanes: int, *, apart: bool
) -> Training:
    """One of so many equal lanes, to measure with. Not compiled: each size would take a minute."""
    low = TrialParams(spec.space.lr[0], spec.space.weight_decay[0])
    enough = replace(spec, epochs=max(spec.epochs, 1 + _MEASURED_STEPS), steps=None, compile=False)
    return Training(enough, [low] * lanes, data, device, apart=apart)


def _timed(device: torch.device, work: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _built(task: Task) -> nn.Module:
    """The task's model, found to be one, with all of its weights."""
    model = task.model()
    if not isinstance(model, nn.Module):
        raise SpecError(f"model() returns a {type(model).__name__}; return a torch.nn.Module")
    if any(is_lazy(p) for p in (*model.parameters(), *model.buffers())):
        raise SpecError(
            "the model has lazy layers, which have no weights before a first batch; let what "
            "builds it end in: model(torch.zeros(1, …)); return model"
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise SpecError("the model has no parameters to train; return one that has")
    return model


def _check_loss(task: Task, model: nn.Module, batch: Batch) -> None:
    """A loss of another shape would fail further down, where nobody knows why."""
    x, y = batch
    with torch.no_grad():
        loss = task.loss(model(x), y)
    if not isinstance(loss, Tensor):
        raise SpecError(f"loss(output, y) returns a {type(loss).__name__}; return a 0-d tensor")
    if loss.numel() != 1:
        raise SpecError(
            f"loss(output, y) returns the shape {list(loss.shape)}; return the mean over the batch "
            "as a 0-d tensor: without reduction='none', or with .mean()"
        )


def _try(lanes: Lanes, task: Task, batch: Batch, val_batch: Batch) -> None:
    losses = lanes.losses(task.loss, *batch)
    lanes.backward(losses)
    batch_metrics, whole = split(task.metrics)
    lanes.evaluate({"loss": task.loss, **batch_metrics}, [val_batch], whole)


def _first_batches(data: TaskData) -> tuple[Batch, Batch]:
    return next(iter(data.train.epoch(Generator()))), next(iter(data.val.epoch(Generator())))
