"""Where a report is written: folders named after studies, and files that are whole or absent."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wdstudy.analysis.frames.files import written_whole
from wdstudy.errors import StorageError

_STEM = 60


def folder_name(study_name: str) -> str:
    """A name for the study's folder that stays inside the output folder, one for each study."""
    safe = re.sub(r"[^\w.-]+", "-", study_name).strip("-.")
    if safe and safe == study_name and len(safe) <= _STEM:
        return safe
    # Two names must not meet in one folder after cleaning.
    mark = hashlib.sha256(study_name.encode()).hexdigest()[:6]
    return f"{safe[:_STEM].strip('-.') or 'study'}-{mark}"


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


@contextmanager
def whole_folder(folder: Path) -> Iterator[None]:
    """A folder that is new, and not finished within, is taken away again."""
    new = not folder.exists()
    try:
        yield
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    try:
        with written_whole(path) as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return path


def unwritable(folder: Path, error: OSError) -> StorageError:
    """What to say of a folder that can't be written."""
    return StorageError(
        f"the report can't be written to '{folder}' ({error.strerror or error}); name another --out"
    )
