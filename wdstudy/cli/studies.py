"""The commands about whole studies: `list`, `delete`, `rename`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from wdstudy.cli.flags import Artifacts, StorageURL, StudyName, StudyNames, Yes
from wdstudy.errors import FlagError, StudyError
from wdstudy.words import counted, printable

if TYPE_CHECKING:
    import optuna


_WIDE = 500  # columns of a table that no terminal folds

_STOPPED = {"budget": "budget spent", "hopeless": "stopped"}
"""Why a design stopped, in the words of the table, where it is not in its own."""


def list_studies(
    storage: StorageURL = None,
    as_json: Annotated[bool, Option("--json", help="As JSON, a list of objects.")] = False,
    mend: Annotated[
        bool, Option("--mend", help="First leave out a journal's broken lines, a copy put aside.")
    ] = False,
) -> None:
    """List the studies of a storage: trials, metric, and the best cell by its mean over seeds."""
    from pandas import isna
    from rich.console import Console
    from rich.table import Table

    from wdstudy.analysis.frames.studies import studies_frame

    if mend:
        from wdstudy.storage.mending import mend as mend_journal

        for told in mend_journal(storage):
            typer.echo(printable(told), err=True)
    frame = studies_frame(storage)
    if frame.empty:
        raise StudyError("the storage holds no study yet; begin with: wdstudy run STUDY_FILE")
    if as_json:
        typer.echo(frame.to_json(orient="records", indent=1, double_precision=15))
        return
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for column in ("study", "trials", "metric", "best", "lr", "weight_decay", "optimizer",
                   "started"):  # fmt: skip
        table.add_column(column, overflow="fold", no_wrap=column != "study")
    rows = [{k: None if isna(v) else v for k, v in row.items()} for row in frame.to_dict("records")]
    for row in rows:
        table.add_row(*_cells(row))
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    Console(emoji=False, width=_WIDE if piped else None).print(table, markup=False)
    for row in rows:
        if row["also_varies"]:
            told = f"'{row['study']}' varies {row['also_varies']} as well: its cells mix them"
            typer.echo(printable(told))
        if row["scale"]:
            told = f"'{row['study']}' is along a scale: its best cell is that of {row['scale']}"
            typer.echo(printable(told))
        if row["damage"]:
            typer.echo(f"damaged: {printable(row['damage'])}", err=True)


def _cells(row: dict[str, Any]) -> list[str]:
    """A study's row of the table, as text."""
    others = [f"by design, {_STOPPED.get(row['design'], row['design'])}"] if row["design"] else []
    others += [f"{row[state]} {state}" for state in ("diverged", "failed", "running", "waiting")
              if row[state]]  # fmt: skip
    trials = "damaged" if row["trials"] is None else f"{row['trials']}"
    metric = row["metric"] and f"{row['direction'][:3]} {row['metric']}"
    numbers = [f"{row[name]:.4g}" if row[name] is not None else None
               for name in ("best", "lr", "weight_decay")]  # fmt: skip
    texts = [row["study"], ", ".join([trials, *others]), metric, *numbers, row["optimizer"],
             row["started"]]  # fmt: skip
    return [printable(text or "—") for text in texts]


def delete(
    names: StudyNames,
    storage: StorageURL = None,
    artifacts: Artifacts = None,
    yes: Yes = False,
) -> None:
    """Delete studies with their trials and published figures. Reports and CSV files stay.

    SQLite keeps the size of its file, and uses the room again; a journal only grows.

    Example: wdstudy delete mine-quick
    """
    from wdstudy.live.artifacts import artifacts_folder, delete_study
    from wdstudy.storage.opening import open_storage, open_study
    from wdstudy.storage.url import resolve_url

    reading = open_storage(storage, create=False)
    names = list(dict.fromkeys(names))
    for name in names:
        open_study(name, reading)  # all of them, or none
    opened = open_storage(storage)
    folder = artifacts or artifacts_folder(resolve_url(storage))
    for name in names:
        study = open_study(name, opened, leave_out=True)
        _confirm(f"delete {_described(study)}?", yes)
        delete_study(study, folder)
        typer.echo(f"deleted: {printable(name)}")


def rename(
    name: StudyName,
    new_name: Annotated[str, Argument(metavar="NEW_NAME", help="What it is to be called.")],
    storage: StorageURL = None,
    yes: Yes = False,
) -> None:
    """Give a study another name.

    Its study file goes on with it under `run --name NEW_NAME`; what reports and trackers call it
    they keep.

    Example: wdstudy rename resnet resnet-before
    """
    import optuna

    from wdstudy.storage.opening import open_storage, open_study
    from wdstudy.storage.studies import rename_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _ = open_study(name, storage)  # which makes nothing
    study = open_study(name, open_storage(storage))
    _confirm(f"rename {_described(study)} to '{printable(new_name)}'?", yes)
    rename_study(study, new_name)
    typer.echo(f"renamed: {printable(name)} is {printable(new_name)} now")


def _described(study: optuna.Study) -> str:
    """The study as it is named in a question."""
    from wdstudy.storage.studies import in_training

    trials = counted(len(study.get_trials(deepcopy=False)), "trial")
    running = in_training(study)
    training = f", {running} of them in training" if running else ""
    return f"'{printable(study.study_name)}' with {trials}{training}"


def _confirm(question: str, yes: bool) -> None:
    """Go on if it is wanted.

    Raises:
        Abort: it is not.
        FlagError: nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise FlagError(f"{question} nobody can be asked here; say --yes")
    typer.confirm(question, abort=True)
