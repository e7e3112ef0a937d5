"""Log loss as a table over lr and weight_decay, with replicates that carry its noise.

A grid is its own table. Scattered cells are smoothed onto one: at each point a quadratic is fitted
to the nearest cells with tricube weights (Cleveland & Devlin 1988). Everything that needs lines of
equal lr or weight_decay (line searches, widths, frontiers) reads a `Surface`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import Delaunay, KDTree, QhullError

from wdstudy.analysis.frames.cells import DENSE, DIVERGED_SHARE
from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.estimate import Array, Mask
from wdstudy.analysis.numbers.noise import Noise
from wdstudy.analysis.numbers.smooth import FEWEST, local_quadratic

REPLICATES = 400
LATTICE = 15  # points a side of the table that scattered cells are smoothed onto
MOST_SCATTERED = 900  # more cells than this are averaged in bins first
HARMLESS = 1.1  # within this factor of the best, a cell is as good


@dataclass(frozen=True)
class Surface:
    """z `[R, I, J]` over x `[I]` = log10 lr and y `[J]` = log10 weight_decay.

    Row 0 holds the values, the others replicates with their noise (NaN where that is not known). A
    value is NaN where nothing finished, and `diverged` `[I, J]` says whether that is why.
    """

    x: Array
    y: Array
    z: Array
    diverged: Mask
    n: int
    smoothed: bool
    note: str = ""


def surface(cells: Cells, rng: np.random.Generator) -> Surface | str:
    """The table of the cells with positive weight_decay, or why there is none."""
    table = cells.table[cells.table["weight_decay"] > 0]
    if table["z"].notna().sum() == 0:
        return "no cell with weight_decay above 0 finished"
    levels = table["x"].nunique() * table["y"].nunique()
    if len(table) >= DENSE * levels:
        return _from_grid(table, cells.noise, rng)
    return _from_scatter(table, rng)


def _from_grid(table: pd.DataFrame, noise: Noise, rng: np.random.Generator) -> Surface:
    """The grid as it is; each replicate adds the noise of a mean over the cell's seeds.

    What seeds shift all cells of one lr by is drawn once for them all.
    """
    x, y = np.unique(table["x"]), np.unique(table["y"])
    at = np.searchsorted(x, table["x"]), np.searchsorted(y, table["y"])
    z = np.full((len(x), len(y)), np.nan)
    diverged = np.zeros(z.shape, dtype=bool)
    error = np.full(z.shape, np.nan)
    z[at] = table["z"]
    diverged[at] = table["diverged"] >= DIVERGED_SHARE
    seeds = table["seeds"].clip(lower=1).to_numpy(dtype=float)
    places = [*zip(table.index, table["column"], strict=True)]
    error[at] = np.sqrt([noise.variance(int(i), int(c)) for i, c in places] / seeds)
    shift = np.full(len(x), np.nan)
    shift[at[0]] = np.sqrt(noise.shift / seeds) * [noise.of(int(c)).sd for _, c in places]
    draws = z + error * rng.standard_normal((REPLICATES, *z.shape))
    draws += (shift * rng.standard_normal((REPLICATES, len(x))))[:, :, None]
    n = int(table["z"].notna().sum())
    return Surface(x, y, np.concatenate([z[None], draws]), diverged, n, smoothed=False)


def _from_scatter(table: pd.DataFrame, rng: np.random.Generator) -> Surface | str:
    """A regular table within the convex hull of the finished cells."""
    done = table[table["z"].notna()]
    if len(done) < FEWEST:
        return f"only {len(done)} scattered cells finished; a table needs {FEWEST}"
    low, span = table[["x", "y"]].min().to_numpy(), np.ptp(table[["x", "y"]].to_numpy(), axis=0)
    if not (span > 0).all():
        return "the cells lie on one line"
    points = (done[["x", "y"]].to_numpy() - low) / span  # [n, 2]
    z, note = done["z"].to_numpy(dtype=float), "smoothed from scattered cells"
    if len(z) > MOST_SCATTERED:
        points, z = _binned(points, z)
        note += f", {len(done)} of them averaged in {len(z)} bins"
    side = np.linspace(0, 1, LATTICE)
    lattice = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    try:
        outside = Delaunay(points).find_simplex(lattice, tol=1e-6) < 0
    except QhullError:
        return "the cells lie on one line"
    smoother, to_cells = local_quadratic(points, lattice), local_quadratic(points, points)
    residual = (z - to_cells @ z) / (1 - np.minimum(np.diag(to_cells), 0.8))
    signs = rng.choice([-1.0, 1.0], (REPLICATES, len(z)))
    values = np.vstack([z, z + signs * residual]) @ smoother.T  # [R, LATTICE²]
    values = np.clip(values, z.min(), z.max())
    diverged = _nearer_diverged(table, low, span, points, lattice)
    values[:, outside | diverged] = np.nan
    shape = (LATTICE, LATTICE)
    x, y = (low[i] + side * span[i] for i in (0, 1))
    return Surface(x, y, values.reshape(-1, *shape), diverged.reshape(shape), len(done), True, note)


def _binned(points: Array, z: Array) -> tuple[Array, Array]:
    """Means of the points and of z in a regular grid of bins."""
    side = int(math.sqrt(MOST_SCATTERED))
    index = np.minimum((points * side).astype(int), side - 1)
    means = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "z": z})
    means = means.groupby(index[:, 0] * side + index[:, 1]).mean()
    return means[["x", "y"]].to_numpy(), means["z"].to_numpy()


def _nearer_diverged(
    table: pd.DataFrame, low: Array, span: Array, points: Array, lattice: Array
) -> Mask:
    """The points of the lattice whose nearest cell diverged."""
    bad = table.loc[table["diverged"] >= DIVERGED_SHARE, ["x", "y"]].to_numpy()
    if len(bad) == 0:
        return np.zeros(len(lattice), dtype=bool)
    to_bad, _ = KDTree((bad - low) / span).query(lattice)
    to_good, _ = KDTree(points).query(lattice)
    return np.asarray(to_bad < to_good)


def crossing(values: Array, t: Array, level: float) -> float:
    """First t at which `values` rise above `level`, interpolated; NaN if they never do."""
    above = np.flatnonzero(values > level)
    if len(above) == 0 or above[0] == 0:
        return math.nan
    k = int(above[0])
    rise = values[k] - values[k - 1]
    part = (level - values[k - 1]) / rise if math.isfinite(rise) else 0.5
    return float(t[k - 1] + part * (t[k] - t[k - 1]))
