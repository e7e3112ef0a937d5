"""Planes over ten decades of lr whose every answer is known, and trials on them, one by one.

At low lr a model stays untrained, at high lr training diverges. In between a valley of weight_decay
takes part of the loss off, from some lr on, and beyond it weight decay harms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from wdstudy.design.outcomes import Outcome
from wdstudy.space import TrialParams

Array = np.ndarray

INITIAL = 2.3
DECAYS = np.append(0.0, 10.0 ** np.arange(-8, 2.5, 0.01))
"""Weight decays by which a column's truth is sought."""

SCOUT_STEPS = math.log10(20.0)
"""Decades by which a twentieth of the steps bears more weight_decay."""


@dataclass(frozen=True)
class Plane:
    """Log loss over log10 lr and log10 weight_decay.

    x, y: of the valley at the best lr. slope: of the valley. gain: log loss that it takes off at
    lr above the best; less and less below it. gains_from: decades above the best lr where half of
    that is reached. floor: the least loss without weight decay.
    cliff: decades above the best lr from which on training diverges; rescued: by how many more
    the valley bears.
    sd: of one trial's log loss at the best lr. growth: decades by which it grows per decade of lr,
    between a quarter of it and five times it. A seed shifts the cells of one lr by as much again,
    all alike. tails: degrees of freedom of the noise, inf for a normal one.
    """

    x: float = -1.5
    y: float = -3.0
    slope: float = -1.0
    gain: float = 0.3
    gains_from: float = -0.2
    floor: float = 0.1
    cliff: float = 1.3
    rescued: float = 0.0
    sd: float = 0.02
    growth: float = 0.6
    tails: float = math.inf

    def z(self, lr: float, decay: Array) -> Array:
        """Log loss at weight decays `[n]`; inf where training diverges."""
        t = math.log10(lr) - self.x
        with np.errstate(divide="ignore"):
            y = np.log10(decay)
        u = y - self.y - self.slope * t
        valley = np.exp(-2 * u**2)
        gains = self.gain / (1 + math.exp(min(-(t - self.gains_from) / 0.15, 50)))
        loss = self.floor * (1 + 10 ** (-1.5 * (t + 1.2)) + 0.03 * 10 ** (1.5 * t))
        harm = np.log1p(10 ** np.minimum(2 * (u - 0.9), 20))
        loss = loss * np.exp(np.minimum(harm - gains * valley, 30))
        z = np.log(1 / (1 / loss + 1 / INITIAL))
        lost = (t > self.cliff + self.rescued * valley) | (math.log10(lr) + y > 0.5)
        return np.where(lost, np.inf, z)

    def at(self, lr: float, decay: float) -> float:
        """Log loss of one cell; inf where training diverges."""
        return float(self.z(lr, np.array([decay]))[0])

    def noise(self, lr: float, z: float) -> float:
        """The standard deviation of one trial's log loss; that of an untrained model is none."""
        t = math.log10(lr) - self.x
        sd = self.sd * min(max(10 ** (self.growth * t), 0.25), 5.0)
        return sd * max(1 - math.exp(z) / INITIAL, 0.02)

    @property
    def scouted(self) -> Plane:
        """A run of a twentieth of the length: it needs a higher lr and bears more weight_decay."""
        return replace(
            self, x=self.x + 0.4, y=self.y + SCOUT_STEPS + 0.4 * self.slope, floor=6 * self.floor
        )

    def onset(self, lr: float, factor: float) -> float:
        """Where the loss passes so many times that without weight decay, beyond its best; inf:
        nowhere.
        """
        z = self.z(lr, DECAYS)
        start = int(np.argmin(z))
        beyond = np.flatnonzero(z[start:] > z[0] + math.log(factor))
        return float(DECAYS[start + beyond[0]]) if len(beyond) else math.inf

    def valley(self, lr: float) -> float:
        """The best weight_decay of an lr."""
        return float(DECAYS[int(np.argmin(self.z(lr, DECAYS)))])

    @property
    def least(self) -> float:
        """The least log loss of all."""
        lrs = 10.0 ** np.arange(self.x - 2, self.x + 3, 0.02)
        return min(float(self.z(lr, DECAYS).min()) for lr in lrs)


@dataclass
class Trainer:
    """Trains trials on a plane: what a seed does to an lr is the same in each of its cells."""

    plane: Plane
    rng: np.random.Generator
    _shifts: dict[tuple[float, int, bool], float] = field(default_factory=dict)

    def train(self, cells: Iterable[TrialParams], share: float = 1.0) -> list[Outcome]:
        """What comes of some trials; of a part of the length where that is asked for."""
        return [self._one(params, share) for params in cells]

    def _one(self, params: TrialParams, share: float) -> Outcome:
        plane = self.plane if share == 1 else self.plane.scouted
        z = plane.at(params.lr, params.weight_decay)
        if not math.isfinite(z):
            return Outcome(params, diverged=True, initial_loss=INITIAL, share=share)
        key = params.cell[0], params.seed, share == 1
        shift = self._shifts.setdefault(key, self._draw())
        value = math.exp(z + plane.noise(params.lr, z) * (shift + self._draw()))
        return Outcome(params, min(value, 1.02 * INITIAL), initial_loss=INITIAL, share=share)

    def _draw(self) -> float:
        if math.isinf(self.plane.tails):
            return float(self.rng.standard_normal())
        return float(self.rng.standard_t(self.plane.tails))
