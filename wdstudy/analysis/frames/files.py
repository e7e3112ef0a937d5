"""Frames as files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from wdstudy.errors import FlagError, MissingPackageError, StorageError


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as its file's suffix says.

    Raises:
        SpecError: the suffix is neither `.csv` nor `.parquet`.
        StorageError: the file can't be written.
        MissingPackageError: `.parquet` without pyarrow.
    """
    try:
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        elif path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        else:
            raise FlagError(f"--out {path}: end it in .csv or .parquet")
    except ImportError as error:
        raise MissingPackageError("writing .parquet", "parquet") from error
    except OSError as error:
        raise StorageError(
            f"'{path}' can't be written ({error.strerror or error}); name another"
        ) from error
