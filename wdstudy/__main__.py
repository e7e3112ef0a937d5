"""`python -m wdstudy`, and the `wdstudy` command."""

from __future__ import annotations

import atexit
import gc
import sys

import typer

from wdstudy.errors import WdstudyError

USER_ERROR, INTERRUPTED = 2, 130

# Typer ships click under a private name; its public BadParameter leads to the base class.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 for anything the user can mend, told in one line; 130 for Ctrl-C.
    """
    from wdstudy.cli.commands import app

    atexit.register(gc.freeze)  # to look for garbage in all of torch takes an ending process 1 s
    try:
        # Commands show in `obj` how they were called, for the line that says how to go on.
        given = sys.argv[1:] if arguments is None else arguments
        code = app(given, prog_name="wdstudy", standalone_mode=False, obj=given)
    except _UsageError as error:
        says: str = error.format_message()  # type: ignore[attr-defined]
        if says.startswith("Usage:"):  # no arguments at all: the message is the help text
            print(says)  # noqa: T201
            return USER_ERROR
        return _complain(says)
    except WdstudyError as error:
        return _complain(f"{error} (README: {error.section})" if error.section else str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # `wdstudy list | head`
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0  # typer makes Ctrl-C a code of its own, 130


def _complain(line: str) -> int:
    print(f"wdstudy: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
