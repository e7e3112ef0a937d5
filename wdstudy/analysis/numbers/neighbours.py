"""The noise of a sweep of one seed, from how cells differ from their neighbours.

What is left in it of the plane's own bends errs on the side of too much noise.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.estimate import Array
from wdstudy.analysis.numbers.noise import FAR_OUT, Noise, moderated
from wdstudy.analysis.numbers.smooth import FEWEST, local_quadratic

MOST_SMOOTHED = 1500
"""Cells whose neighbours are looked at; of more, every second or third."""

UNSEEN_SHIFT = 3.0
"""What one seed can't show, as a multiple of the rest: about the middle of benchmarks/tables/."""

OVERLAP = 0.5
"""Errors taken from neighbours share cells, so they count for fewer than they are."""

FEWEST_NEIGHBOURS = 4
"""Degrees of freedom below which neighbours tell too little of the noise."""


def noise_of_neighbours(table: pd.DataFrame) -> Noise:
    """From how cells differ from their neighbours, for want of seeds.

    What of the plane's own bends is left in it errs on the side of too much noise.
    """
    done = table[table["z"].notna() & (table["weight_decay"] > 0)].sort_values("y")
    parts = [part for _, part in done.groupby("column")]
    pieces: dict[int, list[Array]] = {int(part["column"].iloc[0]): [] for part in parts}
    for left, right in pairwise(parts):
        errors = _across(left, right)
        for part in (left, right):
            pieces[int(part["column"].iloc[0])].append(errors)
    if not any(len(e) for piece in pieces.values() for e in piece):
        done = done.iloc[:: 1 + len(done) // MOST_SMOOTHED]
        columns, errors = done["column"].to_numpy(), _off_the_smooth(done)
        pieces = {c: [errors[columns == c]] for c in pieces} if len(errors) else {}
    joined = {c: np.concatenate([np.empty(0), *piece]) for c, piece in pieces.items()}
    joined = {c: errors for c, errors in joined.items() if len(errors)}
    if sum(map(len, joined.values())) * OVERLAP < FEWEST_NEIGHBOURS:
        return Noise()
    scale = 1.4826 * float(np.median(np.abs(np.concatenate([*joined.values()]))))
    squares: dict[int, float] = {}
    df: dict[int, float] = {}
    for column, errors in joined.items():
        drawn = np.clip(errors, -FAR_OUT * scale, FAR_OUT * scale) if scale > 0 else errors
        df[column] = len(errors) * OVERLAP
        squares[column] = float((drawn**2).mean()) * df[column]
    places = table.groupby("column")["x"].mean().to_dict()
    return replace(moderated(squares, df, places), shift=UNSEEN_SHIFT)


def _across(left: pd.DataFrame, right: pd.DataFrame) -> Array:
    """Errors of one trial's size in two columns of the same cells.

    Second differences along weight_decay (Gasser, Sroka & Jennen-Steinmetz 1986), and of these
    what differs from one lr to the next: a curve that both columns share is not in them, nor is a
    straight trade-off.
    """
    y, other = (part["y"].to_numpy(dtype=float) for part in (left, right))
    if len(y) < 3 or len(y) != len(other) or np.ptp(other - y) > 1e-6:
        return np.empty(0)
    share = (y[2:] - y[1:-1]) / (y[2:] - y[:-2])
    twist = left["z"].to_numpy(dtype=float) - right["z"].to_numpy(dtype=float)
    error = share * twist[:-2] + (1 - share) * twist[2:] - twist[1:-1]
    return np.asarray(error / np.sqrt(2 * (1 + share**2 + (1 - share) ** 2)))


def _off_the_smooth(done: pd.DataFrame) -> Array:
    """Errors of one trial's size of scattered cells, off a surface through their neighbours."""
    points = done[["x", "y"]].to_numpy(dtype=float)
    span = np.ptp(points, axis=0) if len(points) else np.zeros(2)
    if len(points) <= FEWEST or not (span > 0).all():
        return np.empty(0)
    left = np.eye(len(points)) - local_quadratic(points / span, points / span, FEWEST)
    scale = np.sqrt((left**2).sum(axis=1))
    error = left @ done["z"].to_numpy(dtype=float)
    return np.asarray(error / np.maximum(scale, 0.1))
