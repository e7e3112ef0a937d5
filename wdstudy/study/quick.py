"""A small version of any study, to see whether it all works before hours are given to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wdstudy.scale import Scale
from wdstudy.space import SearchSpace
from wdstudy.study.examples import first_examples
from wdstudy.study.spec import StudySpec

SUFFIX = "-quick"
"""What is appended to the study's name, so that the real study is not touched."""

EPOCHS = 2
BATCHES = 6
"""Training batches of an epoch, and as many examples to validate on."""

RECORD_EVERY = 4

DESIGNED = 9
"""Trials of a study that designs itself."""


def quick(spec: StudySpec) -> StudySpec:
    """The study with the ends and the middle of its axes, one seed, and 12 steps a trial; of a
    scale its ends.

    Model, loss, optimizer and schedule are the study's own; an epoch has its first six batches.
    A `DataLoader` is left as it is, and so is the length of a loop of one's own.
    """
    examples = BATCHES * _largest_batch(spec)
    rows: dict[str, Any] = {"weight_decay": _ends_and_middle(spec.space.weight_decay)}
    if spec.space.tau:
        rows = {"tau": _ends_and_middle(spec.space.tau), "tau_unit": spec.space.tau_unit}
    space = SearchSpace(
        lr=_ends_and_middle(spec.space.lr),
        seeds=spec.space.seed_list[:1],
        scale=None if spec.scale is None else _small(spec.scale, examples),
        **rows,
    )
    trials = None if spec.trials is None else min(spec.trials, len(space))
    if spec.design is not None:
        trials = min(spec.design.trials or DESIGNED, DESIGNED)
    if spec.task is None:
        return replace(spec, space=space, trials=trials)
    task = spec.task
    if task.data is not None:
        task = replace(task, data=partial(_first, task.data, examples))
    return replace(
        spec,
        space=space,
        trials=trials,
        task=task,
        epochs=min(spec.epochs, EPOCHS),
        record_every=RECORD_EVERY,
    )


def _largest_batch(spec: StudySpec) -> int:
    along = spec.scale is not None and spec.scale.name == "batch_size"
    return int(max(spec.scale.values)) if along and spec.scale is not None else spec.batch_size


def _small(scale: Scale, examples: int) -> Scale:
    """The first and the last value of a scale, where these are no length; else two short ones."""
    values = [scale.values[0], scale.values[-1]]
    if scale.name == "epochs":
        values = [1, EPOCHS]
    if scale.name == "train_examples" and len({min(v, examples) for v in values}) == 1:
        values = [examples // 2, examples]
    elif scale.name == "train_examples":
        values = [min(value, examples) for value in values]
    if scale.data is None:
        return replace(scale, values=values)
    made = scale.data
    return replace(scale, values=values, data=lambda value: _first(partial(made, value), examples))


def _ends_and_middle(axis: Sequence[float]) -> list[float]:
    return [axis[0], axis[len(axis) // 2], axis[-1]]  # SearchSpace drops what stands there twice


def _first(data: Callable[[], Any], examples: int) -> Any:
    """The first examples of both halves of the data; what has another form is found out later."""
    halves = data()
    if not isinstance(halves, tuple | list):
        return halves
    return tuple(first_examples(half, examples) for half in halves)
