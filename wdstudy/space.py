"""The lr × weight_decay space: its axes, its cells and the order in which they are trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wdstudy.axes import MOST as MOST
from wdstudy.axes import Cell as Cell
from wdstudy.axes import axis_of, places, readable, seeds_of, spread
from wdstudy.axes import log_range as log_range
from wdstudy.axes import parse_axis as parse_axis
from wdstudy.axes import parse_cells as parse_cells
from wdstudy.axes import rounded as rounded
from wdstudy.errors import SpaceError, nearest
from wdstudy.scale import Scale, exact

MAX_CELLS = 1_000_000
"""Trials of a grid, at most: a slip of the finger is not to fill a disk."""

LR, WEIGHT_DECAY, SEED = "lr", "weight_decay", "seed"
"""The parameters of a trial, and the columns of every frame."""

TAU_UNITS = ("run", "epochs")

Key = tuple[float, ...]
"""What no two trials of a study share: cell and seed, and the value of a scale."""


@dataclass(frozen=True, order=True)
class TrialParams:
    """What distinguishes one trial from the others of its study.

    Along a scale its value is `scale`, and an attribute of the scale's own name: `params.width`.
    """

    lr: float
    weight_decay: float
    seed: int = 0
    scale: float | None = None
    scale_name: str = field(default="", compare=False, repr=False)

    def __getattr__(self, name: str) -> float:
        known = self.__dict__  # no field: those never come here, and a copy has none at first
        if name == known.get("scale_name") and known.get("scale") is not None:
            value: float = known["scale"]
            return value
        raise AttributeError(f"a trial has no parameter {name!r}")

    @property
    def cell(self) -> Cell:
        """Its place on the plane."""
        return rounded(self.lr), rounded(self.weight_decay)

    @property
    def key(self) -> Key:
        """What no other trial of the study has as well: cell and seed, and the scale's value."""
        at = () if self.scale is None else (rounded(self.scale),)
        return *self.cell, self.seed, *at

    def as_dict(self) -> dict[str, float]:
        """The parameters by their names."""
        known: dict[str, float] = {LR: self.lr, WEIGHT_DECAY: self.weight_decay, SEED: self.seed}
        return known if self.scale is None else {**known, self.scale_name: self.scale}

    def __str__(self) -> str:
        """`lr 0.1, weight_decay 0.01`, and `, width 64` along a scale."""
        at = "" if self.scale is None else f", {self.scale_name} {self.scale:g}"
        return f"lr {self.lr:g}, weight_decay {self.weight_decay:g}{at}"


def memory_of(lr: float, weight_decay: float, *, independent: bool) -> float:
    """τ: over how many steps weight decay remembers, infinite without it.

    The other way round as well: from τ in steps to weight_decay.
    """
    shrink = weight_decay if independent else lr * weight_decay
    return 1 / shrink if shrink else math.inf


@dataclass(frozen=True)
class Clock:
    """How many steps a unit of τ has at each value of a scale (None where there is none).

    independent: whether weight decay is not scaled by lr.
    """

    units: Mapping[float | None, float] = field(default_factory=dict)
    independent: bool = False


@dataclass(frozen=True)
class SearchSpace:
    """The joint space of `lr` and `weight_decay`, with seeds as replicas of every cell.

    Args:
        lr: Learning rates, all positive; a list or `log_range(low, high, n)`.
        weight_decay: Coefficients ≥ 0. A 0 is the baseline without weight decay.
        seeds: A number of seeds (`3` is seeds 0, 1, 2) or the seeds themselves.
        only: Places (lr, weight_decay) of the grid, if no others are to be trained; all if empty.
        scale: A third axis: `Scale("batch_size", [32, 64, 128])`. lr and weight_decay are those of
            its first value; `Scale(follow=)` says how they move.
        tau: Instead of weight_decay, over how long it remembers: weight_decay = 1 / (lr · τ) with τ
            in steps, and 1 / τ where decay is independent. `math.inf` is the baseline.
        tau_unit: Of `tau`: shares of the `"run"`, or `"epochs"`.
        clock: Filled by a run, which knows how many steps that is.

    Raises:
        SpaceError: an axis is empty, or holds a value that can't be trained with.
    """

    lr: Sequence[float]
    weight_decay: Sequence[float] = ()
    seeds: int | Sequence[int] = (0,)
    only: Sequence[Cell] = ()
    scale: Scale | None = None
    tau: Sequence[float] = field(default=(), kw_only=True)
    tau_unit: Literal["run", "epochs"] = field(default="run", kw_only=True)
    clock: Clock | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.scale, list | tuple):
            raise SpaceError(
                f"scale= holds {len(self.scale)} scales; give one, and each of the others a study "
                "of its own"
            )
        if self.scale is not None and not isinstance(self.scale, Scale):
            raise SpaceError(f"scale={self.scale!r}; give scale=Scale('batch_size', [32, 64, 128])")
        object.__setattr__(self, "lr", axis_of("lr", self.lr, lowest="above 0"))
        if isinstance(self.tau, Sequence) and not self.tau:
            decays = axis_of("weight_decay", self.weight_decay)
            object.__setattr__(self, "weight_decay", decays)
            object.__setattr__(self, "tau", ())
        else:
            self._take_tau()
        object.__setattr__(self, "seeds", seeds_of(self.seeds))
        object.__setattr__(self, "only", places(self.only, self.lr, self.weight_decay))
        if len(self) > MAX_CELLS:
            raise SpaceError(
                f"the space holds {self}, {len(self):,} trials; give at most {MAX_CELLS:,}"
            )
        self._check_follow()

    def __len__(self) -> int:
        rows = len(self.tau) or len(self.weight_decay)
        each = (len(self.only) or len(self.lr) * rows) * len(self.seed_list)
        return each * (1 if self.scale is None else len(self.scale.trained))

    def __str__(self) -> str:
        seeds = len(self.seed_list)
        rows = f"{len(self.tau)} tau" if self.tau else f"{len(self.weight_decay)} weight_decay"
        text = f"{len(self.lr)} lr × {rows}"
        if self.only:
            text = f"{len(self.only)} of the grid's cells"
        if self.scale is not None:
            text = f"{text} × {len(self.scale.trained)} {self.scale.name}"
        return text if seeds == 1 else f"{text} × {seeds} seeds"

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, spelled out."""
        return self.seeds  # type: ignore[return-value]  # __post_init__ made it a tuple

    @property
    def values(self) -> Sequence[float | None]:
        """The values of the scale; None alone, where there is none."""
        return (None,) if self.scale is None else self.scale.values

    def at(self, value: float | None) -> SearchSpace:
        """The space of one value of the scale, its window moved there; itself where it is None."""
        if value is None or self.scale is None:
            return self
        moved, value = self.scale.moved, exact(value)
        lrs = [moved(LR, lr, value) for lr in self.lr]
        if self.tau:
            taus = [moved("tau", tau, value) if tau < math.inf else tau for tau in self.tau]
            known = self.clock is not None and value in self.clock.units
            clock = self.clock if known and self.clock is not None else None
            if clock is not None:
                clock = replace(clock, units={None: clock.units[value]})
            return SearchSpace(lrs, seeds=self.seeds, tau=taus, tau_unit=self.tau_unit, clock=clock)
        decays = [moved(WEIGHT_DECAY, decay, value) for decay in self.weight_decay]
        only = [(moved(LR, lr, value), moved(WEIGHT_DECAY, d, value)) for lr, d in self.only]
        return SearchSpace(lrs, decays, self.seeds, only)

    def timed(self, units: Mapping[float | None, float], *, independent: bool) -> SearchSpace:
        """The space once it is known how many steps a unit of τ has at each value; without τ as it
        was.
        """
        return replace(self, clock=Clock(units, independent)) if self.tau else self

    def cells(self) -> list[TrialParams]:
        """Every trial of the grid: seed by seed, and within a seed from coarse to fine.

        The order lets a half-done study show the whole landscape at a low resolution, rather
        than its first rows; trials of one seed stay together because lanes share a seed. Along a
        scale every place has its trial of each value before the next one, for the same reason.
        """
        if self.scale is not None:
            name = self.scale.name
            each = [
                [replace(params, scale=v, scale_name=name) for params in self.at(v).cells()]
                for v in self.scale.trained
            ]
            return [params for together in zip(*each, strict=True) for params in together]
        wanted = {(rounded(lr), rounded(weight_decay)) for lr, weight_decay in self.only}
        trials = (
            TrialParams(lr, weight_decay, seed)
            for seed in self.seed_list
            for lr, weight_decay in self._places()
        )
        return [params for params in trials if not wanted or params.cell in wanted]

    def as_data(self) -> dict[str, Any]:
        """The space as plain lists, for the study's attributes."""
        tau = {"tau": [str(t) if t == math.inf else t for t in self.tau], "tau_unit": self.tau_unit}
        return {
            "lr": list(self.lr),
            "weight_decay": list(self.weight_decay),
            "seeds": list(self.seed_list),
            **(tau if self.tau else {}),
        }

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> SearchSpace:
        """The space that was written by `as_data`; of τ it has every weight_decay at every lr."""
        tau = [float(t) for t in data.get("tau", ())]
        unit, clock = data.get("tau_unit", "run"), Clock() if tau else None
        axes = data["lr"], data["weight_decay"], data.get("seeds", (0,))
        return cls(*axes, tau=tau, tau_unit=unit, clock=clock)

    def grown(self, other: SearchSpace) -> SearchSpace:
        """This space with the values of another as well, without its scale."""
        tau = sorted({*self.tau, *other.tau})
        return SearchSpace(
            sorted({*self.lr, *other.lr}),
            sorted({*self.weight_decay, *other.weight_decay}),
            sorted({*self.seed_list, *other.seed_list}),
            tau=tau,
            tau_unit=other.tau_unit if other.tau else self.tau_unit,
            clock=Clock() if tau else None,
        )

    def _places(self) -> list[Cell]:
        """The grid of one value, from coarse to fine."""
        if self.tau and self.clock is not None and not self.clock.units:  # from a record
            return replace(self, tau=(), clock=None)._places()
        rows = self.tau or self.weight_decay
        points = [
            (rank_lr + rank_row, rank_lr, lr, row)
            for rank_lr, lr in zip(spread(len(self.lr)), self.lr, strict=True)
            for rank_row, row in zip(spread(len(rows)), rows, strict=True)
        ]
        return [(lr, self._decay(lr, row)) for *_, lr, row in sorted(points)]

    def _decay(self, lr: float, row: float) -> float:
        """The weight_decay of a row of the grid."""
        if not self.tau:
            return row
        if self.clock is None or None not in self.clock.units:
            raise SpaceError("tau= is known in steps only once the data is loaded")
        if row == math.inf:
            return 0.0
        steps = row * self.clock.units[None]
        return readable(memory_of(lr, steps, independent=self.clock.independent))

    def _take_tau(self) -> None:
        """Sweep τ; weight_decay is then what comes of it, once a run's length is known."""
        if self.tau_unit not in TAU_UNITS:
            raise SpaceError(
                f"unknown tau_unit {self.tau_unit!r}; {nearest(str(self.tau_unit), TAU_UNITS)}"
            )
        object.__setattr__(self, "tau", axis_of("tau", self.tau, lowest="above 0", endless=True))
        if self.only:
            raise SpaceError("only= names places by weight_decay, and tau= sweeps another axis")
        if self.clock is None and self.weight_decay:
            raise SpaceError(
                "tau= and weight_decay= say the same thing twice; give one of them: a tau of "
                "infinity is the baseline without weight decay"
            )
        found = set(self.weight_decay)
        if self.clock is not None and self.clock.units:
            each = [self.at(value) for value in self.values]
            found = {
                space._decay(lr, tau) for space in each for lr in space.lr for tau in space.tau
            }
        object.__setattr__(self, "weight_decay", axis_of("weight_decay", found) if found else ())

    def _check_follow(self) -> None:
        """The axes that move are there, and stay where one can train."""
        if self.scale is None:
            return
        other = WEIGHT_DECAY if self.tau else "tau"
        if self.scale.follow.get(other):
            told = "follows from tau" if self.tau else "is not swept"
            raise SpaceError(
                f"follow: {other} {told}; give the power of {'tau' if self.tau else WEIGHT_DECAY}"
            )
        for value in self.scale.values:
            self.at(value)
