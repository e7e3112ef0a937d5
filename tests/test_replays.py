"""Replays on tables: what a table answers, what that costs, and what is taken for an answer."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wdstudy import landscape
from wdstudy.design.batch import Batch, Stop
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome, frame_of
from wdstudy.space import SearchSpace, TrialParams
from wdstudy.study.file import load_specs

# Last, because some of its modules are named as packages are.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import design
import methods
from replays import Replay, Table, level, stated
from scores import Answers, Found, Look, first_for_good, look
from standings import goals, kept, plot, standings
from tables import STUDIES, WIDE, shortened

ALONE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
NAMES = sorted(path.name.split(".")[0] for path in WIDE.glob("*.csv.xz"))
LRS = [float(f"{10 ** (k / 2):.6g}") for k in range(-6, 1)]
DECAYS = [0.0, *(float(f"{10 ** (k / 3):.6g}") for k in range(-12, 1))]


def surface(lr: float, weight_decay: float) -> float:
    """Log loss: least at lr 0.03 without weight decay, at 0.1 with it; harm from 0.01 on."""
    x, y = math.log10(lr), math.log10(weight_decay) if weight_decay else -9.0
    gain = 0.3 * min(max(y + 4, 0.0), 1.0) if x > -1.2 else 0.0
    return math.log(0.1) + 0.15 * (x + 1.5) ** 2 - gain + 1.2 * max(y + 2, 0.0)


def toy(noise: float = 0.0, harm: float = 1.0) -> pd.DataFrame:
    """A plane of known truth, six seeds. harm: weight decays are divided by this."""
    rng = np.random.default_rng(0)
    rows = [
        (lr, decay, seed, math.exp(surface(lr, decay * harm) + noise * rng.standard_normal()))
        for lr in LRS
        for decay in DECAYS
        for seed in range(6)
    ]
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])
    return frame.assign(diverged=False, initial_loss=2.3, share=1.0)


def table(
    rows: pd.DataFrame, order: tuple[int, ...] = (0, 1, 2, 3, 4, 5), **options: bool
) -> Table:
    return Table.made("toy", rows, rows[rows["share"] == 1], list(order), **options)


def trained(plane: Table, lrs: list[float], seeds: int = 2) -> list[Outcome]:
    return Replay(plane).train(SearchSpace(lrs, DECAYS, seeds).cells())


def seen(outcomes: list[Outcome], plane: Table) -> Look:
    return look(outcomes, Answers.of(plane), stage="", trials=len(outcomes), prices=[0.0])


def test_a_table_answers_at_the_nearest_lr_and_between_weight_decays() -> None:
    plane = table(toy())
    low, high = DECAYS[4], DECAYS[5]
    middle = math.sqrt(low * high)
    got = plane.ask(TrialParams(0.04, middle))
    assert got.params.lr == LRS[3]
    assert got.params.weight_decay == pytest.approx(middle)
    between = (surface(LRS[3], low) + surface(LRS[3], high)) / 2
    assert math.log(got.value) == pytest.approx(between)
    assert level(plane.full[LRS[3]], got.params.weight_decay) == pytest.approx(between, rel=1e-6)

    nothing = plane.ask(TrialParams(0.04, 0.0))
    assert (nothing.params.weight_decay, nothing.initial_loss) == (0.0, 2.3)
    assert plane.ask(TrialParams(0.04, 1e-12)).params.weight_decay == DECAYS[1]  # never 0
    snapped = table(toy(), snaps=True).ask(TrialParams(0.04, middle * 1.01))
    assert snapped.params.weight_decay == high


def test_a_table_answers_by_seeds_in_its_own_order_and_by_length() -> None:
    rows = toy(noise=0.1)
    short = rows[rows["seed"] == 0].assign(value=1.5, share=0.06)
    rows.loc[rows["lr"] == 1.0, ["value", "diverged"]] = math.nan, True
    plane = table(pd.concat([rows, short]), order=(3, 0, 5, 1, 2, 4))
    cell = rows[(rows["lr"] == LRS[0]) & (rows["weight_decay"] == 0)].set_index("seed")["value"]
    told = [plane.ask(TrialParams(LRS[0], 0.0, seed)) for seed in range(7)]
    assert [o.value for o in told[:3]] == [cell[3], cell[0], cell[5]]
    assert told[6] == told[0]  # there is no seventh

    lost = plane.ask(TrialParams(2.0, DECAYS[3]))
    assert (lost.diverged, math.isnan(lost.value)) == (True, True)
    scout = plane.ask(TrialParams(LRS[0], 0.0), share=0.05)
    assert (scout.value, scout.share, scout.is_scout) == (1.5, 0.06, True)
    with pytest.raises(LookupError, match="share"):
        table(rows).ask(TrialParams(1.0, 0.0), share=0.05)


def test_what_is_asked_twice_costs_once_and_lanes_cost_less() -> None:
    replay = Replay(table(toy()))
    cells = SearchSpace(LRS[:2], DECAYS[:8]).cells()  # 16 lanes
    replay.train(cells)
    assert (replay.trials, replay.prices, replay.again) == (16, [pytest.approx(4.0)], 0)
    told = replay.train(cells[:3])
    assert (len(told), replay.trials, replay.again, len(replay.outcomes)) == (3, 16, 3, 16)
    replay.train([TrialParams(LRS[0], 0.0, seed) for seed in (1, 2)])  # lanes share a seed
    assert replay.prices == [pytest.approx(4.0 + 2 * stated(1))]
    replay.train(SearchSpace(LRS[2:4], DECAYS[:8]).cells(), alone=True)
    assert replay.prices == [pytest.approx(4.0 + 2 + 16)]


def test_the_answers_of_a_known_plane_are_recognised() -> None:
    plane = table(toy(noise=0.01))
    answers = Answers.of(plane)
    assert answers.gaining == {LRS[4], LRS[5]}
    told = seen(trained(plane, LRS), plane)
    assert (told.lr, told.near, told.gain, told.clean, told.contradicted) == (
        0.1,
        True,
        True,
        True,
        0,
    )
    assert told.limit < 0.5
    assert told.told
    assert told.slope < 0.5


def test_what_is_not_known_or_is_false_is_no_answer() -> None:
    plane = table(toy(noise=0.01))
    outcomes = trained(plane, LRS[:3])
    told = seen(outcomes, plane)  # the low lr alone
    assert (told.near, told.gain, told.clean, told.told) == (False, False, True, False)
    assert not seen(outcomes[: len(outcomes) // 2], plane).told
    assert seen([], plane).regret == math.inf

    other = table(toy(noise=0.01, harm=10.0))  # where harm begins a decade earlier
    told = seen(trained(plane, LRS), other)
    assert (told.clean, told.limit) == (False, math.inf)


def test_what_is_looked_at_is_what_the_landscape_says() -> None:
    outcomes = trained(table(toy(noise=0.05)), LRS[1:6])
    trials = frame_of(outcomes)
    whole, part = landscape(trials), Found.of(trials)
    assert (part.best, part.effects, part.limit) == (whole.best, whole.effects, whole.limit)


def test_an_answer_counts_from_when_it_stays() -> None:
    looks = [Look("", n, (n,), regret=r) for n, r in ((8, 0.01), (16, 0.3), (24, 0.0), (32, 0.02))]
    stays = first_for_good(looks, lambda at: at.near)
    assert stays is not None
    assert stays.trials == 24
    assert first_for_good(looks[:2], lambda at: at.near) is None


def test_a_run_that_asks_for_ever_for_the_same_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch("map", "again", (TrialParams(0.1, 0.0),))
    monkeypatch.setattr(methods, "next_batch", lambda *_, **__: batch)
    done = design.run(design.Job("head_sgd", "design", 0, 8, Design()))
    assert (done.trials, done.stop.reason) == (1, "hopeless")
    assert "stuck" in done.stop.why


def test_a_design_stops_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(outcomes: list[Outcome], *_: object, **__: object) -> Batch | Stop:
        cells = (TrialParams(0.1, 0.0), TrialParams(0.1, 0.01))
        return Stop("answered", "enough") if outcomes else Batch("find", "a look", cells)

    monkeypatch.setattr(methods, "next_batch", once)
    row = design.run(design.Job("head_sgd", "design", 0, 8, Design())).row()
    assert (row["trials"], row["stop"], row["price"]) == (2, "answered", pytest.approx(1.2))
    assert row["open"] == "best effects limit"
    assert math.isnan(row["enough"])


@pytest.mark.parametrize(("method", "trials"), [("grid", 98), ("suggest", None), ("tpe", None)])
def test_other_methods_spend_trials(method: str, trials: int | None) -> None:
    plane = Table.of("teacher_sgd", 1)
    replay, way = Replay(plane), methods.METHODS[method]
    spends, told = way.begin(plane, 1), None
    while replay.trials < 30 or (trials and replay.trials < trials):
        batch = spends.send(told) if told is not None else next(spends)
        told = replay.train(batch.cells, alone=way.alone)
    lrs = {o.params.lr for o in replay.outcomes}
    if method == "suggest":
        assert min(lrs) < plane.lr[0] / 10 or max(lrs) > plane.lr[-1] * 10
    else:
        assert lrs <= set(plane.lr)
    if trials:
        assert replay.trials == trials
        with pytest.raises(StopIteration):
            spends.send(told)


@pytest.mark.slow
def test_the_command_prints_standings_and_draws_them(tmp_path: Path) -> None:
    flags = ["--table", "teacher_sgd", "--methods", "grid,design", "--replays", "2"]
    command = [sys.executable, str(Path(design.__file__)), *flags, "--csv", str(tmp_path / "a.csv")]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE, check=True)
    assert "teacher_sgd grid 1: 98.0 trials" in done.stdout
    rows = pd.read_csv(tmp_path / "a.csv")
    assert list(rows["method"]) == ["design", "design", "grid", "grid"]
    assert (tmp_path / "a.png").exists()
    traced = [*command[:-2], "--trace", "1"]
    done = subprocess.run(traced, capture_output=True, text=True, env=ALONE, check=True)
    assert "short runs" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_wide_table_surrounds_the_dense_one(name: str) -> None:
    rows = pd.read_csv(WIDE / f"{name}.csv.xz")
    assert rows["value"].isna().equals(rows["diverged"])
    short = rows[rows["share"] < 1]
    assert short["share"].between(0.04, 0.07).all()
    plane = Table.of(name)
    lrs, decays = sorted(plane.full), sorted(plane.full[plane.lr[0]])
    assert (lrs[0], lrs[-1], decays[:2], decays[-1]) == (1e-7, 1e3, [0.0, 1e-7], 100.0)
    assert np.diff(np.log10(lrs)).max() < 0.51
    assert np.diff(np.log10(decays[1:])).max() < 0.34
    assert all(len(cell.rows) == 6 for lr in plane.lr for cell in plane.full[lr].values())
    moved = Table.of(name, 3)
    assert 0 < abs(math.log10(moved.lr[0] / plane.lr[0])) < 0.08


@pytest.mark.parametrize("name", ["gpt_adamw", "mlp_adam"])
def test_a_short_run_is_a_twentieth_of_the_steps(name: str) -> None:
    (spec,) = load_specs(STUDIES[name])
    short, share = shortened(spec)
    assert spec.task is not None
    assert short.task is not None
    examples = len(short.task.data()[0][0])
    whole = spec.epochs * (len(spec.task.data()[0][0]) // spec.batch_size)
    assert short.epochs * (examples // spec.batch_size) == share * whole
    assert share == pytest.approx(0.05)
    points = short.record_points(examples // spec.batch_size)  # about as many
    assert points - spec.record_points(whole // spec.epochs) in (0, 1)


def test_standings_name_medians_and_who_never_had_it(tmp_path: Path) -> None:
    def rows(method: str, a: list[float], b: list[float]) -> pd.DataFrame:
        given = {"table": "toy", "method": method, "replay": range(len(a)), "trials": 100.0}
        own = {"stop": "answered", "ratio": 1.1, "contradicted": 0, "statements": 3}
        told = dict.fromkeys(("effects", "b", "b_coarse", "b_slope"), b)
        prices = {f"{c}_price": a for c in ("a", *told)}
        return pd.DataFrame({**given, **own, "a": a, **told, **prices})

    path = tmp_path / "design.csv"
    never = math.inf
    kept(rows("grid", [9.0, 9, 9], [never, never, never]), path)
    kept(rows("grid", [10.0, 20, 90], [80.0, never, never]), path)  # in place of these
    whole = kept(rows("design", [12.0, 20, 21], [40.0, 45, 60]), path)
    assert len(whole) == 6
    shown = standings(whole).set_index("method")
    assert shown.loc["grid", "(a)"] == "20 (90)"
    assert shown.loc["grid", "(b)"] == "never (best 80; never 2)"
    assert shown.loc["design", "≤ 1.3"] == "100 %"
    (line,) = goals(whole).to_dict("records")
    assert line["(b) grid, by 2"] == "45 ≤ 50 ✓"  # never: as if at the end, after 100
    plot(whole).savefig(tmp_path / "design.png")
    assert (tmp_path / "design.png").stat().st_size > 10_000
