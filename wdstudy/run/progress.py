"""What a person sees while a study runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, VAL_LOSS
from wdstudy.space import TrialParams
from wdstudy.words import printable

LINE_SECONDS = 10.0


@dataclass
class Status:
    """How far a study is."""

    total: int
    done: int = 0
    best: float = math.nan
    best_params: TrialParams | None = None
    objective: str = VAL_LOSS
    direction: str = "minimize"
    diverged: int = 0
    failed: int = 0
    steps: int = 0
    now: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def shown_total(self) -> int:
        """Of how many trials: a study may hold more than are asked for now."""
        return max(self.total, self.done)

    def tick(self, steps: int) -> None:
        """Count optimizer steps that were done."""
        self.steps += steps

    def better(self, value: float) -> bool:
        """Whether a value would be the new best."""
        if math.isnan(self.best):
            return math.isfinite(value)
        return value < self.best if self.direction == "minimize" else value > self.best

    def add(self, other: Status) -> None:
        """Take in what another process did."""
        self.done += other.done
        self.diverged += other.diverged
        self.failed += other.failed
        self.steps += other.steps
        self.now = other.now or self.now
        if self.better(other.best):
            self.best, self.best_params = other.best, other.best_params

    def rate(self) -> str:
        """The optimizer steps a second, over the whole run."""
        return f" · {self.steps / self.elapsed:,.0f} steps/s" if self.steps else ""

    def note(self, state: str, params: TrialParams, value: float | None, diverged: bool) -> None:
        """Count a trial that ended: COMPLETE, PRUNED or FAIL."""
        if state == "FAIL":
            self.failed += 1
            return
        self.done += 1
        self.diverged += diverged
        if state == "COMPLETE" and value is not None and self.better(value):
            self.best, self.best_params = value, params

    def headline(self) -> str:
        """The best so far, and what went wrong, in a line."""
        parts = []
        if self.best_params is not None:
            lr, weight_decay = self.best_params.lr, self.best_params.weight_decay
            parts.append(f"best trial so far: {self.objective} {self.best:.4g}")
            parts[-1] += f" at lr {lr:g}, weight_decay {weight_decay:g}"
        if self.diverged:
            parts.append(f"{self.diverged} diverged")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return " · ".join(parts)

    def describe(self, params: TrialParams, point: Mapping[str, float]) -> None:
        """Note the newest record point of a trial that runs."""
        losses = [f"{n.removesuffix('_loss')} {point[n]:.4g}" for n in _SHOWN if n in point]
        cell = f"lr {params.lr:g} · weight_decay {params.weight_decay:g}"
        self.now = f"{cell} · loss: {', '.join(losses)}"


_SHOWN = (PRIMARY_LOSS, DECAY_LOSS, VAL_LOSS)


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


class BarDisplay:
    """A progress bar with the best cell and the current losses under it, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("[bold]trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=None)
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> BarDisplay:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def show(self, status: Status) -> None:
        """Redraw the bar and the two lines under it."""
        self._bar.update(self._task, total=status.shown_total, completed=status.done)
        lines = [
            Text(f"  {printable(line)}", overflow="ellipsis", no_wrap=True, style="dim")
            for line in (status.headline(), status.now + status.rate())
            if line
        ]
        self._live.update(Group(self._bar, *lines))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        say(self._console, line)


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

    def _print(self, status: Status) -> None:
        done = f"{status.done}/{status.shown_total} trials · {status.elapsed:.0f} s{status.rate()}"
        self.say(" · ".join(part for part in (done, status.headline()) if part))


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


def display_for(console: Console) -> Display:
    """A bar if the console is a terminal, else lines."""
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


def say(console: Console, line: str) -> None:
    """Print a line as it is: not wrapped, so that a command in it can be copied."""
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def console(**options: Any) -> Console:
    """Where progress goes: standard error, so that output can be piped."""
    return Console(stderr=True, **options)
