"""Tables: CSV, TSV, parquet or a frame, one row a run; and a second one of their curves."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from wdstudy.errors import MissingPackageError, SourceError
from wdstudy.sources import names
from wdstudy.sources.base import (
    COMPLETE,
    CURVE_COLUMNS,
    DIVERGED,
    Asked,
    Sweep,
    left_out,
    no_curves,
    state_of,
)
from wdstudy.words import printable

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
_PARQUET = (".parquet", ".pq")
_SEPARATORS = ",;\t|"
_COMMA = re.compile(r"^\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*$")  # a number as much of Europe writes it
_DIVERGED = ("diverged",)
_YES = ("true", "1", "1.0", "yes")


def read(source: str, asked: Asked) -> Sweep:
    """The runs of a file, one row each.

    Raises:
        SourceError: it can't be read, is empty, or its rows differ in length.
        MissingPackageError: a parquet file without pyarrow.
    """
    path = Path(source)
    curves = None if asked.curves is None else table(asked.curves)
    return sweep_of_table(table(path), path.stem, path.name, curves)


def sweep_of_table(
    frame: pd.DataFrame, name: str, origin: str, curves: pd.DataFrame | None = None
) -> Sweep:
    """The runs of a frame, one row each, or one row a run and step.

    Args:
        frame: Its columns are named as the source names them.
        name: The study's name.
        origin: Where it is from, in a word.
        curves: Columns of a run and a step, and either `series` and `value` or a column a metric.

    Raises:
        SourceError: it has no rows, or the curves can't be laid beside them.
    """
    frame = frame.rename(columns=str)
    if frame.empty:
        raise SourceError(f"{origin} holds no rows; name another")
    frame, notes = _without_repeats(frame)
    frame, own = _last_steps(frame)
    keys = _keys(frame)
    frame.index = pd.Index(keys, dtype=object)
    if own is not None:
        own["run"] = own["run"].map(dict(enumerate(keys)))
        notes.append("one row a run and step: the last step is the run, the others its curve")
    lines = own if curves is None else _curves(curves.rename(columns=str), frame)
    return Sweep(
        name=name,
        origin=printable(origin),
        params=frame,
        metrics=frame,
        states=_states(frame),
        curves=no_curves() if lines is None else lines,
        told=False,
        notes=tuple(notes),
    )


def table(path: Path) -> pd.DataFrame:
    """A file as a frame; of a text file every cell is text, and None where it is empty."""
    try:
        if path.suffix.lower() in _PARQUET:
            return pd.read_parquet(path)
        return _parsed(_decoded(path.read_bytes(), path.name), path.name)
    except ImportError as error:
        raise MissingPackageError(f"reading '{path.name}'", "parquet") from error
    except OSError as error:
        raise SourceError(
            f"'{path}' can't be read ({error.strerror or error}); name another"
        ) from error
    except (ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        raise SourceError(f"'{path.name}' can't be read as a table; name another") from error


def _decoded(data: bytes, name: str) -> str:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"'{name}' is no text in UTF-8 (byte {error.start}); save it as CSV in UTF-8"
        ) from error


def _parsed(text: str, name: str) -> pd.DataFrame:
    """The table in a text, in whatever way its cells are separated."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise SourceError(f"'{name}' can't be read as CSV ({error}); mend it") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise SourceError(f"'{name}' holds no rows; give a header and one row a run")
    head = _distinct([cell.strip() for cell in rows[0]])
    for place, row in enumerate(rows[1:], 2):
        if len(row) > len(head) and any(cell.strip() for cell in row[len(head) :]):
            raise SourceError(
                f"'{name}', row {place}: {len(row)} cells under a header of {len(head)}; mend it"
            )
    cells = [[_cell(c, separator) for c in [*row, *[""] * len(head)][: len(head)]]
             for row in rows[1:]]  # fmt: skip
    return pd.DataFrame(cells, columns=head, dtype=object)


def _cell(text: str, separator: str) -> str | None:
    text = text.strip()
    if separator != "," and _COMMA.match(text):
        text = text.replace(",", ".")
    return text or None


def _distinct(head: Sequence[str]) -> list[str]:
    """Names of columns, numbered where two are the same or one has none."""
    found: list[str] = []
    for place, name in enumerate(head, 1):
        plain = name or f"column {place}"
        found.append(plain if plain not in found else f"{plain} ({place})")
    return found


def _without_repeats(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    again = _texts(frame).duplicated()
    notes = [left_out(int(again.sum()), "that another row repeats")] if again.any() else []
    return frame[~again].reset_index(drop=True), notes


def _last_steps(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Of a table with one row a run and step, the last of each run; and the curves, by its place.

    It is one where the rows of a run (of one id, or of one set of values that are not measured)
    all differ in their step.
    """
    steps = names.ranked(frame.columns, names.rank_of_step)
    step = next((name for name in steps if _float(frame[name]).notna().all()), None)
    if step is None or frame[step].nunique() < 2:
        return frame, None
    ids = [n for n in names.ranked(frame.columns, names.rank_of_run) if frame[n].notna().all()]
    axes = [n for n in frame.columns for rank in (names.rank_of_lr, names.rank_of_weight_decay,
            names.rank_of_seed, names.rank_of_optimizer) if rank(n) is not None]  # fmt: skip
    by = [*ids[:1], *axes]
    if not by:
        return frame, None
    at = _float(frame[step])
    groups = _texts(frame[by]).groupby(_texts(frame[by]), sort=False).ngroup()
    if groups.nunique() == len(frame) or pd.concat([groups, at], axis=1).duplicated().any():
        return frame, None
    last = at.groupby(groups).idxmax()
    runs = frame.loc[last].reset_index(drop=True)
    measured = [n for n in frame.columns if n not in by and n not in steps and names.is_metric(n)]
    parts = [
        pd.DataFrame({"run": groups, "step": at, "series": n, "value": frame[n]}) for n in measured
    ]
    curves = pd.concat(parts, ignore_index=True) if parts else no_curves()
    return runs, curves.dropna(subset="value")


def _keys(frame: pd.DataFrame) -> list[str]:
    """What each row is known by: an id of its own, else a digest of all that stands in it."""
    for name in names.ranked(frame.columns, names.rank_of_run):
        column = frame[name]
        if column.notna().all() and column.is_unique:
            return [str(value) for value in column]
    return [
        hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16] for text in _texts(frame)
    ]


def _states(frame: pd.DataFrame) -> pd.Series:
    """How each run ended: as a column says, else each has ended."""
    states = pd.Series(COMPLETE, index=frame.index, dtype=object)
    column = next(iter(names.ranked(frame.columns, names.rank_of_state)), None)
    if column is not None:
        states = frame[column].map(state_of)
    for name in frame.columns:
        if name.lower() in _DIVERGED:
            said = frame[name].map(lambda v: str(v).strip().lower() in _YES)
            states = states.where(~said, DIVERGED)
    return states


def _curves(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Curves as `CURVE_COLUMNS`, of the runs that there are.

    Raises:
        SourceError: no column says which run a row is of, or which step.
    """
    step = next(iter(names.ranked(curves.columns, names.rank_of_step)), None)
    if step is None:
        raise SourceError(
            f"--curves: no column of steps among {', '.join(map(printable, curves.columns))}; "
            "name one step or epoch"
        )
    run = _runs_of(curves, runs)
    if {"series", "value"} <= set(curves.columns):
        found = curves.assign(run=run, step=curves[step])[list(CURVE_COLUMNS)]
    else:
        measured = [n for n in curves.columns if (n != step and n not in runs.columns) or
                    names.is_metric(n)]  # fmt: skip
        found = pd.concat(
            [pd.DataFrame({"run": run, "step": curves[step], "series": n, "value": curves[n]})
             for n in measured], ignore_index=True,
        ) if measured else no_curves()  # fmt: skip
    return found[found["run"].notna() & found["value"].notna()]


def _runs_of(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """The run of each row of the curves: by its id, else by what both tables tell of a run."""
    for name in names.ranked(curves.columns, names.rank_of_run):
        of = curves[name].map(lambda v: None if v is None else str(v))
        if of.isin(runs.index).any():
            return of.where(of.isin(runs.index))
    shared = [n for n in curves.columns if n in runs.columns and not names.is_metric(n)
              and names.rank_of_step(n) is None]  # fmt: skip
    ids = _texts(runs[shared]) if shared else pd.Series(dtype=str)
    if shared and ids.is_unique:
        place = {text: key for key, text in ids.items()}
        of = _texts(curves[shared]).map(place)
        if of.notna().any():
            return of
    raise SourceError(
        "--curves: nothing says which run its rows are of; give both tables a column run, with "
        "the same names in it"
    )


def _texts(frame: pd.DataFrame) -> pd.Series:
    """Each row in one text."""
    rows = frame.itertuples(index=False)
    return pd.Series(["\0".join(map(str, row)) for row in rows], frame.index, dtype=object)


def _float(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce")
