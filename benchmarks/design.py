"""Replays of the study that designs itself, and of other ways to spend trials, on real tables.

    python benchmarks/design.py --methods design --replays 6 --table head_sgd  # a look
    python benchmarks/design.py --methods design --table head_sgd --trace 0    # every batch of one
    python benchmarks/design.py --csv                                          # all: hours

A table of `tables/` and the wide one around it answer for ten decades of lr and nine of
weight_decay (`replays.py`). A method asks (`methods.py`), is told, and is looked at after every
batch, or after every five trials where they come one by one: does the analysis have the answer
(`scores.py`)? What counts is from when on it has it to the end of the run: the trials, short runs
by their share, and their price in lanes: a batch of n lanes, 16 at most and of one seed, costs as
much as 0.8 + 0.2 n trials alone; beside it the price that `compare.py` measured here.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from methods import METHODS, MOST, design
from replays import Replay, Table, measured_law, names, stated
from scores import Answers, Look, first, first_for_good, look
from standings import CSV, goals, kept, plot, standings

from wdstudy.design.batch import Batch, Stop
from wdstudy.design.design import Design, parse_until
from wdstudy.design.outcomes import Outcome
from wdstudy.design.planner import open_questions

REPLAYS = 30
ASKED = {
    "a": "near",
    "effects": "effects",
    "b": "told",
    "b_coarse": "told_coarse",
    "b_slope": "told_slope",
}
"""Column of the results → what is to hold for good."""

PATIENCE = 40
"""Times that a sampler may ask for what is there: it draws anew."""

PARTS = ("gain", "clean", "limit", "slope")


@dataclass(frozen=True)
class Job:
    """One run of a method on a table."""

    table: str
    method: str
    replay: int
    size: int
    asked: Design
    snaps: bool = False
    trace: bool = False


@dataclass(frozen=True)
class Run:
    """What came of it: what was known after every batch, and why it stopped."""

    job: Job
    looks: tuple[Look, ...]
    stop: Stop
    trials: float

    def row(self) -> dict[str, Any]:
        """A line of the results: trials to each answer, inf where it never had it for good."""
        last, price, prices = self.looks[-1], *self.looks[-1].prices
        found: dict[str, Any] = {
            "table": self.job.table,
            "method": self.job.method,
            "replay": self.job.replay,
            "trials": self.trials,
            "price": price,
            "price_measured": prices,
            "stop": self.stop.reason,
        }
        for column, what in ASKED.items():
            one = first_for_good(self.looks, attrgetter(what))
            found[column] = one.trials if one else math.inf
            found[f"{column}_price"] = one.prices[0] if one else math.inf
            found[f"{column}_measured"] = one.prices[1] if one else math.inf
        for part in PARTS:
            one = first_for_good(self.looks, partial(_holds, part))
            found[part] = one.trials if one else math.inf
        one = first(self.looks, lambda at: at.enough)
        found["enough"] = one.trials if one else math.nan
        found["ratio"] = self.trials / one.trials if one else math.nan
        found |= {k: getattr(last, k) for k in ("regret", "contradicted", "statements")}
        return found | {"open": " ".join(last.open or ())}


def _holds(part: str, at: Look) -> bool:
    value = getattr(at, part)
    return bool(value) if isinstance(value, bool) else value < 0.5


@cache
def _law() -> Any:
    return measured_law()


def run(job: Job) -> Run:
    """A method on a table, until it stops or has had its trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table, method = Table.of(job.table, job.replay, snaps=job.snaps), METHODS[job.method]
    replay, answers = Replay(table, (stated, _law())), Answers.of(table)
    is_design = job.method == "design"
    begin = partial(design, asked=job.asked, size=job.size) if is_design else method.begin
    spends, told = begin(table, job.replay), None
    looks: list[Look] = []
    idle, seen = 0, -math.inf
    while True:
        try:
            batch = spends.send(told) if told is not None else next(spends)
        except StopIteration as ended:
            stop = ended.value
            break
        told = replay.train(batch.cells, batch.share, alone=method.alone)
        idle = idle + 1 if replay.again == len(told) else 0
        if job.trace:
            print(_told(batch, told, replay), flush=True)
        if replay.trials - seen >= method.every or (is_design and not idle):
            seen = replay.trials
            looks.append(_look(replay, answers, batch, job.asked if is_design else None))
            if job.trace:
                print(_state(looks[-1]), flush=True)
        if idle > (0 if is_design else PATIENCE):
            stop = Stop("hopeless", f"stuck: asks for what is there: {batch.why}")
            break
        if replay.trials >= method.most:
            stop = Stop("budget", f"after {MOST} trials" if is_design else "")
            break
    if not looks or replay.trials > seen:
        looks.append(_look(replay, answers, None, job.asked if is_design else None))
    if job.trace:
        print(f"stopped, {stop.reason}: {stop.why}")
    return Run(job, tuple(looks), stop, replay.trials)


def _look(replay: Replay, answers: Answers, batch: Batch | None, asked: Design | None) -> Look:
    open_now = None
    if asked is not None:
        questions = open_questions(replay.outcomes, asked)
        open_now = tuple(q.name for q in questions if not q.answered)
    return look(
        replay.outcomes,
        answers,
        stage=batch.stage if batch else "",
        trials=replay.trials,
        prices=replay.prices or [0.0, 0.0],
        open_now=open_now,
    )


def _told(batch: Batch, told: Sequence[Outcome], replay: Replay) -> str:
    again = f", {replay.again} known" if replay.again else ""
    lines = [f"{batch.stage}: {batch.why} ({len(told)} trials{again}; {replay.trials:.1f} so far)"]
    for asked, got in zip(batch.cells, told, strict=True):
        value = "diverged" if got.diverged else f"{got.value:.4g}"
        at = f"{got.params.lr:8.3g} {got.params.weight_decay:8.3g}  seed {got.params.seed}"
        wanted = f"  (asked {asked.lr:.3g} {asked.weight_decay:.3g})"
        lines.append(f"    {at}  {value}{wanted}")
    return "\n".join(lines)


def _state(at: Look) -> str:
    return (
        f"  = best {at.lr:.3g} {at.weight_decay:.3g} regret {100 * at.regret:.1f} %; "
        f"gain {'told' if at.gain else 'not told'}; limit within {at.limit:.2f} decades, "
        f"slope within {at.slope:.2f}; {at.contradicted} of {at.statements} wrong"
        f"{'' if at.clean else ', and not by a trifle'}; "
        f"open: {', '.join(at.open or ()) or 'nothing'}"
    )


def line(done: Run) -> str:
    """A run in a few words: trials by stage, the way of its best cell, what was open at the end."""
    row = done.row()
    stages: dict[str, float] = {}
    before = 0.0
    for at in done.looks:
        stages[at.stage or "rest"] = stages.get(at.stage or "rest", 0.0) + at.trials - before
        before = at.trials
    spent = ", ".join(f"{name} {trials:.1f}" for name, trials in stages.items())
    step = max(1, len(done.looks) // 6)
    path = [*done.looks[step - 1 :: step]]
    regret = "  ".join(f"{at.trials:.0f}: {100 * at.regret:.1f} %" for at in path)
    last = done.looks[-1]
    return (
        f"{row['table']} {row['method']} {row['replay']}: {done.trials:.1f} trials ({spent}); "
        f"a {row['a']:.0f}, b {row['b']:.0f}, b by slope {row['b_slope']:.0f} "
        f"(gain {row['gain']:.0f}, clean {row['clean']:.0f}, limit {row['limit']:.0f}, "
        f"slope {row['slope']:.0f}); enough {row['enough']:.0f}, ratio {row['ratio']:.2f}\n"
        f"    best {last.lr:.3g} {last.weight_decay:.3g}; regret at {regret}\n"
        f"    {done.stop.reason}: {done.stop.why}"
        + (f"; open: {row['open']}" if row["open"] else "")
    )


def jobs(given: argparse.Namespace) -> Iterator[Job]:
    until = parse_until(given.until or "best,effects,limit")
    asked = Design(until["best"], until["effects"], until["limit"])
    for replay in range(given.replays):
        for table in given.table or names():
            for name in given.methods:
                yield Job(table, name, replay, given.size, asked, given.snap)


def _methods(text: str) -> list[str]:
    unknown = [name for name in text.split(",") if name not in METHODS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no {unknown[0]}; there are {', '.join(METHODS)}")
    return text.split(",")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="append", choices=names())
    parser.add_argument("--methods", type=_methods, default=[*METHODS], help=",".join(METHODS))
    parser.add_argument("--replays", type=int, default=REPLAYS)
    parser.add_argument("--size", type=int, default=8, help="lanes of a batch of the design")
    parser.add_argument("--until", help="what the design is asked, as `run --until` takes it")
    parser.add_argument("--snap", action="store_true", help="nothing between trained cells")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--csv", nargs="?", type=Path, const=CSV, help="write the results, and the figure beside it"
    )
    parser.add_argument("--trace", type=int, help="print every batch of this replay, and no more")
    given = parser.parse_args()
    if given.trace is not None:
        for job in jobs(argparse.Namespace(**{**vars(given), "replays": given.trace + 1})):
            if job.replay == given.trace:
                print(line(run(replace(job, trace=True))))
        return
    rows = []
    with multiprocessing.Pool(given.jobs) as pool:
        for done in pool.imap_unordered(run, jobs(given)):
            print(line(done), flush=True)
            rows.append(done.row())
    frame = pd.DataFrame(rows)
    if given.csv:
        frame = kept(frame, given.csv)
        plot(frame).savefig(given.csv.with_suffix(".png"), dpi=110)
    print(standings(frame).to_string(index=False), goals(frame).to_string(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
