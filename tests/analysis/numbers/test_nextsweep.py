"""What to train next: no more than the data asks for, and nothing once that is answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wdstudy import landscape
from wdstudy.analysis.numbers.nextsweep import MOST_TIED, next_sweep
from wdstudy.errors import StudyError
from wdstudy.record import RecordedSpec, StudyRecord
from wdstudy.space import SearchSpace, log_range, parse_axis, parse_cells

LR, WEIGHT_DECAY = log_range(1e-3, 1, 7), log_range(1e-4, 1e-1, 7)


def sweep(
    lr: float, weight_decay: float, seeds: int = 2, noise: float = 0.001, depth: float = 0.1
) -> pd.DataFrame:
    """A bowl in log lr and log weight_decay around a known best."""
    rng = np.random.default_rng(0)
    rows = [
        (a, b, seed, 1 + depth * (np.log10(a / lr) ** 2 + np.log10(b / weight_decay) ** 2))
        for a in LR for b in WEIGHT_DECAY for seed in range(seeds)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])
    return frame.assign(
        state="COMPLETE",
        train_seconds=2.0,
        value=frame.value * np.exp(noise * rng.standard_normal(len(frame))),
    )


def record(seeds: int = 2, *command: str) -> StudyRecord:
    space = SearchSpace(LR, [0.0, *WEIGHT_DECAY], seeds)
    return StudyRecord(1, RecordedSpec(space), command=command or ("mine.py",))


def flags_of(command: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(command[2::2], command[3::2], strict=True))


def test_a_best_at_an_edge_extends_the_axis_with_its_own_steps() -> None:
    found = next_sweep(landscape(sweep(lr=3, weight_decay=0.005)), record())
    assert "lr is at the upper edge" in " ".join(found.why)
    assert found.lr[: len(LR)] == LR  # the cells that are there are kept
    assert found.lr[-1] >= 3
    np.testing.assert_allclose(np.diff(np.log10(found.lr)), 0.5, atol=1e-5)
    assert found.weight_decay == (0, *WEIGHT_DECAY)


def test_what_is_printed_is_read_back_as_the_same_axes() -> None:
    found = next_sweep(landscape(sweep(lr=3, weight_decay=0.5)), record())
    flags = flags_of(found.command)
    assert found.command[:2] == ("run", "mine.py")
    assert parse_axis("--lr", flags["--lr"]) == found.lr
    assert parse_axis("--weight-decay", flags["--weight-decay"]) == found.weight_decay
    assert flags["--seeds"] == "2"


def test_an_extension_is_priced_by_what_is_not_there_yet() -> None:
    trials = sweep(lr=3, weight_decay=0.005)
    found = next_sweep(landscape(trials), record(), trials)
    wanted = len(found.lr) * len(found.weight_decay) * found.seeds
    assert found.trials == wanted - len(trials)
    assert found.seconds == pytest.approx(2.0 * found.trials)
    assert "one after the other" in found.price


def test_a_clear_best_inside_is_the_answer() -> None:
    found = next_sweep(landscape(sweep(lr=0.0316, weight_decay=0.00316)), record())
    assert found.command == ()
    assert found.why == ("you have your answer",)


def test_ties_that_hardly_differ_are_the_answer() -> None:
    trials = sweep(0.0316, 0.00316, noise=0.01, depth=0.004)
    seen = landscape(trials)
    assert seen.best.ties > 2
    found = next_sweep(seen, record(), trials)
    assert found.command == ()
    assert "you have your answer: the settings that did as well differ by about" in found.why[0]


@pytest.mark.parametrize(("seeds", "then"), [(1, 2), (3, 5)])
def test_seeds_go_to_the_tied_cells_alone(seeds: int, then: int) -> None:
    trials = sweep(0.03, 0.003, seeds=seeds, noise=0.15)
    seen = landscape(trials)
    found = next_sweep(seen, record(seeds, "mine.py", "--epochs", "3"), trials)
    assert found.command[:4] == ("run", "mine.py", "--epochs", "3")
    assert found.command[-2:] == ("--seeds", str(then))
    told = parse_cells(flags_of(found.command)["--cells"])
    tied = [(seen.best.lr, seen.best.weight_decay), *seen.best.rivals]
    assert {*told} <= {(float(f"{a:.6g}"), float(f"{b:.6g}")) for a, b in tied}
    assert len(told) == min(len(tied), MOST_TIED)
    assert found.trials == len(told) * (then - seeds)


def test_it_stops_where_the_regret_is_small() -> None:
    """Followed from the start, what is suggested ends, and its price stays below the sweep's."""
    rng, trials, asked = np.random.default_rng(1), sweep(0.0316, 0.00316, noise=0.06), 0
    for _ in range(12):
        found = next_sweep(landscape(trials), record(int(trials["seed"].nunique())), trials)
        if not found.command:
            break
        rows = [
            (a, b, s, (1 + 0.1 * (np.log10(a / 0.0316) ** 2 + np.log10(b / 0.00316) ** 2))
             * np.exp(0.06 * rng.standard_normal()), "COMPLETE", 2.0)
            for a, b in found.only for s in range(trials["seed"].max() + 1, found.seeds)
        ]  # fmt: skip
        asked += len(rows)
        columns = ["lr", "weight_decay", "seed", "value", "state", "train_seconds"]
        trials = pd.concat([trials, pd.DataFrame(rows, columns=columns)], ignore_index=True)
    assert not found.command
    assert asked <= 98


@pytest.mark.parametrize(("lr", "weight_decay"), [(0.03, 0.003), (3, 0.5), (0.0312, 0.00312)])
def test_a_sampler_is_given_its_range_and_more_trials(lr: float, weight_decay: float) -> None:
    """It closes in by itself; its range must hold whatever it was, and never be empty."""
    studied = record(2, "mine.py", "--trials", "60")
    studied = replace(studied, spec=replace(studied.spec, sampler="tpe"))
    seen = landscape(sweep(lr, weight_decay))
    found = next_sweep(seen, studied)
    assert found.command.count("--trials") == 1
    flags = flags_of(found.command)
    assert flags["--trials"] == str(2 * seen.trials)
    assert flags["--seeds"] == "2"
    assert (found.lr[-1] > LR[-1]) == (lr > LR[-1])
    assert (found.weight_decay[-1] > WEIGHT_DECAY[-1]) == (weight_decay > WEIGHT_DECAY[-1])
    for axis, flag, before in (
        (found.lr, "--lr", LR), (found.weight_decay, "--weight-decay", (0, *WEIGHT_DECAY))
    ):  # fmt: skip
        assert parse_axis(flag, flags[flag]) == axis
        assert axis[0] <= before[0]
        assert axis[-1] >= before[-1]


def test_the_study_of_another_program_is_served_by_its_trials() -> None:
    trials = sweep(lr=3, weight_decay=0.005)
    found = next_sweep(landscape(trials), StudyRecord(), trials)
    assert found.command[:2] == ("run", "STUDY_FILE")
    assert found.lr[: len(LR)] == pytest.approx(LR)


def test_a_study_that_tells_nothing_is_one_line() -> None:
    with pytest.raises(StudyError, match="does not describe its space"):
        next_sweep(landscape(sweep(0.03, 0.003)), StudyRecord())
    diverged = sweep(0.03, 0.003).assign(value=float("nan"), diverged=True)
    with pytest.raises(StudyError, match="nothing can be suggested: no cell"):
        next_sweep(landscape(diverged), record())


def test_one_seed_is_asked_for_where_the_file_may_have_more() -> None:
    found = next_sweep(landscape(sweep(lr=3, weight_decay=0.005, seeds=1)), record(1))
    assert found.command[-2:] == ("--seeds", "1")
