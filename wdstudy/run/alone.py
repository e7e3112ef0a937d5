"""Running a study in this process, without a command line."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.storages import BaseStorage

from wdstudy.run.designing import how_it_ended
from wdstudy.run.forecast import Forecast
from wdstudy.run.prepared import prepare
from wdstudy.run.progress import Display, Silent
from wdstudy.run.runner import Runner
from wdstudy.study.spec import StudySpec
from wdstudy.trackers import Backend


def run_study(
    spec: StudySpec,
    storage: str | BaseStorage | None = None,
    display: Display | None = None,
    lanes: int | None = None,
    trackers: Sequence[Backend] = (),
) -> optuna.Study:
    """Train every cell that the study lacks, in this process.

    Args:
        spec: What to train; it needs a name.
        storage: A URL or an Optuna storage; the default storage where it is None.
        display: Where progress is shown; nowhere if None.
        lanes: How many trials to train as one model; as many as are fastest if None.
        trackers: Where every trial is a run as well: `TensorBoard()`, `WandB()`, `MLflow()`.

    Returns:
        The study, every trial of it told.

    Raises:
        WdstudyError: the spec, its data, device or storage can't be used, the study was
            recorded with another spec, or trial after trial failed.
    """
    display = display or Silent()
    prepared = prepare(spec, storage, trackers, say=display.warn)
    runner = Runner(prepared, display)
    left = runner.take_stock()
    choice = prepared.lanes(left, lanes, say=display.say)
    designs = spec.design is not None  # a grid has no use for what a trial takes
    runner.enqueue(Forecast.of(prepared, left, choice, 1) if designs else None)
    runner.work(choice)
    if spec.design is not None:
        for line in how_it_ended(prepared.study, spec.design, spec.objective):
            display.say(line)
    return prepared.study
