from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wdstudy import SearchSpace, log_range
from wdstudy.errors import SpaceError
from wdstudy.space import TrialParams, parse_axis, parse_cells


def test_log_range_is_geometric_and_exact_at_its_ends() -> None:
    points = log_range(1e-5, 1e-1, 9)
    ratios = [b / a for a, b in pairwise(points)]
    assert points[0] == 1e-5
    assert points[-1] == 1e-1
    assert ratios == pytest.approx([math.sqrt(10)] * 8, rel=1e-5)


def test_an_enlarged_range_meets_the_points_it_had() -> None:
    assert set(log_range(1e-3, 1, 7)) < set(log_range(1e-4, 10, 11))


@given(
    lr=st.sets(st.floats(1e-6, 10), min_size=1, max_size=9),
    weight_decay=st.sets(st.floats(0, 10), min_size=1, max_size=9),
    seeds=st.integers(1, 3),
)
def test_the_grid_holds_every_cell_once_seed_by_seed(
    lr: set[float], weight_decay: set[float], seeds: int
) -> None:
    space = SearchSpace(list(lr), list(weight_decay), seeds)
    cells = space.cells()
    assert len(cells) == len(set(cells)) == len(space) == len(lr) * len(weight_decay) * seeds
    assert [c.seed for c in cells] == sorted(c.seed for c in cells)


def test_the_corners_of_the_plane_are_trained_first() -> None:
    space = SearchSpace(lr=log_range(1e-3, 1, 7), weight_decay=log_range(1e-5, 1e-1, 9))
    corners = {(c.lr, c.weight_decay) for c in space.cells()[:4]}
    assert corners == {(1e-3, 1e-5), (1e-3, 1e-1), (1.0, 1e-5), (1.0, 1e-1)}


def test_a_cell_survives_a_database_that_rounds() -> None:
    assert TrialParams(0.1, 1e-4).key == TrialParams(0.1 * (1 + 1e-12), 1e-4).key
    assert TrialParams(0.1, 1e-4).key != TrialParams(0.1, 1.00001e-4).key


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("0.1", (0.1,)),
        ("0,1e-4:1e-2:3", (0.0, 1e-4, 1e-3, 1e-2)),
        ("1e-3:1:4,5", (1e-3, 1e-2, 1e-1, 1.0, 5.0)),
    ],
)
def test_an_axis_is_read_as_values_and_ranges(text: str, axis: tuple[float, ...]) -> None:
    assert parse_axis("--lr", text) == pytest.approx(axis)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1:1e-3:4", "reversed; write log_range(0.001, 1, 4)"),
        ("0:1:4", "needs 0 < low < high"),
        ("a", "can't read 'a'"),
        ("1e-3:1", "can't read '1e-3:1'"),
        ("1e-3:1:1", "at least 2 points"),
        ("", "can't read ''"),
    ],
)
def test_a_bad_axis_is_named_with_its_text(text: str, says: str) -> None:
    with pytest.raises(SpaceError, match="--lr") as error:
        parse_axis("--lr", text)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("lr", "weight_decay", "seeds", "says"),
    [
        ([], [0], 1, "lr is empty"),
        ([0.0], [0], 1, "lr holds 0"),
        ([-1.0], [0], 1, "lr holds -1"),
        ([1.0], [-0.1], 1, "weight_decay holds -0.1"),
        ([math.nan], [0], 1, "lr holds nan"),
        ([math.inf], [0], 1, "lr holds inf"),
        ([1.0], ["x"], 1, "not a list of numbers"),
        ([1.0], [0], 0, "seeds=0"),
        ([1.0], [0], [-1], "seeds="),
    ],
)
def test_a_space_that_cannot_be_trained_is_refused(
    lr: list[float], weight_decay: list[float], seeds: int, says: str
) -> None:
    with pytest.raises(SpaceError, match=says):
        SearchSpace(lr, weight_decay, seeds)


def test_some_places_of_a_grid_are_trained_alone() -> None:
    places = parse_cells("0.1:0.003,0.03:0,0.1:0.003")
    space = SearchSpace([0.03, 0.1], [0, 0.003], seeds=4, only=places)
    assert space.only == ((0.1, 0.003), (0.03, 0.0))
    assert {(p.lr, p.weight_decay) for p in space.cells()} == set(space.only)
    assert len(space) == len(space.cells()) == 8
    assert str(space) == "2 of the grid's cells × 4 seeds"


@pytest.mark.parametrize("text", ["", "0.1", "0.1:0.003:2", "a:b", "0.1:0.003,"])
def test_places_that_can_not_be_read_are_named(text: str) -> None:
    with pytest.raises(SpaceError, match="--cells: can't read"):
        parse_cells(text)


def test_a_place_that_is_not_on_the_axes_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"weight_decay 0\.5 is not on its axis"):
        SearchSpace([0.1], [0, 0.003], only=[(0.1, 0.5)])
