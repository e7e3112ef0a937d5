"""What is known when the next trials are placed: what was trained, and what runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from wdstudy.space import TrialParams

FULL = 1.0


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    value: the objective; NaN where it diverged, or is not known yet.
    pending: it waits or runs. failed: training it raised an error, and would again.
    initial_loss: before training; NaN where it is not known or no loss is what is judged by.
    share: how long it was trained, as a share of a trial's length: scouts are shorter.
    """

    params: TrialParams
    value: float = math.nan
    diverged: bool = False
    pending: bool = False
    failed: bool = False
    initial_loss: float = math.nan
    share: float = FULL

    @property
    def is_scout(self) -> bool:
        """Whether it was shorter than a trial, so that nothing said of trials may rest on it."""
        return self.share < FULL


def frame_of(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """Trials of full length that are done, one row each, as the analysis takes them."""
    rows = [
        (o.params.lr, o.params.weight_decay, o.params.seed, o.value, o.diverged, o.initial_loss)
        for o in outcomes
        if not (o.pending or o.failed or o.is_scout)
    ]
    names = ["lr", "weight_decay", "seed", "value", "diverged", "initial_loss"]
    return pd.DataFrame(rows, columns=names)
