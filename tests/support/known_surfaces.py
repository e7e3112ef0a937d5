"""Loss surfaces whose ridge is known, and sweeps over them.

A surface takes x = log10 lr and y = log10 weight_decay, arrays, and gives the log loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

Array = np.ndarray
Surface = Callable[[Array, Array], Array]

INITIAL = 2.3
MIDDLE = -1.5  # x of every surface's best lr


def bowl(slope: float, y0: float = -3.5, along: float = 0.15, across: float = 0.1) -> Surface:
    """Quadratic in log loss; `along = 0.02` makes it a long valley."""

    def z(x: Array, y: Array) -> Array:
        t = x - MIDDLE
        return np.log(0.1) + along * t**2 + across * (y - y0 - slope * t) ** 2

    return z


def lopsided(
    slope: float, y0: float = -3.5, along: float = 0.02, amplitude: float = 0.02, growth: float = 0
) -> Surface:
    """Gentle towards small weight_decay, steep towards large, levelling off at the initial loss.

    `growth`: decades by which weight_decay matters more, per decade of lr.
    """
    left, right = 0.5, 1.3
    shift = np.log(left / right) / (left + right)  # puts the minimum on the ridge

    def z(x: Array, y: Array) -> Array:
        t = x - MIDDLE
        u = y - y0 - slope * t + shift
        wings = np.exp(-left * u) + np.exp(np.minimum(right * u, 50))
        return _capped(0.05 + along * t**2 + amplitude * 10 ** (growth * t) * wings)

    return z


def bent(bend: float = -0.6) -> Surface:
    """A valley of slope -1 at the best lr, whose slope changes by `bend` a decade."""

    def z(x: Array, y: Array) -> Array:
        t = x - MIDDLE
        return np.log(0.1) + 0.1 * t**2 + 0.1 * (y + 3.5 + t - bend / 2 * t**2) ** 2

    return z


def only_hurts(slope: float, y0: float = -3.0) -> Surface:
    """Level until weight_decay does harm: no ridge, but a frontier."""

    def z(x: Array, y: Array) -> Array:
        t = x - MIDDLE
        harm = np.exp(np.minimum(3.0 * (y - y0 - slope * t), 50))
        return _capped(0.07 + 0.02 * t**2 + 0.02 * harm)

    return z


def flat() -> Surface:
    """The loss does not depend on weight_decay."""
    return lambda x, y: np.log(0.1) + 0.15 * (x - MIDDLE) ** 2 + 0 * y


def _capped(loss: Array) -> Array:
    return np.asarray(np.log(1 / (1 / loss + 1 / INITIAL)))


def grid(nx: int = 8, ny: int = 8) -> tuple[Array, Array]:
    """x and y `[nx · ny]` of lr 1e-3 … 1 and weight_decay 1e-6 … 1e-1."""
    x, y = np.meshgrid(np.linspace(-3, 0, nx), np.linspace(-6, -1, ny), indexing="ij")
    return x.ravel(), y.ravel()


def scatter(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """x and y `[n]`, uniform over the same ranges."""
    return rng.uniform(-3, 0, n), rng.uniform(-6, -1, n)


@dataclass(frozen=True)
class Sweep:
    """How a surface is sampled: the noise of one trial's log loss, seeds, and what goes wrong.

    cliff: trials above this x + 0.3 y diverge. holes: share of cells missing.
    shared: part of the noise that a seed brings to all cells alike.
    by_lr: as real tables have it: decades by which the noise grows per decade of lr, and each seed
        shifts the cells of one lr by as much again, those of another otherwise.
    """

    noise: float = 0.05
    seeds: int = 1
    cliff: float = np.inf
    holes: float = 0.0
    shared: float = 0.0
    by_lr: float = 0.0
    without: bool = False
    points: tuple[Array, Array] = field(default_factory=grid)

    def trials(self, surface: Surface, rng: np.random.Generator) -> pd.DataFrame:
        """One row a trial, as the trials frame of a study has them."""
        x, y = self.points
        keep = rng.random(len(x)) >= self.holes
        x, y = x[keep], y[keep]
        weight_decay = 10.0**y
        if self.without:
            lrs = np.unique(x)
            x, y = np.append(x, lrs), np.append(y, np.full(len(lrs), -9.0))
            weight_decay = np.append(weight_decay, np.zeros(len(lrs)))
        x, y, weight_decay = (np.repeat(a, self.seeds) for a in (x, y, weight_decay))
        seed = np.tile(np.arange(self.seeds), len(x) // self.seeds)
        bias = self.shared * rng.standard_normal(self.seeds)
        noise = self.noise * 10 ** (self.by_lr * (x - MIDDLE))
        z = surface(x, y) + bias[seed] + noise * rng.standard_normal(len(x))
        if self.by_lr:
            lrs, column = np.unique(x, return_inverse=True)
            z += noise * rng.standard_normal((len(lrs), self.seeds))[column, seed]
        value = np.minimum(np.exp(z), INITIAL * 1.02)
        diverged = x + 0.3 * y > self.cliff
        return pd.DataFrame(
            {
                "trial": np.arange(len(x)),
                "state": np.where(diverged, "PRUNED", "COMPLETE"),
                "lr": 10.0**x,
                "weight_decay": weight_decay,
                "seed": seed,
                "value": np.where(diverged, np.nan, value),
                "diverged": diverged,
                "initial_loss": INITIAL,
            }
        )
