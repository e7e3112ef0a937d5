"""The flank of harm laid over the planes of all values of a scale: where it begins at each.

Where weight decay only harms there is no bottom to follow, but there is a limit. At the lr that are
trained with, log loss is

    z = c(value, lr) + log(factor) · exp(rate · (y - limit_k - slope · (x - x_k))),

with a constant for every lr of every value, one rate and one slope for all, and a limit of its own
for every value k: the weight_decay at which harm reaches the factor at the best lr, 10 ** x_k.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import optimize

from wdstudy.analysis.numbers.drift import Drift, drift_through, moved
from wdstudy.analysis.numbers.estimate import Array
from wdstudy.analysis.numbers.scaled import Part, Scaled

FACTOR = 1.25
ABOUT = 0.8  # decades on either side of the best lr
DEEP, SHALLOW = 2.0, 1.6  # harm of more than such a factor is no longer the beginning of it
GAIN = 0.03  # an lr at which weight decay gains more than this has a bottom, and no flank alone
RATE, SLOPE = 3.0, -0.5  # to start from: between wd and wd² a decade, in natural logs
STEEPEST = 30.0
SPARE = 6
FLOOR = 0.003  # of log loss: no flank is smoother


def harm_drift(scaled: Scaled, best_lr: Array) -> Drift | str:
    """How the limit of harm moves along a scale, or why that can't be said.

    Args:
        scaled: The values.
        best_lr: log10 of the best lr at each, `[K]`.
    """
    cells = [
        pd.concat([*_columns(part, x)] or [pd.DataFrame()], ignore_index=True)
        for part, x in zip(scaled.parts, best_lr, strict=True)
    ]
    shown = np.array([not frame.empty for frame in cells])
    if shown.sum() < 2:
        where = "no value" if not shown.any() else "one value"
        return f"harm of {100 * (FACTOR - 1):.0f} % is seen at {where} of {scaled.name}"
    told = [frame.assign(k=k) for k, frame in enumerate(f for f in cells if not f.empty)]
    frame = pd.concat(told, ignore_index=True)
    deep, shallow = (_drift(frame, scaled.t[shown], factor) for factor in (DEEP, SHALLOW))
    if deep is None:
        return "where harm begins scatters too widely about one curve"
    return deep if shallow is None else moved(deep, shallow)


def _columns(part: Part, x: float) -> Iterator[pd.DataFrame]:
    """The cells of each lr near the best that shows the flank alone: `x, y, z, base, error`."""
    done, noise = part.cells.finished, part.cells.noise
    for effect in part.effects:
        onset = effect.harms_from[FACTOR]
        away = math.log10(effect.lr) - x
        if abs(away) > ABOUT or not (onset.known and math.isfinite(onset.high)):
            continue
        if effect.gain.low > GAIN:
            continue
        column = done[done["lr"] == effect.lr]
        column = column[~column.index.isin(noise.odd)]
        base = column[column["weight_decay"] == effect.without]
        if base.empty or len(column) < 3:
            continue
        number = int(column["column"].iloc[0])
        variance = [noise.variance(int(i), number) for i in column.index]
        yield pd.DataFrame({
            "column": number, "x": away, "y": column["y"], "z": column["z"] - base["z"].iloc[0],
            "error": np.sqrt(np.array(variance) / column["seeds"] + FLOOR**2),
            "start": math.log10(onset.value),
        })  # fmt: skip


def _drift(frame: pd.DataFrame, t: Array, most: float) -> Drift | None:
    """The drift by the cells whose harm is below a factor; None where these are too few."""
    near = frame[frame["z"] <= math.log(most) + 3 * frame["error"]]
    column = near.groupby(["k", "column"]).ngroup().to_numpy()
    k, count = near["k"].to_numpy(), int(column.max()) + 1
    values, size = len(t), len(t) + 2
    if len(near) < size + count + SPARE or near["k"].nunique() < values:
        return None
    x, y, z, error = (near[name].to_numpy(dtype=float) for name in ("x", "y", "z", "error"))
    y = np.maximum(y, -30.0)  # where there is no weight decay there is no harm
    one, row = np.eye(count)[column], np.eye(values)[k]

    def residual(theta: Array) -> Array:
        limit, rate, slope, level = theta[:values], theta[values], theta[values + 1], theta[size:]
        power = np.minimum(rate * (y - limit[k] - slope * x), STEEPEST)
        return np.asarray((z - level[column] - math.log(FACTOR) * np.exp(power)) / error)

    def jacobian(theta: Array) -> Array:
        limit, rate, slope = theta[:values], theta[values], theta[values + 1]
        away = y - limit[k] - slope * x
        harm = math.log(FACTOR) * np.exp(np.minimum(rate * away, STEEPEST))
        parts = [rate * harm[:, None] * row, (-harm * away)[:, None], (rate * harm * x)[:, None]]
        return np.asarray(np.hstack([*parts, -one]) / error[:, None])

    start = near.groupby("k")["start"].median().to_numpy()
    first = np.concatenate([start, [RATE, SLOPE], np.zeros(count)])
    found = optimize.least_squares(residual, first, jacobian, method="lm", max_nfev=200)
    spare = len(near) - len(first)
    misfit = max(2 * found.cost / spare, 1.0)
    inner = jacobian(found.x)
    covariance = np.linalg.pinv(inner.T @ inner, hermitian=True)[:values, :values] * misfit
    limit, rate = found.x[:values], found.x[values]
    lowest, highest = (near.groupby("k")["y"].agg(end).to_numpy() for end in ("min", "max"))
    if not (rate > 0 and bool(((limit > lowest) & (limit < highest + 1)).all())):
        return None
    return drift_through(t, limit[:, None], covariance, float(spare))
