"""How do learning rate and weight decay work together, for your model? A sweep that answers.

The public names are resolved on first use: `import wdstudy` loads neither torch nor optuna nor
pandas, and what only reads studies never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wdstudy.analysis.figures.names import (
        plot_angular_update,
        plot_axis,
        plot_best_of_n,
        plot_comparison,
        plot_components,
        plot_curve_grid,
        plot_heatmap,
        plot_isolation,
        plot_landscape,
        plot_product,
        plot_ridge,
        plot_search_cost,
        plot_weight_norm,
    )
    from wdstudy.analysis.frames.frames import curves_frame, series_at, trials_frame
    from wdstudy.analysis.numbers.landscape import landscape
    from wdstudy.analysis.report.comparison import write_reports
    from wdstudy.analysis.report.page import write_report
    from wdstudy.curves import LossCurves
    from wdstudy.decay import decay_kind, decay_loss, register_decay
    from wdstudy.recorder import LossRecorder
    from wdstudy.run.runner import run_study
    from wdstudy.space import SearchSpace, TrialParams, log_range
    from wdstudy.storage.opening import open_study
    from wdstudy.study.spec import StudySpec, Task

_HOMES = {
    "StudySpec": "study.spec",
    "Task": "study.spec",
    "SearchSpace": "space",
    "TrialParams": "space",
    "log_range": "space",
    "run_study": "run.runner",
    "open_study": "storage.opening",
    "LossRecorder": "recorder",
    "LossCurves": "curves",
    "decay_loss": "decay",
    "decay_kind": "decay",
    "register_decay": "decay",
    "trials_frame": "analysis.frames.frames",
    "curves_frame": "analysis.frames.frames",
    "series_at": "analysis.frames.frames",
    "landscape": "analysis.numbers.landscape",
    "plot_angular_update": "analysis.figures.names",
    "plot_axis": "analysis.figures.names",
    "plot_best_of_n": "analysis.figures.names",
    "plot_comparison": "analysis.figures.names",
    "plot_components": "analysis.figures.names",
    "plot_curve_grid": "analysis.figures.names",
    "plot_heatmap": "analysis.figures.names",
    "plot_isolation": "analysis.figures.names",
    "plot_landscape": "analysis.figures.names",
    "plot_product": "analysis.figures.names",
    "plot_ridge": "analysis.figures.names",
    "plot_search_cost": "analysis.figures.names",
    "plot_weight_norm": "analysis.figures.names",
    "write_report": "analysis.report.page",
    "write_reports": "analysis.report.comparison",
}

__all__ = [
    "LossCurves",
    "LossRecorder",
    "SearchSpace",
    "StudySpec",
    "Task",
    "TrialParams",
    "curves_frame",
    "decay_kind",
    "decay_loss",
    "landscape",
    "log_range",
    "open_study",
    "plot_angular_update",
    "plot_axis",
    "plot_best_of_n",
    "plot_comparison",
    "plot_components",
    "plot_curve_grid",
    "plot_heatmap",
    "plot_isolation",
    "plot_landscape",
    "plot_product",
    "plot_ridge",
    "plot_search_cost",
    "plot_weight_norm",
    "register_decay",
    "run_study",
    "series_at",
    "trials_frame",
    "write_report",
    "write_reports",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'wdstudy' has no attribute '{name}'")
    return getattr(import_module(f"wdstudy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
