"""The third axis: what may stand on it, and how the window of lr and weight_decay moves."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wdstudy import Scale, SearchSpace, TrialParams, log_range
from wdstudy.errors import SpaceError
from wdstudy.scale import parse_follow, parse_scale
from wdstudy.space import memory_of


def along(values: list[float], **scale: Any) -> SearchSpace:
    return SearchSpace([0.01, 0.1, 1], [0, 0.1], 2, scale=Scale("batch_size", values, **scale))


def test_every_value_has_every_cell_of_every_seed_once() -> None:
    space = along([32, 8, 128])
    cells = space.cells()
    assert len(cells) == len(space) == len({params.key for params in cells}) == 3 * 2 * 2 * 3
    for value in (32, 8, 128):
        alone = [p.key for p in SearchSpace([0.01, 0.1, 1], [0, 0.1], 2).cells()]
        assert [p.key[:3] for p in cells if p.scale == value] == alone
        assert [p.key for p in space.at(value).cells()] == alone
    assert str(space) == "3 lr × 2 weight_decay × 3 batch_size × 2 seeds"


def test_a_study_that_is_half_done_shows_all_values_coarsely() -> None:
    cells = along([32, 8, 128]).cells()
    assert [p.seed for p in cells] == sorted(p.seed for p in cells)
    first = cells[: 3 * 4]  # the corners of the plane
    assert {(p.lr, p.scale) for p in first} == {(lr, v) for lr in (0.01, 1) for v in (32, 8, 128)}
    done = [sum(p.scale == v for p in cells[:17]) for v in (32, 8, 128)]
    assert max(done) - min(done) <= 1


@given(
    power=st.floats(-2, 2),
    values=st.lists(st.integers(1, 4096), min_size=2, max_size=5, unique=True),
)
def test_the_window_follows_by_the_power_of_the_share_of_the_first_value(
    power: float, values: list[int]
) -> None:
    scale = Scale("batch_size", values, follow={"lr": power, "weight_decay": -1})
    space = SearchSpace([1e-3, 1e-2], [0, 1e-4, 1e-2], scale=scale)
    for value in values:
        own = space.at(value)
        share = value / values[0]
        assert own.lr == pytest.approx([1e-3 * share**power, 1e-2 * share**power], rel=1e-5)
        assert own.weight_decay == pytest.approx([0, 1e-4 / share, 1e-2 / share], rel=1e-5)
    assert space.at(values[0]).lr == (1e-3, 1e-2), "as it was written"


def test_places_of_the_first_window_move_with_it() -> None:
    scale = Scale("batch_size", [32, 128], follow={"lr": 0.5})
    space = SearchSpace([0.01, 0.1], [0, 0.1], only=[(0.1, 0.1)], scale=scale)
    assert [p.key for p in space.cells()] == [(0.1, 0.1, 0, 32), (0.2, 0.1, 0, 128)]


@given(
    lr=st.floats(1e-4, 10), tau=st.floats(1e-3, 100), steps=st.integers(1, 10**6),
    independent=st.booleans(),
)  # fmt: skip
def test_weight_decay_remembers_for_as_long_as_tau_says(
    lr: float, tau: float, steps: int, independent: bool
) -> None:
    """(1 - lr · weight_decay) ** n falls to 1/e after τ steps; of independent decay without lr."""
    space = SearchSpace([lr], tau=[tau, math.inf], scale=Scale("epochs", [1, 2]))
    timed = space.timed({1: steps, 2: 2 * steps}, independent=independent)
    assert len(space) == len(timed) == len(timed.cells()) == 4
    for value in (1, 2):
        none, some = sorted(p.weight_decay for p in timed.cells() if p.scale == value)
        shrink = some if independent else lr * some
        assert none == 0
        assert 1 / shrink == pytest.approx(tau * value * steps, rel=1e-5)
        assert memory_of(lr, some, independent=independent) == pytest.approx(1 / shrink)


def test_tau_is_written_into_a_record_and_read_back() -> None:
    space = SearchSpace([0.1, 1], tau=[0.1, math.inf], tau_unit="epochs", seeds=2)
    timed = space.timed({None: 40}, independent=False)
    again = SearchSpace.of_data(timed.as_data())
    assert (again.tau, again.tau_unit) == ((0.1, math.inf), "epochs")
    assert again.weight_decay == timed.weight_decay == (0, 0.25, 2.5)
    assert {p.cell for p in timed.cells()} <= {p.cell for p in again.cells()}
    grown = again.grown(SearchSpace([0.5], tau=[2], clock=timed.clock))
    assert (grown.lr, grown.tau) == ((0.1, 0.5, 1), (0.1, 2, math.inf))


def test_a_trial_has_the_value_under_the_name_of_the_scale() -> None:
    params = along([32, 64]).cells()[0]
    assert params.scale == params.batch_size == 32
    assert isinstance(params.batch_size, int), "models are built by it"
    assert params.as_dict() == {"lr": 0.01, "weight_decay": 0, "seed": 0, "batch_size": 32}
    assert str(params) == "lr 0.01, weight_decay 0, batch_size 32"
    for same in (pickle.loads(pickle.dumps(params)), copy.deepcopy(params)):
        assert same == params
        assert same.batch_size == 32
    with pytest.raises(AttributeError, match="'width'"):
        _ = params.width
    assert str(TrialParams(0.01, 0)) == "lr 0.01, weight_decay 0"
    assert TrialParams(0.01, 0).as_dict() == {"lr": 0.01, "weight_decay": 0, "seed": 0}
    assert params.key != TrialParams(params.lr, params.weight_decay).key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scale("width", [64]), "the one value 64; give at least two"),
        (lambda: Scale("width", []), "no value; give at least two"),
        (lambda: Scale("width", "abc"), "values='abc'; give a list of numbers"),
        (lambda: Scale("width", [64, math.inf]), "width holds inf; give finite numbers"),
        (lambda: Scale("width", [64, math.nan]), "width holds nan; give finite numbers"),
        (lambda: Scale("width", [64, -1]), "width holds -1; give finite numbers of 0 or above"),
        (lambda: Scale("width", [64, 32, 64.0]), "width holds 64 twice; give each value once"),
        (lambda: Scale("batch_size", [1.5, 2]), "1.5; give whole numbers"),
        (lambda: Scale("epochs", [0, 2]), "holds 0; give whole numbers of at least 1"),
        (lambda: Scale("lr", [1, 2]), "a scale named 'lr', .* give another name"),
        (lambda: Scale("tau", [1, 2]), "a scale named 'tau'"),
        (lambda: Scale("seed", [1, 2]), "a scale named 'seed'"),
        (lambda: Scale("value", [1, 2]), "a scale named 'value'"),
        (lambda: Scale("steps", [1, 2]), "a scale named 'steps'"),
        (lambda: Scale("weight_norm", [1, 2]), "a scale named 'weight_norm'"),
        (lambda: Scale("val_loss", [1, 2]), "a scale named 'val_loss'"),
        (lambda: Scale("my width", [1, 2]), "named 'my width': give a name of letters"),
        (lambda: Scale("", [1, 2]), "named '': give a name"),
        (lambda: Scale("width", [1, 2], follow={"depth": 1}), "unknown axis 'depth'"),
        (lambda: Scale("width", [1, 2], follow={"lr": "half"}), "power 'half'; give a number"),
        (lambda: Scale("width", [0, 2], follow={"lr": 1}), "whose values hold 0"),
        (lambda: Scale("width", [1, 2], follow=0.5), "give a dict of axes"),
        (lambda: Scale("width", [1, 2], budget="time"), "unknown budget 'time'; .*epochs, steps"),
        (lambda: Scale("epochs", [1, 2], budget="steps"), "leave out budget="),
        (lambda: Scale("width", [1, 2], model=3), "model=3 of the scale width is no function"),
        (lambda: Scale("epochs", [1, 2], model=len), "built in and needs no model="),
        (
            lambda: SearchSpace([1], [0], scale=[Scale("a", [1, 2]), Scale("b", [1, 2])]),
            "2 scales; give one, and each of the others a study of its own",
        ),
        (lambda: SearchSpace([1], [0], scale="batch_size"), "give scale=Scale"),
        (lambda: SearchSpace([1], [0], tau=[1]), "the same thing twice; give one of them"),
        (lambda: SearchSpace([1], tau=[0]), "tau holds 0; every value must be finite and above 0"),
        (lambda: SearchSpace([1], tau=[1], tau_unit="days"), "unknown tau_unit 'days'"),
        (lambda: SearchSpace([1]), "weight_decay is empty"),
        (lambda: SearchSpace([1], tau=[1]).cells(), "only once the data is loaded"),
        (
            lambda: SearchSpace([1], [0], scale=Scale("a", [1, 2], follow={"tau": 1})),
            "tau is not swept; give the power of weight_decay",
        ),
        (
            lambda: SearchSpace([1], tau=[1], scale=Scale("a", [1, 2], follow={"weight_decay": 1})),
            "follows from tau; give the power of tau",
        ),
        (
            lambda: SearchSpace([1e30], [0], scale=Scale("a", [1, 1e30], follow={"lr": 1})),
            "no number above 3e\\+38",
        ),
        (lambda: parse_scale("batch_size"), "write name=values, like"),
        (lambda: parse_scale("batch_size=a"), "can't read 'a'"),
        (lambda: parse_follow("lr"), "can't read 'lr'; write axis=power"),
    ],
)
def test_what_is_no_scale_is_told_in_a_line(make: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_scale_is_read_from_the_command_line_in_its_order() -> None:
    assert parse_scale("batch_size=32,16,64") == ("batch_size", (32, 16, 64))
    assert parse_scale("width=8:512:4") == ("width", log_range(8, 512, 4))
    assert parse_follow("lr=0.5,weight_decay=-1") == {"lr": 0.5, "weight_decay": -1}


def test_values_that_are_trained_alone_leave_the_window_to_the_first() -> None:
    space = along([32, 8, 128], only=[128], follow={"lr": 0.5})
    cells = space.cells()
    assert {params.scale for params in cells} == {128}
    assert [params.key[:3] for params in cells] == [
        p.key[:3] for p in along([32, 8, 128], follow={"lr": 0.5}).cells() if p.scale == 128
    ]
    assert len(space) == len(cells) == 3 * 2 * 2
    assert str(space) == "3 lr × 2 weight_decay × 1 batch_size × 2 seeds"
    with pytest.raises(SpaceError, match="only=64 is none of the values of the scale batch_size"):
        along([32, 8, 128], only=[64])
