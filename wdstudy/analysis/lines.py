"""What lines across the surface tell: frontier, cost of tuning apart, sensitivity, valley width.

Functions of tables z `[R, I, J]` return one number a table, `[R]`: row 0 the value, the rest its
bootstrap replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wdstudy.analysis.cells import BASIN, Cells
from wdstudy.analysis.estimate import Array, Estimate, cannot_say, reflected
from wdstudy.analysis.ridge import WIDEST
from wdstudy.analysis.surface import Surface

HARMLESS = 1.1  # within this factor of the best, a cell is as good
UNKNOWN_NOISE = "no interval: one seed a cell, and no smooth surface to judge the noise by"


@dataclass(frozen=True)
class Frontier:
    """The largest harmless weight_decay against lr: slope in decades per decade, and its points.

    factor: a weight_decay does harm when the loss exceeds this many times the best at that lr.
    """

    slope: Estimate
    factor: float = math.nan
    lr: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()


@dataclass(frozen=True)
class ApartCost:
    """Loss after tuning the axes one after the other, above the joint best, as a share of it.

    lr_first: a line search over lr at a starting weight_decay, then over weight_decay at that lr;
    weight_decay_first: the other way round. Each the median over all starts.
    worst: the dearest start, described by `worst_start`, `worst_at` and `worst_order`.
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


def frontier(surface: Surface, cells: Cells, sd: float) -> Frontier:
    """Where weight_decay begins to do harm, lr by lr, and the line through these points.

    Between cells the crossing is interpolated. `sd`: noise of one trial's z, NaN if not known; a
    rise of less than three times that of a cell is no harm. The interval is Student's t of the
    line's residuals; a smoothed surface, whose residuals hang together, adds its bootstrap.
    """
    done = cells.decayed
    error = sd / math.sqrt(done["seeds"].median()) if math.isfinite(sd) else 0.0
    rise = max(math.log(HARMLESS) if cells.logarithmic else 0.05 * _range(surface.z[0]), 3 * error)
    factor = math.exp(rise) if cells.logarithmic else math.nan
    without = cells.finished[cells.finished["weight_decay"] == 0].set_index("x")["z"].to_dict()
    x, y, unseen = _onsets(surface, surface.z[0], rise, without)
    if len(x) < 4 or unseen > len(x):
        seen = f"at {len(x)} of {len(x) + unseen} lr"
        why = f"weight_decay begins to do harm inside the range {seen} only; at least 4 are needed"
        return Frontier(cannot_say(why, surface.n), factor)
    line = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(x) - 2) * line.stderr)
    if surface.smoothed:
        half = math.hypot(half, 1.96 * _spread(surface, rise, without))
    points = tuple((10**x).tolist()), tuple((10**y).tolist())
    if not 2 * half < WIDEST:
        why = "the weight_decay at which harm begins scatters too widely about a line"
        return Frontier(cannot_say(why, surface.n), factor, *points)
    slope = Estimate(float(line.slope), line.slope - half, line.slope + half, surface.n)
    return Frontier(slope, factor, *points)


def _onsets(
    surface: Surface, z: Array, rise: float, without: dict[float, float]
) -> tuple[Array, Array, int]:
    """Where harm begins, as x and y, and the number of trained lr at which that is not seen.

    Not where the next cell diverged: that edge is the cliff's (`stable_lr`), with its own slope.
    `without`: z at weight_decay 0 for each x, which counts when the best at an lr is sought.
    """
    trained = float(np.nanmin(z)) + BASIN * _range(z)
    rows = np.where(surface.diverged, np.nan, _bridged(z, surface.y))
    found, unseen = [], 0
    for x, row in zip(surface.x, rows, strict=True):
        if not np.isfinite(row).any() or np.nanmin(row) > trained:
            continue
        best = int(np.nanargmin(row))
        least = min(float(row[best]), without.get(x, math.inf))
        place = _crossing(row[best:], surface.y[best:], least + rise)  # NaN is not above
        below = x not in without and _falling(row, best, rise)
        if math.isfinite(place) and not below and row[best] <= least + rise:
            found.append((x, place))
        else:
            unseen += 1
    x, y = np.array(found).reshape(-1, 2).T
    return x, y, unseen


def _spread(surface: Surface, rise: float, without: dict[float, float]) -> float:
    """Standard deviation of the frontier's slope over bootstrap surfaces."""
    slopes = []
    for z in surface.z[1:101]:
        x, y, _ = _onsets(surface, z, rise, without)
        if len(x) >= 4:
            slopes.append(np.polyfit(x, y, 1)[0])
    return float(np.std(slopes)) if len(slopes) > 50 else math.inf


def _falling(row: Array, best: int, rise: float) -> bool:
    """Whether the loss still falls at the smallest weight_decay, so that its best is not seen."""
    known = np.flatnonzero(np.isfinite(row))
    if len(known) < 2 or best != known[0]:
        return False
    return bool(row[known[1]] - row[known[0]] > rise / 2)


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
        _share(cells, both[:, worst], surface),
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
    i, j = _best(surface.z[0])
    best = math.exp(surface.z[0, i, j]) if cells.logarithmic else surface.z[0, i, j]
    initial = cells.initial if cells.initial > best else math.nan
    found = []
    lines = (("lr", surface.z[:, :, j], surface.diverged[:, j]),
             ("weight_decay", surface.z[:, i, :], surface.diverged[i, :]))  # fmt: skip
    for name, line, diverged in lines:
        n = int(np.isfinite(line[0]).sum() + diverged.sum())
        if n < 2:
            found.append(cannot_say(f"only one {name} at the best cell", n))
        elif diverged.any() and not math.isfinite(initial):
            found.append(cannot_say("diverged cells, and no initial_loss to count them as", n))
        else:
            loss = np.exp(line) if cells.logarithmic else line
            loss = np.where(diverged, initial, np.fmin(loss, initial))
            rise = _mean(loss) - _least(loss)
            caveat = "" if math.isfinite(initial) else "not capped: no initial_loss"
            found.append(_estimate(rise, n, caveat))
    return found[0], found[1]


def valley_width(surface: Surface, cells: Cells) -> ValleyWidth:
    """How far lr may go from the best, alone, and with weight_decay moving against it."""
    if not cells.logarithmic:
        why = cannot_say("a factor of the best needs values that are all positive", surface.n)
        return ValleyWidth(why, why)
    i, j = _best(surface.z[0])
    sums = surface.x[i] + surface.y[j]
    reach = np.linspace(surface.x[0], surface.x[-1], 121)
    reach = np.sort(np.append(reach, surface.x[i]))
    reach = reach[(sums - reach >= surface.y[0] - 1e-9) & (sums - reach <= surface.y[-1] + 1e-9)]
    diagonal = _between(surface, reach, np.clip(sums - reach, surface.y[0], surface.y[-1]))
    start = int(np.argmin(np.abs(reach - surface.x[i])))
    return ValleyWidth(
        _width(surface.z[:, :, j], surface.x, i, bool(surface.diverged[:, j].any())),
        _width(diagonal, reach, start, bool(surface.diverged.any())),
    )


def _width(line: Array, t: Array, start: int, cliff: bool) -> Estimate:
    """Length of the piece of `line` `[R, K]` around `start` that stays within HARMLESS."""
    if len(t) < 3:
        return cannot_say("fewer than 3 lr on this line", len(t))
    rise = math.log(HARMLESS)
    widths, open_ended = [], False
    for number, values in enumerate(line):
        filled = np.where(np.isfinite(values), values, np.inf)
        level = (values[start] if math.isfinite(values[start]) else math.inf) + rise
        up = _crossing(filled[start:], t[start:], level)
        down = -_crossing(filled[start::-1], -t[start::-1], level)
        if number == 0:
            open_ended = not (math.isfinite(up) and math.isfinite(down))
        up, down = (
            end if math.isfinite(end) else edge for end, edge in ((up, t[-1]), (down, t[0]))
        )
        widths.append(up - down)
    reason = "at least: the valley reaches the edge of the range" if open_ended else ""
    reason = reason or ("ends at diverged cells" if cliff and np.isnan(line[0]).any() else "")
    return _estimate(np.array(widths), len(t), reason, floor=0.0)


def _crossing(values: Array, t: Array, level: float) -> float:
    """First t at which `values` rise above `level`, interpolated; NaN if they never do."""
    above = np.flatnonzero(values > level)
    if len(above) == 0 or above[0] == 0:
        return math.nan
    k = int(above[0])
    rise = values[k] - values[k - 1]
    part = (level - values[k - 1]) / rise if math.isfinite(rise) else 0.5
    return float(t[k - 1] + part * (t[k] - t[k - 1]))


def _bridged(z: Array, y: Array) -> Array:
    """Rows of z with the holes between finished cells filled along y."""
    filled = z.copy()
    for row in filled:
        known = np.isfinite(row)
        if known.sum() >= 2:
            row[:] = np.interp(y, y[known], row[known], left=np.nan, right=np.nan)
    return filled


def _searched(z: Array) -> Array:
    """Cost `[R, K]` of a search over axis 1 at each of the K places of axis 2, then over axis 2."""
    first = z.argmin(axis=1)  # [R, K]
    end = z.min(axis=2)  # [R, I]: the best over axis 2 at each place of axis 1
    cost = np.take_along_axis(end, first, axis=1)
    started = np.isfinite(z).any(axis=1)
    best = np.where(np.isfinite(z), z, np.inf).min(axis=(1, 2))
    return np.where(started, cost, np.nan) - np.where(np.isfinite(best), best, np.nan)[:, None]


def _between(surface: Surface, x: Array, y: Array) -> Array:
    """Tables read at points between their cells by bilinear interpolation, `[R, K]`."""

    def place(axis: Array, at: Array) -> tuple[np.ndarray, Array]:
        index = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, max(len(axis) - 2, 0))
        width = axis[np.minimum(index + 1, len(axis) - 1)] - axis[index]
        return index, (at - axis[index]) / np.where(width > 0, width, 1.0)

    (i, u), (j, v) = place(surface.x, x), place(surface.y, y)
    total = np.zeros((len(surface.z), len(x)))
    for di, wu in ((0, 1 - u), (1, u)):
        for dj, wv in ((0, 1 - v), (1, v)):
            corner = surface.z[:, np.minimum(i + di, len(surface.x) - 1),
                               np.minimum(j + dj, len(surface.y) - 1)]  # fmt: skip
            weight = wu * wv
            total += np.where(weight > 1e-9, corner * weight, 0.0)
    return total


def _best(z: Array) -> tuple[int, int]:
    i, j = np.unravel_index(int(np.nanargmin(z)), z.shape)
    return int(i), int(j)


def _range(z: Array) -> float:
    finite = z[np.isfinite(z)]
    return float(np.ptp(finite)) if len(finite) else 0.0


def _mean(line: Array) -> Array:
    """Mean over the known values of each row, NaN rows allowed."""
    known = np.isfinite(line)
    count = known.sum(axis=1)
    return np.asarray(np.where(known, line, 0).sum(axis=1) / np.where(count > 0, count, np.nan))


def _least(line: Array) -> Array:
    least = np.where(np.isfinite(line), line, np.inf).min(axis=1)
    return np.asarray(np.where(np.isfinite(least), least, np.nan))


def _share(cells: Cells, differences: Array, surface: Surface) -> Estimate:
    """Differences of z `[R]` as shares of the loss."""
    shares = np.expm1(differences) if cells.logarithmic else differences
    return _estimate(shares, surface.n, surface.note, floor=0.0)


def _estimate(numbers: Array, n: int, reason: str = "", floor: float = 0.0) -> Estimate:
    noisy = np.isfinite(numbers[1:]).any()
    return reflected(float(numbers[0]), numbers[1:], n, floor=floor,
                     reason=reason or ("" if noisy else UNKNOWN_NOISE))  # fmt: skip


def _pairs(cells: Cells, starts: Array, costs: Array) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(start), cells.ratio(float(cost)))
        for start, cost in zip(starts, costs, strict=True)
        if math.isfinite(cost)
    )
