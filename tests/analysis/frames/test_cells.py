from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_studies import grid_study, placed, study_of, trained
from optuna.trial import TrialState

from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.best import best_cell
from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.views.heatmap import heatmap_info
from wdstudy.errors import StudyError


def test_cells_are_means_over_seeds_with_their_spread() -> None:
    study = study_of([placed(0.1, 0.01, v, seed=s) for s, v in enumerate((1.0, 2.0, 3.0))])
    grid = cell_grid(trials_frame(study))
    assert grid.cells.to_dict("records") == [
        {"lr": 0.1, "weight_decay": 0.01, "value": 2.0, "spread": 1.0, "seeds": 3, "diverged": 0.0}
    ]
    assert (grid.trials, grid.seeds) == (3, 3)


def test_a_cell_half_of_which_diverged_has_no_value() -> None:
    rows = [trained(0.1, 0.01, s, diverged=s < 1) for s in range(3)]
    rows += [trained(1.0, 0.01, s, diverged=s < 1) for s in range(2)]
    cells = cell_grid(trials_frame(study_of(rows))).cells.set_index("lr")
    assert cells.loc[0.1, "diverged"] == pytest.approx(1 / 3)
    assert cells.loc[0.1, "seeds"] == 2
    assert math.isnan(cells.loc[1.0, "value"])


def test_the_best_ones_are_in_order_and_of_the_studys_direction() -> None:
    trials = trials_frame(grid_study(lrs=[0.01, 0.1, 1, 10], weight_decays=[0.001, 0.01, 0.1, 1]))
    grid = cell_grid(trials)
    assert grid.best == (0.1, 0.01)
    assert len(grid.top) == 8  # no more than half of the 16 cells
    worst = cell_grid(trials, minimize=False)
    assert worst.best == (10.0, 1.0)
    trials.attrs["minimize"] = False
    assert cell_grid(trials).best == (10.0, 1.0)


def test_a_value_computed_in_another_way_is_the_same_cell() -> None:
    study = study_of([placed(0.3, 0.01, 1.0), placed(0.1 + 0.2, 0.01, 3.0)])
    assert cell_grid(trials_frame(study)).cells["value"].tolist() == [2.0]


def test_samples_are_told_from_a_grid() -> None:
    scattered = study_of([placed(0.1 * 1.1**i, 0.01 * 1.2**i, 1.0 + i) for i in range(12)])
    assert cell_grid(trials_frame(scattered)).scattered
    holes = study_of([trained(lr, wd) for lr in (0.1, 1.0) for wd in (0.1, 1.0)][:3])
    assert not cell_grid(trials_frame(holes)).scattered
    assert not cell_grid(trials_frame(study_of([trained(0.1, 0.1)]))).scattered


def test_tables_have_weight_decay_downwards_from_the_largest() -> None:
    table = cell_grid(trials_frame(grid_study())).table()
    assert table.index.tolist() == [0.1, 0.01, 0.001, 0.0]
    assert table.columns.tolist() == [0.01, 0.1, 1.0]
    assert table.loc[0.01, 0.1] == pytest.approx(0.1)


def test_what_can_not_be_gathered_is_one_line() -> None:
    trials = trials_frame(grid_study())
    with pytest.raises(StudyError, match="no numbers 'final_val_los'; did you mean"):
        cell_grid(trials, "final_val_los")
    with pytest.raises(StudyError, match="no numbers 'worker'"):
        cell_grid(trials, "worker")
    running = trials.assign(state="RUNNING")
    running.attrs["study"] = "s"
    with pytest.raises(StudyError, match="'s' has no finished trial yet"):
        cell_grid(running)


STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
ROWS = st.lists(
    st.tuples(
        st.sampled_from([0.01, 0.1, 0.1 + 1e-13, 1.0]),
        st.sampled_from([0.0, 0.001, 0.01]),
        st.integers(0, 2),
        st.sampled_from((*STATES, "COMPLETE", "COMPLETE")),
        st.booleans(),
        st.sampled_from([0.15, 0.3, 0.1 + 0.2, math.nan, math.inf]),
    ),
    min_size=1,
    max_size=40,
)

TIE = [(0.01, 0.0, 0, "COMPLETE", False, 0.3), (0.1, 0.0, 0, "COMPLETE", False, 0.1 + 0.2)]
"""What they lack to 1 is the same number, though they are not."""


@pytest.mark.slow
@given(rows=ROWS, low=st.booleans())
@example(rows=TIE, low=False)
@settings(max_examples=200, deadline=None)
def test_the_framed_cell_is_the_verdicts_cell(rows: list[tuple[object, ...]], low: bool) -> None:
    """Whatever states the trials have, whichever direction, ties and rounding among them."""
    columns = ["lr", "weight_decay", "seed", "state", "diverged", "value"]
    trials = pd.DataFrame(rows, columns=columns)
    trials.attrs = {"minimize": low, "objective": "score"}
    if not trials["state"].isin(("COMPLETE", "PRUNED")).any():
        return
    framed = heatmap_info(trials, "value", None).best
    cells = measured(trials, "value", minimize=low)
    named = best_cell(cells, np.random.default_rng(0))
    assert named.loss.known == (framed is not None)
    if framed is not None:
        assert framed == (named.lr, named.weight_decay)
    shown = cell_grid(trials).cells
    judged = cells.table
    assert judged["diverged"].tolist() == shown.loc[judged.index, "diverged"].tolist()
    assert judged["seeds"].tolist() == shown.loc[judged.index, "seeds"].tolist()


def test_a_pruned_trial_says_nothing_of_its_cell() -> None:
    """One complete, one pruned, one diverged: half of the two that count diverged."""
    rows = [
        trained(0.1, 0.01, 0, loss=lambda *_: 0.1),
        placed(0.1, 0.01, None, TrialState.PRUNED, seed=1),
        trained(0.1, 0.01, 2, diverged=True),
        trained(1.0, 0.01, 0, loss=lambda *_: 0.5),
    ]
    grid = cell_grid(trials_frame(study_of(rows)))
    assert grid.cells["diverged"].tolist() == [0.5, 0.0]
    assert grid.best == (1.0, 0.01)
    assert grid.trials == 3


def test_a_trial_that_failed_says_nothing_though_it_had_diverged() -> None:
    """A worker that is killed between the two leaves one; its cell is trained again."""
    rows = [trained(0.1, 0.01, seed) for seed in range(2)]
    rows += [trained(0.1, 0.01, 2, diverged=True)]
    rows += [placed(0.1, 0.01, None, TrialState.FAIL, seed=2, diverged_at=3)]
    cells = cell_grid(trials_frame(study_of(rows))).cells
    assert cells["diverged"].tolist() == pytest.approx([1 / 3])
    assert cells["value"].notna().all()


@pytest.mark.parametrize(
    ("flags", "share"),
    [
        (None, 1.0),
        ([True, True], 1.0),
        ([False, False], 0.0),
        ([None, pd.NA], 1.0),
        ([False, None], 1.0),
    ],
)
def test_a_missing_number_is_divergence_unless_the_trial_denies_it(
    flags: list[object] | None, share: float
) -> None:
    rows = [(0.1, 0.01, math.nan), (0.1, 0.01, math.nan)]
    frame = pd.DataFrame(rows, columns=["lr", "weight_decay", "value"])
    if flags is not None:
        frame["diverged"] = pd.array(flags, dtype="boolean")
    assert measured(frame, "value").table["diverged"].tolist() == ([share] if share else [])
