"""A polynomial surface through the cells of a basin, with draws of its coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from wdstudy.analysis.numbers.estimate import Array

REPLICATES = 999
MIN_SPARE = 3  # residual degrees of freedom below which an interval means little
MIN_LRS = 3


@dataclass(frozen=True)
class BasinSurface:
    """A basin's fitted surface. Of the coefficients `[R, T]` row 0 is the fit, the rest are draws.

    x, y: `[n]`, measured from `origin`. above: `[n]`, z less g(x): what y does, and the noise.
    at, low, high: `[k]`, where the ridge is read, and the weight_decay sampled near there.
    """

    x: Array
    y: Array
    origin: tuple[float, float]
    above: Array
    powers: list[tuple[int, int]]
    coefficients: Array
    at: Array
    low: Array
    high: Array
    scatter: float
    spare: int
    p_flat: float

    def ridge(self, rows: slice = slice(None)) -> Array:
        """Fitted minimum over y `[R, k]`; NaN where it is not inside the sampled weight_decay."""
        return _minima(self.coefficients[rows], self.powers, self.at, self.low, self.high)

    def value(self, x: Array, y: Array) -> Array:
        """The fitted terms in y, `[n]`."""
        return np.asarray(_monomials(x, y, self.powers) @ self.coefficients[0])


def fit_basin(x: Array, y: Array, z: Array, rng: np.random.Generator) -> BasinSurface | str:
    """The surface of one basin, or why there is none."""
    lrs, n = np.unique(x), len(x)
    if len(lrs) < MIN_LRS:
        return f"only {len(lrs)} lr near the best"
    origin = (float(x.mean()), float(y.mean()))
    x, y = x - origin[0], y - origin[1]
    g = _in_lr(x)
    if n - g.shape[1] - 3 < MIN_SPARE:
        return f"only {n} cells near the best, too few for a curved surface"
    p_flat = _f_test(g, np.hstack([g, _monomials(x, y, _powers(2))]), z)
    powers = _degree(x, y, z, g)
    design = np.hstack([g, _monomials(x, y, powers)])
    q, _ = np.linalg.qr(design)
    inverse = np.linalg.pinv(design)  # [G + T, n]
    residual = z - q @ (q.T @ z)
    spare = n - design.shape[1]
    coefficients = inverse[g.shape[1] :] @ z
    # Wild bootstrap of HC3 residuals (Davidson & Flachaire 2008), widened to Student's t
    error = residual / (1 - np.minimum((q * q).sum(1), 0.99))
    error *= stats.t.ppf(0.975, spare) / stats.norm.ppf(0.975)
    signs = rng.choice([-1.0, 1.0], (REPLICATES, n))
    draws = coefficients + (signs * error) @ inverse[g.shape[1] :].T
    at = np.linspace(np.quantile(x, 0.05), np.quantile(x, 0.95), 7)
    return BasinSurface(
        x, y, origin, z - g @ (inverse[: g.shape[1]] @ z), powers,
        np.vstack([coefficients, draws]), at, *_sampled(x, y, at),
        float(np.sqrt(residual @ residual / spare)), spare, p_flat,
    )  # fmt: skip


def _in_lr(x: Array) -> Array:
    """The basis of g(x), a polynomial, `[n, G]`."""
    degree = 4 if len(x) >= 40 else 3 if len(x) >= 24 else 2
    return np.vander(x / max(np.abs(x).max(), 1e-9), degree + 1)


def _powers(degree: int) -> list[tuple[int, int]]:
    """Exponents (i, j) of the terms xⁱyʲ that hold y, up to a total degree."""
    return [(i, j) for j in range(1, degree + 1) for i in range(degree + 1 - j)]


def _monomials(x: Array, y: Array, powers: list[tuple[int, int]]) -> Array:
    """Terms xⁱyʲ along a new last axis, `[..., T]`."""
    return np.stack([x**i * y**j for i, j in powers], axis=-1)


def _degree(x: Array, y: Array, z: Array, g: Array) -> list[tuple[int, int]]:
    """Exponents of the surface: of a higher degree only where the cells ask for it."""
    chosen = _powers(2)
    for degree in (3, 4):
        larger = _powers(degree)
        enough = len(x) - g.shape[1] - len(larger) >= 2 * MIN_SPARE
        if enough and g.shape[1] > degree:
            smaller = np.hstack([g, _monomials(x, y, chosen)])
            if _f_test(smaller, np.hstack([g, _monomials(x, y, larger)]), z) < 0.1:
                chosen = larger
    return chosen


def _f_test(small: Array, large: Array, z: Array) -> float:
    """P value of the terms that `large` has beyond `small`, both `[n, p]`."""
    rss = [
        float(np.sum((z - m @ np.linalg.lstsq(m, z, rcond=None)[0]) ** 2)) for m in (small, large)
    ]
    extra, spare = large.shape[1] - small.shape[1], len(z) - large.shape[1]
    tiny = 1e-16 * len(z) * max(float(np.mean(z * z)), 1e-300)  # rounding, not noise
    if rss[0] <= tiny:
        return 1.0
    return float(stats.f.sf((rss[0] - rss[1]) / extra / (max(rss[1], tiny) / spare), extra, spare))


def _sampled(x: Array, y: Array, at: Array) -> tuple[Array, Array]:
    """Lowest and highest y of the cells near each x, `[k]` each."""
    reach = np.ptp(at) / max(len(at) - 1, 1) / 2
    near = [np.abs(x - here) <= max(reach, np.abs(x - here).min()) + 1e-9 for here in at]
    return np.array([y[m].min() for m in near]), np.array([y[m].max() for m in near])


def _minima(
    coefficients: Array, powers: list[tuple[int, int]], at: Array, low: Array, high: Array
) -> Array:
    """Least value over y of R surfaces at each x, `[R, k]`; NaN where it lies at an end.

    A search on 25 points a little beyond the sampled range, then Newton's method.
    """
    margin = 0.1 * (high - low)
    search = np.linspace(low - margin, high + margin, 25)  # [25, k]
    values = np.einsum("skt,rt->rsk", _monomials(at, search, powers), coefficients)
    where = values.argmin(axis=1)  # [R, k]
    y = np.take_along_axis(search, where, axis=0)
    step = (search[1] - search[0])[None]
    start = y
    for _ in range(4):
        first, second = np.zeros_like(y), np.zeros_like(y)
        for (i, j), b in zip(powers, coefficients.T, strict=True):
            first += b[:, None] * at**i * j * y ** (j - 1)
            if j > 1:
                second += b[:, None] * at**i * j * (j - 1) * y ** (j - 2)
        move = first / np.where(second > 0, second, np.inf)
        y = np.clip(y - move, start - step, start + step)
    return np.where((where > 0) & (where < len(search) - 1), y, np.nan)
