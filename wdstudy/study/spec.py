"""What a study is: what is trained, and how lr and weight_decay are swept over it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from wdstudy.decay import DecayKind
from wdstudy.design.design import Design
from wdstudy.directions import direction_of
from wdstudy.errors import SpecError, nearest
from wdstudy.record import DESIGN, GRID, MAX_NAME, RecordedSpec
from wdstudy.scale import Scale
from wdstudy.space import SearchSpace, TrialParams
from wdstudy.study.optimizers import (
    NoDecay,
    OptimizerFactory,
    optimizer_kind,
    optimizer_name,
    optimizer_options,
)
from wdstudy.study.scaling import check_scaled, made_at
from wdstudy.study.schedules import Schedule, resolve_schedule
from wdstudy.study.task import Task
from wdstudy.words import abridged

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from wdstudy.recorder import LossRecorder

UserLoop = Callable[[TrialParams, "LossRecorder"], None]
"""`train(params, recorder)`: somebody's own training loop."""

MAX_COUNT = 10**9
"""Of epochs, steps, examples in a batch and trials, each."""

PRECISIONS = ("float32", "bfloat16")

_TYPES: dict[str, tuple[Any, str]] = {
    "name": (str, "a text"),
    "objective": (str, "the name of a series, such as 'val_loss'"),
    "device": (str, "a name, such as 'cpu'"),
    "warmup": (int | float, "the share of the run to warm up in"),
    "diverged_factor": (int | float, "a number above 1"),
    "settings": (Mapping, "a dict"),
    **dict.fromkeys(("compile", "angular_update", "same"), (bool, "True or False")),
}
"""What fields of a StudySpec are, and what to say where they are something else."""


_NO_PLACE = {
    "sampler": "places its own trials",
    "pruner": "learns from every trial's end",
}
"""What a design does instead of what these do."""


@dataclass(frozen=True)
class StudySpec:
    """A joint sweep of `lr` and `weight_decay`, described in full.

    Args:
        space: The grid, or the ranges a sampler draws from. A study without one designs itself.
        task: What is trained; or give `train`.
        train: Your own loop instead of a task: `train(params, recorder)`.
        name: The study's name; the study file's name where it is empty.
        optimizer: A name (`"adamw"`), a class, or `partial(torch.optim.SGD, momentum=0.9)`.
        decay: `"pytorch"`: weight_decay as the class has it; `"independent"`: not scaled by
            lr, as in the AdamW paper.
        no_decay: `"biases_and_norms"`, or a function `(name, parameter) -> bool`.
        epochs, batch_size: As ever. An incomplete last batch of an epoch is left out.
        schedule: `constant`, `cosine`, `linear`, `step`, `inverse_sqrt`, or a callable
            `(step, total_steps) -> multiplier`.
        warmup: Share of the run in which lr rises linearly, before the schedule.
        record_every: Optimizer steps between record points; once an epoch where it is None.
        objective: The series whose last value is the trial's value.
        direction: `"minimize"` or `"maximize"` the objective; `"auto"`: as its name says (a loss,
            an error, an accuracy, a reward …), or it must be told.
        sampler: `"grid"`, another name (`tpe`, `qmc`, `random`, `gp`, `cmaes`), or a sampler.
        pruner: A name (`median`, `hyperband`, …), or an Optuna pruner.
        design: What a study that designs itself is to answer: it needs no space, places its own
            trials, and stops by itself.
        trials: How many trials a sampler other than the grid makes, the grid's size if None; or
            how many a design may take.
        precision: `"float32"`, or `"bfloat16"` for autocast.
        compile: Train through torch.compile. What a step takes may change, what it finds only
            by rounding; the first step takes up to a minute.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`.
        diverged_factor: A trial has diverged once its primary loss, averaged between record
            points, exceeds this multiple of its first step's, or is not finite.
        same: What is trained is what the study recorded, though its fingerprint differs.
        angular_update: Record the angle of the last update before each record point.

    Raises:
        SpecError: a field can't be used; the message names it.
    """

    space: SearchSpace = None  # type: ignore[assignment]  # a design has its own
    task: Task | None = None
    train: UserLoop | None = None
    name: str = ""
    optimizer: str | OptimizerFactory = "adamw"
    decay: Literal["pytorch", "independent"] = "pytorch"
    no_decay: NoDecay | None = None
    epochs: int = 10
    batch_size: int = 64
    schedule: str | Schedule = "constant"
    warmup: float = 0.0
    record_every: int | None = None
    objective: str = "val_loss"
    direction: Literal["auto", "minimize", "maximize"] = "auto"
    sampler: str | BaseSampler = "grid"
    pruner: str | BasePruner | None = None
    design: Design | None = None
    trials: int | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    device: str = "auto"
    diverged_factor: float = 10.0
    angular_update: bool = False
    same: bool = False
    steps: int | None = None
    """Optimizer steps of a trial, whatever `epochs` says; filled by a scale that holds them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The keywords that `def study(...)` was called with; filled by the loader."""
    command: tuple[str, ...] = ()
    """The study file as it was named, and the flags that change it; filled by the loader."""

    def __post_init__(self) -> None:
        if self.design is None and self.space is None and self.sampler == GRID:
            object.__setattr__(self, "design", Design())
        if self.design is not None:
            self._take_the_design(self.design)
        if type(self.sampler).__name__ == "LandscapeSampler":
            raise SpecError(
                "sampler=LandscapeSampler(...) is for studies of Optuna's own; here say "
                "design=Design(...), and it scouts and trains lanes as well"
            )
        self._check_what_is_trained()
        for name, (kind, wanted) in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise SpecError(f"{name}={value!r}; give {wanted}")
        if not (self.no_decay in (None, "biases_and_norms") or callable(self.no_decay)):
            raise SpecError(
                f"no_decay={self.no_decay!r}; give 'biases_and_norms', or a function "
                "(name, parameter) -> bool"
            )
        if len(self.name) > MAX_NAME or not self.name.isprintable():
            raise SpecError(
                f"the study's name {abridged(self.name, 40)!r} is too long or holds what can't be "
                f"printed; give at most {MAX_NAME} letters, digits and signs"
            )
        for name in ("epochs", "batch_size", "record_every", "trials"):
            value = getattr(self, name)
            if value is None and name in ("record_every", "trials"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SpecError(f"{name}={value!r}; give a whole number of at least 1")
            if value > MAX_COUNT:  # a slip of the finger: no clock and no disk has room for it
                raise SpecError(f"{name} is more than {MAX_COUNT:,}; give a smaller number")
        self._check_choice("decay", ("pytorch", "independent"))
        if self.direction == "auto":
            object.__setattr__(self, "direction", direction_of(self.objective))
        self._check_choice("direction", ("minimize", "maximize"))
        self._check_choice("precision", PRECISIONS)
        if not self.diverged_factor > 1:
            raise SpecError(f"diverged_factor={self.diverged_factor!r}; give a number above 1")
        resolve_schedule(self.schedule, self.warmup)
        if self.scale is not None or self.space.tau:
            check_scaled(self.space, loop=self.train is not None, sampler=self.sampler)

    @property
    def scale(self) -> Scale | None:
        """What is scaled beside lr and weight_decay, if anything is."""
        return self.space.scale

    def at(self, value: float | None) -> StudySpec:
        """The spec of one value of the scale, without the scale; itself where it is None.

        Where the scale holds the number of steps, that is not known before the data is.

        Raises:
            SpecError: a function of the scale fails at this value.
        """
        if value is None or self.scale is None:
            return self
        return replace(self, space=self.space.at(value), **made_at(self.task, self.scale, value))

    @property
    def decay_kind(self) -> DecayKind:
        """How weight decay acts in this study's optimizer.

        Raises:
            OptimizerError: there is no weight decay to sweep, or its kind is not known.
            SpecError: the independent form is asked of a coupled optimizer.
        """
        if self.scale is not None:
            return self.at(self.scale.first).decay_kind
        kind = optimizer_kind(self.optimizer)
        if self.decay == "independent" and kind != "decoupled":
            raise SpecError(
                f"decay='independent' needs an optimizer with decoupled weight decay, and "
                f"{optimizer_name(self.optimizer)}'s is {kind}; use 'adamw', or decay='pytorch'"
            )
        return kind

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimizer steps of a trial of the task."""
        return self.epochs * steps_per_epoch if self.steps is None else self.steps

    def record_points(self, steps_per_epoch: int) -> int:
        """How many record points a trial of the task has."""
        every = self.record_every or steps_per_epoch
        return -(-self.total_steps(steps_per_epoch) // every)

    def recorded(self) -> RecordedSpec:
        """The spec as plain data: what a study's record holds and reports read.

        In a user's own loop the fields that the loop decides are left out.
        """
        swept = RecordedSpec(
            space=self.space,
            objective=self.objective,
            direction=self.direction,
            sampler=_described(self.sampler) if self.design is None else DESIGN,
            pruner=_described(self.pruner),
            design={} if self.design is None else self.design.as_data(),
            settings=dict(self.settings),
            scale=None if self.scale is None else self.scale.as_data(),
        )
        if self.train is not None:
            return replace(swept, train=_described(self.train))
        assert self.task is not None  # __post_init__: one of the two
        first = self if self.scale is None else self.at(self.scale.first)
        makers = (
            {name: getattr(self.scale, name) for name in self.scale.makes} if self.scale else {}
        )
        return replace(
            swept,
            model=_described(makers.get("model", self.task.model)),
            data=_described(makers.get("data", self.task.data)),
            loss=_described(makers.get("loss", self.task.loss)),
            metrics=tuple(sorted(self.task.metrics)),
            augment=_described(self.task.augment),
            optimizer=optimizer_name(first.optimizer),
            optimizer_options=optimizer_options(first.optimizer),
            decay=self.decay,
            decay_kind=self.decay_kind,
            no_decay=_described(self.no_decay),
            epochs=first.epochs,
            batch_size=first.batch_size,
            schedule=_described(makers.get("schedule", self.schedule)),
            warmup=self.warmup,
            record_every=self.record_every,
            precision=self.precision,
            diverged_factor=self.diverged_factor,
            angular_update=self.angular_update,
        )

    def _take_the_design(self, design: Design) -> None:
        """Its space is the study's, and so many trials are its budget."""
        if not isinstance(design, Design):
            raise SpecError(f"design={design!r}; give what is asked: design=Design(best=0.02)")
        space = self.space
        if isinstance(space, SearchSpace) and (space.scale is not None or space.tau):
            what = "tau=" if self.space.scale is None else f"scale='{self.space.scale.name}'"
            raise SpecError(
                f"{what} in a study that designs itself, which knows one plane of lr and "
                "weight_decay; leave out the design and give ranges: lr=log_range(1e-3, 1, 7), "
                "weight_decay=[0, *log_range(1e-5, 1e-1, 5)]"
            )
        for name, wanted in (("sampler", GRID), ("pruner", None)):
            value = getattr(self, name)
            if value != wanted:
                raise SpecError(
                    f"{name}={_described(value)!r}: a study that designs itself "
                    f"{_NO_PLACE[name]}; leave out {name}=, or give space= and no design="
                )
        if self.trials is not None:
            design = replace(design, trials=self.trials)
        object.__setattr__(self, "design", design)
        object.__setattr__(self, "trials", None)
        object.__setattr__(self, "space", design.space)

    def _check_what_is_trained(self) -> None:
        if (self.task is None) == (self.train is None):
            given = "both" if self.task is not None else "neither"
            raise SpecError(f"give either task= or train= to StudySpec; {given} is given")
        if self.space is None:
            raise SpecError(
                f"sampler={_described(self.sampler)!r} without a space; give "
                "space=SearchSpace(lr=..., weight_decay=...), or leave out the sampler, and the "
                "study designs itself"
            )
        if not isinstance(self.space, SearchSpace):
            raise SpecError(f"space={self.space!r} is not a SearchSpace(lr=..., weight_decay=...)")
        if self.task is not None and not isinstance(self.task, Task):
            raise SpecError(f"task={self.task!r} is not a Task(model=, data=, loss=)")
        if self.task is not None:
            made = () if self.space.scale is None else self.space.scale.makes
            for name in ("model", "data", "loss"):
                if getattr(self.task, name) is None and name not in made:
                    raise SpecError(f"the task has no {name}; give Task({name}=...)")

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise SpecError(f"unknown {name} {value!r}; {nearest(str(value), choices)}")


def _described(thing: Any) -> str | None:
    """A name for what JSON can't hold: stable from run to run, unlike `repr` with its address."""
    if thing is None or isinstance(thing, str):
        return thing
    partial_of = getattr(thing, "func", None)
    if partial_of is not None:
        arguments = [repr(a) for a in thing.args]
        arguments += [f"{key}={value!r}" for key, value in sorted(thing.keywords.items())]
        text = f"{_described(partial_of)}({', '.join(arguments)})"
    else:
        text = getattr(thing, "__qualname__", None) or type(thing).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", text)
