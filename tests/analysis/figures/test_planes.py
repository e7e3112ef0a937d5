"""The planes of a scale side by side: one scale of colours, one pair of axes, the optimum's way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from known_scales import ScaledSweep, bowl, level, lopsided, only_harms
from made_studies import scaled_study
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from wdstudy.analysis.figures.planes import plot_planes
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.errors import StudyError

WIDTHS = (64, 128, 256, 512, 1024)


def sweep(**changes: object) -> pd.DataFrame:
    """A plane whose optimum goes as 1 / width and width, its window with it."""
    fields = {"values": WIDTHS, "name": "width", "follow": (-1.0, 1.0), "size": (7, 7), **changes}
    return ScaledSweep(**fields).trials(lopsided(-1, 1), np.random.default_rng(0))  # type: ignore[arg-type]


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_title(loc="left")]


def cells(ax: Axes) -> PolyCollection:
    return next(c for c in ax.collections if isinstance(c, PolyCollection))


def test_every_value_has_a_panel_with_its_own_cells_on_common_axes() -> None:
    trials = sweep()
    figure = plot_planes(trials)
    shown = panels(figure)
    assert [ax.get_title(loc="left") for ax in shown] == [f"width {w}" for w in WIDTHS]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in shown}) == 1
    for ax, width in zip(shown, WIDTHS, strict=True):
        part = trials[trials["width"] == width]
        corners = np.concatenate([path.vertices for path in cells(ax).get_paths()])
        assert len(cells(ax).get_paths()) == len(part.groupby(["lr", "weight_decay"]))
        inside = part["lr"].between(corners[:, 0].min(), corners[:, 0].max())
        assert inside.all()
        assert corners[:, 0].max() < 10 * part["lr"].max()  # a window of its own


def test_one_loss_has_one_colour_in_every_panel() -> None:
    """The colours of all panels are one function of the mean loss of a cell, and it falls."""
    trials = sweep()
    seen = []
    for ax, width in zip(panels(plot_planes(trials)), WIDTHS, strict=True):
        part = trials[trials["width"] == width]
        means = part.groupby(["lr", "weight_decay"])["value"].mean()
        seen += [*zip(means, map(tuple, cells(ax).get_facecolors()), strict=True)]  # type: ignore[arg-type]
    seen.sort()
    greens = [colour[1] for _, colour in seen]  # of viridis, brighter from dark to bright
    assert all(a >= b - 1e-9 for a, b in pairwise(greens))
    assert len(set(greens)) > 100


def test_the_way_goes_through_the_optima_and_ends_in_this_one() -> None:
    trials = sweep()
    found = transfer(trials)
    optima = [(place.lr.value, place.weight_decay.value) for place in found.places]
    for k, ax in enumerate(panels(plot_planes(trials, found))):
        ways = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == k + 1 > 2]
        assert not k > 1 or any(np.allclose(way, optima[: k + 1]) for way in ways)
        here = found.places[k]
        crosses = [line.get_xydata().ravel().tolist() for line in ax.lines]
        across = [here.lr.low, here.weight_decay.value, here.lr.high, here.weight_decay.value]
        assert any(np.allclose(across, cross) for cross in crosses if len(cross) == 4)


def test_the_frame_is_the_best_cell_that_was_trained() -> None:
    found = transfer(sweep())
    for ax, place in zip(panels(plot_planes(sweep(), found)), found.places, strict=True):
        frame = next(p for p in ax.patches if not p.get_fill() and p.get_zorder() > 2)
        left, low, right, high = frame.get_extents().transformed(ax.transData.inverted()).extents
        assert left < place.best_lr < right
        assert low < place.best_weight_decay < high


def test_where_weight_decay_only_harms_a_line_stands_at_the_best_lr() -> None:
    rng = np.random.default_rng(0)
    trials = ScaledSweep(values=(32, 64, 128), size=(7, 7)).trials(only_harms(-0.5, 1), rng)
    figure = plot_planes(trials)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "harmless up to here, 95 %" in labels
    assert "its way there" not in labels
    for ax, place in zip(panels(figure), transfer(trials).places, strict=True):
        upright = [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
        assert any(np.isclose(x, place.lr.value) for x in upright)
    rng = np.random.default_rng(0)
    without = plot_planes(ScaledSweep(values=(32, 64, 128), size=(7, 7)).trials(level(0.5), rng))
    labels = [text.get_text() for text in without.legends[0].get_texts()]
    assert "harmless up to here, 95 %" not in labels


def test_scattered_samples_are_points_and_diverged_cells_hatched() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for value in (32.0, 128.0):
        x, y = rng.uniform(-3, 0, 40), rng.uniform(-5, -1, 40)
        loss = np.exp(bowl(0.5, 0)(x, y, np.full(40, np.log10(value / 64))))
        rows.append(pd.DataFrame({"lr": 10**x, "weight_decay": 10**y, "value": loss, "n": value}))
    samples = plot_planes(pd.concat(rows, ignore_index=True), scale="n")
    assert all(len(cells(ax).get_paths()) == 0 for ax in panels(samples))
    assert all(any(len(c.get_offsets()) == 40 for c in ax.collections) for ax in panels(samples))
    lost = plot_planes(sweep(cliff=-1.5))
    assert any(p.get_hatch() == "////" for ax in panels(lost) for p in ax.patches)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("values", [WIDTHS[:2], WIDTHS[:4], (64, 96, 128, 192, 256, 384)])
def test_nothing_is_cut_and_no_ticks_touch(columns: int, values: tuple[int, ...]) -> None:
    trials = sweep(values=values, name="number_of_hidden_units_in_every_layer")
    trials.attrs["study"] = "a_study_with_a_rather_long_name_that_says_it_all"
    figure = plot_planes(trials, columns=columns)
    figure.savefig("/dev/null", format="png")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [t for ax in figure.axes for t in (ax.title, ax._left_title, ax.xaxis.label)]  # type: ignore[attr-defined]
    for text in [*texts, *figure.texts, *figure.legends]:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
    titles = [ax._left_title.get_window_extent(renderer) for ax in panels(figure)]  # type: ignore[attr-defined]
    assert all(a.x1 < b.x0 or a.y0 != b.y0 for a, b in pairwise(titles))
    for ax in panels(figure):
        ticks = [t for t in ax.get_xticklabels() if t.get_visible() and t.get_text()]
        boxes = sorted((t.get_window_extent(renderer) for t in ticks), key=lambda box: box.x0)
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    head = figure.texts[0].get_window_extent(renderer) if figure.texts else None
    assert head is None or head.y1 <= figure.bbox.y1 + 1


def test_a_frame_without_a_scale_is_refused_with_the_remedy() -> None:
    trials = trials_frame(scaled_study(sizes=(8,)))
    with pytest.raises(StudyError, match="needs two values"):
        plot_planes(trials)
    plain = sweep().drop(columns="width")
    plain.attrs = {}
    with pytest.raises(StudyError, match="say which column it is"):
        plot_planes(plain)
