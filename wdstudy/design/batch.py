"""What a design decides: the next batch of trials, or that it stops; and what is still open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from wdstudy.space import TrialParams

Stage = Literal["scout", "find", "map", "seeds"]

STAGES: dict[Stage, str] = {
    "scout": "short runs over ten decades of lr: where training begins to work, where it diverges",
    "find": "trials of full length on the way to a good cell",
    "map": "columns of weight_decay at each good lr",
    "seeds": "more seeds of what the noise leaves open",
}
"""The stages of a design, in their order, and what each is for."""

QUESTIONS = {
    "best": "which cell is the best",
    "effects": "whether weight decay helps, lr by lr",
    "limit": "where its harm begins, lr by lr",
}
"""What can be asked, in words."""


@dataclass(frozen=True)
class Batch:
    """Trials to train next, and why, in a line.

    share: how long they are trained, as a share of a trial's length: below 1 while it scouts.
    """

    stage: Stage
    why: str
    cells: tuple[TrialParams, ...]
    share: float = 1.0


@dataclass(frozen=True)
class Stop:
    """That nothing more is to be trained, and why, in a line.

    answered: all that is asked is. budget: what was allowed is spent. hopeless: what is open would
    cost more than is sane, or nothing can be learnt, as where no lr trains.
    """

    reason: Literal["answered", "budget", "hopeless"]
    why: str


@dataclass(frozen=True)
class Question:
    """Something that is asked, and how far it is answered.

    name: "best", "effects" or "limit". asked: the width that is to be reached; width: what it is
    now, inf where nothing is known yet: both shares of the loss, of the limit decades.
    answered: whether it is; where width is above asked it can be only by `given_up`.
    given_up: why it can't be answered at a sane price; empty where it may be.
    says: the state in words.
    trials: about how many more it would take; NaN where nothing tells it.
    """

    name: str
    asked: float
    width: float
    answered: bool
    says: str
    given_up: str = ""
    trials: float = math.nan
