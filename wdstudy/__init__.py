"""How do learning rate and weight decay work together, for your model? A sweep that answers.

The public names are resolved on first use: `import wdstudy` loads neither torch nor optuna nor
pandas, and what only reads studies never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wdstudy.analysis.figures import plot_curve_grid, plot_heatmap
    from wdstudy.analysis.frames import curves_frame, trials_frame
    from wdstudy.analysis.report import write_report
    from wdstudy.curves import LossCurves
    from wdstudy.decay import decay_kind, decay_loss, register_decay
    from wdstudy.recorder import LossRecorder
    from wdstudy.runner import run_study
    from wdstudy.space import SearchSpace, TrialParams, log_range
    from wdstudy.spec import StudySpec, Task
    from wdstudy.storage import open_study

_HOMES = {
    "StudySpec": "spec",
    "Task": "spec",
    "SearchSpace": "space",
    "TrialParams": "space",
    "log_range": "space",
    "run_study": "runner",
    "open_study": "storage",
    "LossRecorder": "recorder",
    "LossCurves": "curves",
    "decay_loss": "decay",
    "decay_kind": "decay",
    "register_decay": "decay",
    "trials_frame": "analysis.frames",
    "curves_frame": "analysis.frames",
    "plot_heatmap": "analysis.figures",
    "plot_curve_grid": "analysis.figures",
    "write_report": "analysis.report",
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
    "log_range",
    "open_study",
    "plot_curve_grid",
    "plot_heatmap",
    "register_decay",
    "run_study",
    "trials_frame",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'wdstudy' has no attribute '{name}'")
    return getattr(import_module(f"wdstudy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
