"""What lines across the surface tell: cost of tuning apart, sensitivity, valley width.

Each number is found anew on every bootstrap replicate of the table, best cell included. In
simulation the 95 % intervals of these cover the truth in some 80 to 95 %: minima over noisy cells
are hard. Scattered cells, smoothed first, get no interval here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.estimate import Array, Estimate, Mask, cannot_say, reflected
from wdstudy.analysis.numbers.surface import HARMLESS, Surface, crossing

WIDTH_REPLICATES = 200
AT_LEAST = "at least: the valley reaches the edge of the range"
UNKNOWN_NOISE = "no interval: one seed a cell, and no smooth surface to judge the noise by"


@dataclass(frozen=True)
class ApartCost:
    """Loss after tuning the axes one after the other, above the joint best, as a share of it.

    lr_first: a line search over lr at a starting weight_decay, then over weight_decay at that lr;
    weight_decay_first: the other way round. Each the median over all starts.
    worst: the dearest start, described by `worst_start` and `worst_order`. It has no interval: the
        greatest of many is biased, and by how much the cells don't tell.
    by_weight_decay, by_lr: (start, cost) of lr_first and of weight_decay_first.
    """

    lr_first: Estimate
    weight_decay_first: Estimate
    worst: Estimate
    worst_order: str = ""
    worst_start: float = math.nan
    by_weight_decay: tuple[tuple[float, float], ...] = ()
    by_lr: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class ValleyWidth:
    """Decades of lr within `factor` of the best loss, in one piece around the best cell."""

    fixed_weight_decay: Estimate
    fixed_product: Estimate
    factor: float = HARMLESS


def apart_cost(surface: Surface, cells: Cells) -> ApartCost:
    """What tuning one axis after the other costs, for every start."""
    z = np.where(np.isfinite(surface.z), surface.z, np.inf)
    if z.shape[1] < 2 or z.shape[2] < 2:
        why = cannot_say("fewer than 2 lr or 2 weight_decay", surface.n)
        return ApartCost(why, why, why)
    by_weight_decay, by_lr = _searched(z), _searched(np.swapaxes(z, 1, 2))  # [R, J], [R, I]
    both = np.concatenate([by_weight_decay, by_lr], axis=1)
    worst = int(np.argmax(np.nan_to_num(both[0], nan=-1.0)))
    lr_first = worst < len(surface.y)
    starts = 10 ** np.concatenate([surface.y, surface.x])

    def estimate(costs: Array) -> Estimate:
        known = costs[:, np.isfinite(costs[0])]
        known = np.where(np.isfinite(known).all(axis=1, keepdims=True), known, np.nan)
        return _share(cells, np.median(known, axis=1), surface)

    return ApartCost(
        estimate(by_weight_decay),
        estimate(by_lr),
        _worst(cells, float(both[0, worst]), surface),
        "lr first" if lr_first else "weight_decay first",
        float(starts[worst]),
        _pairs(cells, starts[: len(surface.y)], by_weight_decay[0]),
        _pairs(cells, starts[len(surface.y) :], by_lr[0]),
    )


def sensitivity(surface: Surface, cells: Cells) -> tuple[Estimate, Estimate]:
    """Mean of min(loss, initial loss) less the best, along lr and along weight_decay.

    In units of loss, on the lines through the best cell; Wortsman et al. 2023. Diverged cells
    count as untrained.
    """
    loss = np.exp(surface.z) if cells.logarithmic else surface.z
    capped = cells.initial > np.nanmin(loss[0])
    loss = np.minimum(loss, cells.initial if capped else math.inf)
    loss = np.where(surface.diverged, cells.initial if capped else math.nan, loss)
    each = np.arange(len(loss))
    i, j = np.array([_best(z) for z in surface.z]).T  # every replicate has its own best cell
    return (
        _rise(surface, "lr", loss[each, :, j], surface.diverged[:, j[0]], capped),
        _rise(surface, "weight_decay", loss[each, i, :], surface.diverged[i[0], :], capped),
    )


def _rise(surface: Surface, axis: str, line: Array, diverged: Mask, capped: bool) -> Estimate:
    """Mean less least of the losses on lines `[R, K]`."""
    n = int((np.isfinite(line[0]) | diverged).sum())
    if n < 2:
        return cannot_say(f"only one {axis} at the best cell", n)
    if diverged.any() and not capped:
        return cannot_say("diverged cells, and no initial_loss to count them as", n)
    numbers = _mean(line) - np.nanmin(np.where(np.isfinite(line), line, np.inf), axis=1)
    return _estimate(surface, numbers, n, "" if capped else "not capped: no initial_loss")


def valley_width(surface: Surface, cells: Cells) -> ValleyWidth:
    """How far lr may go from the best, alone, and with weight_decay moving against it."""
    if not cells.logarithmic:
        why = cannot_say("a factor of the best needs values that are all positive", surface.n)
        return ValleyWidth(why, why)
    if len(surface.x) < 3:
        why = cannot_say("fewer than 3 lr", surface.n)
        return ValleyWidth(why, why)
    tables = [z for z in surface.z[: WIDTH_REPLICATES + 1] if np.isfinite(z).any()]
    widths = np.array([_widths(surface, z)[0] for z in tables])
    ends = _widths(surface, surface.z[0])[1]
    alone, moving = (_estimate(surface, widths[:, k], surface.n, ends[k]) for k in (0, 1))
    return ValleyWidth(alone, moving)


def _widths(surface: Surface, z: Array) -> tuple[tuple[float, float], tuple[str, str]]:
    """Widths about the best cell of one table, at fixed weight_decay and product; and caveats."""
    i, j = _best(z)
    sums = surface.x[i] + surface.y[j]
    reach = np.sort(np.append(np.linspace(surface.x[0], surface.x[-1], 121), surface.x[i]))
    reach = reach[(sums - reach >= surface.y[0] - 1e-9) & (sums - reach <= surface.y[-1] + 1e-9)]
    diagonal = _between(surface, z, reach, np.clip(sums - reach, surface.y[0], surface.y[-1]))
    start = int(np.argmin(np.abs(reach - surface.x[i])))
    alone, alone_ends = _width(z[:, j], surface.x, i)
    moving, moving_ends = _width(diagonal, reach, start)
    return (alone, moving), (alone_ends, moving_ends)


def _width(line: Array, t: Array, start: int) -> tuple[float, str]:
    """Length of the piece of `line` `[K]` around `start` that stays within HARMLESS; a caveat."""
    filled = np.where(np.isfinite(line), line, np.inf)
    level = line[start] + math.log(HARMLESS)
    up = crossing(filled[start:], t[start:], level)
    down = -crossing(filled[start::-1], -t[start::-1], level)
    ends = "" if math.isfinite(up) and math.isfinite(down) else AT_LEAST
    up, down = up if math.isfinite(up) else t[-1], down if math.isfinite(down) else t[0]
    return float(up - down), ends


def _searched(z: Array) -> Array:
    """Cost `[R, K]` of a search over axis 1 at each of the K places of axis 2, then over axis 2."""
    first = z.argmin(axis=1)  # [R, K]
    end = z.min(axis=2)  # [R, I]: the best over axis 2 at each place of axis 1
    cost = np.take_along_axis(end, first, axis=1)
    started = np.isfinite(z).any(axis=1)
    best = np.where(np.isfinite(z), z, np.inf).min(axis=(1, 2))
    return np.where(started, cost, np.nan) - np.where(np.isfinite(best), best, np.nan)[:, None]


def _between(surface: Surface, z: Array, x: Array, y: Array) -> Array:
    """A table read at points between its cells `[K]`, from triangles.

    Each square is split along its falling diagonal, the direction of equal lr · weight_decay:
    between two cells on a narrow ridge, those beside the ridge have no say.
    """
    (i, u), (j, v) = _place(surface.x, x), _place(surface.y, y)
    near = u + v <= 1 + 1e-9
    weights = {
        (0, 0): np.where(near, 1 - u - v, 0),
        (1, 0): np.where(near, u, 1 - v),
        (0, 1): np.where(near, v, 1 - u),
        (1, 1): np.where(near, 0, u + v - 1),
    }
    total = np.zeros(len(x))
    for (di, dj), weight in weights.items():
        rows = np.minimum(i + di, len(surface.x) - 1)
        corner = z[rows, np.minimum(j + dj, len(surface.y) - 1)]
        total += np.where(weight > 1e-9, corner, 0.0) * weight
    return total


def _place(axis: Array, at: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """The interval of `axis` that holds each point, and how far along it, 0 … 1."""
    index = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, max(len(axis) - 2, 0))
    width = axis[np.minimum(index + 1, len(axis) - 1)] - axis[index]
    return index, (at - axis[index]) / np.where(width > 0, width, 1.0)


def _best(z: Array) -> tuple[int, int]:
    i, j = np.unravel_index(int(np.argmin(np.where(np.isfinite(z), z, np.inf))), z.shape)
    return int(i), int(j)


def _mean(line: Array) -> Array:
    """Mean over the known values of each row, NaN rows allowed."""
    known = np.isfinite(line)
    count = known.sum(axis=1)
    return np.asarray(np.where(known, line, 0).sum(axis=1) / np.where(count > 0, count, np.nan))


def _worst(cells: Cells, cost: float, surface: Surface) -> Estimate:
    return Estimate(cells.ratio(cost), n=surface.n, reason=surface.note or "the greatest of many")


def _share(cells: Cells, differences: Array, surface: Surface) -> Estimate:
    """Differences of z `[R]` as shares of the loss."""
    shares = np.expm1(differences) if cells.logarithmic else differences
    return _estimate(surface, shares, surface.n, surface.note)


def _estimate(surface: Surface, numbers: Array, n: int, reason: str = "") -> Estimate:
    """Numbers `[R]`, none below 0, as one; without an interval if none would be honest."""
    if surface.smoothed:  # replicates show the noise, but not what smoothing takes away
        return Estimate(float(numbers[0]), n=n, reason=reason or surface.note)
    noisy = np.isfinite(numbers[1:]).any()
    return reflected(float(numbers[0]), numbers[1:], n, floor=0.0,
                     reason=reason or ("" if noisy else UNKNOWN_NOISE))  # fmt: skip


def _pairs(cells: Cells, starts: Array, costs: Array) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(start), cells.ratio(float(cost)))
        for start, cost in zip(starts, costs, strict=True)
        if math.isfinite(cost)
    )
