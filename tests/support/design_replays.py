"""A design led to its stop, on whatever trains its trials, held to the laws of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wdstudy.design.batch import Batch, Stop
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome
from wdstudy.design.planner import next_batch
from wdstudy.space import TrialParams

Train = Callable[[Iterable[TrialParams], float], list[Outcome]]
"""What comes of some trials, the second: of which share of a trial's length."""

ENDLESS = 300
"""Trials that no design may take on a plane without tricks."""


@dataclass(frozen=True)
class Replay:
    """What was known at last, the batches that led there, and why it stopped; None: it waits."""

    outcomes: list[Outcome]
    batches: list[Batch]
    stop: Stop | None

    @property
    def trials(self) -> int:
        """How many of full length there were."""
        return sum(len(batch.cells) for batch in self.batches if batch.share == 1)


def replayed(
    train: Train,
    design: Design | None = None,
    *,
    known: Sequence[Outcome] = (),
    size: int = 8,
    **options: Any,
) -> Replay:
    """Batch after batch, until the design stops or waits."""
    design, outcomes, batches = design or Design(), list(known), []
    while True:
        found = next_batch(outcomes, design, size=size, **options)
        if not isinstance(found, Batch):
            return Replay(outcomes, batches, found)
        held_to_laws(found, outcomes, design, size)
        batches.append(found)
        outcomes += train(found.cells, found.share)
        assert len(outcomes) - len(known) <= ENDLESS, f"does not end: {found.why}"


def held_to_laws(batch: Batch, outcomes: Sequence[Outcome], design: Design, size: int) -> None:
    """Something is asked, nothing twice, within the limits, with a reason in a line."""
    scouts = batch.share < 1
    placed = {o.params.key for o in outcomes if o.is_scout == scouts}
    keys = [params.key for params in batch.cells]
    assert keys
    assert len({*keys}) == len(keys)
    assert not placed & {*keys}, f"asked twice: {placed & {*keys}}"
    assert scouts == (batch.stage == "scout")
    assert scouts or len(keys) <= size
    assert batch.why
    assert "\n" not in batch.why
    for params in batch.cells:
        assert _inside(params.lr, design.lr), params
        assert params.weight_decay == 0 or _inside(params.weight_decay, design.weight_decay), params


def _inside(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] * 0.999 <= value <= ends[1] * 1.001
