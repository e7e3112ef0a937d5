"""Short runs that look where training works, before the trials of a design begin.

Rankings of lr flip between a short run and a whole one, so a scout is no trial: its schedule is
scaled to its length, it is kept beside the trials, and nothing that is said of these rests on it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import optuna

from wdstudy.curves import INITIAL_LOSS, SCOUTS, json_number
from wdstudy.design.batch import Batch
from wdstudy.design.design import SCOUT_SHARE
from wdstudy.run.outcomes import scouts_of
from wdstudy.run.prepared import Prepared
from wdstudy.space import TrialParams
from wdstudy.training.devices import is_out_of_memory, release_memory
from wdstudy.training.loop import Training
from wdstudy.training.probe import LaneChoice
from wdstudy.words import briefly, counted, number

FEWEST_STEPS = 10
"""A run of fewer steps tells nothing of where training works."""

LONGEST = 0.2
"""Scouts that take more of a trial's steps than this would cost more than they save."""


def steps_of(prepared: Prepared, share: float = SCOUT_SHARE) -> int:
    """Optimizer steps of a scout; 0 where runs can't be short: in a loop of somebody's own, which
    decides its length, and where a trial has few steps itself.
    """
    steps = max(FEWEST_STEPS, round(share * prepared.total_steps))
    return steps if prepared.data is not None and steps <= LONGEST * prepared.total_steps else 0


def scout(prepared: Prepared, batch: Batch, choice: LaneChoice) -> list[dict[str, Any]]:
    """Train a batch of scouts in this process, as many lanes at once as trials have.

    Returns:
        A row for each: lr, weight_decay, seed, steps, the share of a trial's that these are, value
        and initial loss (None where they are not finite), whether it diverged, and its seconds.
    """
    steps = steps_of(prepared, batch.share)
    rows: list[dict[str, Any]] = []
    for _, same_seed in groupby(batch.cells, key=lambda params: params.seed):
        left, lanes = list(same_seed), choice.lanes
        while left:
            stack = left[:lanes]
            try:
                rows += _trained(prepared, stack, steps, apart=choice.apart)
            except Exception as error:
                if not is_out_of_memory(error) or len(stack) == 1:
                    raise
                lanes = (len(stack) + 1) // 2
                release_memory()
                continue
            left = left[len(stack) :]
    return rows


def keep(study: optuna.Study, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to the study's; of a place that another run scouted as well, one stays."""
    known = {_place(row): row for row in (*scouts_of(study), *rows)}
    study.set_user_attr(SCOUTS, list(known.values()))


def told_of(rows: Sequence[dict[str, Any]], objective: str, *, minimize: bool) -> str:
    """What a batch of scouts cost and found, in a line."""
    seconds, cost = sum(row["seconds"] for row in rows), sum(row["share"] for row in rows)
    steps = counted(rows[0]["steps"], "step")
    parts = [
        f"{counted(len(rows), 'scout')} of {steps} took {briefly(seconds)}, like {cost:.1f} trials"
    ]
    found = [row for row in rows if row["value"] is not None]
    axis = "lr" if len({row["lr"] for row in rows}) > 1 else "weight_decay"
    if found:
        best = (min if minimize else max)(found, key=lambda row: float(row["value"]))
        parts.append(f"best at {axis} {number(best[axis])} ({objective} {best['value']:.3g})")
    lost = sorted(row[axis] for row in rows if row["diverged"])
    if lost:
        parts.append(f"diverged from {axis} {number(lost[0])}" if found else "all of them diverged")
    return "; ".join(parts)


def _trained(
    prepared: Prepared, stack: Sequence[TrialParams], steps: int, *, apart: bool
) -> list[dict[str, Any]]:
    """The rows of scouts that are trained as lanes of one model."""
    assert prepared.data is not None
    began = time.monotonic()
    # Two record points: a primary loss is that of the second half, and who diverged leaves early.
    spec = replace(prepared.spec, record_every=-(-steps // 2), compile=False, angular_update=False)
    training = Training(spec, stack, prepared.data, prepared.device, apart=apart, steps=steps)
    values, first, lost = ([math.nan] * len(stack) for _ in range(3))
    going = list(range(len(stack)))
    for measurement in training:
        for lane, place in enumerate(going):
            value = float(measurement.series[spec.objective][lane])
            gone = bool(measurement.diverged_at[lane]) or not math.isfinite(value)
            values[place], lost[place] = math.nan if gone else value, gone
            first[place] = float(measurement.initial_loss[lane])
        lanes = [lane for lane, place in enumerate(going) if not lost[place]]
        if not lanes:
            break
        going = [going[lane] for lane in lanes]
        training.keep(lanes)
    each = (time.monotonic() - began) / len(stack)
    return [
        {
            "lr": params.lr,
            "weight_decay": params.weight_decay,
            "seed": params.seed,
            "steps": steps,
            "share": round(steps / prepared.total_steps, 6),
            "value": json_number(values[place]),
            "diverged": bool(lost[place]),
            INITIAL_LOSS: json_number(first[place]),
            "seconds": round(each, 4),
        }
        for place, params in enumerate(stack)
    ]


def _place(row: dict[str, Any]) -> tuple[float, float, float, int]:
    return row["lr"], row["weight_decay"], row["share"], row.get("seed", 0)
