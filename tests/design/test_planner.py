"""What a design asks for next, on planes whose every answer is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from design_replays import Replay, Train, replayed
from known_planes import INITIAL, Plane, Trainer

from wdstudy.design.batch import Batch, Stop
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome
from wdstudy.design.planner import next_batch, open_questions
from wdstudy.space import TrialParams, log_range

QUIET = Plane(sd=0.004, growth=0.3)
"""Noise by which every answer is soon told."""

Change = Callable[[Outcome], Outcome]


def trains(plane: Plane, change: Change = lambda outcome: outcome, seed: int = 0) -> Train:
    """What comes of trials on a plane, changed as a test has it."""
    trainer = Trainer(plane, np.random.default_rng(seed))
    return lambda cells, share: [change(o) for o in trainer.train(cells, share)]


def always(value: float = math.nan, **fields: object) -> Train:
    """Every trial comes to the same."""
    return lambda cells, share: [Outcome(p, value, share=share, **fields) for p in cells]  # type: ignore[arg-type]


def whole(change: Change) -> Change:
    """A change of trials of full length alone."""
    return lambda outcome: outcome if outcome.is_scout else change(outcome)


def grid(lrs: Sequence[float], decays: Sequence[float], seeds: int = 1) -> list[TrialParams]:
    return [TrialParams(lr, decay, s) for lr in lrs for decay in decays for s in range(seeds)]


def stopped(replay: Replay) -> Stop:
    assert replay.stop is not None
    assert "\n" not in replay.stop.why
    assert replay.stop.why
    return replay.stop


@pytest.fixture(scope="module")
def plain() -> Replay:
    """A replay on a plane with nothing odd, where the noise leaves nothing open."""
    return replayed(trains(QUIET))


PLANES = {
    "valley": Plane(slope=-0.5),
    "no gain": Plane(gain=0.0, slope=0),
    "decay rescues": Plane(rescued=1.0, gain=0.5),
    "very low lr": Plane(x=-6.0),
    "very high lr": Plane(x=1.5, y=-4.5),
    "heavy tails": Plane(tails=3.0),
    "no noise": Plane(sd=0.0),
    "nothing but noise": Plane(sd=0.5, growth=0.0),
}


FAST = {("valley", True), ("no gain", False), ("very low lr", True), ("heavy tails", False)}


@pytest.mark.parametrize(
    ("name", "scouts"),
    [
        pytest.param(name, scouts, marks=[] if (name, scouts) in FAST else pytest.mark.slow)
        for name in PLANES for scouts in (True, False)
    ],
)  # fmt: skip
def test_a_design_ends_on_every_plane(name: str, scouts: bool) -> None:
    """And every batch on the way keeps the laws, which `replayed` asserts."""
    replay = replayed(trains(PLANES[name]), scouts=scouts)
    assert stopped(replay).reason in ("answered", "hopeless")
    assert 15 < replay.trials < 160
    assert any(batch.stage == "scout" for batch in replay.batches) == scouts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [1, 3, 8, 32])
def test_a_design_ends_whatever_the_luck_and_the_lanes(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    plane = Plane(
        x=rng.uniform(-5, 1), y=rng.uniform(-5, -1), slope=rng.choice([-1, -0.5, 0, 0.5]),
        gain=rng.choice([0, 0.1, 0.5]), sd=rng.choice([0.003, 0.02, 0.1]),
        floor=rng.choice([0.02, 0.3]),
    )  # fmt: skip
    replay = replayed(trains(plane, seed=seed), size=size, scouts=bool(seed % 2))
    assert stopped(replay).reason in ("answered", "hopeless")
    assert replay.trials < 160


def test_it_finds_a_good_cell_and_stops_with_its_answers(plain: Replay) -> None:
    stop = stopped(plain)
    done = [o for o in plain.outcomes if not o.is_scout and not o.diverged]
    best = min(done, key=lambda o: o.value).params
    assert QUIET.at(best.lr, best.weight_decay) - QUIET.least < 0.1
    assert stop.reason == "answered"
    assert all(text in stop.why for text in ("another cell", "helps", "harm"))
    assert {batch.stage for batch in plain.batches} == {"scout", "find", "map", "seeds"}


def test_the_same_outcomes_give_the_same_batch_in_any_order(plain: Replay) -> None:
    """Workers that plan at once agree, and storages list trials as they like."""
    for batches in (2, 3, len(plain.batches) - 1, len(plain.batches)):
        known = sum(len(b.cells) for b in plain.batches[:batches])
        outcomes = plain.outcomes[:known]
        told = next_batch(outcomes, Design())
        assert told == next_batch(outcomes, Design())
        for seed in range(2):
            mixed = random.Random(seed).sample(outcomes, len(outcomes))
            assert next_batch(mixed, Design()) == told
        assert told == (plain.batches[batches:] or [plain.stop])[0]


def test_what_others_train_is_neither_asked_again_nor_waited_for_without_need(
    plain: Replay,
) -> None:
    """Two workers: while a batch of one runs, the other places what hangs not on it, or waits."""
    waited = 0
    for batches in (3, 5, len(plain.batches) - 1):
        known = sum(len(b.cells) for b in plain.batches[:batches])
        running = [Outcome(p, pending=True) for p in plain.batches[batches].cells]
        found = next_batch([*plain.outcomes[:known], *running], Design())
        assert not isinstance(found, Stop)
        if found is None:
            waited += 1
            continue
        assert not {p.key for p in found.cells} & {o.params.key for o in running}
    assert waited  # seeds are placed by what all cells say


def test_a_run_of_somebody_elses_scouts_is_waited_for() -> None:
    batch = next_batch([], Design())
    assert isinstance(batch, Batch)
    running = [Outcome(p, pending=True, share=batch.share) for p in batch.cells]
    assert next_batch(running, Design()) is None


@pytest.mark.parametrize("trials", [1, 7, 20])
def test_a_budget_is_never_passed_and_what_is_open_is_said(trials: int) -> None:
    stop = stopped(replay := replayed(trains(Plane()), Design(trials=trials)))
    assert replay.trials == trials
    assert stop.reason == "budget"
    assert "whether weight decay helps" in stop.why
    assert "best so far is lr" in stop.why
    assert "about 20" in stop.why or "more" in stop.why


def test_a_time_that_allows_no_trial_is_a_budget_too() -> None:
    known = trains(Plane())(grid([0.01, 0.1], [0.0]), 1)
    for left in (0.0, 0.9):
        stop = next_batch(known, Design(), left=left)
        assert isinstance(stop, Stop)
        assert stop.reason == "budget"
    some = next_batch(known, Design(), left=3.2)
    assert isinstance(some, Batch)
    assert len(some.cells) <= 3


def test_a_budget_that_is_just_enough_is_no_complaint(plain: Replay) -> None:
    stop = next_batch(plain.outcomes, Design(trials=plain.trials))
    assert stop == plain.stop


def test_cells_that_come_out_equal_stop_it_with_what_may_be_wrong() -> None:
    stop = stopped(replay := replayed(always(1.3)))
    assert stop.reason == "hopeless"
    assert replay.trials <= 16
    assert "scheduler" in stop.why
    assert "optimizer" in stop.why


@pytest.mark.parametrize("scouts", [True, False])
def test_where_everything_diverges_it_says_so_early(scouts: bool) -> None:
    stop = stopped(replay := replayed(always(diverged=True), scouts=scouts))
    assert stop.reason == "hopeless"
    assert "diverges at every lr from 1e-7 to 10" in stop.why
    assert replay.trials <= 20


@pytest.mark.parametrize("noise", [0.0, 0.003])
@pytest.mark.parametrize("scouts", [True, False])
def test_a_loss_that_never_improves_stops_it_early(noise: float, scouts: bool) -> None:
    rng = np.random.default_rng(0)

    def never(cells: Iterable[TrialParams], share: float) -> list[Outcome]:
        values = INITIAL * np.exp(noise * np.abs(rng.standard_normal(100)))
        return [
            Outcome(p, float(v), initial_loss=INITIAL, share=share)
            for p, v in zip(cells, values, strict=False)
        ]

    stop = stopped(replay := replayed(never, scouts=scouts))
    assert stop.reason == "hopeless"
    assert replay.trials <= 20
    assert "trains" in stop.why or "equal" in stop.why


def test_trials_that_fail_are_not_asked_again_and_end_it() -> None:
    for train in (always(failed=True), trains(Plane(), whole(lambda o: replace(o, failed=True)))):
        stop = stopped(replay := replayed(train))
        assert stop == Stop("hopeless", "no trial could be trained to its end")
        assert replay.trials <= 20


@pytest.mark.parametrize(
    "fails",
    [lambda p: p.lr > 0.05, lambda p: p.weight_decay > 0.002, lambda p: p.seed == 1,
     lambda p: p.weight_decay == 0],
    ids=["high lr", "large weight decay", "second seed", "without decay"],
)  # fmt: skip
@pytest.mark.slow
def test_a_part_of_the_plane_that_fails_does_not_hold_it_up(
    fails: Callable[[TrialParams], bool],
) -> None:
    lost = whole(lambda o: replace(o, value=math.nan, failed=True) if fails(o.params) else o)
    replay = replayed(trains(QUIET, lost))
    assert stopped(replay).reason in ("answered", "hopeless")
    assert replay.trials < 90


def test_an_accuracy_is_studied_as_what_it_lacks_to_one() -> None:
    def share(outcome: Outcome) -> Outcome:
        return replace(outcome, value=min(outcome.value / INITIAL, 1.0), initial_loss=math.nan)

    def accuracy(outcome: Outcome) -> Outcome:
        return replace(share(outcome), value=1 - share(outcome).value)

    low = replayed(trains(QUIET, share), Design(trials=20))
    high = replayed(trains(QUIET, accuracy), Design(trials=20), minimize=False)
    assert [b.cells for b in high.batches] == [b.cells for b in low.batches]
    assert high.stop == low.stop


@pytest.mark.slow
def test_an_accuracy_that_reaches_one_ends() -> None:
    def examples(outcome: Outcome) -> Outcome:
        """Of 200 examples; all of them at the best cells."""
        error = outcome.value if outcome.diverged else max(outcome.value / INITIAL - 0.04, 0.0)
        value = math.nan if outcome.diverged else 1 - round(200 * min(error, 1.0)) / 200
        return replace(outcome, value=value, initial_loss=math.nan)

    replay = replayed(trains(Plane(), examples), minimize=False)
    assert stopped(replay).reason in ("answered", "hopeless")
    assert replay.trials < 130


@pytest.mark.parametrize("minimize", [True, False])
def test_values_that_are_not_positive_have_a_best_cell_and_no_gains_told(minimize: bool) -> None:
    def change(outcome: Outcome) -> Outcome:
        score = math.log(outcome.value)  # of either sign
        return replace(outcome, value=score if minimize else -score - 1, initial_loss=math.nan)

    if minimize:
        stop = stopped(replayed(trains(QUIET, change)))
        assert stop.reason == "hopeless"
        assert "can't be told of values that are not all positive" in stop.why
    asked = Design(effects=None, limit=None)
    assert stopped(replayed(trains(QUIET, change), asked, minimize=minimize)).reason == "answered"


def test_cells_that_are_there_are_used(plain: Replay) -> None:
    """A grid of somebody's, two seeds a cell, which holds the answers but for a few trials."""
    lrs, decays = log_range(10**-2.5, 10**-0.5, 5), [0.0, *log_range(1e-5, 0.03, 8)]
    known = trains(QUIET)(grid(lrs, decays, seeds=2), 1)
    replay = replayed(trains(QUIET, seed=1), known=known)
    assert not any(batch.stage == "scout" for batch in replay.batches)
    assert stopped(replay).reason in ("answered", "hopeless")
    assert replay.trials < plain.trials / 2


@pytest.mark.slow
def test_cells_at_random_places_are_no_obstacle() -> None:
    rng = np.random.default_rng(0)
    places = zip(10 ** rng.uniform(-5, 1, 40), 10 ** rng.uniform(-6, 0, 40), strict=True)
    cells = [TrialParams(float(lr), float(decay), i) for i, (lr, decay) in enumerate(places)]
    replay = replayed(trains(Plane()), known=trains(Plane())(cells, 1))
    assert stopped(replay).reason in ("answered", "hopeless")
    assert replay.trials < 100


@pytest.mark.parametrize("scouts", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("lr", "decay"),
    [((0.01, 0.1), (1e-7, 100)), ((1e-7, 1e3), (1e-4, 1e-3)), ((0.01, 0.1), (1e-4, 1e-3)),
     ((0.02, 0.025), (3e-4, 4e-4))],
    ids=["lr", "weight decay", "both", "a spot"],
)  # fmt: skip
def test_narrow_limits_are_kept_and_looked_at(
    lr: tuple[float, float], decay: tuple[float, float], scouts: bool
) -> None:
    replay = replayed(trains(QUIET), Design(lr=lr, weight_decay=decay), scouts=scouts)
    assert stopped(replay).reason in ("answered", "hopeless")
    assert 4 <= replay.trials < 60


@pytest.mark.parametrize("lr", [(1e-7, 1e-5), (1e-7, 2e-5), (10.0, 1e3)])
def test_limits_where_nothing_trains_are_looked_at_whole(lr: tuple[float, float]) -> None:
    stop = stopped(replay := replayed(trains(Plane()), Design(lr=lr)))
    assert stop.reason == "hopeless"
    asked = {p.lr for batch in replay.batches if batch.share == 1 for p in batch.cells}
    assert max(asked) / min(asked) > 50


@pytest.mark.parametrize("name", ["best", "effects", "limit"])
def test_what_is_not_asked_costs_nothing(name: str, plain: Replay) -> None:
    design = replace(Design(), **{n: None for n in ("best", "effects", "limit") if n != name})
    stop = stopped(replay := replayed(trains(QUIET), design))
    assert stop.reason == "answered"
    assert [q.name for q in open_questions(replay.outcomes, design)] == [name]
    assert replay.trials <= plain.trials


def test_where_training_needs_weight_decay_that_is_the_answer() -> None:
    def needs_it(outcome: Outcome) -> Outcome:
        lost = outcome.params.weight_decay == 0
        return replace(outcome, value=math.nan, diverged=True) if lost else outcome

    stop = stopped(replayed(trains(QUIET, needs_it)))
    assert stop.reason == "answered"
    assert "diverges without it" in stop.why


def test_questions_are_open_before_anything_is_known_and_answered_at_the_stop(
    plain: Replay,
) -> None:
    design = Design()
    first = open_questions([], design)
    assert [(q.name, q.asked) for q in first] == [("best", 0.02), ("effects", 0.05), ("limit", 0.5)]
    assert not any(q.answered for q in first)
    last = open_questions(plain.outcomes, design)
    assert all(q.answered for q in last) == (stopped(plain).reason == "answered")
    assert all(q.width <= q.asked * 1.06 for q in last if q.answered)


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_said_of_trials_rests_on_short_runs(order: int, plain: Replay) -> None:
    """Whatever the short runs came to, what is known of whole ones is the same."""
    lying = [
        replace(o, value=o.value**order) if o.is_scout and not o.diverged else o
        for o in plain.outcomes
    ]
    assert open_questions(lying, Design()) == open_questions(plain.outcomes, Design())
