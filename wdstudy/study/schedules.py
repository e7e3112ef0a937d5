"""Learning-rate schedules: a multiplier of the peak lr for every step of the run."""

from __future__ import annotations

import math
from collections.abc import Callable

from wdstudy.errors import SpecError, fault, nearest

Schedule = Callable[[int, int], float]
"""`(step, total) -> multiplier`, with `step` counted from 0 to `total - 1`."""


def constant(step: int, total: int) -> float:
    """Always the peak."""
    return 1.0


def cosine(step: int, total: int) -> float:
    """Half a cosine from 1 to 0 (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983)."""
    return 0.5 * (1.0 + math.cos(math.pi * step / total))


def linear(step: int, total: int) -> float:
    """A straight line from 1 to 0."""
    return 1.0 - step / total


def step(step: int, total: int) -> float:
    """A tenth after half of the run, a hundredth after three quarters (He et al. 2016)."""
    return 0.1 ** ((2 * step >= total) + (4 * step >= 3 * total))


def inverse_sqrt(step: int, total: int) -> float:
    """1/√(1 + step), without a scale of its own; after a warmup of w steps, √(w / (w + step))."""
    return 1.0 / math.sqrt(1 + step)


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "step": step,
    "inverse_sqrt": inverse_sqrt,
}


def resolve_schedule(schedule: str | Schedule, warmup: float) -> Schedule:
    """The schedule of this name, or the callable itself, behind a linear warmup.

    Args:
        schedule: A name in `SCHEDULES`, or any `(step, total) -> multiplier`.
        warmup: Share of the run, in [0, 1), in which the multiplier rises linearly to 1.

    Raises:
        SpecError: the name is unknown or the warmup is not a share.
    """
    if not 0 <= warmup < 1:
        raise SpecError(f"warmup={warmup!r}; give the share of the run to warm up in, 0 ≤ w < 1")
    if isinstance(schedule, type):
        raise SpecError(
            f"schedule={schedule.__name__} is a class; give a name ({', '.join(SCHEDULES)}), or a "
            "function (step, total_steps) -> multiplier of lr"
        )
    if not callable(schedule) and schedule not in SCHEDULES:
        raise SpecError(f"unknown schedule '{schedule}'; {nearest(str(schedule), SCHEDULES)}")
    decay = schedule if callable(schedule) else SCHEDULES[schedule]
    if not warmup:
        return decay

    def warmed_up(step: int, total: int) -> float:
        rise = max(1, round(warmup * total))
        if step < rise:
            return (step + 1) / rise
        if decay is inverse_sqrt:
            return math.sqrt(rise / (step + 1))
        return decay(step - rise, total - rise)

    return warmed_up


def check_schedule(schedule: Schedule, total: int) -> None:
    """Try a schedule at the first and the last step.

    Raises:
        SpecError: it fails there, or returns what lr can't be multiplied with.
    """
    for step in dict.fromkeys((0, total - 1)):
        try:
            multiplier = float(schedule(step, total))
        except Exception as error:
            raise SpecError(
                f"schedule(step={step}, total_steps={total}) fails: {fault(error)}; "
                "return the multiplier of lr, a number"
            ) from error
        if not math.isfinite(multiplier) or multiplier < 0:
            raise SpecError(
                f"schedule(step={step}, total_steps={total}) returns {multiplier:g}; "
                "return the multiplier of lr, at least 0"
            )
