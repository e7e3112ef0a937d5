"""The command `run`: from flags to a spec, a launcher and a display."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from wdstudy.cli.flags import (
    LR,
    Address,
    Compile,
    Device,
    Devices,
    Epochs,
    GpusPerJob,
    Jobs,
    Lanes,
    Launcher,
    Live,
    Name,
    Only,
    OptimizerName,
    Pruner,
    Quick,
    Same,
    Sampler,
    Seeds,
    Settings,
    StorageURL,
    StudyFile,
    Track,
    Trials,
    WeightDecay,
    called,
)
from wdstudy.errors import FlagError, StudyError

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

DIGITS = 6
"""Of a number of lanes or processes, at most."""

STOPS = (signal.SIGTERM, signal.SIGINT)


def run(
    context: typer.Context,
    study_file: StudyFile,
    storage: StorageURL = None,
    name: Name = None,
    only: Only = "",
    lr: LR = None,
    weight_decay: WeightDecay = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    optimizer: OptimizerName = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    trials: Trials = None,
    device: Device = None,
    compile: Compile = False,
    devices: Devices = None,
    lanes: Lanes = "auto",
    jobs: Jobs = "auto",
    track: Track = None,
    launcher: Launcher = "local",
    address: Address = None,
    gpus_per_job: GpusPerJob = None,
    settings: Settings = None,
    same: Same = False,
    quick: Quick = False,
    live: Live = True,
) -> None:
    """Train every trial that the study lacks; the same command again goes on after a stop.

    Example: wdstudy run studies/resnet.py --lr 1e-2:1:5 --weight-decay 0,1e-4:1e-2:5 --seeds 3
    """
    from wdstudy.launchers.base import launcher as make_launcher
    from wdstudy.launchers.processes import warm_up

    processes = _count_or_auto("--jobs", jobs)
    if launcher == "local":
        warm_up(processes)  # it imports in another process while this one does
    from wdstudy.live.pushing import LivePage
    from wdstudy.run.progress import console, display_for, say
    from wdstudy.space import parse_axis
    from wdstudy.storage.opening import forget_study
    from wdstudy.study.file import SpecSource
    from wdstudy.trackers.options import make_backends, split_settings

    changes = {
        "name": name,
        "epochs": epochs,
        "optimizer": optimizer,
        "sampler": sampler,
        "pruner": pruner,
        "trials": trials,
        "device": device,
        "compile": compile or None,
        "same": same or None,
    }
    space = {
        "lr": parse_axis("--lr", lr) if lr is not None else None,
        "weight_decay": None
        if weight_decay is None
        else parse_axis("--weight-decay", weight_decay),
        "seeds": seeds,
    }
    keywords, options = split_settings(_settings(settings))
    trackers = make_backends(track or "", options)
    source = SpecSource(str(study_file), keywords, _given(changes), _given(space), quick, only)
    output = console()
    own = {"devices": devices, "address": address, "gpus_per_job": gpus_per_job}
    launch = make_launcher(launcher, own)
    where = [] if storage is None else ["--storage", storage]
    specs = source.specs()
    for spec in specs:
        if quick:
            forget_study(spec.name, storage)  # what is tried out is tried anew
        report_command = called(["report", spec.name, *where])
        page = LivePage(display_for(output), report_command, on=live)
        with _stoppable(output, context.obj), page:
            status = launch(
                source,
                spec,
                storage,
                page.display,
                jobs=processes,
                lanes=_count_or_auto("--lanes", lanes),
                trackers=trackers,
                opened=page.watch,
            )
        if page.study is not None:
            _say_the_best(output, page.study)
        if status.failed:
            raise StudyError(
                f"{status.failed} of {status.total} trials failed; "
                f"run the same command again to train them: {called(context.obj)}"
            )
    say(output, f"next: {called(['report', *(spec.name for spec in specs), *where])}")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _count_or_auto(flag: str, text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or len(text) > DIGITS or int(text) < 1:
        raise FlagError(f"{flag} {text}: give a number of at least 1, or auto")
    return int(text)


def _say_the_best(output: Console, study: optuna.Study) -> None:
    from wdstudy.analysis.frames.studies import best_line
    from wdstudy.run.progress import say

    if line := best_line(study):
        say(output, line)


def _settings(items: list[str] | None) -> dict[str, str]:
    for item in items or ():
        if "=" not in item:
            raise FlagError(f"--set {item}: write --set key=value")
    return dict(item.split("=", 1) for item in items or ())


@contextmanager
def _stoppable(output: Console, arguments: list[str]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop a run at once, and say how to go on."""
    import optuna

    from wdstudy.run.interrupts import interrupt_on
    from wdstudy.run.progress import say

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    before = [signal.getsignal(number) for number in STOPS], sys.unraisablehook
    interrupt_on(*STOPS)
    try:
        yield
    except KeyboardInterrupt:
        say(output, f"stopped; finished trials are kept. To go on: {called(arguments)}")
        raise
    finally:
        for number, handler in zip(STOPS, before[0], strict=True):
            signal.signal(number, handler)
        sys.unraisablehook = before[1]
