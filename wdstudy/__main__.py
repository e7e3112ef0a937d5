"""`python -m wdstudy`, and the `wdstudy` command."""

from __future__ import annotations

import atexit
import gc
import logging
import sys

from wdstudy.errors import WdstudyError, fault, line_of
from wdstudy.words import abridged, printable

USER_ERROR, INTERRUPTED = 2, 130

LONGEST = 1200
"""Characters of a line that tells what is wrong."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 for anything the user can mend, told in one line; 130 for Ctrl-C.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # also while all this is still being imported
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    import typer

    from wdstudy.cli.commands import app

    # Of a text that is no UTF-8 Optuna's storage warns in two lines; our errors say it in one.
    logging.getLogger("optuna.storages._rdb.storage").setLevel(logging.ERROR)
    # Typer ships click under a private name; its public BadParameter leads to the base class.
    usage_error: type[Exception] = typer.BadParameter.__mro__[1]
    atexit.register(gc.freeze)  # to look for garbage in all of torch takes an ending process 1 s
    try:
        # Commands show in `obj` how they were called, for the line that says how to go on.
        code = app(arguments, prog_name="wdstudy", standalone_mode=False, obj=arguments)
    except usage_error as error:
        says: str = error.format_message()  # type: ignore[attr-defined]
        if says.startswith("Usage:"):  # no arguments at all: the message is the help text
            print(says)  # noqa: T201
            return USER_ERROR
        return _complain(says)
    except WdstudyError as error:
        return _complain(f"{error} (README: {error.section})" if error.section else str(error))
    except typer.Abort:
        return INTERRUPTED
    except SystemExit as error:
        if line_of(error) is None:  # typer, after it has completed a word for the shell
            raise
        return _complain(
            f"{fault(error)}: the study's own code ended the program, before all was trained; "
            "take that out of it"
        )
    except BrokenPipeError:  # `wdstudy list | head`
        sys.stderr.close()
        return 0
    except (OSError, UnicodeError) as error:  # of a path that no file can have, above all
        return _complain(_by_the_system(error))
    return code if isinstance(code, int) else 0  # typer makes Ctrl-C a code of its own, 130


def _complain(line: str) -> int:
    # Line by line: a path in it may have two spaces.
    line = abridged(printable(" ".join(part.strip() for part in line.splitlines())), LONGEST)
    print(f"wdstudy: {line}", file=sys.stderr)  # noqa: T201
    return USER_ERROR


def _by_the_system(error: OSError | UnicodeError) -> str:
    """What the system refused, in a line."""
    if isinstance(error, UnicodeError):
        thing = str(getattr(error, "object", ""))
        return f"'{abridged(thing, 80)}' can't be written as UTF-8; name another"
    thing = abridged(str(error.filename or ""), 80)
    says = error.strerror or str(error)
    return f"'{thing}': {says}; name another" if thing else f"the system says: {says}"


if __name__ == "__main__":
    sys.exit(main())
