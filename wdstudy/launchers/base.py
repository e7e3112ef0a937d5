"""What starts the workers of a run: what every launcher is, and which there are.

A worker is a process with a `Runner` on the shared storage, wherever it runs; so all that a
launcher tells its workers is a `Job`, and all that it hears of them is what a `Reporter` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from wdstudy.errors import FlagError, nearest

if TYPE_CHECKING:
    import optuna

    from wdstudy.run.prepared import Prepared
    from wdstudy.run.progress import Display
    from wdstudy.run.status import Status
    from wdstudy.study.file import SpecSource
    from wdstudy.study.spec import StudySpec
    from wdstudy.trackers import Backend


class Launcher(Protocol):
    """Runs a study with as many workers as it is worth."""

    def __call__(
        self,
        source: SpecSource,
        spec: StudySpec,
        storage: str | None,
        display: Display,
        *,
        jobs: int | None = None,
        lanes: int | None = None,
        trackers: Sequence[Backend] = (),
        opened: Callable[[optuna.Study], None] = lambda study: None,
    ) -> Status:
        """Run it.

        Args:
            source: Where workers read the spec from.
            spec: The spec itself.
            storage: A URL; the default storage where it is None.
            display: Where progress is shown.
            jobs: Workers; as many as are worth it where it is None.
            lanes: Trials that a worker trains as one model; the fastest number where it is None.
            trackers: Where every trial is a run as well.
            opened: Told the study when its training starts.

        Returns:
            How it ended.

        Raises:
            WdstudyError: as `run_study`, or worker after worker was lost.
        """
        ...


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    Attributes:
        source, name: Where it reads the spec from, and which of the file's.
        storage: A URL.
        device: Where it trains.
        run: The token of the run that it is a worker of.
        trackers: Where every trial is a run as well.
        number: Which worker it is. jobs: how many the run has.
        until: When the run's time is over, as `time.time()` has it; None where it has no end.
    """

    source: SpecSource
    name: str
    storage: str | None = field(repr=False)  # it may hold a password
    device: str
    run: str
    trackers: tuple[Backend, ...] = ()
    number: int = 0
    jobs: int = 1
    until: float | None = None

    def prepare(self, say: Callable[[str], None]) -> Prepared:
        """All that a worker needs, in its own process.

        Args:
            say: Told when the storage is out of reach.

        Raises:
            WdstudyError: it can't be used there.
        """
        from wdstudy.run.prepared import prepare

        spec = replace(self.source.spec(self.name), device=self.device)
        return prepare(spec, self.storage, self.trackers, joins=self.number > 0, say=say)


class Entry(NamedTuple):
    """A launcher as the command line knows it.

    home: module and function. says: what it starts, for `--help`. options: the keywords that only
    it has, which are flags with hyphens.
    """

    home: str
    says: str
    options: tuple[str, ...] = ()


LAUNCHERS = {
    "local": Entry(
        "wdstudy.launchers.local:run_local", "processes on this machine", ("devices", "dry_run")
    ),
    "ray": Entry("wdstudy.launchers.ray:run_ray", "jobs of a cluster", ("address", "gpus_per_job")),
}


def launcher(name: str, options: Mapping[str, Any]) -> Launcher:
    """The launcher of this name, with the options that only it has.

    Args:
        name: One of `LAUNCHERS`.
        options: Every launcher's keyword → value as on the command line; None where it is not
            given.

    Raises:
        FlagError: no launcher has this name, or an option is another's.
        MissingPackageError: its package is not installed.
    """
    if name not in LAUNCHERS:
        raise FlagError(f"--launcher {name}: {nearest(name, LAUNCHERS)}")
    entry = LAUNCHERS[name]
    assert options.keys() == {key for each in LAUNCHERS.values() for key in each.options}
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        if key not in entry.options:
            owners = [n for n, other in LAUNCHERS.items() if key in other.options]
            flag = f"--{key.replace('_', '-')}"
            shown = flag if value is True else f"{flag} {value}"
            raise FlagError(f"{shown}: only with --launcher {' or '.join(owners)}")
    module, _, function = entry.home.partition(":")
    return cast(Launcher, partial(getattr(import_module(module), function), **given))
