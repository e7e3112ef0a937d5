"""A study along a scale: what of it is made anew at each value, and what can't be scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wdstudy.errors import FlagError, SpecError, WdstudyError, fault
from wdstudy.record import GRID
from wdstudy.scale import BUILT_IN, Scale, exact
from wdstudy.space import SearchSpace
from wdstudy.study.examples import training_prefix
from wdstudy.study.task import Task

FIELDS = ("epochs", "batch_size")
"""Built-in scales that are fields of a spec."""


def check_scaled(space: SearchSpace, *, loop: bool, sampler: object) -> None:
    """Refuse a scale that nothing depends on, or that what is trained can't have.

    Args:
        space: What is swept.
        loop: Whether it is trained by a loop of one's own.
        sampler: Who places trials.

    Raises:
        SpecError: it can't be trained along; the message says what to give instead.
    """
    scale = space.scale
    if space.tau:
        if loop:
            raise SpecError(
                "tau= needs the number of a run's steps, which a loop of one's own decides; give "
                "weight_decay= instead"
            )
        if sampler != GRID:
            raise SpecError("tau= is swept by a grid; leave out sampler=, or give weight_decay=")
    if scale is None:
        return
    if scale.only and sampler != GRID:
        raise SpecError(
            "--at (only= of a Scale) is for a grid: a sampler goes from value to value by itself; "
            "leave it out"
        )
    if loop:
        for part in scale.makes:
            raise SpecError(
                f"{part}= of the scale {scale.name}, and a loop of one's own makes its own; let it "
                f"read params.{scale.name}, and leave out {part}="
            )
        if scale.budget != "epochs":
            raise SpecError(
                f"budget={scale.budget!r}: a loop of one's own decides its length; leave it out"
            )
    elif scale.name not in BUILT_IN and not scale.makes:
        raise SpecError(
            f"nothing depends on the scale {scale.name}; give a function of it, such as "
            f"Scale('{scale.name}', […], model=lambda {scale.name}: …), or one of the built-in "
            f"{', '.join(BUILT_IN)}"
        )


def with_axes(space: SearchSpace, axes: Mapping[str, Any]) -> SearchSpace:
    """A space with what the command line says of it.

    Args:
        space: As the study file has it.
        axes: Its fields `lr`, `weight_decay`, `seeds`, `only` and `tau`; `scale`, a name and its
            values; `follow`, powers by axis; `at`, a name and the values to train at alone, of
            which the scale need not hold all yet.

    Raises:
        FlagError: the file has another scale, or none where one is needed.
        SpaceError: an axis can't be trained with.
    """
    along = ("scale", "follow", "at")
    fields, scale = {n: v for n, v in axes.items() if n not in along}, space.scale
    if "scale" in axes:
        name, values = axes["scale"]
        if scale is not None and scale.name != name:
            raise FlagError(
                f"--scale {name}: the study file has the scale {scale.name}, and a study has one; "
                f"give values of {scale.name}, or each of them a study file of its own"
            )
        scale = Scale(name, values) if scale is None else replace(scale, values=values)
    if "follow" in axes:
        if scale is None:
            raise FlagError("--follow: only along a scale; add --scale, or leave it out")
        scale = replace(scale, follow={**scale.follow, **axes["follow"]})
    if "at" in axes:
        scale = _only_at(scale, *axes["at"])
    if "tau" in fields:
        for name, flag in (("weight_decay", "--weight-decay"), ("only", "--cells")):
            if name in fields:
                raise FlagError(f"--tau sweeps instead of {flag}: give one of them")
        fields["weight_decay"] = ()
    elif "weight_decay" in fields:
        fields["tau"] = ()
    return replace(space, scale=scale, **fields)


def _only_at(scale: Scale | None, name: str, values: Sequence[float]) -> Scale:
    """A scale with more values, of which these alone are trained."""
    if scale is None:
        raise FlagError(f"--at {name}: only along a scale; give it, as --scale {name}=32,64,128")
    if scale.name != name:
        raise FlagError(f"--at {name}: the study is along {scale.name}; give values of that")
    known = {float(value) for value in scale.values}
    more = [value for value in values if value not in known]
    return replace(scale, values=[*scale.values, *more], only=values)


def made_at(task: Task | None, scale: Scale, value: float) -> dict[str, Any]:
    """The fields of a spec that are others at a value of its scale.

    Raises:
        SpecError: a function of the scale fails there.
    """
    if task is None:
        return {}  # its loop reads the value
    value = exact(value)
    made: dict[str, Any] = {scale.name: value} if scale.name in FIELDS else {}
    parts: dict[str, Any] = {
        part: partial(getattr(scale, part), value)  # called for every trial, or once in a process
        for part in ("model", "data")
        if part in scale.makes
    }
    if scale.name == "train_examples":
        parts["data"] = partial(training_prefix, task.data, int(value))
    if scale.loss is not None:
        parts["loss"] = _called(scale, "loss", scale.loss, value)
    if parts:
        made["task"] = replace(task, **parts)
    for part in ("optimizer", "schedule"):
        if part in scale.makes:
            made[part] = _called(scale, part, getattr(scale, part), value)
    return made


def _called(scale: Scale, part: str, function: Callable[[Any], Any], value: float) -> Any:
    """What a function of the scale makes of a value."""
    try:
        made = function(value)
    except WdstudyError:
        raise
    except Exception as error:
        raise SpecError(
            f"{part}= of the scale {scale.name} fails at {scale.name}={value:g}: {fault(error)}"
        ) from error
    if made is None:
        raise SpecError(
            f"{part}= of the scale {scale.name} returns None at {value:g}, as a function without "
            "`return` does"
        )
    return made
