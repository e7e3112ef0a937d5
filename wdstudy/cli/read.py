"""The command `read`: a sweep that another program ran, as a study."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from wdstudy.cli.completion import SOURCES, one_of
from wdstudy.cli.flags import Live, StorageURL, called
from wdstudy.words import printable

if TYPE_CHECKING:
    import optuna

    from wdstudy.sources.writing import Written

Source = Annotated[
    str,
    Argument(
        metavar="SOURCE",
        help="A .csv, .tsv or .parquet of one row a run; an Optuna storage or its file; a folder "
        "of W&B offline runs, MLflow, Ray Tune or TensorBoard; wandb:ENTITY/PROJECT, mlflow:URI, "
        "trackio:PROJECT.",
    ),
]
Kind = Annotated[
    str | None,
    Option(
        "--from",
        metavar="KIND",
        help=f"What SOURCE is, if it is not found out: {', '.join(SOURCES)}.",
        autocompletion=one_of(SOURCES),
    ),
]
Study = Annotated[
    str | None,
    Option(metavar="NAME", help="Which study, experiment or project of SOURCE, if it has several."),
]
StudyNamed = Annotated[
    str | None, Option(metavar="NAME", help="What the study is to be called; else as the source.")
]
Objective = Annotated[
    str | None,
    Option(metavar="N", help="Of an Optuna study with several objectives: its number or name."),
]
Curves = Annotated[
    Path | None,
    Option(metavar="FILE", help="A second table: a run, a step, and a column each metric."),
]
LrName = Annotated[str | None, Option(metavar="COLUMN", help="What SOURCE calls lr.")]
DecayName = Annotated[str | None, Option(metavar="COLUMN", help="What SOURCE calls weight_decay.")]
SeedName = Annotated[str | None, Option(metavar="COLUMN", help="What SOURCE calls the seed.")]
Metric = Annotated[
    str | None, Option(metavar="COLUMN", help="The metric to judge by; a validation loss if any.")
]
Way = Annotated[
    bool | None,
    Option("--minimize/--maximize", help="Whether low or high is good; by the metric's name."),
]
Where = Annotated[
    list[str] | None,
    Option(metavar="NAME=VALUE", help="Only the runs with this setting; may be repeated."),
]
Facet = Annotated[
    str | None, Option(metavar="NAME", help="A study for each value of this setting: optimizer.")
]
Ignore = Annotated[
    list[str] | None,
    Option(metavar="COLUMN", help="A column that is no hyperparameter; may be repeated."),
]
Anew = Annotated[bool, Option("--anew", help="Make the study anew if it was read before.")]


def read(
    source: Source,
    name: StudyNamed = None,
    storage: StorageURL = None,
    study: Study = None,
    metric: Metric = None,
    minimize: Way = None,
    lr_name: LrName = None,
    weight_decay_name: DecayName = None,
    seed_name: SeedName = None,
    where: Where = None,
    facet: Facet = None,
    ignore: Ignore = None,
    curves: Curves = None,
    objective: Objective = None,
    kind: Kind = None,
    anew: Anew = False,
    live: Live = True,
) -> None:
    """Make a study of a sweep that another program ran; again, and it adds the runs that are new.

    Example: wdstudy read results.csv --metric val_accuracy

    Example: wdstudy read sqlite:///optuna.db --study mlp --where dropout=0.1
    """
    import optuna

    from wdstudy.sources.base import Asked
    from wdstudy.sources.columns import Names
    from wdstudy.sources.reading import Wanted, studies_of, sweep_in
    from wdstudy.storage.opening import open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    wanted = Wanted(
        kind=kind,
        asked=Asked(study, objective, curves),
        names=Names(lr_name, weight_decay_name, seed_name, metric, minimize),
        where=where or (),
        facet=facet,
        ignore=ignore or (),
        name=name,
        anew=anew,
    )
    sweep = sweep_in(source, wanted)
    made = studies_of(
        sweep, wanted, open_storage(storage), sweep.origin, lambda line: typer.echo(printable(line))
    )
    stored = [] if storage is None else ["--storage", storage]
    names = [written.study.study_name for written in made]
    for written in made if live else ():
        _show(written.study, called(["report", written.study.study_name, *stored]))
    along = ["--scale", facet] if facet and _is_scale(made, facet) else []
    typer.echo(f"next: {called(['report', *names, *along, *stored])}")


def _is_scale(made: list[Written], facet: str) -> bool:
    """Whether studies of a hyperparameter's values are along a scale: several, all of numbers."""
    from wdstudy.analysis.frames.joined import scaled_frame
    from wdstudy.errors import StudyError

    try:
        values = scaled_frame([one.study for one in made], facet).attrs["scale"]["values"]
    except StudyError:
        return False
    return len(values) > 1


def _show(study: optuna.Study, report: str) -> None:
    """Make the study's page in optuna-dashboard, if there is something to show."""
    from wdstudy.errors import StudyError
    from wdstudy.live.page import live_page, push

    with suppress(StudyError):
        push(study, live_page(study, len(study.get_trials(deepcopy=False)), "finished", report))
