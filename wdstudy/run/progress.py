"""What a person sees while a study runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from wdstudy.errors import FlagError, WdstudyError
from wdstudy.run.status import Status
from wdstudy.words import printable

LINE_SECONDS = 10.0


class Display(Protocol):
    """Shows a status again and again, and lines that should stay."""

    def __enter__(self) -> Display: ...

    def __exit__(self, *error: object) -> None: ...

    def show(self, status: Status) -> None:
        """Show how far the study is."""
        ...

    def say(self, line: str) -> None:
        """Print a line that stays."""
        ...

    def warn(self, line: str) -> None:
        """Print a line about what goes wrong: also where nothing else is shown."""
        ...


class BarDisplay:
    """A progress bar with the best cell and the current losses under it, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("[bold]trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=None, left="")
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> BarDisplay:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def show(self, status: Status) -> None:
        """Redraw the bar and the lines under it."""
        self._bar.update(
            self._task, total=status.shown_total, completed=status.done, left=status.left()
        )
        lines = [
            # A reason is a sentence, and is read to its end; of losses their first digits are.
            Padding(
                Text(printable(line), overflow="ellipsis", no_wrap=not reason, style="dim"),
                (0, 0, 0, 2),
            )
            for line, reason in (
                (status.stage(), True),
                (status.headline(), False),
                (status.now + status.rate(), False),
            )
            if line
        ]
        self._live.update(Group(self._bar, *lines))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        say(self._console, line)

    def warn(self, line: str) -> None:
        """Print a line above the bar."""
        self.say(line)


class LineDisplay:
    """A line every ten seconds and at the end, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> LineDisplay:
        return self

    def __exit__(self, *error: object) -> None:
        if self._status is not None:
            self._print(self._status)

    def show(self, status: Status) -> None:
        """Print a line if the last one is old enough."""
        self._status = status
        if time.monotonic() - self._shown >= LINE_SECONDS:
            self._shown = time.monotonic()
            self._print(status)

    def say(self, line: str) -> None:
        """Print a line."""
        say(self._console, line)

    def warn(self, line: str) -> None:
        """Print a line."""
        self.say(line)

    def _print(self, status: Status) -> None:
        done = f"{status.done}/{status.shown_total} trials · {status.elapsed:.0f} s{status.rate()}"
        parts = done, status.left(), status.stage(), status.headline()
        self.say(" · ".join(part for part in parts if part))


class LogDisplay(LineDisplay):
    """The same lines, each with the date and the time."""

    def say(self, line: str) -> None:
        """Print a line."""
        super().say(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}")


class Several:
    """Shows all on several displays."""

    def __init__(self, displays: Sequence[Display]) -> None:
        self._displays = displays

    def __enter__(self) -> Several:
        for display in self._displays:
            display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for display in self._displays:
            display.__exit__(*error)

    def show(self, status: Status) -> None:
        """Show it on each."""
        for display in self._displays:
            display.show(status)

    def say(self, line: str) -> None:
        """Print it on each."""
        for display in self._displays:
            display.say(line)

    def warn(self, line: str) -> None:
        """Print it on each."""
        for display in self._displays:
            display.warn(line)


class Silent:
    """Shows nothing, for use as a library."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, status: Status) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Print nothing."""

    def warn(self, line: str) -> None:
        """Print nothing."""


class Quiet(Silent):
    """Shows nothing but what goes wrong."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def warn(self, line: str) -> None:
        """Print a line."""
        say(self._console, line)


@contextmanager
def display_in(command: str, log: Path | None, *, quiet: bool) -> Iterator[Display]:
    """Where a command shows what it does: on the terminal, unless that is to be quiet, and in a
    log, with whatever ends it.

    Raises:
        FlagError: the log can't be written.
    """
    shown = Quiet(console()) if quiet else display_for(console())
    if log is None:
        yield shown
        return
    try:
        file = log.open("a", encoding="utf-8")
    except OSError as error:
        raise FlagError(
            f"--log {log}: {error.strerror or error}; name a file that can be written"
        ) from None
    with file:
        written = LogDisplay(console(file=file))
        written.say(command)
        try:
            yield Several([shown, written])
        except WdstudyError as error:
            written.say(f"stopped: {error}")
            raise


def display_for(console: Console) -> Display:
    """A bar if the console is a terminal, else lines."""
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


def say(console: Console, line: str) -> None:
    """Print a line as it is: not wrapped, so that a command in it can be copied."""
    console.print(printable(line), markup=False, highlight=False, emoji=False, soft_wrap=True)


def console(**options: Any) -> Console:
    """Where progress goes: standard error, so that output can be piped, or `file`."""
    return Console(
        stderr="file" not in options,
        emoji=False,  # or 0.001:100:5 is a picture
        **options,
    )
