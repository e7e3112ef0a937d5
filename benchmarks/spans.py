"""Where the seconds of `wdstudy run` go: the command in one process, its parts timed from outside.

A span's own time leaves out the spans inside it, so that the parts add up to the whole.

    python benchmarks/spans.py run benchmarks/studies/ridge.py --storage sqlite:///spans.db

Its last line is JSON: part → seconds.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import functools
import json
import sys
from collections import defaultdict
from typing import Any

from wdstudy import meter
from wdstudy.cli.commands import app
from wdstudy.launchers import local
from wdstudy.run import prepared, runner, stack, triallog
from wdstudy.training import loop

PARTS: dict[str, float] = defaultdict(float)
_inner: list[float] = [0.0]


def timed(owner: Any, name: str, part: str, *, whole: bool = False) -> None:
    """Count the time inside a function or method as this part, without the spans in it.

    With `whole`, what is inside belongs to it as well.
    """
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _inner.append(0.0)
        before = dict(PARTS)
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent = time.perf_counter() - start
            inner = _inner.pop()
            if whole:
                PARTS.clear()
                PARTS.update(before)
            PARTS[part] += spent if whole else spent - inner
            _inner[-1] += spent

    setattr(owner, name, wrapper)


def main() -> None:
    timed(local, "prepare", "start-up")
    timed(prepared.Prepared, "lanes", "calibration", whole=True)
    timed(runner.Runner, "enqueue", "storage")
    timed(runner.Runner, "_next_stack", "storage")
    timed(triallog.TrialLog, "_write", "storage")
    timed(triallog.TrialLog, "_report", "storage")
    timed(triallog.TrialLog, "_end", "storage")
    timed(stack.StackTrainer, "log_point", "recording")
    timed(loop.Training, "__init__", "training")
    timed(loop.Training, "_step", "training")
    timed(loop.Training, "_validate", "validation")
    timed(loop.Training, "_measure", "recording")
    timed(meter.LossMeter, "step", "recording")
    for lanes in (loop.SingleLane, loop.StackedLanes):
        decay_terms = lanes.decay_terms

        def recorded(self: Any, optimizer: Any, made: Any = decay_terms) -> Any:
            terms = made(self, optimizer)
            timed(terms, "read", "recording")
            return terms

        lanes.decay_terms = recorded
    imported = time.perf_counter() - STARTED
    try:
        app(args=[*sys.argv[1:], "--jobs", "1"], standalone_mode=False, obj=sys.argv[1:])
    finally:
        whole = time.perf_counter() - STARTED
        PARTS["start-up"] += imported
        PARTS["other"] = whole - sum(PARTS.values())
        print(json.dumps(PARTS))


if __name__ == "__main__":
    main()
