"""Frontier, cost of tuning apart, sensitivity, widths, edges, shares: worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from known_surfaces import Sweep, bowl, flat, grid, lopsided, only_hurts, scatter

from wdstudy.analysis.numbers.best import best_cell
from wdstudy.analysis.numbers.cells import measured
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.analysis.numbers.separability import separability


def table(lrs, weight_decays, values, **columns) -> pd.DataFrame:
    """One trial a cell; a NaN value is a trial that diverged."""
    rows = [
        {"lr": lr, "weight_decay": wd, "value": values[i][j], "diverged": math.isnan(values[i][j])}
        for i, lr in enumerate(lrs)
        for j, wd in enumerate(weight_decays)
    ]
    return pd.DataFrame(rows).assign(**columns)


def noisy(frame: pd.DataFrame, sd: float = 0.01, seeds: int = 4) -> pd.DataFrame:
    """Each trial with several seeds of log-normal noise."""
    rng = np.random.default_rng(1)
    frame = frame.loc[frame.index.repeat(seeds)].reset_index(drop=True)
    frame["seed"] = np.arange(len(frame)) % seeds
    frame["value"] *= np.exp(sd * rng.standard_normal(len(frame)))
    return frame


NAN = math.nan


def test_cost_of_tuning_apart_by_hand() -> None:
    found = landscape(table([0.01, 0.1], [1e-4, 1e-3], [[1.0, 4.0], [3.0, 2.0]])).apart_cost
    assert dict(found.by_weight_decay) == pytest.approx({1e-4: 0.0, 1e-3: 1.0})
    assert dict(found.by_lr) == pytest.approx({0.01: 0.0, 0.1: 1.0})
    assert found.worst.value == pytest.approx(1.0)
    assert found.worst_start == pytest.approx(1e-3)
    assert found.worst_order == "lr first"
    assert math.isnan(found.worst.low)
    assert found.worst.reason == "the greatest of many"
    assert "one seed" in found.lr_first.reason


def test_a_start_where_all_diverged_costs_nothing_known() -> None:
    found = landscape(table([0.01, 0.1], [1e-4, 1e-3], [[1.0, NAN], [3.0, NAN]])).apart_cost
    assert [start for start, _ in found.by_weight_decay] == pytest.approx([1e-4])
    assert found.worst.value == pytest.approx(0.0)


def test_separable_surfaces_cost_nothing_apart_and_ridges_do() -> None:
    rng = np.random.default_rng(0)
    apart, ridge = (
        landscape(Sweep(noise=0.01, seeds=3).trials(surface, rng)).apart_cost
        for surface in (bowl(0), bowl(-1))
    )
    assert apart.worst.value < 0.02
    assert ridge.worst.value > 0.1
    assert not math.isfinite(ridge.worst.low)  # the greatest of many has none that is honest
    assert apart.lr_first.low == 0


def test_sensitivity_by_hand() -> None:
    frame = table(
        [0.01, 0.1, 1.0], [1e-4, 1e-3], [[2.0, 9.0], [1.0, 1.5], [10.0, NAN]], initial_loss=5.0
    )
    found = landscape(frame)
    assert found.lr_sensitivity.value == pytest.approx((2 + 1 + 5) / 3 - 1)
    assert found.weight_decay_sensitivity.value == pytest.approx((1 + 1.5) / 2 - 1)


def test_diverged_cells_count_as_untrained_or_not_at_all() -> None:
    frame = table([0.01, 0.1, 1.0], [1e-4, 1e-3], [[2.0, 9.0], [1.0, 1.5], [NAN, NAN]])
    assert "initial_loss" in landscape(frame).lr_sensitivity.reason
    assert not landscape(frame).lr_sensitivity.known
    capped = landscape(frame.assign(initial_loss=4.0)).lr_sensitivity
    assert capped.value == pytest.approx((2 + 1 + 4) / 3 - 1)


def test_initial_loss_does_not_cap_what_is_no_loss() -> None:
    frame = table([0.01, 0.1], [1e-4, 1e-3], [[2.0, 9.0], [1.0, 1.5]], initial_loss=1.2)
    frame = frame.rename(columns={"value": "final_val_error"})
    found = landscape(frame, "final_val_error")
    assert found.lr_sensitivity.value == pytest.approx(0.5)
    assert found.name == "validation error"


def test_valley_width_by_hand() -> None:
    """Log loss rises by ln 2 a decade on either side; the diagonal stays at the best."""
    values = [[1.0 * 2.0 ** abs(i + j - 2) for j in range(3)] for i in range(3)]
    values[1][1] = 0.99
    found = landscape(table([0.01, 0.1, 1.0], [1e-4, 1e-3, 1e-2], values)).valley_width
    rise = math.log(1.1) / math.log(2 / 0.99)
    assert found.fixed_weight_decay.value == pytest.approx(2 * rise)
    assert found.fixed_weight_decay.reason.startswith("no interval")
    assert found.fixed_product.value == pytest.approx(2.0)
    assert found.fixed_product.reason.startswith("at least")


def test_ridges_are_wider_at_fixed_product() -> None:
    trials = Sweep(noise=0.01, seeds=3).trials(bowl(-1, along=0.02), np.random.default_rng(0))
    width = landscape(trials).valley_width
    assert width.fixed_product.low > width.fixed_weight_decay.high


@pytest.mark.parametrize("slope", [0.0, -1.0, 1.0])
@pytest.mark.parametrize("shape", [only_hurts, lopsided])
def test_frontier_has_the_slope_of_the_surface(shape, slope: float) -> None:
    found = landscape(Sweep(noise=0.01, seeds=2).trials(shape(slope), np.random.default_rng(0)))
    assert found.frontier.low <= slope <= found.frontier.high
    assert found.frontier.value == pytest.approx(slope, abs=0.15)
    assert found.frontier_line.factor == pytest.approx(1.1)


def test_frontier_of_scattered_cells() -> None:
    sweep = Sweep(noise=0.02, points=scatter(150, np.random.default_rng(1)))
    found = landscape(sweep.trials(only_hurts(-1), np.random.default_rng(0))).frontier
    assert found.low <= -1 <= found.high


def test_no_frontier_without_harm_or_where_the_best_lies_below_the_range() -> None:
    for surface in (flat(), lopsided(-1, y0=-8.0)):
        found = landscape(Sweep(noise=0.02).trials(surface, np.random.default_rng(0))).frontier
        assert not found.known
        assert "harm" in found.reason


def test_the_cliff_is_not_taken_for_the_frontier() -> None:
    """Divergence bounds weight_decay with slope -3.3 at large lr; harm does not depend on lr."""
    sweep = Sweep(noise=0.01, seeds=2, cliff=-1.2, points=grid(10, 12))
    found = landscape(sweep.trials(only_hurts(0), np.random.default_rng(0))).frontier
    assert found.value == pytest.approx(0, abs=0.15)
    assert found.low > -0.3


@pytest.mark.parametrize(
    ("y0", "where", "grows"), [(-7.5, "lower", -1), (0.5, "upper", 1), (-3.5, "inside", 0)]
)
def test_edge_of_weight_decay(y0: float, where: str, grows: int) -> None:
    trials = Sweep(noise=0.01, seeds=3).trials(bowl(0, y0=y0), np.random.default_rng(0))
    found = landscape(trials)
    lr, weight_decay = found.edges
    assert lr.where == "inside"
    assert weight_decay.where == where
    assert found.suggestion.action == ("extend" if grows else "refine")
    if grows < 0:
        assert weight_decay.extend_to < weight_decay.low
        assert found.suggestion.weight_decay[0] == weight_decay.extend_to
    elif grows > 0:
        assert weight_decay.extend_to > weight_decay.high
        assert found.suggestion.weight_decay[1] == weight_decay.extend_to
    else:
        low, high = found.suggestion.weight_decay
        assert weight_decay.low < low < 10**y0 < high < weight_decay.high


def test_edge_extends_by_half_a_decade_at_least() -> None:
    frame = noisy(
        table([0.1, 0.3, 1.0], [1e-4, 1e-3, 1e-2], [[3, 2.5, 3], [2, 1.5, 2], [1.5, 1, 1.5]])
    )
    lr, weight_decay = landscape(frame).edges
    assert (lr.where, lr.extend_to, lr.firm) == ("upper", 10.0, True)
    assert weight_decay.where == "inside"


def test_largest_stable_lr_of_each_weight_decay() -> None:
    frame = table(
        [0.01, 0.1, 1.0, 10.0],
        [0.0, 1e-3, 1e-2],
        [[1, 1, NAN], [1, 1, NAN], [1, NAN, NAN], [1, 1, NAN]],
    )
    found = landscape(frame)
    assert [s.weight_decay for s in found.stable_lr] == pytest.approx([0.0, 1e-3, 1e-2])
    assert [s.lr for s in found.stable_lr[:2]] == pytest.approx([10.0, 0.1])
    assert math.isnan(found.stable_lr[2].lr)
    assert found.stable_lr[1].diverges_at == pytest.approx(1.0)
    assert math.isnan(found.stable_lr[0].diverges_at)
    assert found.diverged_share.value == pytest.approx(5 / 12)
    assert found.diverged_share.low < 5 / 12 < found.diverged_share.high


def gap(without: float, noise: float = 0.01) -> Landscape:
    frame = table([0.01, 0.1], [0.0, 1e-4, 1e-3], [[without, 1.3, 1.2], [3.0, 1.0, 1.1]])
    return landscape(noisy(frame, noise))


def test_gap_to_no_weight_decay() -> None:
    assert gap(1.2).baseline_gap.value == pytest.approx(0.2, abs=0.03)
    assert gap(1.2).baseline_gap.low > 0
    assert gap(0.8).baseline_gap.high < 0
    assert gap(0.8).best.weight_decay == 0
    assert math.isinf(gap(0.8).best.timescale)
    level = gap(1.0, 0.1).baseline_gap
    assert level.low < 0 < level.high


def test_no_weight_decay_stays_out_of_everything_on_a_log_axis() -> None:
    trials = Sweep(noise=0.02, seeds=2, without=True).trials(bowl(-1), np.random.default_rng(0))
    with_it, without = landscape(trials), landscape(trials[trials["weight_decay"] > 0])
    for name in ("edges", "suggestion"):
        assert getattr(with_it, name) == getattr(without, name)
    # The noise is that of all cells.
    assert with_it.slope.value == pytest.approx(without.slope.value, abs=2e-3)
    shares = with_it.product, without.product
    assert shares[0].product.value == pytest.approx(shares[1].product.value, abs=1e-3)
    assert with_it.apart_cost.worst.value == without.apart_cost.worst.value
    assert with_it.valley_width.fixed_product.value == without.valley_width.fixed_product.value
    assert with_it.baseline_gap.known
    assert not without.baseline_gap.known


def test_shares_of_separable_and_collapsed_surfaces() -> None:
    rng = np.random.default_rng(0)
    sweep = Sweep(noise=0.01, seeds=3)
    separable = landscape(sweep.trials(bowl(0), rng))
    ridge = landscape(sweep.trials(bowl(-1, along=0.0), rng))
    assert separable.separability.additive.low > 0.97
    assert separable.separability.interaction_p > 0.001
    assert ridge.separability.additive.high < 0.7
    assert ridge.separability.interaction_p < 1e-6
    assert ridge.product.product.low > 0.97
    assert ridge.product.lr.high < 0.3
    assert separable.product.product.high < 0.7


def test_interaction_test_holds_its_level() -> None:
    """Seeds that shift all cells alike are no interaction, and no noise."""
    rng = np.random.default_rng(0)
    sweep = Sweep(noise=0.05, seeds=2, shared=0.3, points=grid(6, 6))
    p = [
        separability(measured(sweep.trials(bowl(0), rng), "value"), rng).interaction_p
        for _ in range(40)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.15
    assert 0.3 < np.mean(p) < 0.7


def test_noise_is_that_of_seeds_without_what_they_share() -> None:
    trials = Sweep(noise=0.05, seeds=4, shared=0.5).trials(bowl(0), np.random.default_rng(0))
    noise = landscape(trials).noise
    assert noise.low < 0.05 < noise.high
    assert noise.high < 0.07


@pytest.mark.slow
def test_the_loss_of_the_best_cell_counts_what_seeds_share() -> None:
    """Whatever the seeds drawn, the true loss 0.1 is within the interval in about 95 of 100."""
    for shared in (0.0, 0.2):
        rng = np.random.default_rng(0)
        sweep = Sweep(noise=0.02, seeds=4, shared=shared, points=grid(7, 6))
        covered = []
        for _ in range(30):
            best = best_cell(measured(sweep.trials(bowl(0, across=0.5), rng), "value"), rng)
            truth = 0.1 * math.exp(0.5 * (math.log10(best.weight_decay) + 3.5) ** 2)
            truth *= math.exp(0.15 * (math.log10(best.lr) + 1.5) ** 2)
            covered.append(best.loss.low <= truth <= best.loss.high)
        assert np.mean(covered) >= 0.85


def test_neighbours_and_ties() -> None:
    values = [[3.0, 2.5, 3.0], [2.0, 1.0, 2.5], [3.0, 2.5, 3.0]]
    frame = table([0.01, 0.1, 1.0], [1e-4, 1e-3, 1e-2], values)
    clear = landscape(noisy(frame, 0.01)).best
    assert (clear.lr, clear.weight_decay, clear.ties, clear.seeds) == (0.1, 1e-3, 0, 4)
    assert clear.gap.low < 1.0 < clear.gap.high
    assert clear.loss.low < 1.0 < clear.loss.high
    assert len(landscape(noisy(frame, 1.0)).best.rivals) > 0
    assert landscape(frame.head(2)).best.ties == -1  # neither seeds nor neighbours tell the noise


def seeded(values: dict[tuple[float, float], list[float]]) -> pd.DataFrame:
    """Trials of cells with a list of values, one a seed; NaN diverged."""
    return pd.DataFrame(
        {"lr": lr, "weight_decay": wd, "seed": seed, "value": v, "diverged": math.isnan(v)}
        for (lr, wd), found in values.items()
        for seed, v in enumerate(found)
    )


def test_a_cell_that_mostly_diverged_is_not_the_best() -> None:
    cells = {(lr, wd): [1.0, 1.1, 1.05] for lr in (0.01, 0.1) for wd in (1e-4, 1e-3)}
    cells[0.1, 1e-3] = [0.1, NAN, NAN]
    cells[0.01, 1e-3] = [0.9, 0.8, NAN]
    found = landscape(seeded(cells))
    assert (found.best.lr, found.best.weight_decay) == (0.01, 1e-3)
    assert found.best.loss.value == pytest.approx(0.85)
    assert "33 % of its trials diverged" in str(found.verdict[0])


def test_an_edge_within_the_noise_is_not_extended() -> None:
    """The upper edge is better by 0.5 %, and seeds differ by 5 %."""
    rng = np.random.default_rng(0)
    cells = {}
    for lr in (0.01, 0.1, 1.0):
        for wd in 10.0 ** np.arange(-6, 0):
            sign = rng.choice([-1, 1])
            level = (1.0 if lr == 0.1 else 2.0) * (0.995 if wd == 0.1 and lr == 0.1 else 1.0)
            cells[lr, wd] = [level * (1 + 0.05 * sign), level * (1 - 0.05 * sign)]
    found = landscape(seeded(cells))
    assert (found.edges[1].where, found.edges[1].firm) == ("upper", False)
    assert math.isnan(found.edges[1].extend_to)
    assert any("by no more than the noise" in str(s) for s in found.verdict)


def test_noise_alone_makes_no_frontier() -> None:
    for seed in range(5):
        trials = Sweep(noise=0.05).trials(flat(), np.random.default_rng(seed))
        assert not landscape(trials).frontier.known


def test_no_frontier_below_the_noise() -> None:
    trials = Sweep(noise=0.2).trials(only_hurts(-1), np.random.default_rng(0))
    assert "more seeds" in landscape(trials).frontier.reason
    many = Sweep(noise=0.2, seeds=16).trials(only_hurts(-1), np.random.default_rng(0))
    assert landscape(many).frontier.low <= -1 <= landscape(many).frontier.high


def test_no_frontier_where_any_weight_decay_does_harm() -> None:
    trials = Sweep(noise=0.01, without=True).trials(only_hurts(-1), np.random.default_rng(0))
    assert landscape(trials).frontier.known
    trials.loc[trials["weight_decay"] == 0, "value"] /= 2
    assert not landscape(trials).frontier.known


def test_cells_that_are_equal_beat_nobody() -> None:
    cells = {(lr, wd): [0.5, 0.5] for lr in (0.01, 0.1) for wd in (1e-4, 1e-3)}
    found = landscape(seeded(cells))
    assert found.best.ties == 3
    assert "beats its neighbours" not in str(found.verdict[0])


def test_what_a_share_lacks_to_one_stays_a_share() -> None:
    cells = {(lr, wd): [0.05, 0.6, 0.2] for lr in (0.01, 0.1) for wd in (1e-4, 1e-3)}
    cells[0.1, 1e-3] = [0.1, 0.7, 0.3]
    loss = landscape(seeded(cells), minimize=False, name="val f1").best.loss
    assert 0 <= loss.low < loss.value < loss.high <= 1
