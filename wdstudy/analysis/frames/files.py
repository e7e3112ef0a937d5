"""Frames as files, and files that are written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from wdstudy.errors import FlagError, MissingPackageError, StorageError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@contextmanager
def written_whole(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """A file to write to, which takes its name when all of it is there; else nothing is left.

    A link of that name is replaced, rather than what it points to.

    Raises:
        OSError: the file can't be written.
    """
    draft = path.with_name(f".{secrets.token_hex(6)}.part")
    # Made anew ("x"), so that no link that somebody laid there is followed.
    file: IO[Any] = draft.open("xb") if binary else draft.open("x", encoding="utf-8", newline="")
    try:
        with file:
            yield file
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as its file's suffix says.

    Raises:
        SpecError: the suffix is neither `.csv` nor `.parquet`.
        StorageError: the file can't be written.
        MissingPackageError: `.parquet` without pyarrow.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise FlagError(f"--out {path}: end it in .csv or .parquet")
    try:
        with written_whole(path, binary=path.suffix == ".parquet") as file:
            if path.suffix == ".csv":
                write_csv(frame, file)
            else:
                frame.to_parquet(file, index=False)
    except ImportError as error:
        raise MissingPackageError("writing .parquet", "parquet") from error
    except OSError as error:
        raise StorageError(
            f"'{path}' can't be written ({error.strerror or error}); name another"
        ) from error


def write_csv(frame: pd.DataFrame, file: IO[str]) -> None:
    """Write a frame as CSV, in which no text is a formula for a spreadsheet.

    A text that begins as one does gets an apostrophe before it; numbers are as they are.
    """
    # Not `attrs` as well, which pandas would copy for every column.
    plain = pd.DataFrame({_no_formula(name): _texts(frame[name]) for name in frame.columns})
    plain.to_csv(file, index=False)


def _texts(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories(_no_formula)
    if pd.api.types.is_numeric_dtype(column):  # booleans among them
        return column
    return column.map(_no_formula)


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
