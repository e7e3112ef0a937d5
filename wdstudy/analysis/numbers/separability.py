"""How much of the loss separate axes, or the product alone, explain.

Shares are adjusted R² of log loss over the trained cells, by least squares on polynomials (degree
4, or less on short axes). The variance of seed noise, where known, is taken off both the total and
the rest. Intervals are over cells: Bayesian bootstrap (Rubin 1981), reflected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.numbers.cells import Cells, additive_rss
from wdstudy.analysis.numbers.contrasts import mean_variances
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say, reflected

REPLICATES = 400
MOST_NOISE = 0.5  # of the variance: shares of what is left would be shares of noise
DEGREE = 4


@dataclass(frozen=True)
class Separability:
    """How far the axes act apart.

    additive: share of the variance that f(lr) + g(weight_decay) explains; the rest interacts.

    interaction_p: P value of the F test of interaction against seed noise, NaN without replicates.
    """

    additive: Estimate
    interaction_p: float = math.nan


@dataclass(frozen=True)
class Product:
    """Shares of the variance that one number explains: lr · weight_decay, lr, or weight_decay."""

    product: Estimate
    lr: Estimate
    weight_decay: Estimate


def separability(cells: Cells, rng: np.random.Generator) -> Separability:
    """How well the trained cells are described by a sum of two curves."""
    basin = cells.basin()
    x, y = _axis(basin, "x"), _axis(basin, "y")
    shares = _share(cells, basin, np.hstack([x, y]), rng) if x.size and y.size else _one_axis(basin)
    return Separability(shares, _interaction_p(cells, basin))


def product(cells: Cells, rng: np.random.Generator) -> Product:
    """How well one number describes the trained cells."""
    basin = cells.basin()
    if not _axis(basin, "x").size or not _axis(basin, "y").size:
        return Product(*[_one_axis(basin)] * 3)
    basin = basin.assign(p=(basin["x"] + basin["y"]).round(6))
    return Product(*(_share(cells, basin, _axis(basin, name), rng) for name in ("p", "x", "y")))


def _one_axis(basin: pd.DataFrame) -> Estimate:
    return cannot_say("fewer than 2 lr or 2 weight_decay among the trained cells", len(basin))


def _axis(cells: pd.DataFrame, name: str) -> Array:
    """Polynomials of one coordinate without the constant, `[n, degree]`, on -1 … 1."""
    t = cells[name].to_numpy(dtype=float)
    degree = min(DEGREE, len(np.unique(t)) - 1)
    if degree < 1:
        return np.empty((len(t), 0))
    scaled = 2 * (t - t.min()) / np.ptp(t) - 1
    return np.asarray(np.polynomial.legendre.legvander(scaled, degree)[:, 1:])


def _share(cells: Cells, basin: pd.DataFrame, basis: Array, rng: np.random.Generator) -> Estimate:
    """Adjusted R² of z on `basis` `[n, p]`, with weights of 1 and then bootstrap weights."""
    z, n, p = basin["z"].to_numpy(dtype=float), len(basin), basis.shape[1] + 1
    if n < p + 3:
        return cannot_say(f"only {n} trained cells for {p} coefficients", n)
    if np.ptp(z) == 0:
        return cannot_say("all trained cells have the same loss", n)
    design = np.column_stack([np.ones(n), basis])
    weights = np.vstack([np.ones(n), rng.dirichlet(np.ones(n), REPLICATES) * n])  # [R, n]
    z = z - z.mean()
    outer = (design[:, :, None] * design[:, None, :]).reshape(n, p * p)
    normal = (weights @ outer).reshape(-1, p, p) + 1e-9 * np.eye(p)
    right = (weights * z) @ design  # [R, p]
    explained = np.sum(right * np.linalg.solve(normal, right[..., None])[..., 0], axis=1)
    squares, mean = weights @ (z * z), weights @ z / n
    seeds = cells.noise.replicated and cells.noise.known
    noise = np.zeros(len(weights))
    if seeds:  # known only as well as its degrees of freedom say
        df = cells.noise.df
        noise += float(mean_variances(cells, basin, rest=False).mean())
        noise[1:] *= df / rng.chisquare(df, len(weights) - 1)
    rest = np.maximum((squares - explained) / (n - p) - noise, 0.0)
    total = (squares - n * mean**2) / (n - 1) - noise
    if total[0] <= 0 or noise[0] > MOST_NOISE * (total[0] + noise[0]):
        return cannot_say("the trained cells differ by little more than the seed noise", n)
    shares = np.clip(1 - rest / np.maximum(total, 1e-300), 0.0, 1.0)
    caveat = "" if seeds else "no cell has 2 seeds: noise counts as unexplained"
    return reflected(float(shares[0]), shares[1:], n, floor=0.0, ceiling=1.0, reason=caveat)


def _interaction_p(cells: Cells, basin: pd.DataFrame) -> float:
    """F test of cell means against a sum of lr, weight_decay and seed, on single trials."""
    rows = cells.trials[cells.trials["cell"].isin(basin.index) & cells.trials["z"].notna()]
    codes = {name: pd.factorize(rows[name])[0] for name in ("x", "y", "seed", "cell")}
    levels = {name: len(np.unique(code)) for name, code in codes.items()}
    spare = len(rows) - levels["cell"] - levels["seed"] + 1
    extra = levels["cell"] - levels["x"] - levels["y"] + 1
    if spare < 3 or extra < 1:
        return math.nan
    z = rows["z"].to_numpy(dtype=float)
    full = additive_rss(z, [codes["cell"], codes["seed"]])
    additive = additive_rss(z, [codes["x"], codes["y"], codes["seed"]])
    if full <= 0:
        return math.nan
    return float(stats.f.sf(max(additive - full, 0.0) / extra / (full / spare), extra, spare))
