"""The command `run`: from flags to a spec, a launcher and a display."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from wdstudy.cli.flags import (
    LR,
    Address,
    Budget,
    Cells,
    Compile,
    Designs,
    Device,
    Devices,
    DryRun,
    Epochs,
    Follow,
    GpusPerJob,
    Jobs,
    Lanes,
    Launcher,
    Live,
    Log,
    Minutes,
    Name,
    Only,
    OnlyAt,
    OptimizerName,
    Pruner,
    Quick,
    Quiet,
    Same,
    Sampler,
    Scales,
    Seeds,
    Settings,
    StorageURL,
    StudyFile,
    Tau,
    Track,
    Trials,
    Until,
    WeightDecay,
    called,
)
from wdstudy.errors import FlagError, StudyError, WdstudyError

if TYPE_CHECKING:
    import optuna

    from wdstudy.run.progress import Display
    from wdstudy.run.status import Status
    from wdstudy.study.spec import StudySpec

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
    tau: Tau = None,
    scale: Scales = None,
    follow: Follow = None,
    at: OnlyAt = None,
    cells: Cells = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    optimizer: OptimizerName = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    trials: Trials = None,
    design: Designs = False,
    until: Until = None,
    minutes: Minutes = None,
    budget: Budget = None,
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
    dry_run: DryRun = False,
    live: Live = True,
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Train every trial that the study lacks; the same command again goes on after a stop.

    Example: wdstudy run studies/resnet.py --lr 1e-2:1:5 --weight-decay 0,1e-4:1e-2:5 --seeds 3

    Where you know no ranges: wdstudy run mine.py --design --budget 20m

    How the best pair moves: wdstudy run mine.py --scale batch_size=32,64,128,256
    """
    from wdstudy.run.progress import display_in

    given = called(context.obj)
    with display_in(given, log, quiet=quiet and not dry_run) as display:
        from wdstudy.launchers.base import launcher as make_launcher
        from wdstudy.launchers.processes import warm_up

        processes = _count_or_auto("--jobs", jobs)
        if launcher == "local" and not dry_run:
            warm_up(processes)  # it imports in another process while this one does
        from wdstudy.space import parse_cells
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
        space: dict[str, Any] = {
            "lr": _axis("--lr", lr, limits=design),
            "weight_decay": _axis("--weight-decay", weight_decay, limits=design),
            "seeds": seeds,
            "tau": _axis("--tau", tau, limits=False),
            **_along(scale, follow, at),
        }
        if cells is not None:
            if lr is not None or weight_decay is not None:
                raise FlagError("--cells says both axes: leave out --lr and --weight-decay")
            places = parse_cells(cells)
            axes = [tuple(dict.fromkeys(values)) for values in zip(*places, strict=True)]
            space |= {"lr": axes[0], "weight_decay": axes[1], "only": places}
        own = {
            "devices": devices,
            "address": address,
            "gpus_per_job": gpus_per_job,
            "dry_run": dry_run or None,
        }
        workers: dict[str, Any] = {
            "jobs": processes,
            "lanes": _count_or_auto("--lanes", lanes),
        }
        keywords, options = split_settings(_settings(settings))
        trackers = make_backends(track or "", options)
        launch = make_launcher(launcher, own)
        changed = _given(changes), _given(space)
        asked = _asked(until, minutes, budget)
        source = SpecSource(
            str(study_file), keywords, *changed, quick, only, designs=design, design=asked
        ).read()
        train = partial(launch, source, trackers=trackers, **workers)
        specs = source.specs(display.say)
        _run_all(specs, storage, train, display, context.obj, live=live, quick=quick,
                 dry_run=dry_run)  # fmt: skip


def _run_all(
    specs: Sequence[StudySpec],
    storage: str | None,
    train: Callable[..., Status],
    display: Display,
    arguments: list[str],
    *,
    live: bool,
    quick: bool,
    dry_run: bool,
) -> None:
    """Train one study after the other, and say what came of each and what to type next."""
    from wdstudy.live.pushing import LivePage

    where = [] if storage is None else ["--storage", storage]
    for spec in specs:
        if quick and not dry_run:
            _forget(spec.name, storage)  # what is tried out is tried anew
        report = called(["report", spec.name, *where])
        page = LivePage(display, report, on=live and not dry_run)
        with _stoppable(display, arguments), page:
            status = train(spec, storage, page.display, opened=page.watch)
        if page.study is not None:
            _say_how_it_ended(display, page.study, spec)
            _say_the_best(display, page.study)
        if status.failed:
            raise StudyError(
                f"{status.failed} of {status.total} trials failed; "
                f"run the same command again to train them: {called(arguments)}"
            )
    if dry_run:
        display.say("nothing was trained or written: this was a dry run")
    else:
        display.say(f"next: {called(['report', *(spec.name for spec in specs), *where])}")


def _forget(name: str, storage: str | None) -> None:
    """Delete a study if it is there."""
    from wdstudy.live.artifacts import artifacts_folder, delete_study
    from wdstudy.storage.opening import open_storage, open_study, study_names
    from wdstudy.storage.url import resolve_url

    with suppress(KeyError, WdstudyError):  # what is wrong with the storage, the run will say
        if name in study_names(open_storage(storage, create=False)):
            study = open_study(name, open_storage(storage), leave_out=True)
            delete_study(study, artifacts_folder(resolve_url(storage)))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _count_or_auto(flag: str, text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or len(text) > DIGITS or int(text) < 1:
        raise FlagError(f"{flag} {text}: give a number of at least 1, or auto")
    return int(text)


def _axis(flag: str, text: str | None, *, limits: bool) -> tuple[float, ...] | None:
    """An axis; for a design `low:high` as well, which are its limits."""
    from wdstudy.space import parse_axis

    if text is None:
        return None
    ends = limits and text.count(":") == 1 and "," not in text
    return parse_axis(flag, text.replace(":", ",") if ends else text)


def _along(scales: list[str] | None, follow: str | None, at: str | None) -> dict[str, Any]:
    """What flags say of a third axis."""
    from wdstudy.scale import parse_follow, parse_scale

    if scales is not None and len(scales) > 1:
        names = " and ".join(text.partition("=")[0] for text in scales)
        raise FlagError(
            f"--scale is given for {names}, and a study has one scale: run each as a study of its "
            "own, with --name"
        )
    return {
        "scale": None if scales is None else parse_scale(scales[0]),
        "follow": None if follow is None else parse_follow(follow),
        "at": None if at is None else parse_scale(at, "--at"),
    }


def _asked(until: str | None, minutes: float | None, budget: str | None) -> dict[str, Any]:
    """What flags ask of a design, by the fields of a Design."""
    from wdstudy.design.design import parse_budget, parse_until

    if minutes is not None and budget is not None:
        raise FlagError(f"--minutes {minutes:g} and --budget {budget} are two times: give one")
    if minutes is not None and not 0 < minutes < math.inf:
        raise FlagError(f"--minutes {minutes:g}: give a number above 0")
    asked: dict[str, Any] = {} if until is None else dict(parse_until(until))
    seconds = parse_budget(budget) if budget is not None else minutes and 60 * minutes
    return asked | ({} if seconds is None else {"seconds": seconds})


def _say_the_best(display: Display, study: optuna.Study) -> None:
    from wdstudy.analysis.frames.studies import best_lines

    for line in best_lines(study):
        display.say(line)


def _say_how_it_ended(display: Display, study: optuna.Study, spec: StudySpec) -> None:
    if spec.design is None:
        return
    from wdstudy.run.ending import how_it_ended

    for line in how_it_ended(study, spec.design, spec.objective):
        display.say(line)


def _settings(items: list[str] | None) -> dict[str, str]:
    for item in items or ():
        if "=" not in item:
            raise FlagError(f"--set {item}: write --set key=value")
    return dict(item.split("=", 1) for item in items or ())


@contextmanager
def _stoppable(display: Display, arguments: list[str]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop a run at once, and say how to go on."""
    import optuna

    from wdstudy.run.interrupts import interrupt_on

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    before = [signal.getsignal(number) for number in STOPS], sys.unraisablehook
    interrupt_on(*STOPS)
    try:
        yield
    except KeyboardInterrupt:
        display.say(f"stopped; finished trials are kept. To go on: {called(arguments)}")
        raise
    finally:
        for number, handler in zip(STOPS, before[0], strict=True):
            signal.signal(number, handler)
        sys.unraisablehook = before[1]
