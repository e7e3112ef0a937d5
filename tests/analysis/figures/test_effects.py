from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_studies import grid_study
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from wdstudy.analysis.figures.effects import HIGHEST, MOST, _effects_info, plot_effects
from wdstudy.analysis.figures.layout import Layout, spaced_ticks
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.landscape import landscape
from wdstudy.analysis.views.looks import BLUE, VERMILION
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.errors import StudyError

LRS = (0.001, 0.01, 0.1, 1.0)
DECAYS = (0.0, 0.001, 0.01, 0.1, 1.0)


def table(
    change: Any, lrs: Any = LRS, decays: Any = DECAYS, seeds: int = 3, noise: float = 0.02
) -> pd.DataFrame:
    """Trials whose log loss is `change(lr, weight_decay)` and noise of the size of one trial."""
    rng = np.random.default_rng(3)
    rows = [
        {"lr": lr, "weight_decay": wd, "seed": seed, "state": "COMPLETE", "diverged": False,
         "value": math.exp(change(lr, wd) + noise * rng.standard_normal())}
        for lr in lrs for wd in decays for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def helps_at_high_lr(lr: float, weight_decay: float) -> float:
    """At lr 0.1 and above a gain of up to a half and then a harm, below it only harm at 1."""
    if lr >= 0.1:
        return {0.0: 0.0, 0.001: -0.2, 0.01: -0.7, 0.1: 0.0, 1.0: 1.5}[weight_decay]
    return 0.05 * abs(math.log10(lr) + 1) + (1.0 if weight_decay == 1.0 else 0.0)


def names(figure: Figure) -> list[str]:
    return [ax.get_title(loc="center") for ax in figure.axes]


def marks(legend: Figure) -> list[str]:
    return [text.get_text() for text in legend.legends[0].get_texts()]


def colours(figure: Figure, panel: int) -> set[str]:
    return {
        to_hex(colour)
        for points in figure.axes[panel].collections
        for colour in points.get_facecolor()
        if len(points.get_offsets())
    }


def test_points_are_the_contrasts_and_their_band() -> None:
    found = landscape(table(helps_at_high_lr))
    info = _effects_info(found)
    for panel, effect in zip(info.panels, found.effects, strict=True):
        assert panel.lr == effect.lr
        for point, change in zip(panel.points.itertuples(), effect.changes, strict=True):
            assert point.weight_decay == change.weight_decay
            shares = [math.expm1(v) for v in (point.change, point.low, point.high)]
            told = change.loss
            assert shares == pytest.approx([told.value, told.low, told.high])
    assert info.best == (found.best.lr, found.best.weight_decay)
    assert info.panels[3].onset == found.effects[3].harms_from[info.factor].value


def test_what_helps_and_harms_beyond_the_noise_has_its_colour() -> None:
    trials = table(helps_at_high_lr)
    info = _effects_info(landscape(trials))
    low, high = info.panels[0].points, info.panels[3].points
    assert low["effect"].tolist() == ["neither"] * 4 + ["harms"]
    assert high["effect"].tolist() == ["neither", "helps", "helps", "neither", "harms"]
    figure = plot_effects(trials, landscape(trials))
    assert BLUE in colours(figure, 3)
    assert VERMILION in colours(figure, 3)
    assert BLUE not in colours(figure, 0)
    assert marks(figure)[:4] == [
        "helps, beyond the noise", "harms, beyond the noise", "neither is shown",
        "95 % band of an lr",
    ]  # fmt: skip


def test_changes_of_one_factor_lie_equally_far_from_0_and_ticks_are_round() -> None:
    figure = plot_effects(trials := table(helps_at_high_lr), landscape(trials))
    ax = figure.axes[0]
    assert ax.get_yscale() == "log"
    ticks = [label.get_text() for label in ax.get_yticklabels()]
    assert "0" in ticks
    assert "−50 %" in ticks
    assert "+300 %" in ticks
    places = dict(zip(ticks, ax.get_yticks(), strict=True))
    assert places["+300 %"] == pytest.approx(4)


def test_one_seed_and_few_cells_have_no_band_and_no_colour() -> None:
    trials = table(helps_at_high_lr, lrs=(0.1, 1.0), decays=(0.0, 0.01), seeds=1)
    info = _effects_info(landscape(trials))
    assert not info.banded
    assert set(info.points["effect"]) == {"neither"}
    told = marks(plot_effects(trials, landscape(trials)))
    assert told == ["no band: the noise is not known", "best cell"]


def test_huge_harm_is_marked_at_the_end_of_the_scale() -> None:
    trials = table(lambda lr, wd: 8.0 if wd == 1.0 else 0.0)
    info = _effects_info(landscape(trials))
    assert info.limits[1] < 1.2 * HIGHEST
    figure = plot_effects(trials, landscape(trials))
    assert "beyond the scale" in marks(figure)
    assert figure.axes[0].get_ylim()[1] < 12


def test_diverged_cells_stand_above_and_an_lr_without_baseline_says_so() -> None:
    trials = table(helps_at_high_lr)
    lost = ((trials["lr"] == 1.0) & (trials["weight_decay"] == 0)) | (
        (trials["lr"] == 0.1) & (trials["weight_decay"] == 1.0)
    )
    trials.loc[lost, ["value", "diverged"]] = [math.nan, True]
    figure = plot_effects(trials, landscape(trials))
    assert "diverged" in marks(figure)
    words = " ".join(text.get_text() for text in figure.axes[3].texts).split()
    assert " ".join(words) == "diverged without weight decay: nothing to compare with"
    info = _effects_info(landscape(trials))
    assert info.panels[2].points["diverged"].tolist() == [False] * 4 + [True]
    assert not math.isfinite(info.panels[2].points["change"].iloc[-1])


def test_many_lr_stand_in_rows_and_too_many_are_sampled() -> None:
    def lrs(n: int) -> list[float]:
        return np.logspace(-3, 0, n).round(9).tolist()

    def flat(lr: float, weight_decay: float) -> float:
        return math.log10(lr / 0.02) ** 2 + (0.5 if weight_decay == 1.0 else 0.0)

    for n, rows, columns in ((3, 1, 3), (7, 1, 7), (8, 2, 4), (13, 2, 7)):
        trials = table(flat, lrs(n), seeds=2)
        figure = plot_effects(trials, landscape(trials))
        assert len(figure.axes) == n
        assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (rows, columns)
        plt.close(figure)
    trials = table(flat, lrs(30), seeds=1)
    found = landscape(trials)
    info = _effects_info(found)
    assert len(info.panels) == MOST
    assert info.left_out == 9
    assert found.best.lr in {panel.lr for panel in info.panels}
    figure = plot_effects(trials, found)
    assert any("21 of 30 lr" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("columns", [3, 7])
@pytest.mark.parametrize("n", [1, 3, 7, 13])
def test_nothing_is_cut_and_no_labels_touch(n: int, columns: int) -> None:
    trials = table(helps_at_high_lr if n == 4 else lambda lr, wd: wd, np.logspace(-4.5, 0, n))
    trials.attrs = {"study": "a rather long name of a study, it is", "optimizer": "AdamW"}
    figure = plot_effects(trials, landscape(trials), columns=columns)
    figure.canvas.draw()
    canvas, renderer = figure.bbox, figure.canvas.get_renderer()
    shown = [*figure.texts, *figure.legends, figure._suptitle, *(ax.title for ax in figure.axes)]
    labels = [label for ax in figure.axes for label in ax.get_xticklabels() if label.get_text()]
    for artist in [*shown, *labels]:
        box = artist.get_window_extent(renderer)
        assert box.x0 >= -1
        assert box.x1 <= canvas.x1 + 1
        assert box.y0 >= -1
        assert box.y1 <= canvas.y1 + 1
    for ax in figure.axes:
        row = [label.get_window_extent(renderer) for label in ax.get_xticklabels()]
        row = sorted((box for box in row if box.width), key=lambda box: box.x0)
        assert all(a.x1 < b.x0 for a, b in pairwise(row))
    heads = [text.get_window_extent(renderer) for text in (figure._suptitle, figure.legends[0])]
    assert heads[0].y0 >= heads[1].y1 - 1
    assert heads[1].y0 >= max(ax.title.get_window_extent(renderer).y1 for ax in figure.axes) - 1


def test_ticks_of_a_narrow_axis_are_decades_apart_from_0() -> None:
    place = LogPlace(pd.Series([0.0, 1e-4, 1e-3, 1e-2, 1e-1, 0.2]))
    assert spaced_ticks(place, 0.85) == [0.001, 0.1]
    assert spaced_ticks(place, 6.0)[0] == 1e-4
    assert spaced_ticks(LogPlace(pd.Series([0.0, 0.1])), 1.0) == [0.1]
    assert Layout.of(13, 3, "title", []).rows == 5


def test_without_effects_the_reason_is_told() -> None:
    one = table(helps_at_high_lr, decays=(0.01,))
    with pytest.raises(StudyError, match="at no lr two weight_decay finished"):
        plot_effects(one, landscape(one))
    negative = table(helps_at_high_lr).assign(value=lambda t: t["value"] - 10)
    with pytest.raises(StudyError, match="some values are not positive"):
        plot_effects(negative, landscape(negative))
    lost = table(helps_at_high_lr, seeds=2)
    lost.loc[lost["weight_decay"] == 0, ["value", "diverged"]] = [math.nan, True]
    with pytest.raises(StudyError, match="training diverged"):
        plot_effects(lost, landscape(lost))


def test_title_and_caption_name_the_study() -> None:
    trials = trials_frame(grid_study(seeds=2))
    figure = plot_effects(trials, landscape(trials, name="validation loss"))
    assert figure.get_suptitle() == "made: what weight decay changes at each lr"
    texts = [text.get_text() for text in figure.texts]
    assert any("24 trials · 2 seeds · SGD" in text for text in texts)
    assert "change of the validation loss\nagainst no weight decay" in texts
    assert names(figure) == ["lr 0.01", "lr 0.1", "lr 1"]
