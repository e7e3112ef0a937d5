from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wdstudy import landscape
from wdstudy.analysis.numbers.nextsweep import _within, next_sweep
from wdstudy.errors import StudyError
from wdstudy.record import RecordedSpec, StudyRecord
from wdstudy.space import SearchSpace, log_range, parse_axis

LR, WEIGHT_DECAY = log_range(1e-3, 1, 7), log_range(1e-4, 1e-1, 7)


def sweep(lr: float, weight_decay: float, seeds: int = 2, noise: float = 0.001) -> pd.DataFrame:
    """A bowl in log lr and log weight_decay around a known best."""
    rng = np.random.default_rng(0)
    rows = [
        (a, b, seed, 1 + 0.1 * (np.log10(a / lr) ** 2 + np.log10(b / weight_decay) ** 2))
        for a in LR for b in WEIGHT_DECAY for seed in range(seeds)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "seed", "value"])
    return frame.assign(value=frame.value + noise * rng.standard_normal(len(frame)))


def record(seeds: int = 2, *command: str) -> StudyRecord:
    space = SearchSpace(LR, [0.0, *WEIGHT_DECAY], seeds)
    return StudyRecord(1, RecordedSpec(space), command=command or ("mine.py",))


def test_a_best_at_an_edge_extends_the_axis_with_its_own_steps() -> None:
    found = next_sweep(landscape(sweep(lr=3, weight_decay=0.005)), record())
    assert "lr is at the upper edge" in " ".join(found.why)
    assert found.lr[: len(LR)] == LR  # the cells that are there are kept
    assert found.lr[-1] >= 3
    np.testing.assert_allclose(np.diff(np.log10(found.lr)), 0.5, atol=1e-5)
    assert found.weight_decay == (0, *WEIGHT_DECAY)


def test_what_is_printed_is_read_back_as_the_same_axes() -> None:
    found = next_sweep(landscape(sweep(lr=3, weight_decay=0.5)), record())
    flags = dict(zip(found.command[2::2], found.command[3::2], strict=True))
    assert found.command[:2] == ("run", "mine.py")
    assert parse_axis("--lr", flags["--lr"]) == found.lr
    assert parse_axis("--weight-decay", flags["--weight-decay"]) == found.weight_decay
    assert flags["--seeds"] == "2"


def test_a_best_inside_is_looked_at_closer_and_keeps_its_cells() -> None:
    found = next_sweep(landscape(sweep(lr=0.03, weight_decay=0.003)), record())
    assert "twice as fine" in found.why[-1]
    assert set(found.lr) & set(LR) == {v for v in LR if found.lr[0] <= v <= found.lr[-1]}
    np.testing.assert_allclose(np.diff(np.log10(found.lr)), 0.25, atol=1e-4)
    assert found.lr[0] < 0.03 < found.lr[-1]
    assert found.seeds == 2


@pytest.mark.parametrize(("lr", "weight_decay"), [(0.03, 0.003), (3, 0.5), (0.0312, 0.00312)])
def test_a_sampler_is_given_its_range_and_more_trials(lr: float, weight_decay: float) -> None:
    """It closes in by itself; its range must hold whatever it was, and never be empty."""
    studied = record(2, "mine.py", "--trials", "60")
    studied = replace(studied, spec=replace(studied.spec, sampler="tpe"))
    seen = landscape(sweep(lr, weight_decay))
    found = next_sweep(seen, studied)
    assert found.command.count("--trials") == 1
    flags = dict(zip(found.command[2::2], found.command[3::2], strict=True))
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


def test_a_range_that_holds_no_value_of_the_grid_leaves_the_axis() -> None:
    assert _within([1e-4, 1e-3], 2e-4, 5e-4) == [1e-4, 1e-3]


@pytest.mark.parametrize(("seeds", "then"), [(1, 2), (3, 5)])
def test_where_the_noise_hides_the_best_more_seeds_are_asked_for(seeds: int, then: int) -> None:
    found = next_sweep(
        landscape(sweep(0.03, 0.003, seeds=seeds, noise=0.05)), record(seeds, "mine.py", "--epochs")
    )
    assert found.seeds == then
    assert found.command[-2:] == ("--seeds", str(then))
    assert set(found.lr) <= set(LR)
    assert found.command[:3] == ("run", "mine.py", "--epochs")


def test_a_study_that_tells_nothing_is_one_line() -> None:
    with pytest.raises(StudyError, match="does not describe its space"):
        next_sweep(landscape(sweep(0.03, 0.003)), StudyRecord())
    diverged = sweep(0.03, 0.003).assign(value=float("nan"), diverged=True)
    with pytest.raises(StudyError, match="nothing can be suggested: no cell"):
        next_sweep(landscape(diverged), record())


def test_one_seed_is_asked_for_where_the_file_may_have_more() -> None:
    found = next_sweep(landscape(sweep(lr=3, weight_decay=0.005, seeds=1)), record(1))
    assert found.command[-2:] == ("--seeds", "1")
