"""From a study to a folder of figures."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import optuna
import pandas as pd
from matplotlib.figure import Figure

from wdstudy.analysis.figures import plot_curve_grid, plot_heatmap
from wdstudy.analysis.frames import curves_frame, spec_of, trials_frame
from wdstudy.errors import StorageError, StudyError

HEATMAPS = ("value", "final_primary_loss", "final_decay_loss", "decay_share")


def write_report(study: optuna.Study, out: str | Path = "reports") -> Path:
    """Write heatmaps and the curve grid of a study as PNG.

    Args:
        study: A study with at least one finished trial.
        out: The folder in which a folder of the study's name is made.

    Returns:
        The folder with the figures.

    Raises:
        StudyError: no trial has finished.
        StorageError: the folder can't be written.
    """
    trials, curves = trials_frame(study), curves_frame(study)
    if not trials["state"].isin(("COMPLETE", "PRUNED")).any():
        raise StudyError(
            f"the study '{study.study_name}' has no finished trial yet; run it first, or wait"
        )
    minimize = study.direction == optuna.study.StudyDirection.MINIMIZE
    objective = spec_of(study).get("spec", {}).get("objective", "value")
    folder = Path(out) / re.sub(r"[^\w.-]+", "-", study.study_name).strip("-.")
    figures = {
        column if column != "value" else objective: _heatmap(trials, column, minimize)
        for column in HEATMAPS
        if column in trials and trials[column].notna().any()
    }
    if not curves.empty:
        figures["curves"] = plot_curve_grid(curves, trials)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=150)
    except OSError as error:
        raise StorageError(
            f"the report can't be written to '{folder}' ({error.strerror}); name another --out"
        ) from error
    finally:
        for figure in figures.values():
            plt.close(figure)
    return folder


def _heatmap(trials: pd.DataFrame, column: str, minimize: bool) -> Figure:
    axes = plot_heatmap(trials, column, minimize=minimize if column == "value" else True)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure
