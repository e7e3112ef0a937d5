"""Several studies beside each other, on one scale of colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from wdstudy.analysis.figures.heatmap import plot_heatmap
from wdstudy.analysis.figures.theme import styled
from wdstudy.analysis.frames.cells import cell_grid, initial_loss
from wdstudy.analysis.frames.given import as_trials
from wdstudy.analysis.views.looks import label_of, shortened
from wdstudy.analysis.views.scales import colour_norm
from wdstudy.curves import FINAL_PREFIX, PRIMARY_LOSS, VAL_LOSS, series_named
from wdstudy.errors import StudyError
from wdstudy.space import LR, WEIGHT_DECAY

COLUMNS = 2


@dataclass(frozen=True)
class ComparisonInfo:
    """The frames to draw, by study, and the colour scale they share."""

    frames: dict[str, pd.DataFrame]
    norm: Normalize


@styled
def plot_comparison(
    studies: Mapping[str, pd.DataFrame],
    value: str = "value",
    *,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
) -> Figure:
    """Heatmaps of several studies (optimizers, say) side by side on a shared colour scale.

    Args:
        studies: Frames as from `trials_frame`, or any, by name.
        value: A numeric column that all of them have.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Returns:
        A new figure.

    Raises:
        StudyError: the value means different things in them, or one has no value.
    """
    frames = {
        name: as_trials(frame, value, lr=lr, weight_decay=weight_decay)
        for name, frame in studies.items()
    }
    info = _comparison_info(frames, value)
    columns = min(COLUMNS, len(info.frames))
    rows = math.ceil(len(info.frames) / columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(6.6 * columns, 5.4 * rows), layout="constrained", squeeze=False
    )
    for ax, frame in zip(axes.flat, info.frames.values(), strict=False):
        plot_heatmap(frame, value, norm=info.norm, ax=ax)
    for ax in axes.flat[len(info.frames) :]:
        ax.remove()
    return figure


def _comparison_info(studies: Mapping[str, pd.DataFrame], value: str) -> ComparisonInfo:
    if not studies:
        raise StudyError("there is no study to compare; give one name or more")
    if value == "value":
        _check_alike(studies)
    values = [cell_grid(frame, value).cells["value"].dropna() for frame in studies.values()]
    initial = [initial_loss(frame) for frame in studies.values()]
    known = [loss for loss in initial if math.isfinite(loss)]
    is_loss = value == "value" or series_named(value.removeprefix(FINAL_PREFIX)).low_is_good
    most = 1.5 * float(np.max(known)) if known and is_loss else math.nan
    return ComparisonInfo(dict(studies), colour_norm(pd.concat(values), most))


def common_value(studies: Mapping[str, pd.DataFrame]) -> str:
    """The column by which studies can be compared: their objective, else a loss all recorded.

    Raises:
        StudyError: there is none.
    """
    if len({_meaning(frame, "value") for frame in studies.values()}) == 1:
        return "value"
    for column in (FINAL_PREFIX + VAL_LOSS, FINAL_PREFIX + PRIMARY_LOSS):
        if all(column in f and f[column].notna().any() for f in studies.values()):
            return column
    _check_alike(studies)
    return "value"


def _check_alike(studies: Mapping[str, pd.DataFrame]) -> None:
    meanings = {name: _meaning(frame, "value") for name, frame in studies.items()}
    if len(set(meanings.values())) > 1:
        told = "; ".join(f"'{shortened(n)}': {label}" for n, (label, _) in meanings.items())
        raise StudyError(
            f"the studies are judged by different metrics ({told}), and have no loss in common; "
            "report them one by one"
        )


def _meaning(frame: pd.DataFrame, value: str) -> tuple[str, bool]:
    return label_of(frame, value), bool(frame.attrs.get("minimize", True))
