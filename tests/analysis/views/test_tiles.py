"""Tiles of a plane: each about its cell, none on another, and holes where nothing was tried."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from made_studies import designed_study

from wdstudy.analysis.frames.cells import cell_grid
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.views.scales import LogPlace
from wdstudy.analysis.views.tiles import Tile, tiles


def plane(cells: list[tuple[float, float]]) -> tuple[pd.DataFrame, LogPlace, LogPlace]:
    frame = pd.DataFrame(cells, columns=["lr", "weight_decay"])
    return frame, LogPlace(frame["lr"], far=True), LogPlace(frame["weight_decay"], far=True)


def overlap(a: Tile, b: Tile) -> bool:
    across = min(a.right, b.right) - max(a.left, b.left)
    up = min(a.high, b.high) - max(a.low, b.low)
    return bool(across > 1e-9 and up > 1e-9)


def test_a_regular_grid_is_covered_without_gaps() -> None:
    frame, x, y = plane([*product((0.01, 0.1, 1.0), (0.001, 0.01, 0.1, 1.0))])
    found = tiles(frame, x, y)
    assert found is not None
    area = sum((t.right - t.left) * (t.high - t.low) for t in found if t)
    assert area == pytest.approx(3 * 4)  # a decade each way
    assert not any(overlap(a, b) for a, b in combinations(found, 2) if a and b)


def test_columns_of_different_places_have_tiles_about_their_cells() -> None:
    rng = np.random.default_rng(0)
    cells = [(lr, float(f"{10 ** rng.uniform(-4, 0):.3g}")) for lr in (0.01, 0.03, 0.1, 0.3, 1)
             for _ in range(7)]  # fmt: skip
    frame, x, y = plane([*cells, *((lr, 0.0) for lr in (0.01, 0.03, 0.1, 0.3, 1))])
    found = tiles(frame, x, y)
    assert found is not None
    for tile, lr, decay in zip(found, x(frame["lr"]), y(frame["weight_decay"]), strict=True):
        assert tile is not None
        assert tile.left < np.log10(lr) < tile.right
        assert tile.low < np.log10(decay) < tile.high
    assert not any(overlap(a, b) for a, b in combinations(found, 2) if a and b)


def test_what_was_not_tried_is_a_hole() -> None:
    column = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
    frame, x, y = plane([*((0.1, w) for w in column), *((1.0, w) for w in column if w != 1e-3)])
    found = tiles(frame, x, y)
    assert found is not None
    left = [t for t, lr in zip(found, frame["lr"], strict=True) if t and lr == 1.0]
    gap = -3.0  # of log10 weight_decay
    assert not any(t.low < gap < t.high for t in left)
    assert sum(t.low < gap < t.high for t in found if t) == 1


def test_a_cell_between_columns_is_a_point() -> None:
    column = [0.0, 1e-3, 1e-2, 1e-1]
    frame, x, y = plane([*product((0.1, 0.3, 1.0), column), (0.13, 0.005), (0.01, 0.005)])
    found = tiles(frame, x, y)
    assert found is not None
    assert [tile is None for tile in found[-2:]] == [True, False]


def test_samples_have_no_tiles() -> None:
    rng = np.random.default_rng(0)
    frame, x, y = plane([(10**a, 10**b) for a, b in rng.uniform(-4, 0, (60, 2))])
    assert tiles(frame, x, y) is None
    assert tiles(frame[:0], x, y) is None


def test_the_plane_of_a_design_has_a_tile_or_a_point_for_each_cell() -> None:
    cells = cell_grid(trials_frame(designed_study())).cells
    found = tiles(cells, LogPlace(cells["lr"]), LogPlace(cells["weight_decay"]))
    assert found is not None
    assert len(found) == len(cells)
    assert not any(overlap(a, b) for a, b in combinations(found, 2) if a and b)
