"""How do learning rate and weight decay work together, for your model? A sweep that answers.

The public names are resolved on first use: `import wdstudy` loads neither torch nor optuna nor
pandas, and what only reads studies never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from wdstudy.analysis.figures.registry import HOMES as _FIGURES

if TYPE_CHECKING:
    from wdstudy.analysis.figures.registry import *  # noqa: F403  # every plot_… of its table
    from wdstudy.analysis.frames.curves import curves_frame as curves_frame
    from wdstudy.analysis.frames.curves import series_at as series_at
    from wdstudy.analysis.frames.joined import scaled_frame as scaled_frame
    from wdstudy.analysis.frames.trials import trials_frame as trials_frame
    from wdstudy.analysis.numbers.landscape import landscape as landscape
    from wdstudy.analysis.numbers.transfer import predict as predict
    from wdstudy.analysis.numbers.transfer import transfer as transfer
    from wdstudy.analysis.report.comparison import write_reports as write_reports
    from wdstudy.analysis.report.page import write_report as write_report
    from wdstudy.axes import log_range as log_range
    from wdstudy.curves import LossCurves as LossCurves
    from wdstudy.decay import decay_kind as decay_kind
    from wdstudy.decay import decay_loss as decay_loss
    from wdstudy.decay import register_decay as register_decay
    from wdstudy.design.design import Design as Design
    from wdstudy.design.sampler import LandscapeSampler as LandscapeSampler
    from wdstudy.recorder import LossRecorder as LossRecorder
    from wdstudy.run.alone import run_study as run_study
    from wdstudy.scale import Scale as Scale
    from wdstudy.sources.reading import read as read
    from wdstudy.space import SearchSpace as SearchSpace
    from wdstudy.space import TrialParams as TrialParams
    from wdstudy.storage.opening import open_study as open_study
    from wdstudy.study.metrics import Metric as Metric
    from wdstudy.study.spec import StudySpec as StudySpec
    from wdstudy.study.task import Task as Task

_HOMES = {
    "Design": "design.design",
    "LandscapeSampler": "design.sampler",
    "LossCurves": "curves",
    "LossRecorder": "recorder",
    "Metric": "study.metrics",
    "Scale": "scale",
    "SearchSpace": "space",
    "StudySpec": "study.spec",
    "Task": "study.task",
    "TrialParams": "space",
    "curves_frame": "analysis.frames.curves",
    "decay_kind": "decay",
    "decay_loss": "decay",
    "landscape": "analysis.numbers.landscape",
    "log_range": "axes",
    "open_study": "storage.opening",
    "predict": "analysis.numbers.transfer",
    "read": "sources.reading",
    "register_decay": "decay",
    "run_study": "run.alone",
    "scaled_frame": "analysis.frames.joined",
    "series_at": "analysis.frames.curves",
    "transfer": "analysis.numbers.transfer",
    "trials_frame": "analysis.frames.trials",
    "write_report": "analysis.report.page",
    "write_reports": "analysis.report.comparison",
    **{name: f"analysis.figures.{module}" for name, module in _FIGURES.items()},
}
"""Public name → the module that it lies in."""

__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # or a type checker would believe in every name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'wdstudy' has no attribute '{name}'")
        return getattr(import_module(f"wdstudy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
