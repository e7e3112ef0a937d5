"""A study file to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from wdstudy.errors import SpecError


def write_study_file(path: Path) -> None:
    """Write a commented study file that runs as it is.

    Raises:
        SpecError: the file is there already, is no Python file, or can't be written.
    """
    if path.suffix != ".py":
        raise SpecError(f"'{path}' is no Python file; name it '{path}.py'")
    if not str(path).isprintable():
        raise SpecError(f"'{path}' holds what can't be printed; give a name of letters and digits")
    text = (files("wdstudy.study") / "template.py.txt").read_text()
    text = text.replace("STUDY_PATH", str(path)).replace("STUDY_NAME", path.stem)
    if path.exists():
        raise SpecError(f"'{path}' is there already; give another name, or edit it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(text)
    except OSError as error:
        raise SpecError(
            f"'{path}' can't be written ({error.strerror}); name a place that can be"
        ) from None
