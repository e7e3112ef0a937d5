"""The next sweep of a study, as a command: where to extend, where to look closer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from wdstudy.analysis.numbers.edges import WORTH, Edge
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.errors import StudyError
from wdstudy.record import StudyRecord
from wdstudy.space import log_range

MANY_TIES = 2
"""With more cells than this as good as the best, seeds tell more than a finer grid."""

MORE_SEEDS = 2

NEARLY = f"{math.expm1(WORTH):.0%}"


@dataclass(frozen=True)
class NextSweep:
    """What to run next, and why. `command` holds no storage: the caller adds his own."""

    why: tuple[str, ...]
    lr: tuple[float, ...]
    weight_decay: tuple[float, ...]
    seeds: int
    command: tuple[str, ...]


def next_sweep(found: Landscape, record: StudyRecord) -> NextSweep:
    """What the verdict of a study asks for, on the grid that the study has.

    An enlarged grid keeps the cells it has, so the axes are continued with their own steps.

    Args:
        found: The study's landscape.
        record: What the study says about itself.

    Raises:
        StudyError: the study does not describe its space, or no trial with weight decay finished.
    """
    space = record.spec.space
    if space is None:
        raise StudyError("the study does not describe its space, so nothing can be suggested")
    if found.suggestion.action == "none":
        raise StudyError(f"nothing can be suggested: {'; '.join(found.suggestion.why)}")
    lr, decay = list(space.lr), [w for w in space.weight_decay if w > 0]
    zero = [0.0] if 0 in space.weight_decay else []
    seeds, suggestion = len(space.seed_list), found.suggestion
    sampled = record.spec.sampled
    if suggestion.action == "extend":
        why = suggestion.why
        goals = suggestion.lr, suggestion.weight_decay
        if sampled:  # whose points lie anywhere: what is extended is the range they are drawn from
            along_lr, along_decay = found.edges
            goals = _range_beyond(along_lr, lr), _range_beyond(along_decay, decay)
        lr, decay = _extended(lr, *goals[0]), _extended(decay, *goals[1])
    elif sampled:
        why = ("the best lies inside, where the sampler looks closer by itself: more trials",)
    elif found.best.ties < 0 or found.best.ties > MANY_TIES:
        why = _unsure(found)
        seeds += MORE_SEEDS if seeds > 1 else 1
        lr, decay = _within(lr, *suggestion.lr), _within(decay, *suggestion.weight_decay)
    else:
        why = (f"the best lies inside: twice as fine among the cells within {NEARLY} of it",)
        lr, decay = _finer(lr, *suggestion.lr), _finer(decay, *suggestion.weight_decay)
    weight_decay = [*zero, *decay]
    command = ["run", *(record.command or ["STUDY_FILE"])]
    if sampled:
        command = [*_without("--trials", command), "--trials", str(2 * found.trials)]
    command += ["--lr", _flag(lr), "--weight-decay", _flag(weight_decay), "--seeds", str(seeds)]
    return NextSweep(why, tuple(lr), tuple(weight_decay), seeds, tuple(command))


def _range_beyond(edge: Edge, axis: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis, moved out as far as the best at its edge asks for."""
    low, high = min(axis), max(axis)
    if not math.isfinite(edge.extend_to):
        return low, high
    return min(low, low * edge.extend_to / edge.low), max(high, high * edge.extend_to / edge.high)


def _without(flag: str, command: Sequence[str]) -> list[str]:
    """A command without a flag and its value."""
    if flag not in command:
        return list(command)
    place = list(command).index(flag)
    return [*command[:place], *command[place + 2 :]]


def _unsure(found: Landscape) -> tuple[str, ...]:
    if found.best.ties < 0:
        return ("the best lies inside, but no cell has two seeds: how sure that is can't be said",)
    return (f"{found.best.ties} other cells are as good as the best within the noise: more seeds",)


def _extended(axis: Sequence[float], low: float, high: float) -> list[float]:
    """The axis continued with its own steps until it holds the range."""
    axis = sorted(axis)
    if len(axis) < 2 or not (math.isfinite(low) and math.isfinite(high)):
        return list(axis)
    down, up = axis[1] / axis[0], axis[-1] / axis[-2]
    while axis[0] > low * 1.01:
        axis.insert(0, float(f"{axis[0] / down:.6g}"))
    while axis[-1] < high / 1.01:
        axis.append(float(f"{axis[-1] * up:.6g}"))
    return axis


def _within(axis: Sequence[float], low: float, high: float) -> list[float]:
    """The part of the axis that lies in the range, its ends rounded generously; all if none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return sorted(axis)
    return [v for v in sorted(axis) if low / 1.05 <= v <= high * 1.05] or sorted(axis)


def _finer(axis: Sequence[float], low: float, high: float) -> list[float]:
    """The part of the axis in the range, with a point between every two."""
    kept = _within(axis, low, high)
    between = [float(f"{math.sqrt(a * b):.6g}") for a, b in pairwise(kept)]
    return sorted([*kept, *between])


def _flag(axis: Sequence[float]) -> str:
    """An axis as the command line takes it: a range where it is one, else its values."""
    zero, rest = [v for v in axis if v == 0], [v for v in axis if v > 0]
    parts = ["0"] if zero else []
    if len(rest) > 2 and _is_range(rest):
        parts.append(f"{rest[0]:g}:{rest[-1]:g}:{len(rest)}")
    else:
        parts += [f"{v:.6g}" for v in rest]
    return ",".join(parts)


def _is_range(values: Sequence[float]) -> bool:
    return list(log_range(float(f"{values[0]:g}"), float(f"{values[-1]:g}"), len(values))) == list(
        values
    )
