"""The errors a user can meet. Every message names the thing, the value and the remedy.

WdstudyError                 anything a user can mend: one line, exit code 2
├── SpecError                the study file or the description in it
│   ├── SpaceError           the lr × weight_decay space
│   └── FlagError            an option of the command line
├── OptimizerError           an optimizer whose weight decay is absent or unknown
├── DataError                a dataset that is missing, too small or of the wrong form
├── RecorderError            a LossRecorder used in the wrong place of a training loop
├── StorageError             a storage that can't be understood, read or written
│   └── EmptyStorageError    one in which no study has been made yet
├── SourceError              a sweep of another program that can't be read as a study
├── StudyError               a study that is unknown, differs from its file or holds no result
├── DeviceError              a device that is not there
├── TrackerError             a tracker that is unknown, or its options or credentials
└── MissingPackageError      an optional package that is not installed
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class WdstudyError(Exception):
    """Base of all errors that a user can mend. `str(error)` is one line.

    `section` names the part of the README that helps.
    """

    section = ""


class SpecError(WdstudyError):
    """The study file can't be read, or what it describes can't be trained."""

    section = "Your own model"


class SpaceError(SpecError):
    """An axis of the search space is empty, reversed, negative or not a number."""


class FlagError(SpecError):
    """An option of the command line has a value that it can't have."""

    section = ""


class OptimizerError(WdstudyError):
    """The optimizer has no weight decay, or one whose kind is not known."""

    section = "How decay is counted"


class DataError(WdstudyError):
    """The data is missing, too small, or not in a form that can be trained on."""


class RecorderError(WdstudyError):
    """The recorder is called at the wrong place of the loop, or with a name it can't store."""

    section = "Your own training loop"


class StorageError(WdstudyError):
    """The storage's URL can't be understood, or it can't be opened, read or written."""

    section = "Where it is kept"


class EmptyStorageError(StorageError):
    """There is no storage yet, or one without any table, and it was to be read."""


class StudyError(WdstudyError):
    """The study does not exist, was recorded with another spec, or holds nothing to show."""


class SourceError(WdstudyError):
    """No sweep lies there, or what lies there can't be laid out over lr and weight_decay."""

    section = "Sweeps from anywhere"


class DeviceError(WdstudyError):
    """The device asked for is not on this machine."""


class TrackerError(WdstudyError):
    """No tracker has this name or option, or it can't be used without credentials."""


class MissingPackageError(WdstudyError):
    """An optional package is missing; the message holds the line that installs it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs an optional package: pip install 'wdstudy[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error line about an unknown name: the near ones, else all of them.

    >>> nearest("tpee", ["grid", "tpe"])
    "did you mean 'tpe'? Known: grid, tpe"
    """
    names = sorted(known)
    listing = f"Known: {', '.join(names)}" if names else "There are none"
    near = get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'? {listing}" if near else listing


def fault(error: BaseException) -> str:
    """An exception of somebody's code in one line: where in their file it arose, what it says.

    Frames of this package, of installed packages and of Python itself are passed over.
    """
    kind = "" if isinstance(error, WdstudyError) else f"{type(error).__name__}: "
    says = f"{kind}{_text_of(error)}".rstrip(": ")
    if isinstance(error, SyntaxError):
        return f"'{error.filename}', line {error.lineno}: {says}"
    theirs = line_of(error)
    if theirs is None:
        return says
    code = f" ({theirs.line})" if theirs.line else ""
    return f"'{theirs.filename}', line {theirs.lineno}{code}: {says}"


def line_of(error: BaseException) -> traceback.FrameSummary | None:
    """The last line of somebody's own code that an exception passed; None where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f for f in reversed(frames) if not _is_installed(f.filename)), None)


def _text_of(error: BaseException) -> str:
    """The first line of what it says, which somebody's own class may fail to."""
    if isinstance(error, SystemExit) and error.code is None:
        return ""
    try:
        lines = str(error).strip().splitlines()
    except Exception as failure:
        return f"(its text can't be told: {type(failure).__name__})"
    return lines[0] if lines else ""


def _is_installed(filename: str) -> bool:
    path = Path(filename)
    return (
        "site-packages" in path.parts
        or Path(__file__).parent in path.parents
        or any(Path(prefix) in path.parents for prefix in (sys.base_prefix, sys.prefix))
        or filename.startswith("<")
    )
