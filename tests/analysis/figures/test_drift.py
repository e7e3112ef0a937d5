"""The drift of an optimum: law, values alone, and published rules through the law's middle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from known_scales import ScaledSweep, bowl, lopsided, only_harms
from made_studies import scaled_study
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wdstudy.analysis.figures.drift import plot_drift
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.transfer import predict, transfer
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.analysis.views.drift import DriftPanel, drift_info, law_at

QUANTITIES = ["lr", "weight_decay", "product", "tau_share", "tau_epochs"]


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    sweep = ScaledSweep(values=(64, 128, 256, 512), name="width", follow=(-1, 1))
    return sweep.trials(lopsided(-1, 1), np.random.default_rng(0))


@pytest.fixture(scope="module")
def found(trials: pd.DataFrame) -> Transfer:
    return transfer(trials)


def titled(figure: Figure) -> dict[str, Axes]:
    return {ax.get_title(loc="left"): ax for ax in figure.axes}


def panel(found: Transfer, quantity: str) -> DriftPanel:
    return next(p for p in drift_info(found).panels if p.quantity == quantity)


def test_every_quantity_has_a_panel_whose_law_goes_through_the_optima(found: Transfer) -> None:
    info = drift_info(found)
    assert [p.quantity for p in info.panels] == QUANTITIES
    for shown in info.panels:
        law = shown.law.set_index("at")
        for place in found.places:
            told = getattr(place, shown.quantity)
            assert law.loc[place.value, ["middle", "low", "high"]].tolist() == pytest.approx(
                [told.value, told.low, told.high]
            )


def test_what_each_value_shows_alone_lies_about_the_law(found: Transfer) -> None:
    """The errors of lr and weight_decay hang together, and are known for their product as well."""
    for quantity in QUANTITIES:
        shown = panel(found, quantity)
        assert len(shown.own) == 4
        inside = [
            low <= law_at(found, quantity, at).value <= high
            for at, _, low, high in shown.own.itertuples(index=False)
        ]
        assert sum(inside) >= 3
    product = panel(found, "product").own["middle"]
    apart = panel(found, "lr").own["middle"] * panel(found, "weight_decay").own["middle"]
    assert product.tolist() == pytest.approx(apart.tolist())


def test_tau_is_one_over_the_product_in_steps_of_the_run(found: Transfer) -> None:
    """At sizes that were not trained as well: the steps of a run change along batch size."""
    batches = transfer(ScaledSweep().trials(bowl(0.5, 0.5), np.random.default_rng(0)))
    for at in (32, 100, 400):
        product, share = (law_at(batches, q, at).value for q in ("product", "tau_share"))
        assert product * share * 10_000 / at * 32 == pytest.approx(1)
    assert law_at(found, "tau_share", 90).value == pytest.approx(
        law_at(found, "tau_epochs", 90).value / (10_000 / 1_000)
    )


def test_the_law_goes_on_to_the_next_size_as_it_is_predicted(found: Transfer) -> None:
    last = panel(found, "lr").law.iloc[-1]
    assert last["at"] == 1024
    assert last["middle"] == pytest.approx(predict(found, 1024).lr.value)


def test_rules_go_through_the_middle_of_the_law_with_their_power(
    trials: pd.DataFrame, found: Transfer
) -> None:
    shown = panel(found, "weight_decay")
    asked = {name: (rule.power, rule.verdict) for rule in shown.rules for name in rule.names}
    assert asked == {
        "µP with constant product": (1.0, "fits"),
        "root of the width": (0.5, "rejected"),
        "nanochat": (-2.0, "rejected"),
        "nothing moves": (0.0, "rejected"),
    }
    ax = titled(plot_drift(trials, found))["best weight_decay"]
    x0, y0 = shown.centre
    assert x0 == pytest.approx((64 * 512) ** 0.5)
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_zorder() < 2]
    powers = []
    for line in lines:
        (xa, ya), (xb, yb) = line.get_xydata()
        powers.append(np.log(yb / ya) / np.log(xb / xa))
        assert ya * (x0 / xa) ** powers[-1] == pytest.approx(y0)
    assert sorted(powers) == pytest.approx([-2, 0, 0.5, 1])
    names = " ".join(text.get_text().replace("\n", " ") for text in ax.texts)
    for name in asked:
        assert name in names


def test_rules_of_one_power_but_other_verdicts_are_named_apart() -> None:
    """lr ∝ √batch is asked for by two rules, one of which errs about weight_decay."""
    found = transfer(trials_frame(scaled_study()))
    kinds = {rule.names: rule.verdict for rule in panel(found, "lr").rules if rule.power == 0.5}
    assert kinds == {("square root of the batch",): "fits", ("Complete(d)P",): "rejected"}


def test_where_weight_decay_only_harms_the_limit_is_shown() -> None:
    sweep = ScaledSweep(values=(32, 64, 128), name="width")
    trials = sweep.trials(only_harms(-0.5, 1), np.random.default_rng(0))
    found = transfer(trials)
    info = drift_info(found)
    assert [p.quantity for p in info.panels] == ["lr", "limit"]
    assert "only harms" in info.missing
    assert len(info.panels[1].own) == 3
    assert any("only harms" in text.get_text() for text in plot_drift(trials, found).texts)


def test_where_nothing_can_be_followed_the_trained_pairs_are_shown_with_the_reason() -> None:
    sweep = ScaledSweep(values=(32, 128, 512), noise=0.3, seeds=1)
    trials = sweep.trials(bowl(0.5, 0.5), np.random.default_rng(0))
    found = transfer(trials)
    info = drift_info(found)
    assert [p.quantity for p in info.panels] == ["lr", "weight_decay"]
    assert all(p.law.empty and not p.rules for p in info.panels)
    assert info.panels[0].trained["middle"].tolist() == [p.best_lr for p in found.places]
    figure = plot_drift(trials, found)
    assert all(any("can't be said" in text.get_text() for text in ax.texts) for ax in figure.axes)


def test_without_weight_decay_there_is_no_panel_of_it() -> None:
    trials = ScaledSweep(values=(32, 64, 128)).trials(bowl(0.5, 0.5), np.random.default_rng(0))
    plain = trials[trials["weight_decay"] == 0]
    assert [p.quantity for p in drift_info(transfer(plain)).panels] == ["lr"]
    assert len(plot_drift(plain).axes) == 1


@pytest.mark.parametrize("columns", [1, 3])
def test_names_of_rules_do_not_touch_and_nothing_is_cut(
    columns: int, trials: pd.DataFrame, found: Transfer
) -> None:
    figure = plot_drift(trials, found, columns=columns)
    figure.savefig("/dev/null", format="png")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for ax in figure.axes:
        names = [t for t in ax.texts if t.get_text() and not t.get_text().startswith("power")]
        # The text alone: the box of an annotation holds the line to it as well.
        boxes = sorted((super(type(t), t).get_window_extent(renderer) for t in names),
                       key=lambda box: box.y0)  # fmt: skip
        assert all(a.y1 <= b.y0 + 1 for a, b in pairwise(boxes))
        assert all(box.x1 <= figure.bbox.x1 + 1 for box in boxes)


def test_ticks_of_many_values_do_not_touch_and_the_ends_have_theirs() -> None:
    sweep = ScaledSweep(values=tuple(2**k for k in range(6, 17)), seeds=1, size=(5, 5))
    figure = plot_drift(sweep.trials(bowl(0.5, 0.5), np.random.default_rng(0)))
    figure.savefig("/dev/null", format="png")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for ax in figure.axes:
        ticks = ax.get_xticklabels()
        assert {ticks[0].get_text(), ticks[-1].get_text()} == {"64", "6.55e4"}
        boxes = [tick.get_window_extent(renderer) for tick in ticks]
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
