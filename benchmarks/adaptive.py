"""How often intervals hold the truth where a design places the trials, and stops when it will.

Planes whose every answer is known are studied by a design until it stops; what the analysis then
says of its trials is compared with the truth. Beside it the same cells drawn anew, whose luck
placed nothing, and a grid of 7 × 7 cells with two seeds, placed by somebody who knows the plane.

    python benchmarks/adaptive.py                         # the table, an hour on two cores
    python benchmarks/adaptive.py --draws 20 --case "no gain" --csv adaptive.csv
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from design_replays import replayed
from known_planes import DECAYS, Plane, Trainer

from wdstudy import landscape
from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome, frame_of
from wdstudy.space import TrialParams

SIZE = 8
FACTOR = 1.25  # of the harm that a design asks about
NOTHING = 0.002  # a gain of less is none

CASES: dict[str, Plane] = {
    "slope 0": Plane(slope=0),
    "slope -1/2": Plane(slope=-0.5),
    "slope -1": Plane(),
    "gain at all lr": Plane(gains_from=-9.0, slope=-0.5),
    "no gain": Plane(gain=0.0),
    "no gain, slope 0": Plane(gain=0.0, slope=0),
    "decay rescues": Plane(slope=-0.5, rescued=1.0, gain=0.5),
    "noisy": Plane(sd=0.06, growth=0.3),
    "heavy tails": Plane(tails=3.0),
}

KINDS = ("contrast", "column", "gain", "column_gain", "onset", "loss", "gap", "limit", "slope")
"""What is to be covered. column: all contrasts of an lr at once. column_gain: that of the best
weight_decay of the whole column, tried or not."""

SHARES = (
    "false_helps",
    "limit_told",
    "wrong",
    "wrong_best",
    "wrong_effects",
    "wrong_limit",
    "untold",
)
"""false_helps: a gain is told where there is none. limit_told: the slope of the limit is.
wrong: one of the answers with which a design stopped is false. untold: good lr that they leave out.
"""

SIZES = ("trials", "regret", "plane_regret")
"""regret: the named best's loss above that of the best tried; plane_regret: of the best of all."""


def anew(plane: Plane, outcomes: Sequence[Outcome], rng: np.random.Generator) -> list[Outcome]:
    """The same trials with other luck."""
    return Trainer(plane, rng).train(o.params for o in outcomes if not o.is_scout)


def grid(plane: Plane, rng: np.random.Generator) -> list[Outcome]:
    """A grid about the valley, as somebody places it who knows it but for the half decade."""
    x, y = plane.x + rng.uniform(-0.25, 0.25), plane.y + rng.uniform(-0.25, 0.25)
    lrs = 10 ** (x + np.linspace(-1.5, 1.5, 7))
    decays = [0.0, *10 ** (y + np.linspace(-1.5, 2.0, 6))]
    cells = [TrialParams(float(lr), float(w), s) for lr in lrs for w in decays for s in range(2)]
    return Trainer(plane, rng).train(cells)


def judged(
    outcomes: Sequence[Outcome], plane: Plane, rng: np.random.Generator, design: Design | None
) -> dict[str, list[float]]:
    """How what is said of some trials compares with the truth: column → 0 or 1, or sizes."""
    frame = frame_of(outcomes)
    found = landscape(frame)
    out: dict[str, list[float]] = defaultdict(list, trials=[float(len(frame))])
    real = {
        (lr, wd): plane.at(lr, wd)
        for lr, wd in {*zip(frame["lr"], frame["weight_decay"], strict=True)}
    }
    for effect in found.effects:
        _judge_effect(effect, plane, out)
    best = found.best
    named = plane.at(best.lr, best.weight_decay)
    out["regret"].append(math.expm1(named - min(real.values())))
    out["plane_regret"].append(math.expm1(named - plane.least))
    if math.isfinite(best.loss.low):
        out["loss"].append(_covers(best.loss, _fresh(plane, best.lr, best.weight_decay,
                                                     best.seeds, rng)))  # fmt: skip
    if math.isfinite(found.baseline_gap.low):
        without = min(z for (_, wd), z in real.items() if wd == 0)
        decayed = min(z for (_, wd), z in real.items() if wd > 0)
        out["gap"].append(_covers(found.baseline_gap, math.expm1(without - decayed)))
    if found.slope.known:
        lrs = found.ridge.lr
        valley = [math.log10(max(plane.valley(lr), 1e-9)) for lr in lrs]
        out["slope"].append(_covers(found.slope, np.polyfit(np.log10(lrs), valley, 1)[0]))
    _judge_limit(found, plane, out)
    if design is not None:
        _judge_answers(found, plane, out, design)
    return out


def _judge_effect(effect: LrEffect, plane: Plane, out: dict[str, list[float]]) -> None:
    tried = np.array([c.weight_decay for c in effect.changes])
    base = plane.at(effect.lr, effect.without)
    if not math.isfinite(base) or not len(tried):
        return
    gaps = plane.z(effect.lr, tried) - base
    held = [
        _covers(change.loss, math.expm1(gap))
        for change, gap in zip(effect.changes, gaps, strict=True)
        if change.weight_decay != effect.without and math.isfinite(change.loss.low)
    ]
    out["contrast"] += held
    out["column"] += [all(held)] if held else []
    if effect.gain.known and math.isfinite(effect.gain.low):
        gain, most = _gains(effect, plane)
        out["gain"].append(_covers(effect.gain, gain, 1e-4))
        out["column_gain"].append(_covers(effect.gain, most, 1e-3))
        if gain < NOTHING:
            out["false_helps"].append(effect.gain.low > 0)
    for factor, onset in effect.harms_from.items():
        if onset.known and math.isfinite(onset.low):
            out["onset"].append(_holds(onset, plane.onset(effect.lr, factor)))


def _gains(effect: LrEffect, plane: Plane) -> tuple[float, float]:
    """The true gain of the best weight_decay of a column, of those that were tried and of all."""
    tried = np.array([c.weight_decay for c in effect.changes])
    base = plane.at(effect.lr, effect.without)
    most = (float(plane.z(effect.lr, decays).min()) - base for decays in (tried, DECAYS))
    one, all_of_them = (-math.expm1(min(z, 0.0)) for z in most)
    return one, all_of_them


def _judge_limit(found: Landscape, plane: Plane, out: dict[str, list[float]]) -> None:
    limit, lr = found.limit, np.array(found.limit.lr)
    out["limit_told"].append(limit.slope.known)
    for part, estimate in (
        (lr <= limit.bends_at if limit.bends else lr > 0, limit.slope),
        (lr >= limit.bends_at, limit.slope_above),
    ):
        real = np.array([plane.onset(at, limit.factor) for at in lr[part]])
        if estimate.known and part.any() and np.isfinite(real).all():
            line = np.polyfit(np.log10(lr[part]), np.log10(real), 1)
            out["limit"].append(_covers(estimate, float(line[0])))


def _judge_answers(
    found: Landscape, plane: Plane, out: dict[str, list[float]], design: Design
) -> None:
    """Whether the answers with which a design stopped are false, at any of the good lr."""
    low, high = found.good_lr.with_decay
    good = [e for e in found.effects if low <= e.lr <= high and e.gain.known and e.changes]
    good = [e for e in good if math.isfinite(plane.at(e.lr, e.without))]
    told = [e for e in good if math.isfinite(e.gain.low)]
    onsets = [(e.harms_from[FACTOR], plane.onset(e.lr, FACTOR)) for e in told]
    wrong = {
        "best": design.best is not None and out["plane_regret"][0] > 2 * design.best,
        "effects": any(not _covers(e.gain, _gains(e, plane)[0], 1e-4) for e in told),
        "limit": any(onset.known and not _holds(onset, real) for onset, real in onsets),
    }
    for name, is_wrong in wrong.items():
        out[f"wrong_{name}"].append(is_wrong)
    out["wrong"].append(any(wrong.values()))
    out["untold"] += [e not in told for e in good]


def _fresh(plane: Plane, lr: float, decay: float, seeds: int, rng: np.random.Generator) -> float:
    """The mean loss of a cell over as many seeds that nobody has seen."""
    cells = [TrialParams(lr, decay, s) for s in range(seeds)]
    return float(np.mean([o.value for o in Trainer(plane, rng).train(cells)]))


def _covers(estimate: Estimate, value: float, slack: float = 1e-9) -> bool:
    return estimate.low - slack <= value <= estimate.high + slack


def _holds(onset: Estimate, place: float) -> bool:
    return onset.low * 0.999 <= place <= onset.high * 1.001


def draw(case: str, number: int) -> list[tuple[str, str, str, float]]:
    """One replay, and what it is compared with: (case, how placed, what, 0 or 1 or a size)."""
    rng = np.random.default_rng([number, *case.encode()])
    plane = replace(CASES[case], x=rng.uniform(-4.0, 0.0), y=rng.uniform(-4.5, -1.5))
    design = Design()
    done = replayed(Trainer(plane, rng).train, design, size=SIZE)
    outcomes, reason = done.outcomes, done.stop.reason if done.stop else "waits"
    placed = {
        reason: (outcomes, design if reason == "answered" else None),
        f"{reason}, anew": (anew(plane, outcomes, rng), None),
        "grid": (grid(plane, rng), None),
    }
    rows = [(case, reason, "number", float(number))]
    for how, (trials, asked) in placed.items():
        for column, values in judged(trials, plane, rng, asked).items():
            rows += [(case, how, column, float(value)) for value in values]
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a case and way of placing: shares, and medians of trials."""
    lines = []
    for (case, how), part in rows.groupby(["case", "placed"], sort=False):
        line: dict[str, object] = {"case": case, "placed": how}
        line["draws"] = int((part["what"] == "trials").sum())
        by = part.groupby("what")["value"]
        mean, count = by.mean(), by.size()
        for name in (*KINDS, *SHARES):
            line[name] = mean.get(name, math.nan)
            line[f"{name}_n"] = count.get(name, 0)
        for name in SIZES:
            line[name] = by.median().get(name, math.nan)
        lines.append(line)
    return pd.DataFrame(lines)


def printed(table: pd.DataFrame) -> str:
    """The table without how many each share rests on, in per cent."""
    shown = table[[c for c in table if not str(c).endswith("_n")]].copy()
    for name in shown.columns[3:]:
        if name != "trials":
            shown[name] = [f"{100 * v:.1f}" if v == v else "–" for v in shown[name]]
    return str(shown.to_string(index=False))


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="planes a case")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="where to write the table")
    parser.add_argument("--rows", type=Path, help="where to write what it rests on")
    options = parser.parse_args()
    rows: list[tuple[str, str, str, float]] = []
    with get_context("spawn").Pool(options.jobs, os.nice, (10,)) as pool:
        for case in options.case or CASES:
            for found in pool.imap(partial(draw, case), range(options.draws), chunksize=5):
                rows += found
            one = pd.DataFrame(rows, columns=["case", "placed", "what", "value"])
            print(printed(summary(one[one["case"] == case])), flush=True)
    frame = pd.DataFrame(rows, columns=["case", "placed", "what", "value"])
    if options.rows:
        frame.to_csv(options.rows, index=False)
    if options.csv:
        summary(frame).to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
