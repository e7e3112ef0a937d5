"""A small version of any study, to see whether it all works before hours are given to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

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
    """The study with the ends and the middle of its axes, one seed, and 12 steps a trial.

    Model, loss, optimizer and schedule are the study's own; an epoch has its first six batches.
    A `DataLoader` is left as it is, and so is the length of a loop of one's own.
    """
    space = SearchSpace(
        lr=_ends_and_middle(spec.space.lr),
        weight_decay=_ends_and_middle(spec.space.weight_decay),
        seeds=spec.space.seed_list[:1],
    )
    trials = None if spec.trials is None else min(spec.trials, len(space))
    if spec.design is not None:
        trials = min(spec.design.trials or DESIGNED, DESIGNED)
    if spec.task is None:
        return replace(spec, space=space, trials=trials)
    return replace(
        spec,
        space=space,
        trials=trials,
        task=replace(spec.task, data=partial(_first, spec.task.data, BATCHES * spec.batch_size)),
        epochs=min(spec.epochs, EPOCHS),
        record_every=RECORD_EVERY,
    )


def _ends_and_middle(axis: Sequence[float]) -> list[float]:
    return [axis[0], axis[len(axis) // 2], axis[-1]]  # SearchSpace drops what stands there twice


def _first(data: Callable[[], Any], examples: int) -> Any:
    """The first examples of both halves of the data; what has another form is found out later."""
    halves = data()
    if not isinstance(halves, tuple | list):
        return halves
    return tuple(first_examples(half, examples) for half in halves)
