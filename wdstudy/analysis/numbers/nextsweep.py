"""The next sweep of a study, as a command: a wider range, or more seeds; or that it is done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.numbers.edges import Edge
from wdstudy.analysis.numbers.enough import ENOUGH
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.curves import TRAIN_SECONDS
from wdstudy.errors import StudyError
from wdstudy.record import StudyRecord
from wdstudy.space import SEED, Cell, SearchSpace, TrialParams, log_range
from wdstudy.words import counted, lasting

MORE_SEEDS = 2

MOST_TIED = 12
"""So many of the tied cells, the best first, get more seeds: whatever is left out has poor odds."""


@dataclass(frozen=True)
class NextSweep:
    """What to run next, and why; an empty `command` means that the study has its answer.

    `command` holds no storage: the caller adds his own.

    Attributes:
        trials: How many it trains beyond those that are done.
        seconds: What these take one after the other, as those that are done did; NaN if not known.
        scale, at: Of a study along a scale, its name and the values that it trains at.
    """

    why: tuple[str, ...]
    lr: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()
    seeds: int = 0
    only: tuple[Cell, ...] = ()
    command: tuple[str, ...] = ()
    trials: int = 0
    seconds: float = math.nan
    scale: str = ""
    at: tuple[float, ...] = ()

    @property
    def places(self) -> tuple[Cell, ...]:
        """The places of the plane that it trains, or has trained."""
        grid = tuple((lr, decay) for lr in self.lr for decay in self.weight_decay)
        return self.only or grid

    @property
    def price(self) -> str:
        """`26 trials, about 40 s one after the other`."""
        text = counted(self.trials, "trial")
        if math.isfinite(self.seconds):
            text += f", about {lasting(self.seconds)} one after the other"
        return text


def next_sweep(
    found: Landscape, record: StudyRecord, trials: pd.DataFrame | None = None
) -> NextSweep:
    """What the verdict of a study asks for, on the grid that the study has.

    An enlarged grid keeps the cells it has, so the axes are continued with their own steps.

    Args:
        found: The study's landscape.
        record: What the study says about itself; of a study of another program, nothing.
        trials: Its trials: their cells are the grid where the record names none, and their time is
            what the next ones are priced by.

    Raises:
        StudyError: nothing tells the grid, or no trial with weight decay finished.
    """
    space = record.spec.space or _space_of(trials)
    if space is None:
        raise StudyError("the study does not describe its space, so nothing can be suggested")
    single = [edge.axis for edge in found.edges if edge.where == "single"]
    if single:
        return NextSweep(
            (f"only one {single[0]} was tried: others tell how the two work together",)
        )
    if found.suggestion.action == "none":
        raise StudyError(f"nothing can be suggested: {'; '.join(found.suggestion.why)}")
    seeds, best = len(space.seed_list), found.best
    if found.suggestion.action == "extend":
        return _extended(found, record, space, trials)
    if record.spec.sampled:
        why = ("the best lies inside, where the sampler looks closer by itself: more trials",)
        return _made(why, found, record, space, trials)
    rivals = len(best.rivals)
    if best.ties >= 0 and best.regret.value < ENOUGH and seeds > 1:
        better = f": the settings that did as well differ by about {percent(best.regret.value)}"
        return NextSweep((f"you have your answer{better if best.ties else ''}",))
    tied = [(best.lr, best.weight_decay), *best.rivals[: MOST_TIED - 1]]
    more = seeds + (MORE_SEEDS if seeds > 1 else 1)
    if best.ties < 0:
        why = ("no cell has two seeds: how sure the best is can't be said",)
        return _made(why, found, record, SearchSpace(space.lr, space.weight_decay, more), trials)
    if not rivals:
        why = ("one seed makes nothing sure: a second of the best cell",)
        only = ((best.lr, best.weight_decay),)
        return _made(
            why, found, record, SearchSpace([best.lr], [best.weight_decay], more, only), trials
        )
    why = (
        f"{counted(rivals, 'other cell')} may be as good as the best, as far as "
        f"{counted(seeds, 'seed')} can tell: more seeds of these "
        f"{'alone' if len(tied) > rivals else f'{len(tied)} first'}",
    )
    lrs, decays = (sorted(set(axis)) for axis in zip(*tied, strict=True))
    return _made(why, found, record, SearchSpace(lrs, decays, more, tuple(tied)), trials)


def _space_of(trials: pd.DataFrame | None) -> SearchSpace | None:
    """The grid that trials stand on."""
    if trials is None or trials.empty:
        return None
    done = finished_trials(trials)
    lrs, decays = (sorted(done[axis].dropna().unique()) for axis in ("lr", "weight_decay"))
    return SearchSpace(lrs, decays, max(int(done[SEED].nunique()), 1) if SEED in done else 1)


def _extended(
    found: Landscape, record: StudyRecord, space: SearchSpace, trials: pd.DataFrame | None
) -> NextSweep:
    """The axes at whose edge the best lies, continued."""
    lr, decay = list(space.lr), [w for w in space.weight_decay if w > 0]
    zero = [0.0] if 0 in space.weight_decay else []
    goals = found.suggestion.lr, found.suggestion.weight_decay
    if record.spec.sampled:  # whose points lie anywhere: what is extended is the range of them
        along_lr, along_decay = found.edges
        goals = _range_beyond(along_lr, lr), _range_beyond(along_decay, decay)
    larger = SearchSpace(
        _continued(lr, *goals[0]), [*zero, *_continued(decay, *goals[1])], space.seed_list
    )
    return _made(found.suggestion.why, found, record, larger, trials)


def _made(
    why: tuple[str, ...],
    found: Landscape,
    record: StudyRecord,
    space: SearchSpace,
    trials: pd.DataFrame | None,
) -> NextSweep:
    """The command that trains a space, and its price."""
    command = ["run", *(record.command or ["STUDY_FILE"])]
    sampled = record.spec.sampled
    if sampled:
        command = [*without("--trials", command), "--trials", str(2 * found.trials)]
    if space.only:
        command += ["--cells", ",".join(f"{lr:.6g}:{decay:.6g}" for lr, decay in space.only)]
    else:
        command += ["--lr", flag(space.lr), "--weight-decay", flag(space.weight_decay)]
    seeds = len(space.seed_list)
    new = found.trials if sampled else lacking(space.cells(), trials)
    return NextSweep(
        why,
        tuple(space.lr),
        tuple(space.weight_decay),
        seeds,
        tuple(space.only),
        (*command, "--seeds", str(seeds)),
        new,
        new * seconds_a_trial(trials),
    )


def lacking(wanted: Sequence[TrialParams], trials: pd.DataFrame | None) -> int:
    """How many of these trials are not there yet."""
    if trials is None or trials.empty:
        return len(wanted)
    done = finished_trials(trials)
    seeds = done[SEED] if SEED in done else [0] * len(done)
    there = {
        TrialParams(float(lr), float(decay), int(seed)).key
        for lr, decay, seed in zip(done["lr"], done["weight_decay"], seeds, strict=True)
    }
    return sum(params.key not in there for params in wanted)


def seconds_a_trial(trials: pd.DataFrame | None) -> float:
    """What a trial takes, as those that are done did."""
    if trials is None or TRAIN_SECONDS not in trials:
        return math.nan
    return float(pd.to_numeric(trials[TRAIN_SECONDS], errors="coerce").mean())


def _range_beyond(edge: Edge, axis: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis, moved out as far as the best at its edge asks for."""
    low, high = min(axis), max(axis)
    if not math.isfinite(edge.extend_to):
        return low, high
    return min(low, low * edge.extend_to / edge.low), max(high, high * edge.extend_to / edge.high)


def without(flag: str, command: Sequence[str]) -> list[str]:
    """A command without a flag and its value."""
    if flag not in command:
        return list(command)
    place = list(command).index(flag)
    return [*command[:place], *command[place + 2 :]]


def _continued(axis: Iterable[float], low: float, high: float) -> list[float]:
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


def flag(axis: Sequence[float]) -> str:
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
