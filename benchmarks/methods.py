"""Ways to spend trials on a plane of lr and weight_decay: the design, and what it is held against.

A method is a generator: it yields batches of trials, is sent what came of them (short runs and
repeats among them), and returns why it stopped. It sees a table only by its answers; those that are
said to know the range are given the axes of the dense table.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState
from replays import Table

from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.analysis.numbers.nextsweep import next_sweep
from wdstudy.design.batch import Batch, Stop
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome, frame_of
from wdstudy.design.planner import next_batch
from wdstudy.errors import StudyError
from wdstudy.record import StudyRecord
from wdstudy.run.sampling import resolve_sampler, suggest
from wdstudy.space import SearchSpace, TrialParams, log_range

LANES = 8
MOST = 300
"""Trials after which whatever has not stopped is stopped."""

MOST_SAMPLED, MOST_GP = 100, 60
"""The same of samplers, which never stop; those that have a good cell have it long before."""

OFF_LR, OFF_DECAY = 1.5, 1.0  # decades, of a badly guessed range

Spends = Generator[Batch, Sequence[Outcome], Stop]


@dataclass(frozen=True)
class Method:
    """A way to spend trials.

    begin: a table and the replay's number → the generator. most: trials, at most. alone: each trial
    waits for the last one's result, so that none train at once. every: how many trials lie between
    two looks at what is known.
    """

    begin: Callable[[Table, int], Spends]
    most: int = MOST
    alone: bool = False
    every: int = 1


def design(table: Table, replay: int, *, asked: Design | None = None, size: int = LANES) -> Spends:
    """The study that designs itself, which knows no range."""
    known: dict[tuple[object, ...], Outcome] = {}
    decays = sorted({w for column in table.full.values() for w in column if w > 0})
    asked = replace(asked or Design(), weight_decay=(decays[0], decays[-1]))  # as far as it goes
    while True:
        step = next_batch([*known.values()], asked, size=size, scouts=bool(table.short))
        if isinstance(step, Stop):
            return step
        assert step is not None  # nothing is pending here
        for wanted, outcome in zip(step.cells, (yield step), strict=True):
            key = outcome.params.key, outcome.is_scout
            if key in known:  # the table ends before this place: there is none to be trained
                lost = replace(outcome, params=wanted, failed=True)
                known[wanted.key, outcome.is_scout] = lost
            else:
                known[key] = outcome


def well_guessed(table: Table, replay: int) -> Spends:
    """A grid of 7 × 7 cells, weight_decay = 0 among them, and two seeds, on the dense range."""
    space = SearchSpace(table.lr[::2], [0.0, *table.weight_decay[2::2]], 2)
    for batch in stacks(space.cells()):
        yield Batch("map", "the grid", batch)
    return Stop("answered", "the grid is trained")


def badly_guessed(table: Table, replay: int) -> Spends:
    """A 5 × 5 grid that lies off the truth, then what `suggest` says until it has its answer."""
    sides = np.random.default_rng([replay, len(table.name)]).choice([-1, 1], 2)
    lr, decay = table.lr, table.weight_decay[1:]
    x, y = 10 ** (sides[0] * OFF_LR), 10 ** (sides[1] * OFF_DECAY)
    space = SearchSpace(
        log_range(lr[0] * x, lr[-1] * x, 5), [0.0, *log_range(decay[0] * y, decay[-1] * y, 4)]
    )
    wanted, known, why = space.cells(), dict[tuple[object, ...], Outcome](), "the first guess"
    while True:
        before = len(known)
        for batch in stacks(wanted):
            for outcome in (yield Batch("map", why, batch)):
                known[outcome.params.key] = outcome
        if len(known) == before:
            return Stop("hopeless", f"suggest asks for what is there: {why}")
        trials = frame_of(known.values())
        try:
            sweep = next_sweep(landscape(trials), StudyRecord(), trials)
        except StudyError as error:
            return Stop("hopeless", str(error))
        why = "; ".join(sweep.why)
        if not sweep.command:
            return Stop("answered", why)
        space = SearchSpace(sweep.lr, sweep.weight_decay, sweep.seeds, sweep.only)
        wanted = [params for params in space.cells() if params.key not in known]


def sampled(table: Table, replay: int, *, sampler: str, seeds: int = 2) -> Spends:
    """One of Optuna's samplers on the dense range, as `run --sampler` has it.

    Diverged trials are told as pruned. Of these Optuna's GP sees nothing, and would ask for the
    same place for ever: it is told the worst loss seen so far.
    """
    space = SearchSpace(
        [table.lr[0], table.lr[-1]], [table.weight_decay[1], table.weight_decay[-1]], seeds
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(sampler=resolve_sampler(sampler, space, replay))
        worst = -math.inf
        while True:
            trial = study.ask()
            params = suggest(trial, space)
            replicas = [TrialParams(params.lr, params.weight_decay, s) for s in space.seed_list]
            told = yield Batch("find", sampler, tuple(replicas))
            for params, outcome in zip(replicas, told, strict=True):
                if params.seed:
                    study.enqueue_trial(
                        {"lr": params.lr, "weight_decay": params.weight_decay, "seed": params.seed}
                    )
                    trial = study.ask()
                    suggest(trial, space)
                value = outcome.initial_loss if outcome.diverged else outcome.value
                worst = max(worst, value)
                if outcome.diverged and sampler != "gp":
                    study.tell(trial, state=TrialState.PRUNED)
                else:
                    study.tell(trial, worst if outcome.diverged else value)


def stacks(cells: Iterable[TrialParams], lanes: int = LANES) -> Iterator[tuple[TrialParams, ...]]:
    """Trials in the order given, in stacks of one seed each, as a run trains them."""
    cells = [*cells]
    for seed in dict.fromkeys(params.seed for params in cells):
        of_seed = [params for params in cells if params.seed == seed]
        for i in range(0, len(of_seed), lanes):
            yield tuple(of_seed[i : i + lanes])


METHODS = {
    "design": Method(design),
    "grid": Method(well_guessed),
    "suggest": Method(badly_guessed),
    "random": Method(partial(sampled, sampler="random"), MOST_SAMPLED, True, 5),
    "tpe": Method(partial(sampled, sampler="tpe"), MOST_SAMPLED, True, 5),
    "tpe1": Method(partial(sampled, sampler="tpe", seeds=1), MOST_SAMPLED, True, 5),
    "gp": Method(partial(sampled, sampler="gp"), MOST_GP, True, 5),
}
