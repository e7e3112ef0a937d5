"""The command line: parsing and printing. What it does stands in the modules it imports late.

`--help` must not pay for importing torch, so every command imports what it needs itself.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from wdstudy.cli.ahead import predict, read_along, suggest
from wdstudy.cli.flags import AlongScale, Artifacts, StorageURL, StudyName, StudyNames, called
from wdstudy.cli.read import read
from wdstudy.cli.run import STOPS, run
from wdstudy.cli.studies import delete, list_studies, rename
from wdstudy.errors import FlagError, nearest
from wdstudy.words import printable

if TYPE_CHECKING:
    import optuna

    from wdstudy.analysis.numbers.reading import Read

app = typer.Typer(
    help="How do learning rate and weight decay work together, for your model?",
    epilog="Begin with: wdstudy new mine.py, then: wdstudy run mine.py, then: wdstudy report mine",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"wdstudy {version('wdstudy')}")
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, Option("--version", help="Print the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """What every command has."""


app.command()(run)
app.command()(read)
app.command("list")(list_studies)


@app.command()
def report(
    names: StudyNames,
    storage: StorageURL = None,
    scale: AlongScale = None,
    out: Annotated[Path, Option(metavar="DIR", help="Where to write.")] = Path("reports"),
    format: Annotated[
        str, Option(metavar="FORMAT", help="Of the files in figures/: png, svg or pdf.")
    ] = "png",
    publish: Annotated[
        bool, Option("--publish", help="Show the figures in optuna-dashboard, as artifacts.")
    ] = False,
    artifacts: Artifacts = None,
    as_json: Annotated[
        bool,
        Option(
            "--json",
            help="Print what summary.json holds, and write nothing; of several names, a list.",
        ),
    ] = False,
) -> None:
    """Write DIR/NAME/report.html: what to do, figures, explorer and every trial, in one file.

    Several names make a report that compares them as well, in DIR/comparison; with --scale, one
    that reads them as one, and says how the best moves.

    Example: wdstudy report resnet --out reports

    Example: wdstudy report sgd adamw --format pdf

    Example: wdstudy report small medium large --scale width=64,128,256

    Example: wdstudy report resnet --json | jq '.landscape.advice[].text'
    """
    from wdstudy.storage.opening import left_out, open_study

    if as_json and publish:
        raise FlagError("--publish with --json, which draws no figures: leave one of them out")
    if scale and publish:
        raise FlagError("--publish with --scale: publish the studies' own figures, without it")
    studies = [open_study(name, storage, leave_out=True) for name in names]
    read = read_along(studies, scale) if scale else None
    if as_json:
        _print_numbers(studies, read)
        paths = []
    else:
        paths = _write_reports(studies, read, out, format)
    for study in studies:
        for told in left_out(study):
            typer.echo(printable(f"left out of '{study.study_name}': {told}"), err=True)
    if publish:
        pages = dict(zip(names, paths, strict=False))  # the comparison's page comes after theirs
        _publish(pages, format, storage, artifacts)


def _write_reports(
    studies: list[optuna.Study], read: Read | None, out: Path, format: str
) -> list[Path]:
    """Write the pages, say where, and return their paths; `read` is of all studies as one."""
    from wdstudy.analysis.report.comparison import write_reports
    from wdstudy.analysis.report.drawing import check_format
    from wdstudy.analysis.report.page import write_read

    check_format(format)
    paths = [write_read(read, out, format)] if read else write_reports(studies, out, format)
    for path in paths:
        typer.echo(printable(f"report: {path}"))
    return paths


def _print_numbers(studies: list[optuna.Study], read: Read | None) -> None:
    """Print the numbers of studies as JSON; no page is written."""
    from wdstudy.analysis.numbers.reading import read_study
    from wdstudy.analysis.report.summary import as_json, summary

    found = [summary(read)] if read else [summary(read_study(study)) for study in studies]
    typer.echo(as_json(found[0] if len(found) == 1 else found), nl=False)


def _publish(
    pages: dict[str, Path], format: str, storage: str | None, artifacts: Path | None
) -> None:
    """Upload the figures of reports to their studies, and say where to and how to see them."""
    from wdstudy.live.artifacts import artifacts_folder, publish
    from wdstudy.storage.opening import open_storage, open_study
    from wdstudy.storage.url import resolve_url

    folder = artifacts or artifacts_folder(resolve_url(storage))
    opened = open_storage(storage)
    for name, page in pages.items():
        figures = (page.parent / "figures").glob(f"*.{format}")
        count = publish(open_study(name, opened), figures, folder)
        typer.echo(printable(f"published: {count} figures of '{name}' in {folder}"))
    where = [] if storage is None else ["--storage", storage]
    where += [] if artifacts is None else ["--artifacts", str(artifacts)]
    typer.echo(f"next: {called(['dashboard', *where])}")


@app.command()
def dashboard(
    storage: StorageURL = None,
    artifacts: Artifacts = None,
    host: Annotated[str, Option(metavar="ADDRESS", help="Whom to answer.")] = "127.0.0.1",
    port: Annotated[int, Option(metavar="N", help="0 for any free one.")] = 8080,
    open_browser: Annotated[bool, Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Show the studies of a storage in optuna-dashboard, live, until Ctrl-C. It only reads.

    Example: wdstudy dashboard --open
    """
    import webbrowser

    from wdstudy.live.artifacts import artifacts_folder
    from wdstudy.live.guards import is_local
    from wdstudy.live.server import address, open_dashboard
    from wdstudy.run.interrupts import interrupt_on
    from wdstudy.storage.opening import open_storage
    from wdstudy.storage.url import masked, resolve_url

    url = resolve_url(storage)
    opened = open_storage(storage, create=False)
    with open_dashboard(opened, artifacts or artifacts_folder(url), host, port) as server:
        where = address(server)
        if not is_local(host):
            warning = f"warning: whoever can reach {where} can read it all, without a password"
            typer.echo(warning, err=True)
        with suppress(KeyboardInterrupt):
            interrupt_on(*STOPS)  # before it says that Ctrl-C ends it
            typer.echo(f"{printable(masked(url))} is shown at {where} (Ctrl-C ends it)")
            if open_browser and not webbrowser.open(where):
                typer.echo("no browser found; open the address yourself", err=True)
            server.serve_forever()


app.command()(suggest)
app.command()(predict)


@app.command()
def new(
    path: Annotated[Path, Argument(metavar="FILE", help="The study file to write: mine.py.")],
) -> None:
    """Write a commented study file that runs as it is.

    Example: wdstudy new studies/mine.py
    """
    from wdstudy.study.new import write_study_file

    write_study_file(path)
    typer.echo(printable(f"study file: {path}"))
    typer.echo(f"next: {called(['run', str(path)])}")


@app.command()
def export(
    name: StudyName,
    out: Annotated[
        Path, Option(metavar="FILE", help="FILE.csv or FILE.parquet; - for CSV on standard output.")
    ],
    what: Annotated[str, Option(metavar="FRAME", help="curves or trials.")] = "curves",
    storage: StorageURL = None,
) -> None:
    """Write a study's tidy data: one row a trial, series and record point; or one row a trial.

    Example: wdstudy export resnet --out curves.csv

    Example: wdstudy export resnet --what trials --out - | head
    """
    from wdstudy.analysis.frames.curves import curves_frame
    from wdstudy.analysis.frames.files import write_csv, write_frame
    from wdstudy.analysis.frames.trials import trials_frame
    from wdstudy.storage.opening import open_study

    frames = {"curves": curves_frame, "trials": trials_frame}
    if what not in frames:
        raise FlagError(f"--what {what}: {nearest(what, frames)}")
    frame = frames[what](open_study(name, storage))
    if str(out) == "-":
        write_csv(frame, sys.stdout)
        return
    write_frame(frame, out)
    typer.echo(printable(f"{what} of '{name}': {out}"))


app.command()(rename)
app.command()(delete)
