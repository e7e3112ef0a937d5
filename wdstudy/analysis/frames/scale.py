"""Trials along a scale, as batch size: those of each value are a plane of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import abridged, number

AT = "at"
"""The key of `attrs` of a frame that holds one value of a scale: `batch_size 64`."""


def scale_in(trials: pd.DataFrame) -> str | None:
    """The column of the scale that the frame tells of; None where it tells of none."""
    told = trials.attrs.get("scale")
    name = told.get("name") if isinstance(told, Mapping) else None
    return str(name) if name in trials.columns and name not in (LR, WEIGHT_DECAY) else None


def along(trials: pd.DataFrame, scale: str) -> dict[float, pd.DataFrame]:
    """The trials of each value of a scale, from the least on; those without a value are left out.

    Args:
        trials: One row a trial.
        scale: The column of the scale.
    """
    at = pd.to_numeric(trials[scale], errors="coerce").astype(float)
    parts = {}
    for value, part in trials[np.isfinite(at)].groupby(at[np.isfinite(at)], sort=True):
        found = float(value)
        part.attrs = {**trials.attrs, AT: f"{scale} {number(found)}"}
        parts[found] = part
    return parts


def check_one_plane(trials: pd.DataFrame) -> None:
    """Refuse trials of several values of a scale, each of which has a plane of its own.

    Raises:
        StudyError: they are.
    """
    scale = scale_in(trials)
    if scale is None:
        return
    values = pd.to_numeric(trials[scale], errors="coerce").astype(float)
    known = sorted(value for value in values.unique() if math.isfinite(value))
    if len(known) > 1:
        which = abridged(", ".join(map(number, known)), 60)
        raise StudyError(
            f"the trials are of several values of {scale} ({which}), each with a plane of its own: "
            f"take those of one, trials[trials['{scale}'] == {known[-1]:g}]; how the best moves "
            "from one to the other is what transfer(trials) says"
        )
