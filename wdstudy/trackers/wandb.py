"""Weights & Biases: one run a trial, grouped by study; online, or offline without an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wdstudy.curves import STEP
from wdstudy.errors import MissingPackageError, TrackerError, nearest
from wdstudy.trackers.base import Point, RunInfo, StudyRun, with_total

try:
    import wandb
except ImportError as error:
    raise MissingPackageError("the tracker wandb", "wandb") from error

TIMEOUT_SECONDS = 30.0
"""How long a run may take to begin, or to upload its last data at its end."""

MODES = ("online", "offline")


@dataclass(frozen=True)
class WandB:
    """Logs to Weights & Biases.

    Args:
        project: Its project.
        entity: The user or team; the account's default where it is empty.
        mode: `online` or `offline`; $WANDB_MODE, else online, where it is empty.
        dir: Where the `wandb` folder is made; $WANDB_DIR, else here, where it is empty.
    """

    project: str = "wdstudy"
    entity: str = ""
    mode: str = ""
    dir: str = ""

    def check(self) -> None:
        """Refuse to begin online without an API key: W&B would ask for it on the terminal.

        Raises:
            TrackerError: the mode is unknown, or there is no API key.
        """
        if self.mode and self.mode not in MODES:
            raise TrackerError(f"wandb.mode={self.mode}: {nearest(self.mode, MODES)}")
        mode = self.mode or wandb.setup().settings.mode
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise TrackerError(
                "the tracker wandb has no API key; run `wandb login`, or record offline with "
                '--set wandb.mode=offline (in Python: mode="offline")'
            )

    def begin(self, study: StudyRun) -> None:
        """Runs share nothing but the name of their group."""

    def open(self, info: RunInfo) -> WandBRun:
        """Begin a run beside any others of this process."""
        mode: Any = self.mode or None
        return WandBRun(
            wandb.init(
                project=self.project,
                entity=self.entity or None,
                mode=mode,
                dir=self.dir or None,
                group=info.study.name or None,
                name=info.name,
                config=dict(info.params),
                reinit="create_new",
                settings=_quiet_settings(),
            )
        )

    def finish(self, study: StudyRun, completed: bool) -> None:
        """Runs share nothing but the name of their group."""


class WandBRun:
    """One run of Weights & Biases."""

    def __init__(self, run: wandb.Run) -> None:
        self._run = run

    def log(self, points: Sequence[Point]) -> None:
        """Log record points, in their order."""
        for point in points:
            values = with_total(point)
            self._run.log(values, step=int(values.pop(STEP)), commit=True)

    def end(self, scalars: Mapping[str, float], state: str) -> None:
        """Store headline scalars and state in the summary, and finish; FAIL is a failed run."""
        self._run.summary.update({**scalars, "state": state})
        self._run.finish(exit_code=1 if state == "FAIL" else 0)

    def discard(self) -> None:
        """Close it, marked: what is logged can't be taken back, so another run is begun."""
        self.end({}, "RESTARTED")


def _quiet_settings() -> wandb.Settings:
    """Nothing printed or captured, nothing measured or copied: a process may hold many runs."""
    console: Literal["off"] = "off"
    return wandb.Settings(
        silent=True,
        console=console,
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,  # it holds the command line, and a storage's password may stand there
        x_save_requirements=False,
        init_timeout=TIMEOUT_SECONDS,
        finish_timeout=TIMEOUT_SECONDS,
        finish_timeout_raises=True,
    )
