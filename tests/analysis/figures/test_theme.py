from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.colors import LogNorm

from wdstudy.analysis.figures.theme import dress_place, titled
from wdstudy.analysis.views.looks import label_of
from wdstudy.analysis.views.scales import LogPlace, colour_norm, log_ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-5, 1e-1, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (1e-8, 1, [1e-8, 1e-6, 1e-4, 1e-2, 1.0]),
        (0.03, 0.5, [0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5]),
        (0.002, 3, [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(expected)


def test_zero_stands_one_step_below_the_smallest() -> None:
    place = LogPlace(pd.Series([0.0, 0.001, 0.1]))
    assert place.zero_at == pytest.approx(0.001 / math.sqrt(10))
    assert place(pd.Series([0.0, 0.1])).tolist() == pytest.approx([place.zero_at, 0.1])
    assert LogPlace(pd.Series([0.1, 1.0])).zero_at is None


def test_colours_are_logarithmic_only_where_values_span_much() -> None:
    assert isinstance(colour_norm(pd.Series([0.1, 1.0])), LogNorm)
    assert not isinstance(colour_norm(pd.Series([0.1, 0.2])), LogNorm)
    assert not isinstance(colour_norm(pd.Series([-1.0, 100.0])), LogNorm)
    alone = colour_norm(pd.Series([3.0, math.nan]))
    assert alone.vmin < 3 < alone.vmax


def test_labels_are_words() -> None:
    trials = pd.DataFrame()
    trials.attrs = {"objective": "val_accuracy"}
    assert label_of(trials, "value") == "validation accuracy at the end"
    assert label_of(trials, "final_val_loss") == "validation loss at the end"
    assert label_of(trials, "train_seconds") == "train seconds"


def test_a_name_is_never_read_as_a_formula() -> None:
    trials = pd.DataFrame()
    trials.attrs = {"study": "$\\frac{"}
    figure, ax = plt.subplots()
    titled(ax, trials, "loss")
    figure.canvas.draw()
    assert ax.get_title(loc="left") == "$\\frac{: loss"


def test_the_values_of_a_small_grid_are_its_ticks() -> None:
    _, ax = plt.subplots()
    tried = [0.00316, 0.01, 0.0316, 0.1]
    dress_place(ax, "x", LogPlace(pd.Series(tried)))
    assert ax.get_xticks().tolist() == tried
    dress_place(ax, "x", LogPlace(pd.Series([0.01, 0.0101, 3.0])))  # names would overlap
    assert 0.0101 not in ax.get_xticks().tolist()
    plt.close()
