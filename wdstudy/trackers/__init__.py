"""Where else the numbers of a training go: TensorBoard, Weights & Biases, MLflow, or your own."""

from wdstudy.trackers.base import Backend, Run, RunInfo, StudyRun, Tracker
from wdstudy.trackers.tracking import Tracking, TrialRuns, track

__all__ = ["Backend", "Run", "RunInfo", "StudyRun", "Tracker", "Tracking", "TrialRuns", "track"]
