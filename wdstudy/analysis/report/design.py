"""How a design got there, in words and tables: what it was asked, did, spent, and left open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wdstudy.analysis.frames.design import BEFORE, Designed
from wdstudy.analysis.numbers.estimate import as_data
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.analysis.views.design import DesignInfo
from wdstudy.analysis.views.looks import label_of
from wdstudy.design.batch import Question
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import briefly, counted, lasting, number

QUESTIONS = {
    "best": "the best cell",
    "effects": "gain at each good lr",
    "limit": "harm at each good lr",
}
"""A question in few words."""

STAGES = {
    "scout": "scouts: where does training work?",
    "find": "find: a good cell",
    "map": "map: columns of weight_decay at each good lr",
    "seeds": "seeds: what the noise left open",
    BEFORE: "there before, or placed by somebody else",
}
"""What a stage is for, in words."""

MOST_WAYS = 6
"""So many changes of the best cell are told one by one."""


@dataclass(frozen=True)
class Story:
    """What a page tells of a design.

    paragraphs: what was asked, what it did, and why it stopped. questions: one row each: the
    question, the width asked for, what is left open, and the state in words. stages: what each
    cost. batches: each with its reason. All cells are texts.
    """

    paragraphs: tuple[str, ...]
    questions: tuple[tuple[str, ...], ...]
    stages: tuple[tuple[str, ...], ...]
    batches: tuple[tuple[str, ...], ...]


def story(info: DesignInfo, trials: pd.DataFrame) -> Story:
    """What is told of a study that designed itself.

    Args:
        info: As from `design_info(trials)`.
        trials: As from `trials_frame`.
    """
    found = info.designed
    told = (_asked(found), _scouted(found, trials), _way(info), _stop(found))
    return Story(
        tuple(text for text in told if text),
        tuple(_question_row(question, found) for question in info.questions),
        tuple(_stage_rows(found)),
        tuple(
            (f"{row.batch or '–'}", str(row.stage), str(row.reason or "–"), f"{row.trials}",
             _time(row.seconds))
            for row in found.batches.itertuples()
        ),
    )  # fmt: skip


def story_data(info: DesignInfo) -> dict[str, Any]:
    """The same as plain data."""
    found = info.designed
    scouts = {"runs": len(found.scouts), "seconds": found.scout_seconds,
              "rows": found.scouts.to_dict("records")}  # fmt: skip
    stop = {"reason": found.stopped, "why": found.why} if found.stopped else None
    data: dict[str, Any] = as_data(
        {
            "asked": dict(found.asked),
            "scouts": scouts,
            "stages": found.stages.to_dict("records"),
            "batches": found.batches.to_dict("records"),
            "path": [{"batch": s.batch, "trials": s.trials, "best": s.best} for s in info.steps],
            "questions": list(info.questions),
            "stopped": stop,
        }
    )
    return data


def _asked(found: Designed) -> str:
    words = {
        "best": "which cell is the best, so that choosing better would gain less than {}",
        "effects": "at each good lr what weight decay gains, up to {} of the loss",
        "limit": "at each good lr where it begins to harm, within {} decades of weight_decay",
    }
    parts = [
        text.format(number(width) if name == "limit" else percent(width))
        for name, text in words.items()
        if isinstance(width := found.asked.get(name), int | float)
    ]
    if not parts:
        return ""
    told = "; ".join(parts)
    allowed = [counted(int(found.asked["trials"]), "trial")] if found.asked.get("trials") else []
    allowed += [lasting(float(found.asked["seconds"]))] if found.asked.get("seconds") else []
    within = f" It was allowed {' and '.join(allowed)}." if allowed else ""
    return f"The design was asked: {told}.{within}"


def _scouted(found: Designed, trials: pd.DataFrame) -> str:
    """What the short runs showed, and that nothing else rests on them."""
    scouts = found.scouts
    if scouts.empty:
        return ""
    text = counted(len(scouts), "short run")
    share = scouts["share"].median()
    text += f", each {percent(share)} as long as a trial," if math.isfinite(share) else ""
    text += " came first"
    plain = scouts[scouts[WEIGHT_DECAY] == 0]
    plain = plain if len(plain) else scouts
    known, lost = plain.dropna(subset="value"), plain[plain["diverged"]]
    parts = []
    if len(known):
        minimize = bool(trials.attrs.get("minimize", True))
        row = known.sort_values("value", ascending=minimize, kind="stable").iloc[0]
        label = label_of(trials, "value").removesuffix(" at the end")
        parts.append(f"their {label} was best at lr {number(float(row[LR]))}")
    if len(lost):
        from_on = float(lost[LR].min())
        above = bool((plain.loc[plain[LR] >= from_on, "diverged"]).all())
        parts.append(f"they diverged at lr {number(from_on)}{' and above' if above else ''}")
    told = f": {'; '.join(parts)}" if parts else ""
    return f"{text}{told}. They placed the first trials; nothing else that is said rests on them."


def _way(info: DesignInfo) -> str:
    """How many trials there were, and which cell was the best when."""
    batches = info.designed.batches
    placed = batches[batches["batch"] > 0]
    text = f"It placed {counted(int(placed['trials'].sum()), 'trial')} of full length in "
    text += counted(int(placed["batch"].nunique()), "batch").replace("batchs", "batches")
    there = int(batches["trials"].sum() - placed["trials"].sum())
    text += f", beside {counted(there, 'trial')} that the design did not place" if there else ""
    changes = [
        (step.batch, step.best)
        for step, before in zip(info.steps, [None, *info.steps], strict=False)
        if step.best is not None and (before is None or step.best != before.best)
    ]
    if not changes:
        return f"{text}."
    shown = changes if len(changes) <= MOST_WAYS else [*changes[:2], *changes[-2:]]
    ways = [
        f"lr {number(lr)}, weight_decay {number(decay)} "
        + (f"after batch {batch}" if batch else "before the design began")
        for batch, (lr, decay) in shown
    ]
    if len(shown) < len(changes):
        ways.insert(2, f"{len(changes) - 4} others")
    return f"{text}. The best cell was {'; then '.join(ways)}."


def _stop(found: Designed) -> str:
    without = "It stopped before all that it was asked is answered"
    words = {
        "answered": "It stopped because all that it was asked is answered",
        "budget": without,
        "hopeless": without,
        "": "It has not stopped yet: the same command goes on",
    }
    text = words.get(found.stopped, f"It stopped ({found.stopped})")
    return f"{text}: {found.why}." if found.why else f"{text}."


def _question_row(question: Question, found: Designed) -> tuple[str, ...]:
    settled = question.answered and not question.given_up  # maybe but for rounding
    left = min(question.width, question.asked) if settled else question.width
    widths = (_width(question, width) for width in (question.asked, left))
    return QUESTIONS.get(question.name, question.name), *widths, state_of(question, found.stopped)


def _width(question: Question, width: float) -> str:
    """A width in the unit of its question."""
    if not math.isfinite(width):
        return "not known"
    if question.name != "limit":
        return percent(width)
    told = number(float(f"{width:.2g}"))
    return f"{told} decade{'' if told == '1' else 's'}"


def state_of(question: Question, stopped: str = "") -> str:
    """Whether a question is answered or open, and what is known: `answered: …`."""
    if question.given_up:
        return f"given up: {question.given_up}"
    if question.answered:
        state = "answered"
    elif stopped == "hopeless" or not question.trials > 0:
        state = "open"
    else:
        state = f"open, about {counted(round(question.trials), 'trial')} more"
    return f"{state}: {question.says}"


def told_of(question: Question, stopped: str = "") -> str:
    """A question with its state, in a line."""
    return f"{QUESTIONS.get(question.name, question.name)}, {state_of(question, stopped)}"


def _stage_rows(found: Designed) -> Iterator[tuple[str, ...]]:
    """What each stage took: its trials, their time, and the share of all time."""
    stages = found.stages
    scout = found.scout_seconds if math.isfinite(found.scout_seconds) else 0.0
    whole = float(stages["seconds"].sum()) + scout

    def share(seconds: float) -> str:
        return percent(seconds / whole) if whole > 0 and math.isfinite(seconds) else "–"

    if len(found.scouts):
        runs = counted(len(found.scouts), "short run")
        yield STAGES["scout"], runs, _time(found.scout_seconds), share(found.scout_seconds)
    for row in stages.itertuples():
        name = STAGES.get(str(row.stage), str(row.stage))
        yield name, counted(int(row.trials), "trial"), _time(row.seconds), share(float(row.seconds))


def _time(seconds: Any) -> str:
    return briefly(float(seconds)) if math.isfinite(seconds) else "–"
