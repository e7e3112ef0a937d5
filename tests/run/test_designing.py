"""Studies that design themselves, trained for real; what the design asks is the planner's business
and tested there, so here it is often a script."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from displays import Lines
from optuna.trial import TrialState
from small_tasks import blobs, mlp
from torch import Tensor, nn

import wdstudy.run.batches
from wdstudy import Design, LossRecorder, SearchSpace, StudySpec, Task, TrialParams, run_study
from wdstudy.curves import DESIGN_STOP, SCOUTS
from wdstudy.design.batch import Batch, Stop
from wdstudy.design.outcomes import Outcome
from wdstudy.errors import SpecError, StudyError
from wdstudy.record import StudyRecord
from wdstudy.run.batches import place
from wdstudy.run.cells import params_of
from wdstudy.run.prepared import prepare
from wdstudy.run.queue import enqueue
from wdstudy.run.runner import Runner
from wdstudy.run.status import Status
from wdstudy.training.probe import LaneChoice

MakeSpec = Callable[..., StudySpec]
Decision = Batch | Stop | None
URL = "sqlite:///wd.db"
ANSWERED = Stop("answered", "as a script has it")


class Script:
    """A planner that gives what it is told to, batch by batch, and keeps what it was asked."""

    def __init__(self, *decisions: Decision | Sequence[tuple[float, float, int]]) -> None:
        self.decisions = [
            Batch("map", f"step {i}", tuple(TrialParams(*cell) for cell in each))
            if isinstance(each, Sequence)
            else each
            for i, each in enumerate(decisions)
        ]
        self.asked: list[tuple[list[Outcome], dict[str, Any]]] = []

    def __call__(self, outcomes: list[Outcome], design: Design, **how: Any) -> Decision:
        self.asked.append((outcomes, how))
        full = [o for o in outcomes if not o.is_scout]
        placed = {o.params.key for o in full}
        for decision in self.decisions:
            if isinstance(decision, Batch) and decision.share < 1:
                keys = {params.key for params in decision.cells}
                if keys <= {o.params.key for o in outcomes if o.is_scout}:
                    continue
            elif isinstance(decision, Batch) and {p.key for p in decision.cells} <= placed:
                if any(o.pending for o in full):
                    return None
                continue
            return decision
        return ANSWERED


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Script]:
    """Let a script plan, instead of the planner."""

    def use(*decisions: Any) -> Script:
        planner = Script(*decisions)
        monkeypatch.setattr("wdstudy.design.planner.next_batch", planner)
        monkeypatch.setattr("wdstudy.design.planner.open_questions", lambda *_, **__: ())
        return planner

    return use


def done(study: optuna.Study) -> list[tuple[float, float, int]]:
    """What was trained, in the order of trials."""
    return [
        params.key
        for t in study.trials
        if t.state.is_finished() and t.state != TrialState.FAIL and (params := params_of(t))
    ]


def test_a_study_designs_itself_without_ranges(in_folder: Path, make_spec: MakeSpec) -> None:
    """By the planner itself: scouts, trials with their reasons, a stop, and a record of all."""
    lines = Lines()
    spec = make_spec(design=Design(trials=14), space=None, epochs=20)
    study = run_study(spec, URL, lines)
    trials = study.trials
    assert 8 < len(trials) <= 14
    assert all(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials)
    for trial in trials:
        assert trial.user_attrs["stage"] in ("find", "map", "seeds")
        assert trial.user_attrs["reason"]
        assert {"lr", "weight_decay", "seed"} == set(trial.params)
    assert {t.user_attrs["batch"] for t in trials} == set(
        range(1, 1 + max(t.user_attrs["batch"] for t in trials))
    )
    scouts = study.user_attrs[SCOUTS]
    assert {row["share"] for row in scouts} == {round(10 / 60, 6)}  # 10 steps at the least
    assert min(row["lr"] for row in scouts) <= 1e-6
    assert max(row["lr"] for row in scouts) >= 100
    assert any(row["diverged"] and row["value"] is None for row in scouts)
    assert study.user_attrs[DESIGN_STOP]["reason"] in ("answered", "budget", "hopeless")
    record = StudyRecord.of(study.user_attrs)
    assert record.spec.sampler == "design"
    assert record.spec.design == {"best": 0.02, "effects": 0.05, "limit": 0.5, "trials": 14}
    assert record.adaptive
    said = "\n".join(lines.lines)
    assert "batch 1, " in said
    assert " scouts of 10 steps took " in said
    assert study.user_attrs[DESIGN_STOP]["why"] in said


def test_an_answered_study_trains_nothing_and_goes_on_where_more_is_asked(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    script([(0.01, 0, 0), (0.1, 0, 0)])
    spec = make_spec(design=Design())
    study = run_study(spec, URL)
    assert study.user_attrs[DESIGN_STOP] == {"reason": "answered", "why": "as a script has it"}
    lines = Lines()
    assert len(run_study(spec, URL, lines).trials) == 2
    assert any("answered already" in line and "--until" in line for line in lines.lines)
    planner = script([(0.01, 0, 0), (0.1, 0, 0)], [(0.01, 0, 1)])
    seen: list[object] = []

    def watching(*asked: Any, **how: Any) -> Decision:
        seen.append(optuna.load_study(study_name="small", storage=URL).user_attrs[DESIGN_STOP])
        return planner(*asked, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wdstudy.design.planner.next_batch", watching)
        study = run_study(make_spec(design=Design(best=0.01)), URL)
    assert seen[-1] is None  # while it goes on there is no stop
    assert study.user_attrs[DESIGN_STOP]["reason"] == "answered"
    assert done(study) == [(0.01, 0, 0), (0.1, 0, 0), (0.01, 0, 1)]
    assert StudyRecord.of(study.user_attrs).spec.design["best"] == 0.01


def test_a_grid_is_gone_on_with_by_a_design_and_a_design_by_a_grid(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    run_study(make_spec(), URL)  # 2 lr x 2 weight_decay
    planner = script([(0.01, 0, 0), (0.03, 0, 0)], [(0.01, 0, 1)])
    study = run_study(make_spec(design=Design()), URL)
    known, _ = planner.asked[0]
    assert [o.value for o in known] == [t.value for t in study.trials[:4]]
    assert done(study)[4:] == [(0.03, 0, 0), (0.01, 0, 1)]
    record = StudyRecord.of(study.user_attrs)
    assert (record.spec.sampler, record.adaptive) == ("design", True)
    larger = SearchSpace([0.01, 0.03, 0.1], [0, 0.01])
    study = run_study(make_spec(space=larger), URL)
    assert sorted(done(study)[6:]) == [(0.03, 0.01, 0)]
    record = StudyRecord.of(study.user_attrs)
    assert (record.spec.sampler, record.adaptive) == ("design", True)
    assert record.spec.design["best"] == 0.02


def test_what_a_grid_left_waiting_is_trained_only_where_the_design_asks_for_it(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    prepared = prepare(make_spec(), URL)
    Runner(prepared, Lines()).enqueue()  # and killed right then
    script([(0.1, 0.01, 0), (0.5, 0, 0)])
    study = run_study(make_spec(design=Design()), URL)
    assert sorted(done(study)) == [(0.1, 0.01, 0), (0.5, 0, 0)]
    states = [t.state for t in study.trials[:4]]
    assert states.count(TrialState.WAITING) == 3
    assert states.count(TrialState.FAIL) == 1  # whose cell is the design's now
    assert len(done(run_study(make_spec(), URL))) == 5


def test_a_cell_whose_training_fails_waits_for_the_next_run(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    broken = [True]

    def loss(output: Tensor, y: Tensor) -> Tensor:
        if broken[0] and torch.initial_seed() == 1:  # as long as a trial of seed 1 trains
            raise ValueError("not this seed")
        return nn.functional.cross_entropy(output, y)

    planner = script([(0.01, 0, 0)], [(0.01, 0, 1), (0.02, 0, 0)], [(0.03, 0, 0)])
    spec = make_spec(task=Task(mlp, blobs, loss), design=Design())
    lines = Lines()
    prepared = prepare(spec, URL)
    runner = Runner(prepared, lines)
    runner.take_stock()
    runner.enqueue()
    runner.work(LaneChoice(1, ""))
    assert runner.status.failed == 1
    assert sum("not this seed" in line for line in lines.lines) == 1  # tried once
    failed = [o.params.key for o in planner.asked[-1][0] if o.failed]
    assert failed == [(0.01, 0, 1)]
    assert done(runner.study) == [(0.01, 0, 0), (0.02, 0, 0), (0.03, 0, 0)]
    broken[0] = False
    study = run_study(spec, URL)
    assert (0.01, 0, 1) in done(study)


def test_scouts_are_short_runs_with_their_schedule_scaled(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    """A scout of a tenth is what a trial of a tenth of the epochs is."""
    cells = tuple(TrialParams(lr, decay) for lr, decay in ((0.01, 0), (0.1, 0.1), (1e30, 0)))
    planner = script(Batch("scout", "short runs", cells, 0.1), [(0.01, 0, 0)])
    shape = {"schedule": "cosine", "batch_size": 32, "warmup": 0.2}
    whole = make_spec(**shape, epochs=100, design=Design())
    study = run_study(whole, URL, lanes=2)
    rows = {(row["lr"], row["weight_decay"]): row for row in study.user_attrs[SCOUTS]}
    assert [row["steps"] for row in rows.values()] == [30] * 3
    assert [row["share"] for row in rows.values()] == [0.1] * 3
    short = make_spec(**shape, name="short", epochs=10, space=SearchSpace([0.01, 0.1], [0, 0.1]))
    values = {params_of(t).cell: t.value for t in run_study(short, URL, lanes=1).trials}  # type: ignore[union-attr]
    for cell in ((0.01, 0), (0.1, 0.1)):
        assert rows[cell]["value"] == pytest.approx(values[cell], rel=1e-4)
        assert not rows[cell]["diverged"]
    lost = rows[1e30, 0]
    assert (lost["diverged"], lost["value"]) == (True, None)
    scouts = [o for o in planner.asked[-1][0] if o.is_scout]
    assert [o.params.lr for o in scouts] == [0.01, 0.1, 1e30]
    assert len(study.trials) == 1  # scouts are none
    before = len(planner.asked)
    run_study(make_spec(**shape, epochs=100, design=Design(best=0.01)), URL)
    assert all(o in planner.asked[before][0] for o in scouts)  # and are kept


def test_scouting_that_fails_gives_way_to_trials(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    cells = (TrialParams(1e9, 0),)
    asked = Batch("scout", "short runs", cells, 0.1)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        if float(output.detach().abs().max()) > 1e6:
            raise ValueError("too large")
        return nn.functional.cross_entropy(output, y)

    planner = script()
    planner.decisions = [asked]

    def plan(outcomes: list[Outcome], design: Design, **how: Any) -> Decision:
        planner.asked.append((outcomes, how))
        return asked if how["scouts"] else ANSWERED

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wdstudy.design.planner.next_batch", plan)
        lines = Lines()
        run_study(make_spec(task=Task(mlp, blobs, loss), epochs=40, design=Design()), URL, lines)
    assert any("scouting fails" in line and "too large" in line for line in lines.lines)


def test_a_study_whose_runs_can_be_no_shorter_does_not_scout(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    planner = script([(0.1, 0, 0)])
    run_study(make_spec(design=Design()), URL)  # six steps
    assert not any(how["scouts"] for _, how in planner.asked)


def own_loop(seconds: float, calls: list[TrialParams]) -> Callable[..., None]:
    """A loop of one's own that takes so long a trial."""

    def train(params: TrialParams, recorder: LossRecorder) -> None:
        calls.append(params)
        torch.manual_seed(params.seed)
        model = nn.Linear(10, 3)
        optimizer = torch.optim.SGD(model.parameters(), params.lr, weight_decay=params.weight_decay)
        recorder.watch(optimizer)
        (x, y), (x_val, y_val) = blobs()
        for _ in range(3):
            time.sleep(seconds / 3)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            recorder.step(loss)
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(x_val).argmax(1) == y_val).float().mean()
            recorder.point(val_loss=float(loss), val_accuracy=float(accuracy))

    return train


def test_a_loop_of_ones_own_designs_itself_without_scouts(
    in_folder: Path, script: Callable[..., Script]
) -> None:
    calls: list[TrialParams] = []
    planner = script([(0.1, 0, 0)], [(0.1, 0.01, 3), (0.2, 0, 0)])
    spec = StudySpec(
        name="own", train=own_loop(0, calls), design=Design(), objective="val_accuracy"
    )
    study = run_study(spec, URL)
    assert [params.key for params in calls] == [(0.1, 0, 0), (0.1, 0.01, 3), (0.2, 0, 0)]
    assert not any(how["scouts"] for _, how in planner.asked)
    assert all(how["minimize"] is False for _, how in planner.asked)
    known, _ = planner.asked[-1]
    assert [o.value for o in known] == [t.user_attrs["final_val_accuracy"] for t in study.trials]
    assert all(o.initial_loss != o.initial_loss for o in known)  # no loss is judged by


def test_an_objective_to_maximise_by_the_planner_itself(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    spec = make_spec(design=Design(best=0.05, effects=None, limit=None, trials=10), epochs=20,
                     objective="val_accuracy")  # fmt: skip
    study = run_study(spec, URL)
    values = [t.value for t in study.trials if t.value is not None]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert max(values) > 0.7  # of three classes
    rows = study.user_attrs[SCOUTS]
    best = max((row for row in rows if row["value"] is not None), key=lambda row: row["value"])
    assert 1e-4 < best["lr"] < 10


def test_the_time_that_is_left_is_counted_in_trials_and_ends_the_run(
    in_folder: Path, script: Callable[..., Script]
) -> None:
    script()
    lefts: list[float | None] = []

    def plan(outcomes: list[Outcome], design: Design, **how: Any) -> Decision:
        lefts.append(how["left"])
        if how["left"] is not None and how["left"] < 1:
            return Stop("budget", "the time is over")
        return Batch("map", "more", (TrialParams(0.1, 0, len(outcomes)),))

    calls: list[TrialParams] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wdstudy.design.planner.next_batch", plan)
        spec = StudySpec(name="own", train=own_loop(0.15, calls), design=Design(seconds=1.5))
        began = time.monotonic()
        study = run_study(spec, URL)
        took = time.monotonic() - began
    assert lefts[0] is None  # nothing tells what a trial takes
    known = [left for left in lefts if left is not None]
    assert known == sorted(known, reverse=True)
    assert known[0] < 10
    assert 2 <= len(calls) <= 10
    assert took < 1.5 + 1.5  # and not the time of the trials that were asked for
    assert study.user_attrs[DESIGN_STOP]["reason"] == "budget"
    assert spec.recorded().design["seconds"] == 1.5


def test_of_batches_that_are_planned_at_once_one_stands(
    in_folder: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers saw the same trials but for one, and planned different batches."""
    study = prepare(make_spec(design=Design()), URL).study
    ours = Batch("map", "ours", tuple(TrialParams(0.1, 0, seed) for seed in range(4)))
    theirs = Batch("seeds", "theirs", tuple(TrialParams(0.2, 0, seed) for seed in range(3)))
    placed = []

    def late(*asked: Any, **how: Any) -> None:
        """The other worker is faster, just before our first cell is enqueued."""
        if not placed:
            placed.append(1)
            placed.append(place(study, theirs, after=0, by="theirs"))
        enqueue(*asked, **how)

    monkeypatch.setattr(wdstudy.run.batches, "enqueue", late)
    assert place(study, ours, after=0, by="ours") == 0
    assert placed[1] == 1
    waiting = [t for t in study.trials if t.state == TrialState.WAITING]
    assert [params_of(t) for t in waiting] == list(theirs.cells)
    assert place(study, ours, after=0, by="ours") == 0  # planned without theirs
    assert place(study, ours, after=1, by="ours") == 2
    assert [t.user_attrs["batch"] for t in study.trials if t.state == TrialState.WAITING] == [
        1, 1, 1, 2, 2, 2, 2,
    ]  # fmt: skip
    assert place(study, theirs, after=2, by="another") == 0  # all of it is there


def test_who_finds_half_a_batch_waits_for_the_rest_and_then_goes_on_alone(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whoever placed the first cell of four was killed before the others."""
    planner = script([(0.1, 0, 0), (0.1, 0, 1), (0.1, 0, 2), (0.1, 0, 3)])
    prepared = prepare(make_spec(design=Design()), URL)
    batch = planner.decisions[0]
    assert isinstance(batch, Batch)

    def killed(*asked: Any, **how: Any) -> None:
        if how.get("by") is None:
            raise KeyboardInterrupt
        enqueue(*asked, **how)

    with monkeypatch.context() as patch:
        patch.setattr(wdstudy.run.batches, "enqueue", killed)
        with pytest.raises(KeyboardInterrupt):
            place(prepared.study, batch, after=0, by="lost")
    monkeypatch.setattr("wdstudy.run.designing.ENQUEUE_SECONDS", 1.0)
    began = time.monotonic()
    study = run_study(make_spec(design=Design()), URL, lanes=1)
    assert time.monotonic() - began > 0.9
    assert sorted(done(study)) == [(0.1, 0, seed) for seed in range(4)]
    assert [t.user_attrs["batch"] for t in study.trials] == [1, 2, 2, 2]


def test_cells_beyond_new_limits_are_left_waiting(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    script([(0.1, 0, 0), (5.0, 0, 0)])
    prepared = prepare(make_spec(design=Design()), URL)
    Runner(prepared, Lines()).enqueue()  # and killed right then
    script([(0.1, 0, 0)])
    study = run_study(make_spec(design=Design(lr=(1e-3, 1.0))), URL)
    assert done(study) == [(0.1, 0, 0)]


def test_every_worker_takes_its_part_of_a_small_batch(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    script([(0.1, 0, 0), (0.2, 0, 0), (0.3, 0, 0), (0.4, 0, 0)])
    runner = Runner(prepare(make_spec(design=Design()), URL), Lines())
    runner.take_stock()
    runner.enqueue()
    placer = runner._placer
    placer.set_size(8, 3)
    assert placer.fair(8) == 2
    placer.set_size(1, 3)
    assert placer.fair(1) == 1


def test_a_status_tells_the_newest_batch_of_all_workers() -> None:
    whole, one, two = Status(4), Status(6), Status(8)
    one.note_batch(2, "map: columns", 6)
    two.note_batch(3, "seeds: noise", 9)
    for status in (two, one):
        whole.add(status)
    assert whole.total == 9
    assert whole.stage() == "batch 3, seeds: noise"
    whole.ended = True
    assert whole.stage() == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sampler": "tpe"}, "sampler='tpe': .* designs itself places its own trials; leave out"),
        ({"pruner": "median"}, "pruner='median': .* learns from .* leave out pruner=, or give sp"),
        ({"design": "best"}, "design='best'; give what is asked: design=Design"),
        ({"design": None, "space": None, "sampler": "tpe"}, "sampler='tpe' without a space; give"),
    ],
)
def test_what_contradicts_a_design_is_one_line(
    make_spec: MakeSpec, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        make_spec(**{"design": Design(), **changes})


def test_the_sampler_of_a_design_is_for_studies_of_optunas_own(make_spec: MakeSpec) -> None:
    from wdstudy import LandscapeSampler

    with pytest.raises(SpecError, match=r"LandscapeSampler\(...\) is for .* say design=Design"):
        make_spec(sampler=LandscapeSampler())


def test_trials_of_a_spec_are_the_budget_of_its_design(make_spec: MakeSpec) -> None:
    spec = make_spec(design=Design(), trials=30)
    assert spec.design == Design(trials=30)
    assert spec.space == Design().space


def test_a_study_of_another_sampler_is_not_gone_on_with(
    in_folder: Path, make_spec: MakeSpec, script: Callable[..., Script]
) -> None:
    script([(0.1, 0, 0)])
    run_study(make_spec(sampler="random", trials=2), URL)
    with pytest.raises(StudyError, match="sampler='random', now 'design'"):
        run_study(make_spec(design=Design()), URL)
