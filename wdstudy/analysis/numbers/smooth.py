"""Smoothing scattered cells: a quadratic through the nearest ones (Cleveland & Devlin 1988)."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from wdstudy.analysis.numbers.estimate import Array

FEWEST = 12  # cells that a quadratic in two axes is fitted to


def local_quadratic(points: Array, targets: Array, nearest: int | None = None) -> Array:
    """The matrix `[targets, points]` that takes z at the points to the smooth at the targets.

    Args:
        points: `[n, 2]`, `FEWEST` or more, scaled so that both axes count alike.
        targets: `[T, 2]`.
        nearest: How many points each is fitted to, with tricube weights; a fifth if not given.
    """
    k = min(len(points), max(FEWEST, nearest or len(points) // 5))
    distance, index = KDTree(points).query(targets, k=k)
    reach = distance[:, -1:] * 1.01 + 1e-12
    weight = (1 - np.minimum(distance / reach, 1) ** 3) ** 3  # [T, k]
    dx, dy = np.moveaxis((points[index] - targets[:, None]) / reach[..., None], -1, 0)
    design = np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy], axis=-1)
    weighted = design * weight[..., None]
    normal = np.swapaxes(weighted, 1, 2) @ design + 1e-6 * np.eye(6)
    first = np.linalg.solve(normal, np.eye(6)[:, :1][None].repeat(len(targets), 0))  # [T, 6, 1]
    smoother = np.zeros((len(targets), len(points)))
    np.put_along_axis(smoother, index, (weighted @ first)[..., 0], axis=1)
    return smoother
