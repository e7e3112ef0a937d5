"""Where to begin: what short runs, or nothing at all, tell of where training works.

Short runs favour a higher lr than a whole one does, and bear a larger weight_decay. So they place
the first trials, with a margin to the side to which they err, and nothing else rests on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wdstudy.design.batch import Batch
from wdstudy.design.design import SCOUT_SHARE, Design
from wdstudy.design.lattice import DECADES, HALVES, between, nice
from wdstudy.design.outcomes import Outcome
from wdstudy.design.plane import HARM
from wdstudy.space import TrialParams
from wdstudy.words import number

FIRST_LR = 1e-5, 10.0
"""Where training works first of all, for one optimizer or the other; more is looked at later."""

FIRST_DECAY = 1e-3
LEARNT = 0.01
"""A fall of log loss that is more than chance."""

FAR = 1e-6
"""Of weight_decay: less than this does nothing in any run of usual length."""


@dataclass(frozen=True)
class Hint:
    """Where to place the first trials of full length.

    lrs: the most urgent first. onset: about where weight decay may begin to harm.
    """

    lrs: tuple[float, ...]
    onset: float
    why: str


def scouts_wanted(scouts: Sequence[Outcome], design: Design, *, minimize: bool) -> Batch | None:
    """The next short runs: the decades of lr, then those of weight_decay at the best of them."""
    plain = [s for s in scouts if s.params.weight_decay == 0]
    if not scouts:
        lrs = between(*design.lr, DECADES)
        lrs = lrs if len(lrs) > 3 else between(*design.lr, HALVES) or design.lr
        why = f"short runs at {len(lrs)} lr show where training works"
        return _batch(why, [TrialParams(lr, 0.0) for lr in lrs])
    best = _best(plain, minimize=minimize)
    if best is None or len(plain) < len(scouts):
        return None
    low, high = design.weight_decay
    decays = between(max(low, FAR), high, DECADES) or (low, high)
    lr = best.params.lr
    why = f"short runs at lr {number(lr)} show where weight decay begins to harm"
    return _batch(why, [TrialParams(lr, decay) for decay in decays])


def hint_of(scouts: Sequence[Outcome], design: Design, *, minimize: bool) -> Hint:
    """Where the first trials of full length belong, after the short runs or without any."""
    plain = [s for s in scouts if s.params.weight_decay == 0]
    best = _best(plain, minimize=minimize)
    if best is None or not _learnt(best, minimize):
        low, high = max(design.lr[0], FIRST_LR[0]), min(design.lr[1], FIRST_LR[1])
        if low * 10 > high:  # the limits leave out most of it, or all
            low, high = design.lr
        lrs = between(low, high, DECADES)
        lrs = lrs if len(lrs) > 3 else between(low, high, HALVES) or design.lr
        onset = _within(FIRST_DECAY, design.weight_decay)
        middle = math.sqrt(FIRST_LR[0] * FIRST_LR[1])
        lrs = tuple(sorted(lrs, key=lambda lr: abs(math.log(lr / middle))))
        return Hint(lrs, onset, "decades of lr show where training works")
    lr = best.params.lr
    lost = min((s.params.lr for s in plain if s.diverged and s.params.lr > lr), default=math.inf)
    around = between(max(lr / 10, design.lr[0]), min(lr * 3, design.lr[1]))
    # Nearest first to where the best of whole runs lies as a rule: a bit below that of short ones.
    likely = lr / math.sqrt(10)
    lrs = tuple(v for v in around if v < lost) or (lr,)
    lrs = tuple(sorted(lrs, key=lambda v: abs(math.log(v / likely))))
    why = f"short runs work best at lr {number(lr)}: trials of full length about it"
    return Hint(lrs, _onset(scouts, best, design, minimize=minimize), why)


def _onset(scouts: Sequence[Outcome], best: Outcome, design: Design, *, minimize: bool) -> float:
    """Where weight decay begins to harm a run of full length, judged by a short one.

    Weights shrink by exp(-lr · weight_decay · steps), so a run that is 20 times as long bears less.
    """
    decays = sorted(
        (s.params.weight_decay, s)
        for s in scouts
        if s.params.lr == best.params.lr and s.params.weight_decay > 0
    )
    if not decays:
        return _within(FIRST_DECAY, design.weight_decay)
    harmful = [
        decay for decay, s in decays if s.diverged or _above(s.value, best.value, minimize) > HARM
    ]
    first = min(harmful, default=decays[-1][0])
    return _within(first * math.sqrt(SCOUT_SHARE), design.weight_decay)


def _above(value: float, than: float, minimize: bool) -> float:
    """How much worse a value is, in logarithms where these can be taken."""
    if not minimize:
        value, than = (1 - value, 1 - than) if 0 <= min(value, than) <= 1 else (-value, -than)
    return math.log(value / than) if min(value, than) > 0 else value - than


def _learnt(scout: Outcome, minimize: bool) -> bool:
    """Whether a short run came to anything, as far as that is known."""
    initial = scout.initial_loss
    return not (minimize and math.isfinite(initial)) or _above(initial, scout.value, True) > LEARNT


def _best(scouts: Sequence[Outcome], *, minimize: bool) -> Outcome | None:
    done = [s for s in scouts if math.isfinite(s.value)]
    sign = 1 if minimize else -1
    return min(done, key=lambda s: (sign * s.value, s.params.lr), default=None)


def _within(value: float, ends: tuple[float, float]) -> float:
    return nice(min(max(value, ends[0]), ends[1]))


def _batch(why: str, cells: list[TrialParams]) -> Batch:
    return Batch("scout", why, tuple(cells), SCOUT_SHARE)
