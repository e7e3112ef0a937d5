"""`python -m wdstudy`, and the `wdstudy` command."""

from __future__ import annotations

import sys

import click

from wdstudy.errors import WdstudyError

USER_ERROR, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 for anything the user can mend, told in one line; 130 for Ctrl-C.
    """
    from wdstudy.cli import app

    try:
        app(arguments, prog_name="wdstudy", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_text:
        print(help_text.format_message())  # noqa: T201
        return USER_ERROR
    except click.ClickException as error:
        return _complain(error.format_message())
    except WdstudyError as error:
        return _complain(str(error))
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # `wdstudy list | head`
        sys.stderr.close()
    return 0


def _complain(line: str) -> int:
    print(f"wdstudy: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
