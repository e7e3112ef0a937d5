"""The commands about what comes next: `suggest` and `predict`."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from wdstudy.cli.flags import AlongScale, StorageURL, StudyNames, called
from wdstudy.errors import FlagError
from wdstudy.words import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from wdstudy.analysis.numbers.nextsweep import NextSweep
    from wdstudy.analysis.numbers.reading import Read

At = Annotated[
    str,
    Option(
        "--at",
        metavar="SCALE=VALUE",
        help="The scale of the study, and a value of it that was not trained: batch_size=1024.",
    ),
]


def suggest(
    names: StudyNames,
    storage: StorageURL = None,
    scale: AlongScale = None,
) -> None:
    """Print the command of the next sweep, why and at what price; or that you have your answer.

    It extends a range at whose edge the best lies, or adds seeds to the cells that are tied. A
    study that designs itself is gone on with, or is answered. Along a scale it says at which values
    more is to be trained, or which value comes next.

    Example: wdstudy suggest resnet

    Example: wdstudy suggest small medium large --scale width=64,128,256
    """
    from wdstudy.storage.opening import open_study

    read = read_along([open_study(name, storage) for name in names], scale)
    found = _next(read)
    for reason in found.why:
        typer.echo(printable(f"# {reason}"))
    if not found.command:
        if read.along is not None and len(names) == 1:
            along = read.along.found
            wanted = f"{along.scale}={2 * along.values[-1]:.6g}"
            line = called(["predict", *names, "--at", wanted, *_stored(storage)])
            typer.echo(f"# the pair for another size: {line}")
        return
    typer.echo(f"# {found.price}")
    record = read.whole.record
    if not record.command:  # another program trained it, or several studies did
        _print_places(found)
        return
    typer.echo(called([*found.command, *_stored(storage)]))


def _next(read: Read) -> NextSweep:
    """What to train next."""
    from wdstudy.analysis.numbers.nextscale import next_along, next_value
    from wdstudy.analysis.numbers.nextsweep import next_sweep
    from wdstudy.analysis.report.nextdesign import next_of_design

    if read.along is not None:
        return next_along(read.along.found, read.along.record, read.along.trials)
    if read.record.spec.scale:
        return next_value(read.record, str(read.record.spec.scale["name"]), len(read.trials))
    designed = next_of_design(read.record, read.trials)
    return designed or next_sweep(read.found, read.record, read.trials)


def _print_places(found: NextSweep) -> None:
    """What to train, a line a cell, where no command of ours trains it."""
    axes = f"{found.scale} lr weight_decay seeds".strip()
    typer.echo(f"# train these where the sweep came from, and read it again: {axes}")
    for value in found.at or (None,):
        at = "" if value is None else f"{value:.6g} "
        for lr, weight_decay in found.places:
            typer.echo(f"{at}{lr:.6g} {weight_decay:.6g} {found.seeds}")


def predict(
    names: StudyNames,
    at: At,
    storage: StorageURL = None,
    scale: AlongScale = None,
    as_json: Annotated[bool, Option("--json", help="As JSON, with all its numbers.")] = False,
) -> None:
    """Print the lr and weight_decay for a size that was not trained, with their 95 % intervals.

    Beside them stands what is at stake if the pair of the least size were kept, what that rests
    on, how the same prediction did at the largest size that was trained, and the command.

    Example: wdstudy predict resnet --at batch_size=1024

    Example: wdstudy predict small medium large --at width=1024 --scale width=64,128,256
    """
    from wdstudy.analysis.frames.joined import joined_record, scaled_frame
    from wdstudy.analysis.numbers.asking import asked_on_line
    from wdstudy.analysis.numbers.foretelling import command_of, prediction_data
    from wdstudy.analysis.numbers.nextscale import next_along
    from wdstudy.analysis.numbers.transfer import predict as ask
    from wdstudy.analysis.numbers.transfer import transfer
    from wdstudy.analysis.report.summary import as_json as json_of
    from wdstudy.storage.opening import open_study

    name, value = asked_on_line(at)
    along, values = scale_of(scale) if scale else (name, None)
    if along != name:
        raise FlagError(f"--at {at} and --scale {scale} name two scales; ask along one")
    studies = [open_study(one, storage) for one in names]
    trials = scaled_frame(studies, name, values)
    found = transfer(trials, name)
    ahead = ask(found, value)
    record = joined_record(studies, trials)
    then = next_along(found, record, trials)
    command = command_of(ahead, record)
    line = called([*command, *_stored(storage)]) if command else ""
    if as_json:
        typer.echo(json_of(prediction_data(found, ahead, then, line)), nl=False)
        return
    from wdstudy.analysis.numbers.foretelling import heading, told_of

    typer.echo(printable(heading(found, ahead)))
    for label, text in told_of(found, ahead, then):
        typer.echo(_folded(label, printable(text)))
    if line:
        typer.echo(f"train it      {line}")


def read_along(studies: Sequence[optuna.Study], scale: str | None) -> Read:
    """Studies as they are read along a scale, as the flag names it."""
    from wdstudy.analysis.numbers.reading import read_studies

    return read_studies(studies, *(scale_of(scale) if scale else (None, None)))


def scale_of(text: str) -> tuple[str, tuple[float, ...] | None]:
    """The scale and the values of studies, as `--scale` names them.

    Raises:
        SpaceError: the values can't be read.
    """
    from wdstudy.space import parse_axis

    name, is_, values = text.partition("=")
    if not name.strip():
        raise FlagError(f"--scale {text}: write NAME or NAME=VALUES, like width=64,128,256")
    return name.strip(), parse_axis(f"--scale {name}", values) if is_ else None


def _stored(storage: str | None) -> list[str]:
    return [] if storage is None else ["--storage", storage]


def _folded(label: str, text: str) -> str:
    """A label and its text, folded as a terminal is wide; whole where it is piped."""
    line = f"{label:<13} {text}"
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return line
    width = min(shutil.get_terminal_size().columns, 100)
    whole = line.replace(" %", "\N{NO-BREAK SPACE}%")  # no line begins with a sign of per cent
    folded = textwrap.fill(
        whole, max(width, 40), subsequent_indent=" " * 14, break_long_words=False
    )
    return folded.replace("\N{NO-BREAK SPACE}", " ")
