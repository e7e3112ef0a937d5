"""Which trials to train next: a pure function of what is known."""

from __future__ import annotations

from collections.abc import Sequence

from wdstudy.design.batch import Batch, Question, Stop
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome


def next_batch(
    outcomes: Sequence[Outcome],
    design: Design,
    *,
    size: int = 8,
    minimize: bool = True,
    scouts: bool = True,
    left: float | None = None,
) -> Batch | Stop | None:
    """The next trials, or that nothing more is to be trained; None: wait for what is pending.

    The same outcomes give the same batch, so that workers that plan at once agree.

    Args:
        outcomes: All that was trained, runs or waits: scouts, trials, cells that were there before.
        design: What is asked, and what it may cost.
        size: How many trials train at once: lanes times workers. A batch holds about as many.
        minimize: Whether low values are good.
        scouts: Whether runs of a part of the length are possible.
        left: How many more trials the time allows, where that is limited.
    """
    raise NotImplementedError


def open_questions(
    outcomes: Sequence[Outcome], design: Design, *, minimize: bool = True
) -> tuple[Question, ...]:
    """What is asked, and how far it is answered by the trials of full length that are done."""
    raise NotImplementedError
