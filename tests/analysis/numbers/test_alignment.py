"""One basin laid over all values of a scale, on planes whose drift is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from known_scales import X0, Y0, ScaledSweep, bowl, lopsided

from wdstudy.analysis.numbers.alignment import Alignment, alignments
from wdstudy.analysis.numbers.drift import PLACE, Drift, drift_of, drift_through
from wdstudy.analysis.numbers.points import points_of
from wdstudy.analysis.numbers.scaled import scaled


def aligned(trials: pd.DataFrame, axes: str = "xy") -> tuple[Drift, Alignment]:
    parts = scaled(trials, "batch_size", "value", minimize=True, capped=True)
    tables = [(part.cells, part.cells.decayed) for part in parts.parts]
    return drift_of(alignments(points_of(tables, parts.t, axes)))


def swept(plane, seed: int = 0, **sweep) -> pd.DataFrame:
    return ScaledSweep(**sweep).trials(plane, np.random.default_rng(seed))


def holds(drift: Drift, lr: float, decay: float) -> bool:
    found = [drift.exponent(weights) for weights in np.eye(2)]
    return all(abs(value - truth) <= half for (value, half), truth in
               zip(found, (lr, decay), strict=True))  # fmt: skip


@pytest.mark.parametrize(("lr", "decay"), [(0.0, 0.0), (0.5, -0.5), (-1.0, 1.0), (1.0, 0.0)])
def test_without_noise_a_quadratic_basin_is_placed_exactly(lr: float, decay: float) -> None:
    drift, _ = aligned(swept(bowl(lr, decay), noise=0.0))
    assert drift.middle == pytest.approx([X0, Y0], abs=1e-4)
    assert drift.slope == pytest.approx([lr, decay], abs=1e-4)


@pytest.mark.parametrize("drift", [(0.5, -0.5), (-0.5, 1.0)])
@pytest.mark.parametrize("plane", [bowl, lopsided])
def test_a_known_drift_is_found_and_covered(plane, drift: tuple[float, float]) -> None:
    found, basin = aligned(swept(plane(*drift), follow=drift))
    assert holds(found, *drift)
    assert found.slope == pytest.approx(drift, abs=0.15)
    assert not basin.change.any()  # one shape serves all


@pytest.mark.parametrize("edge", [{256: (3, 3)}, {32: (4, 2)}, {64: (0, 4)}])
def test_an_edge_at_one_value_does_not_pull_the_drift(edge) -> None:
    found, _ = aligned(swept(lopsided(0.5, 0.5), edge=edge))
    assert holds(found, 0.5, 0.5)


def test_a_value_whose_bottom_lies_beyond_its_edge_is_placed_by_its_flank() -> None:
    """At 256 the best weight_decay is not among those tried."""
    trials = swept(bowl(0.0, 1.5), edge={256: (0, 4)}, noise=0.01)
    found, _ = aligned(trials)
    assert trials.loc[trials["batch_size"] == 256, "weight_decay"].max() < 10 ** (Y0 + 1.5 * 0.45)
    assert found.slope == pytest.approx([0.0, 1.5], abs=0.06)
    assert holds(found, 0.0, 1.5)


def test_holes_and_a_cliff_leave_the_drift() -> None:
    found, _ = aligned(swept(lopsided(0.5, -0.5), holes=0.2, cliff=-1.4))
    assert holds(found, 0.5, -0.5)


def test_a_basin_that_narrows_along_the_scale_objects_to_one_shape() -> None:
    found, basin = aligned(swept(bowl(0.5, -0.5, grows=0.6), noise=0.01))
    assert basin.objection < 0.01
    assert basin.change.any()
    assert holds(found, 0.5, -0.5)
    narrow, wide = basin.curvature(basin.t[-1]), basin.curvature(basin.t[0])
    assert narrow[1, 1] / wide[1, 1] == pytest.approx(10 ** (0.6 * np.ptp(basin.t)), rel=0.3)


@pytest.mark.parametrize("plane", [bowl(0.5, -0.5), lopsided(0.5, -0.5)])
def test_another_parametrisation_shifts_the_exponents_by_exactly_what_it_must(plane) -> None:
    """The same runs, weight_decay counted as lr · weight_decay."""
    trials = swept(plane)
    product = trials.assign(weight_decay=trials["lr"] * trials["weight_decay"])
    one, other = aligned(trials)[0], aligned(product)[0]
    shear = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert other.slope == pytest.approx(shear @ one.slope, abs=2e-4)
    assert other.middle == pytest.approx(shear @ one.middle, abs=2e-4)
    both = np.kron(np.eye(2), shear)
    assert other.covariance == pytest.approx(both @ one.covariance @ both.T, rel=0.05, abs=1e-6)


def test_lr_alone_is_placed_where_weight_decay_is_no_axis() -> None:
    found, _ = aligned(swept(bowl(0.5, 0.0, turn=0.0), seeds=3), axes="x")
    value, half = found.exponent(np.ones(1))
    assert abs(value - 0.5) <= half


def test_a_line_does_not_depend_on_which_sums_of_the_axes_it_is_drawn_in() -> None:
    rng = np.random.default_rng(0)
    t, places = np.linspace(-0.5, 0.5, 5), rng.standard_normal((5, 2))
    root = rng.standard_normal((10, 10))
    covariance = 0.01 * root @ root.T
    sums = np.array([[1.0, 0.0], [1.0, 1.0]])
    whole = np.kron(np.eye(5), sums)
    one = drift_through(t, places, covariance, 50.0)
    other = drift_through(t, places @ sums.T, whole @ covariance @ whole.T, 50.0)
    assert other.slope == pytest.approx(sums @ one.slope)
    assert other.scatter == pytest.approx(sums @ one.scatter @ sums.T)


def test_places_off_the_line_say_so_and_widen_it() -> None:
    t = np.linspace(-0.5, 0.5, 5)
    straight = np.stack([0.5 * t, -t], axis=1)
    bent = straight + 0.3 * np.abs(t)[:, None]
    small = 1e-4 * np.eye(10)
    line, broken = (drift_through(t, places, small, 100.0) for places in (straight, bent))
    assert line.bent > 0.9
    assert broken.bent < 1e-3
    assert broken.exponent(np.eye(2)[0])[1] > 3 * line.exponent(np.eye(2)[0])[1]
    assert broken.df < 20


def test_what_lies_further_out_is_known_less() -> None:
    drift, _ = aligned(swept(bowl(0.5, -0.5)))
    halves = [drift.at(t, np.eye(2)[0], new=True)[1] for t in (0.0, 0.5, 1.0, 1.5)]
    assert halves == sorted(halves)
    assert halves[-1] > 1.25 * halves[0] > 1.25 * PLACE  # not even the middle is known better
