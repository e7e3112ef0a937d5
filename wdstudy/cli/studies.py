"""The commands about whole studies: `list`, `delete`, `rename`."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from wdstudy.cli.flags import Artifacts, StorageURL, StudyName, StudyNames, Yes
from wdstudy.errors import FlagError, StudyError
from wdstudy.words import counted, printable

if TYPE_CHECKING:
    import optuna


def list_studies(
    storage: StorageURL = None,
    as_json: Annotated[bool, Option("--json", help="As JSON, a list of objects.")] = False,
) -> None:
    """List the studies of a storage: metric, and the best cell by its mean over seeds."""
    from rich.console import Console
    from rich.table import Table

    from wdstudy.analysis.frames.studies import studies_frame

    frame = studies_frame(storage)
    if frame.empty:
        raise StudyError("the storage holds no study yet; begin with: wdstudy run STUDY_FILE")
    if as_json:
        typer.echo(frame.to_json(orient="records", indent=1, double_precision=15))
        return
    mixed = frame.pop("also_varies")
    table = Table(box=None, pad_edge=False)
    for column in frame.columns:
        table.add_column(column, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*map(_shown, row))
    Console(emoji=False).print(table, markup=False)
    for name, others in zip(frame["study"], mixed, strict=True):
        if others:
            typer.echo(f"'{printable(name)}' varies {others} as well: its cells mix them")


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return printable(str(value))
    return "—" if math.isnan(value) else f"{value:.4g}"


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
    from wdstudy.live.artifacts import artifacts_folder, remove_artifacts
    from wdstudy.storage.opening import open_storage, open_study
    from wdstudy.storage.studies import delete_study
    from wdstudy.storage.url import resolve_url

    opened = open_storage(storage, create=False)
    studies = [open_study(name, opened) for name in dict.fromkeys(names)]  # all of them, or none
    folder = artifacts or artifacts_folder(resolve_url(storage))
    for study in studies:
        _confirm(f"delete {_described(study)}?", yes)
        remove_artifacts(study, folder)
        delete_study(study)
        typer.echo(f"deleted: {printable(study.study_name)}")


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

    from wdstudy.storage.opening import open_study
    from wdstudy.storage.studies import rename_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(name, storage)
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
