"""From a source to studies: the sweep, its columns, the chosen runs, and what is said of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import BaseStorage

from wdstudy.errors import SourceError, WdstudyError
from wdstudy.record import StudyRecord
from wdstudy.sources.base import Asked, Sweep
from wdstudy.sources.choosing import (
    Choice,
    choose,
    column_named,
    conditions,
    in_order,
    in_words,
    where,
)
from wdstudy.sources.columns import Columns, Names, columns_of
from wdstudy.sources.kinds import reader_of
from wdstudy.sources.optimizers import decay_of
from wdstudy.sources.tables import sweep_of_table, table
from wdstudy.sources.telling import (
    FEW,
    mapping_lines,
    one_value,
    optimizer_line,
    sampled,
    values_of,
)
from wdstudy.sources.trials import objective_of, trials_of
from wdstudy.sources.writing import Written, record_for, write
from wdstudy.storage.opening import open_storage
from wdstudy.words import abridged, counted, printable


@dataclass(frozen=True)
class Wanted:
    """What is to be read, and how.

    Attributes:
        kind: Which kind of source it is; found out where it is None.
        asked: What was said of the source.
        names: Which column is what.
        where: Conditions, `name=value`.
        facet: A hyperparameter of each of whose values a study is made.
        ignore: Columns that are no hyperparameters.
        name: The study's name; the source's own where it is None.
        anew: Make studies anew that were read before.
    """

    kind: str | None = None
    asked: Asked = field(default_factory=Asked)
    names: Names = field(default_factory=Names)
    where: Sequence[str] = ()
    facet: str | None = None
    ignore: Sequence[str] = ()
    name: str | None = None
    anew: bool = False


def read(
    source: str | Path | pd.DataFrame,
    name: str | None = None,
    *,
    storage: str | BaseStorage | None = None,
    study: str | None = None,
    curves: str | Path | pd.DataFrame | None = None,
    lr: str | None = None,
    weight_decay: str | None = None,
    seed: str | None = None,
    metric: str | None = None,
    minimize: bool | None = None,
    objective: str | int | None = None,
    where: Mapping[str, object] | None = None,
    ignore: Sequence[str] = (),
    kind: str | None = None,
    anew: bool = False,
    say: Callable[[str], None] | None = None,
) -> optuna.Study:
    """A study of wdstudy, of a sweep that another program ran.

    Reading again adds the runs that are new.

    Args:
        source: A table of one row a run (a file or a frame), an Optuna storage, or the folder,
            database or address of W&B, MLflow, Ray Tune, TensorBoard or trackio.
        name: The study's name; the source's own where it is None.
        storage: Where the study is made; the default storage where it is None.
        study: Which study, experiment or project, of a source that holds several.
        curves: A second table: a run, a step, and a column each metric (or `series`, `value`).
        lr: What the source calls it; guessed where it is None, as the next three.
        weight_decay: What the source calls it.
        seed: What the source calls it.
        metric: What to judge by.
        minimize: Whether low values of the metric are good; as the source or its name says where
            it is None.
        objective: Which objective of an Optuna study of several: its number or its name.
        where: Only the runs whose hyperparameters have these values.
        ignore: Columns that are no hyperparameters.
        kind: `table`, `optuna`, `wandb`, `mlflow`, `raytune`, `tensorboard` or `trackio`, where
            it is not to be found out.
        anew: Make the study anew if it was read before.
        say: Told, line by line, what was found, taken and left out.

    Raises:
        SourceError: it can't be read, or lacks lr, weight_decay or the metric.
        MissingPackageError: the source's package is not installed.
    """
    opened = storage if isinstance(storage, BaseStorage) else open_storage(storage)
    wanted = Wanted(
        kind=kind,
        asked=Asked(
            study=study,
            objective=None if objective is None else str(objective),
            curves=Path(curves) if isinstance(curves, str | Path) else None,
        ),
        names=Names(lr, weight_decay, seed, metric, minimize),
        where=[f"{key}={value}" for key, value in (where or {}).items()],
        ignore=ignore,
        name=name,
        anew=anew,
    )
    if isinstance(source, pd.DataFrame):
        lines = table(Path(curves)) if isinstance(curves, str | Path) else curves
        sweep = sweep_of_table(_told_of(source), name or "frame", "the frame", lines)
    else:
        sweep = sweep_in(str(source), wanted)
    (written,) = studies_of(sweep, wanted, opened, str(sweep.origin), say or (lambda line: None))
    return written.study


def sweep_in(source: str, wanted: Wanted) -> Sweep:
    """The sweep that lies at a source.

    Raises:
        SourceError, MissingPackageError: as its reader.
    """
    reader, rest, kind = reader_of(source, wanted.kind)
    for flag, given, of in (
        ("--curves", wanted.asked.curves, "table"),
        ("--objective", wanted.asked.objective, "optuna"),
    ):
        if given is not None and kind != of:
            raise SourceError(f"{flag} {given}: '{printable(rest)}' is no {of}; leave it out")
    try:
        return reader(rest, wanted.asked)
    except WdstudyError:
        raise
    except OSError as error:
        raise SourceError(
            f"'{printable(rest)}' can't be read ({error.strerror or error}); name another"
        ) from error


def studies_of(
    sweep: Sweep,
    wanted: Wanted,
    storage: BaseStorage,
    origin: str,
    say: Callable[[str], None],
) -> list[Written]:
    """Make the studies of a sweep, one or of a facet one each, and say what was done.

    Raises:
        SourceError: as `read`. All studies are laid out before one is made.
    """
    columns = columns_of(sweep, wanted.names, wanted.ignore)
    kept = where(sweep.params, conditions(wanted.where))
    say(f"found: {counted(len(sweep.params), 'run')} in {sweep.origin}")
    if not kept.all():
        say(
            f"where {' and '.join(map(printable, wanted.where))}: {counted(int(kept.sum()), 'run')}"
        )
    for note in sweep.notes:
        say(note)
    for line in mapping_lines(sweep, columns):
        say(line)
    planned = []
    for part, name in _parts(sweep, columns, kept, wanted):
        plan = _plan(sweep, _fixed(columns, wanted), part, name, wanted, origin)
        planned.append(plan)
    made = []
    for plan in planned:
        written = plan.written(storage, wanted)
        for line in plan.lines(written):
            say(line)
        made.append(written)
    return made


@dataclass(frozen=True)
class _Plan:
    """A study that is to be made."""

    name: str
    columns: Columns
    choice: Choice
    trials: list[optuna.trial.FrozenTrial]
    record: StudyRecord
    told: Mapping[str, Any]
    notes: Sequence[str]

    def written(self, storage: BaseStorage, wanted: Wanted) -> Written:
        return write(storage, self.name, self.trials, self.record, self.told,
                     minimize=self.columns.minimize, anew=wanted.anew)  # fmt: skip

    def lines(self, written: Written) -> Iterator[str]:
        rows = self.choice.rows
        yield f"study '{printable(self.name)}':"
        for axis in ("lr", "weight_decay", "seed"):
            yield f"  {axis}: {values_of(rows[axis])}"
        for note in [*self.notes, *written.notes]:
            yield f"  {note}"
        more = f", {counted(written.kept, 'trial')} there already" if written.kept else ""
        yield f"  {counted(written.added, 'trial')} added{more}"


def _plan(
    sweep: Sweep, columns: Columns, kept: pd.Series, name: str, wanted: Wanted, origin: str
) -> _Plan:
    choice = choose(sweep, columns, kept)
    objective = objective_of(columns, sweep)
    trials, said = trials_of(sweep, columns, choice, objective)
    optimizer = choice.constant.get(columns.optimizer or "")
    decay = decay_of(optimizer)
    record = record_for(columns, choice, objective, decay, origin)
    notes = [
        *choice.notes,
        *optimizer_line(optimizer, decay),
        *one_value(choice.rows),
        *sampled(record),
        *said,
    ]
    facet = wanted.facet and f"{wanted.facet}={choice.constant.get(wanted.facet)}"
    told = {
        "source": origin,
        "lr": columns.lr,
        "weight_decay": columns.weight_decay,
        "seed": columns.seed,
        "metric": columns.metric,
        "minimize": columns.minimize,
        "where": sorted(wanted.where),
        "facet": facet,
        "notes": [note for note in notes if not note.startswith("curves")],
    }
    return _Plan(name, columns, choice, trials, record, told, notes)


def _fixed(columns: Columns, wanted: Wanted) -> Columns:
    """With what is asked for by name among the hyperparameters."""
    asked = [*conditions(wanted.where), *([wanted.facet] if wanted.facet else [])]
    own = (columns.lr, columns.weight_decay, columns.seed, columns.metric, *columns.others)
    more = [name for name in asked if name not in own]
    return replace(columns, others=(*columns.others, *more))


def _parts(
    sweep: Sweep, columns: Columns, kept: pd.Series, wanted: Wanted
) -> Iterator[tuple[pd.Series, str]]:
    """Which runs go into which study."""
    name = wanted.name or sweep.name
    if wanted.facet is None:
        yield kept, name
        return
    values = column_named(sweep.params, wanted.facet, "--facet").map(in_words)
    kinds = in_order(values[kept])
    if len(kinds) > FEW:
        raise SourceError(
            f"--facet {wanted.facet}: it has {len(kinds)} values; a study of each would be too "
            "many: choose one with --where"
        )
    for kind in kinds:
        yield kept & (values == kind), f"{name}-{kind}"


def _told_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as a table; its index is a column if it has a name."""
    named = any(name is not None for name in frame.index.names)
    plain = frame.reset_index() if named else frame
    return plain.rename(columns=lambda name: abridged(str(name), 200))
