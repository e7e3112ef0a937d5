"""Ray Tune: a results folder, read from its JSON files, for which Ray need not be installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wdstudy.errors import SourceError
from wdstudy.sources.base import COMPLETE, PRUNED, Asked, Run, Sweep, flattened, state_of, sweep_of
from wdstudy.words import counted, printable

_ITERATION = "training_iteration"
_ABOUT = {
    "timestamp", "checkpoint_dir_name", "done", _ITERATION, "trial_id", "date", "time_this_iter_s",
    "time_total_s", "pid", "hostname", "node_ip", "time_since_restore", "should_checkpoint",
    "iterations_since_restore", "timesteps_total", "episodes_total", "experiment_tag",
    "timesteps_since_restore", "warmup_time",
}  # fmt: skip
"""What Ray adds to every result."""


def read(source: str, asked: Asked) -> Sweep:
    """The trials of an experiment, one folder each.

    Args:
        source: The experiment's folder, or one that holds several.
        asked: Which experiment, if there are several.

    Raises:
        SourceError: no trial lies there, or which experiment is meant is not said.
    """
    folder = _experiment(Path(source), asked.study)
    states = dict(_states(folder))
    runs = [run for path in sorted(folder.glob("*/result.json"))
            if (run := _run(path, states)) is not None]  # fmt: skip
    runs, notes = _stopped_early(runs)
    return sweep_of(runs, folder.resolve().name, f"the Ray Tune folder {folder}", notes=notes)


def _experiment(folder: Path, asked: str | None) -> Path:
    if next(folder.glob("*/result.json"), None) or next(folder.glob("experiment_state-*"), None):
        return folder
    known = {path.parent.parent.name: path.parent.parent for path in folder.glob("*/*/result.json")}
    if asked in known:
        return known[asked]
    if len(known) == 1 and asked is None:
        return next(iter(known.values()))
    if not known:
        raise SourceError(f"'{printable(str(folder))}' holds no trial of Ray Tune; name another")
    shown = ", ".join(map(printable, sorted(known)))
    raise SourceError(
        f"'{printable(str(folder))}' holds {len(known)} experiments; say which with --study: "
        f"{shown}"
    )


def _states(folder: Path) -> Iterator[tuple[str, str]]:
    """Trial → how it ended, as the experiment's last snapshot has it."""
    snapshots = sorted(folder.glob("experiment_state-*.json"))
    if not snapshots:
        return
    try:
        trials = json.loads(snapshots[-1].read_text()).get("trial_data", [])
        for entry in trials:
            told = json.loads(entry[0] if isinstance(entry, list) else entry)
            yield str(told.get("trial_id")), state_of(told.get("status", ""))
    except (ValueError, AttributeError, LookupError):  # another version's: results tell enough
        return


def _run(path: Path, states: Mapping[str, str]) -> Run | None:
    """A trial; None of one that has reported nothing."""
    results = list(_lines(path))
    if not results:
        return None
    last = results[-1]
    key = str(last.get("trial_id") or path.parent.name)
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for place, result in enumerate(results, 1):
        step = float(result.get(_ITERATION, place))
        for name, value in _measured(result).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                steps, values = curves.setdefault(name, ([], []))
                steps.append(step)
                values.append(float(value))
    return Run(
        key=key,
        params=_params(path.parent, last),
        metrics=_measured(last),
        state=states.get(key, COMPLETE),
        curves=curves,
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The results of a trial; a line that was cut off ends them."""
    for line in path.read_text().splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            return
        if isinstance(result, dict):
            yield result


def _params(folder: Path, last: Mapping[str, Any]) -> dict[str, Any]:
    config = last.get("config")
    if not isinstance(config, Mapping):
        try:
            config = json.loads((folder / "params.json").read_text())
        except (OSError, ValueError):
            config = {}
    return flattened(config) if isinstance(config, Mapping) else {}


def _measured(result: Mapping[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in result.items() if k not in _ABOUT and k != "config"}
    return flattened(plain)


def _stopped_early(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """A scheduler's victims, which end like any other: those with fewer results than the rest."""
    lengths = [max((len(steps) for steps, _ in run.curves.values()), default=0) for run in runs]
    longest = max(lengths, default=0)
    early = [run.state == COMPLETE and length < longest
             for run, length in zip(runs, lengths, strict=True)]  # fmt: skip
    if not any(early):
        return runs, []
    marked = [
        Run(run.key, run.params, run.metrics, PRUNED if cut else run.state, run.curves)
        for run, cut in zip(runs, early, strict=True)
    ]
    note = (
        f"{counted(sum(early), 'trial')} with fewer results than the others' {longest}: taken for "
        "stopped early by a scheduler, and so without a value"
    )
    return marked, [note]
