"""Planes whose optimum moves along a scale in a known way, and sweeps over them.

A plane takes x = log10 lr, y = log10 weight_decay and t = log10 of the scale, counted from its
middle value, and gives the log loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

Array = np.ndarray
Plane = Callable[[Array, Array, Array], Array]

INITIAL = 2.3
X0, Y0 = -1.5, -3.0
"""Where the optimum is at the middle of the scale."""


def bowl(lr: float, decay: float, turn: float = 0.5, grows: float = 0.0) -> Plane:
    """Quadratic in log loss; `turn` ties the axes; `grows`: of the curvature, decades a decade."""

    def z(x: Array, y: Array, t: Array) -> Array:
        u, v = x - X0 - lr * t, y - Y0 - decay * t
        bend = 10 ** (grows * t)
        return np.log(0.1) - 0.3 * t + bend * (0.3 * u**2 + 0.1 * (v + turn * u) ** 2)

    return z


def lopsided(
    lr: float, decay: float, grows: float = 0.0, least: float = 0.2, tilt: float = 0.0
) -> Plane:
    """Gentle towards small lr and weight_decay, steep towards large, level at the initial loss.

    tilt: decades by which weight decay matters more, per decade of lr, as on real planes.
    """
    left, right = 0.6, 1.6

    def z(x: Array, y: Array, t: Array) -> Array:
        u, v = x - X0 - lr * t, y - Y0 - decay * t
        bend = 10 ** (grows * t)
        wings = right * np.exp(-left * v) + left * np.exp(np.minimum(right * v, 50))
        wings = wings / (left + right) - 1
        along = np.exp(np.minimum(1.5 * u, 50)) + np.exp(np.minimum(-0.9 * u, 50)) * 1.5 / 0.9
        along = along / (1 + 1.5 / 0.9) - 1
        loss = (
            least
            * 10 ** (-0.2 * t)
            * np.exp(bend * (0.2 * along + 0.12 * 10 ** (tilt * u) * wings))
        )
        return np.asarray(np.log(1 / (1 / loss + 1 / INITIAL)))

    return z


def only_harms(lr: float, limit: float) -> Plane:
    """Weight decay does nothing until it harms; the harm begins later or sooner along the scale."""

    def z(x: Array, y: Array, t: Array) -> Array:
        u, v = x - X0 - lr * t, y - Y0 - limit * t
        loss = 0.1 * 10 ** (-0.2 * t) * np.exp(0.3 * u**2 + 0.1 * np.exp(np.minimum(2 * v, 50)))
        return np.asarray(np.log(1 / (1 / loss + 1 / INITIAL)))

    return z


def level(lr: float) -> Plane:
    """The loss does not depend on weight decay at all."""
    return lambda x, y, t: np.log(0.1) - 0.3 * t + 0.3 * (x - X0 - lr * t) ** 2 + 0 * y


@dataclass(frozen=True)
class ScaledSweep:
    """How a plane is sampled at every value of a scale.

    noise: of one trial's log loss; each seed shifts the cells of one lr by `shift` times as much,
        those of another otherwise. by_lr: decades by which it grows per decade of lr.
    follow: by how much the window moves along the scale: decades of (lr, weight_decay) a decade.
    holes: share of cells missing. edge: value → how many of the highest lr and of the highest
        weight_decay are missing there. cliff: beyond x + 0.3 y of this, trials diverge.
    """

    values: Sequence[float] = (32, 64, 128, 256)
    noise: float = 0.02
    seeds: int = 2
    shift: float = 1.0
    by_lr: float = 0.3
    size: tuple[int, int] = (9, 9)
    reach: tuple[float, float] = (1.5, 2.0)
    follow: tuple[float, float] = (0.0, 0.0)
    holes: float = 0.0
    edge: dict[float, tuple[int, int]] = field(default_factory=dict)
    cliff: float = np.inf
    without: bool = True
    name: str = "batch_size"

    @property
    def middle(self) -> float:
        """log10 of the value at which t is 0."""
        return float(np.log10(self.values).mean())

    def trials(self, plane: Plane, rng: np.random.Generator) -> pd.DataFrame:
        """One row a trial, with the column of the scale."""
        parts = [self._at(value, plane, rng) for value in self.values]
        frame = pd.concat(parts, ignore_index=True).assign(trial=lambda f: np.arange(len(f)))
        frame.attrs["scale"] = {"name": self.name, "values": list(self.values)}
        return frame

    def _at(self, value: float, plane: Plane, rng: np.random.Generator) -> pd.DataFrame:
        t = np.log10(value) - self.middle
        xs = X0 + self.follow[0] * t + np.linspace(-self.reach[0], self.reach[0], self.size[0])
        ys = Y0 + self.follow[1] * t + np.linspace(-self.reach[1], self.reach[1], self.size[1])
        lost_lr, lost_decay = self.edge.get(value, (0, 0))
        xs, ys = xs[: len(xs) - lost_lr], ys[: len(ys) - lost_decay]
        if self.without:
            ys = np.append(ys, -np.inf)
        x, y = (a.ravel() for a in np.meshgrid(xs, ys, indexing="ij"))
        keep = rng.random(len(x)) >= self.holes
        x, y = np.repeat(x[keep], self.seeds), np.repeat(y[keep], self.seeds)
        seed = np.tile(np.arange(self.seeds), keep.sum())
        noise = self.noise * 10 ** (self.by_lr * (x - X0))
        z = plane(x, np.maximum(y, -9.0), np.full(len(x), t)) + noise * rng.standard_normal(len(x))
        lrs, column = np.unique(x, return_inverse=True)
        z += self.shift * noise * rng.standard_normal((len(lrs), self.seeds))[column, seed]
        loss = np.minimum(np.exp(z), INITIAL * 1.02)
        diverged = x + 0.3 * np.maximum(y, -9.0) > self.cliff
        return pd.DataFrame(
            {
                "state": np.where(diverged, "PRUNED", "COMPLETE"),
                "lr": 10.0**x,
                "weight_decay": 10.0**y,
                "seed": seed,
                "value": np.where(diverged, np.nan, loss),
                "diverged": diverged,
                "initial_loss": INITIAL,
                self.name: value,
                "steps": 10_000 / value * 32,
                "steps_per_epoch": 1_000 / value * 32,
                "examples_seen": 320_000.0,
                "parameters": 1000.0,
            }
        )
