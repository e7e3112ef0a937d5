"""A study that the command line lets design itself, or whose design it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wdstudy.design.design import Design
from wdstudy.errors import FlagError
from wdstudy.study.spec import StudySpec
from wdstudy.words import number

FLAGS = {"best": "--until", "effects": "--until", "limit": "--until", "seconds": "--budget"}
"""Fields of a Design, and the flags that give them."""

_CONTRADICTIONS = {
    "sampler": "places its own trials",
    "pruner": "learns from every trial's end",
    "seeds": "asks for seeds where they decide something",
    "only": "places its own trials",
}
"""What a design does instead of what other flags ask for."""


def with_design(
    spec: StudySpec,
    asked: Mapping[str, Any],
    changes: Mapping[str, Any],
    space: Mapping[str, Any],
    *,
    wanted: bool,
) -> StudySpec:
    """The spec with a design as the flags have it; as it was, where neither they nor it has one.

    Args:
        spec: As the study file has it.
        asked: Fields of the design that flags give.
        changes: What other flags change.
        space: What they change of the space: axes are the limits of where a design may look.
        wanted: Whether a design is asked for, though the file has none.

    Raises:
        FlagError: flags contradict each other, or there is no design that they could change.
        SpecError: the file says what no design can be combined with.
    """
    if spec.design is None and not wanted:
        for name in asked:
            raise FlagError(
                f"{FLAGS[name]}: only for a study that designs itself; add --design or leave it out"
            )
        return spec
    other = "--design: it"
    if not wanted:
        other = "the study file, by which the study designs itself: it"
    for name in ("scale", "follow", "tau"):
        if name in space:
            remedy = "give --lr and --weight-decay ranges instead of --design"
            if not wanted:
                remedy = "give it a space: SearchSpace(lr=..., weight_decay=...)"
            raise FlagError(
                f"--{name} contradicts {other} looks at one plane of lr and weight_decay; {remedy}"
            )
    for name, why in _CONTRADICTIONS.items():
        if name in changes or name in space:
            flag = "--cells" if name == "only" else f"--{name}"
            raise FlagError(f"{flag} contradicts {other} {why}; leave out {flag}")
    limits: dict[str, Any] = {
        name: _limits(name, space[name]) for name in ("lr", "weight_decay") if name in space
    }
    return replace(spec, design=replace(spec.design or Design(), **asked, **limits))


def _limits(name: str, axis: tuple[float, ...]) -> tuple[float, float]:
    values = sorted(value for value in axis if value > 0)
    if len(values) < 2:
        flag = f"--{name.replace('_', '-')}"
        raise FlagError(
            f"{flag} {','.join(f'{value:g}' for value in axis)}: for a design it is the limits of "
            f"where to look; give the least and the largest, like {flag} 1e-4:1"
        )
    return values[0], values[-1]


def ranges_unused(design: Design) -> str:
    """What is said of a file with ranges, whose study is let design itself."""
    ends = (number(value) for value in (*design.lr, *design.weight_decay))
    return (
        "ranges in the study file are not used: the design looks at lr {} … {}, weight_decay 0 "
        "and {} … {}".format(*ends)
    )
