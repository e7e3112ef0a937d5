"""Which trials to train next: a pure function of what is known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from wdstudy.design.batch import QUESTIONS, Batch, Question, Stage, Stop
from wdstudy.design.design import Design
from wdstudy.design.mapping import (
    Want,
    closer_in_decay,
    closer_in_lr,
    columns_of,
    down_the_column,
    down_the_valley,
    onset_at,
    outward,
)
from wdstudy.design.outcomes import Outcome
from wdstudy.design.plane import Line, Plane
from wdstudy.design.questions import Answers, questions
from wdstudy.design.replication import more_seeds, second_seeds
from wdstudy.design.scouting import Hint, hint_of, scouts_wanted
from wdstudy.space import TrialParams
from wdstudy.words import number

GOOD_CELL, ANSWERS = 20, 50
"""Trials that a good cell takes, about, and that all that is asked by default does."""

EQUAL, LEARNT = 1e-9, 0.01
"""Log loss by which cells differ at least, and by which training lowers it where it works."""


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
    plane = Plane.of(outcomes, minimize=minimize)
    if scouts and not plane.keys:
        if plane.pending:  # shorter runs of somebody else
            return None
        batch = scouts_wanted(plane.scouts, design, minimize=minimize)
        if batch is not None:
            return batch
    hint = hint_of(plane.scouts, design, minimize=minimize)
    if stop := _hopeless(plane, hint):
        return stop
    answers = Answers.of(plane.cells, design) if plane.trials else None
    asked = questions(answers, design) if answers else _unknown(design)
    spare = _spare(plane, design, left)
    for stage, wants in _stages(plane, hint, answers, design):
        found = _distinct(plane, wants)
        if found:
            if spare < 1:
                return _answered(asked) or _spent(plane, asked)
            return _batch(stage, found, int(min(spare, size)))
        if plane.pending:
            return None
    if stop := _answered(asked):
        return stop
    if plane.best is None:
        return Stop("hopeless", _nothing_trained(plane))
    why = "; ".join(q.given_up or q.says for q in asked if not q.answered)
    return Stop("hopeless", why)


def open_questions(
    outcomes: Sequence[Outcome], design: Design, *, minimize: bool = True
) -> tuple[Question, ...]:
    """What is asked, and how far it is answered by the trials of full length that are done."""
    plane = Plane.of(outcomes, minimize=minimize)
    return questions(Answers.of(plane.cells, design), design) if plane.trials else _unknown(design)


def _unknown(design: Design) -> tuple[Question, ...]:
    """Every question, before anything is known."""
    asked = {name: getattr(design, name) for name in QUESTIONS}
    return tuple(
        Question(name, width, math.inf, False, "nothing is known yet")
        for name, width in asked.items()
        if width is not None
    )


def outlook(allowed: float) -> str:
    """What so many trials can answer, in a line; empty where they are enough for all of it."""
    if allowed < GOOD_CELL:
        able = "the best of them will be told, and that it may not be the best there is"
    elif allowed < ANSWERS:
        able = "a good cell will be found; what weight decay does at each lr may stay open"
    else:
        return ""
    return (
        f"{allowed:.0f} trials are few: {able}. A good cell takes about {GOOD_CELL}, all that is "
        f"asked about {ANSWERS}"
    )


def _stages(
    plane: Plane, hint: Hint, answers: Answers | None, design: Design
) -> Iterator[tuple[Stage, Iterable[Want]]]:
    """What each stage wants, the next one only where those before want nothing."""
    yield "find", _first(plane, hint, design)
    if plane.best is None:
        return
    columns = columns_of(plane, design)
    # First which lr is the best, then where harm begins there: it tells where to look at others.
    closer = [*closer_in_lr(plane)]
    mapped = columns if plane.tells_onset or not design.asks_effects else columns[:1]
    mapped = mapped if not closer else ()
    wanted = {line.lr: [*_of_column(plane, line, hint, design)] for line in mapped}
    # Columns that want nothing more have their seeds while others are mapped: batches stay full.
    settled = [line for line in mapped if not wanted[line.lr] and not line.pending]
    placing = [*closer, *outward(plane, hint.onset, design)]
    placing += chain.from_iterable(wanted.values())
    placing += [] if placing else closer_in_decay(plane, design)
    if placing:
        yield "map", chain(placing, second_seeds(plane, settled))
    yield "seeds", second_seeds(plane, settled)
    if answers is not None and not plane.pending:
        yield "seeds", more_seeds(plane, answers, design)


def _of_column(plane: Plane, line: Line, hint: Hint, design: Design) -> Iterator[Want]:
    guess = onset_at(line.lr, plane, hint.onset)
    if design.asks_effects or not line.decays:
        yield from down_the_column(line, guess, design)
    if line in plane.working:
        yield from down_the_valley(line, design)


def _first(plane: Plane, hint: Hint, design: Design) -> Iterator[Want]:
    """The first trials of full length; lower lr, where all of those diverged."""
    yield from _first_lacks(plane, hint)
    if plane.best is None and not plane.pending and plane.lines:
        lowest = plane.lines[0].lr
        for part in (10, 100, 1000):
            if lowest / part >= design.lr[0]:
                yield Want(TrialParams(lowest / part, 0.0), "all lr so far diverged: lower ones")


def _first_lacks(plane: Plane, hint: Hint) -> Iterator[Want]:
    decays = (0.0, hint.onset) if plane.scouts else (0.0,)
    if len(plane.keys) < len(decays) * len(hint.lrs):
        for decay in decays:
            for lr in hint.lrs:
                if not plane.is_asked(lr, decay):
                    yield Want(TrialParams(lr, decay), hint.why)


def _distinct(plane: Plane, wants: Iterable[Want]) -> list[Want]:
    """Wants that were not placed yet, each once."""
    found = {want.params.key: want for want in reversed([*wants]) if plane.is_new(want.params)}
    return [*reversed(found.values())]


def _batch(stage: Stage, wants: Sequence[Want], size: int) -> Batch:
    """The most urgent wants, seed by seed, because lanes share theirs."""
    chosen = sorted(wants[:size], key=lambda want: want.params.seed)
    reasons = [*dict.fromkeys(want.why for want in chosen)]
    return Batch(stage, _told(reasons), tuple(want.params for want in chosen))


def _told(reasons: Sequence[str]) -> str:
    """The reasons of a batch in a line: those that differ in the lr alone as one."""
    stems: dict[str, list[str]] = {}
    for reason in reasons:
        stem, at, lr = reason.partition(" at lr ")
        stems.setdefault(stem if at else reason, []).extend([lr] if at else [])
    parts = [f"{stem} at lr {', '.join(lrs)}" if lrs else stem for stem, lrs in stems.items()]
    return "; ".join(parts)


def _spare(plane: Plane, design: Design, left: float | None) -> float:
    """How many more trials are allowed."""
    allowed = math.inf if design.trials is None else design.trials - len(plane.keys)
    return min(allowed, math.inf if left is None else left)


def _answered(asked: Sequence[Question]) -> Stop | None:
    """That nothing is open any more, if that is so."""
    if not all(q.answered for q in asked):
        return None
    return Stop("answered", "; ".join(q.says for q in asked))


def _spent(plane: Plane, asked: Sequence[Question]) -> Stop:
    """That what was allowed is spent, and what it would have taken."""
    best, still = plane.best, [q for q in asked if not q.answered]
    known = [q.trials for q in still if math.isfinite(q.trials)]
    told = "nothing is known yet"
    if best is not None:
        told = f"the best so far is lr {number(best.lr)}, weight_decay {number(best.best)}"
    if plane.trials < GOOD_CELL:
        more = f"a good cell takes about {GOOD_CELL} trials, all that is asked about {ANSWERS}"
    else:
        more = f"about {max(known):.0f} trials more would tell" if known else "more would tell"
    what = ", ".join(QUESTIONS[q.name] for q in still)
    return Stop("budget", f"the budget is spent: {told}; open is {what}; {more}")


def _hopeless(plane: Plane, hint: Hint) -> Stop | None:
    """That nothing can be learnt, however many trials there are."""
    done = plane.cells.finished
    lrs = [line.lr for line in plane.lines]
    if plane.pending or len(lrs) < min(len(hint.lrs), 4) or any(_first_lacks(plane, hint)):
        return None
    if len(done) >= 4 and float(done["z"].max() - done["z"].min()) < EQUAL:
        return Stop(
            "hopeless",
            f"all {len(done)} cells came out equal: lr and weight_decay change nothing here; are "
            "they set by a scheduler, or not given to the optimizer?",
        )
    best, plateau = plane.best, plane.cells.plateau
    if best is not None and math.isfinite(plateau) and best.least > plateau - LEARNT:
        return Stop(
            "hopeless",
            f"no lr from {number(lrs[0])} to {number(lrs[-1])} trains: the loss stays at what it "
            "is before training; is the loss computed from the model's output, and is training "
            "long enough?",
        )
    return None


def _nothing_trained(plane: Plane) -> str:
    lrs = [line.lr for line in plane.lines]
    if not any(line.z for line in plane.lines):
        return "no trial could be trained to its end"
    return (
        f"training diverges at every lr from {number(lrs[0])} to {number(lrs[-1])}; are the data "
        "and the initial weights finite?"
    )
