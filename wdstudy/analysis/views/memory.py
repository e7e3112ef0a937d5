"""The loss against τ, the memory of the weights, for every value of a scale: do they collapse?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.cells import Cells
from wdstudy.analysis.numbers.contrasts import mean_variances
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.scaled import Part, Scaled
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.errors import StudyError

BIN = 0.25
"""Decades of τ within which the best of scattered samples is taken."""

ALIKE = 1.02
"""τ in epochs is shown too, unless it is τ in runs by one factor for all values, but for this."""


@dataclass(frozen=True)
class MemoryLine:
    """The loss over the best, at one value, against τ.

    points: `tau_share, tau_epochs, ratio, low, high`, by rising τ; the last may be of no weight
    decay, whose τ is infinite. lr: of the cells; NaN where it is the best lr of each τ.
    tau_share, tau_epochs: of the optimum by the law.
    """

    value: float
    lr: float
    points: pd.DataFrame
    tau_share: Estimate
    tau_epochs: Estimate


@dataclass(frozen=True)
class MemoryInfo:
    """What is shown: a line a value, against each of the `units`, columns of their points."""

    scale: str
    lines: tuple[MemoryLine, ...]
    units: tuple[str, ...]
    logarithmic: bool
    name: str


def memory_words(parts: Scaled) -> str:
    """τ in steps, as the form of weight decay has it."""
    return "1 / weight_decay" if parts.independent else "1 / (lr · weight_decay)"


def memory_info(found: Transfer) -> MemoryInfo:
    """What is shown of the loss against τ.

    Raises:
        StudyError: the trials don't tell their steps, or no value has three cells to join.
    """
    parts = found.parts
    if not any(part.steps > 0 for part in parts.parts):
        raise StudyError("the trials don't tell their steps, so τ can't be counted in runs")
    lines = [
        MemoryLine(part.value, *_points(parts, part), place.tau_share, place.tau_epochs)
        for part, place in zip(parts.parts, found.places, strict=True)
        if part.steps > 0
    ]
    lines = [line for line in lines if len(line.points) > 2]
    if not lines:
        raise StudyError("no lr has three weight decays, so there is no loss against τ to draw")
    return MemoryInfo(found.scale, tuple(lines), _units(parts), parts.parts[0].cells.logarithmic,
                      found.name)  # fmt: skip


def _units(parts: Scaled) -> tuple[str, ...]:
    """What τ is counted in."""
    epochs = np.array([part.steps / part.steps_per_epoch for part in parts.parts])
    if not np.isfinite(epochs).all() or epochs.max() <= ALIKE * epochs.min():
        return ("tau_share",)
    return ("tau_share", "tau_epochs")


def _points(parts: Scaled, part: Part) -> tuple[float, pd.DataFrame]:
    """The cells of the best lr; of scattered samples the best within each bit of τ."""
    cells, lr = part.cells, math.nan
    if cells.scattered:
        some = _best_of_bins(cells, independent=parts.independent)
    else:
        some = _best_column(cells)
        lr = float(some["lr"].iloc[0])
    shrink = some["weight_decay"] * (1.0 if parts.independent else some["lr"])
    tau = (1 / shrink.where(shrink > 0)).fillna(math.inf)
    error = (
        np.sqrt(mean_variances(cells, some, rest=not cells.scattered))
        if cells.noise.known
        else math.nan
    )
    rise = some["z"] - float(cells.finished["z"].min())
    change = np.exp if cells.logarithmic else np.asarray
    frame = pd.DataFrame({
        "tau_share": tau / part.steps, "tau_epochs": tau / part.steps_per_epoch,
        "ratio": change(rise), "low": change(rise - error), "high": change(rise + error),
    })  # fmt: skip
    return lr, frame.sort_values("tau_share", ignore_index=True)


def _best_column(cells: Cells) -> pd.DataFrame:
    """The cells of the lr whose best is the best."""
    done = cells.decayed if len(cells.decayed) else cells.finished
    lr = float(done.loc[done["z"].idxmin(), "lr"])
    return cells.finished[cells.finished["lr"] == lr]


def _best_of_bins(cells: Cells, *, independent: bool) -> pd.DataFrame:
    done = cells.decayed
    place = (done["y"] + (0.0 if independent else done["x"])) / BIN
    return done.loc[done.groupby(place.round())["z"].idxmin()]
