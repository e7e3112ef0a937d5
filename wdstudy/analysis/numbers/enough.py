"""Whether a sweep is enough, in a sentence: by its own numbers, or as its design says."""

from __future__ import annotations

import math

from wdstudy.analysis.frames.design import Designed
from wdstudy.analysis.numbers.findings import Landscape, Sentence
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.words import number

ENOUGH = 0.02
"""Settings that differ by less than this share of the loss need no choice between them."""


def enough(found: Landscape, study: str) -> Sentence:
    """Whether a sweep that no design placed is enough, or what more would tell."""
    best, edges = found.best, [e for e in found.edges if math.isfinite(e.extend_to)]
    command = _suggest(study)
    if found.cells < 2:
        return Sentence("Only one setting was tried: there is nothing to compare it with.", "best")
    if alone := _alone_on_an_axis(found):
        return Sentence(alone, "edges")
    if edges:
        out = " and ".join(f"{e.axis} to {number(e.extend_to)}" for e in edges)
        return Sentence(
            f"The best lies at the edge of what was tried: extend {out} ({command}).", "edges"
        )
    if not replicated(found):
        few = "One seed makes" if best.seeds < 2 else "Seeds that differ so make"
        more = "a second" if best.seeds < 2 else "another"
        return Sentence(f"{few} nothing sure: {more} would ({command}).", "best")
    numbers = f"expected {percent(best.regret.value)}, at most {percent(best.regret.high)} (95 %)"
    if best.regret.value < ENOUGH:
        same = "" if best.ties == 0 else f": choosing better would gain less than {percent(ENOUGH)}"
        return Sentence(f"You have your answer{same}.", "best", numbers if best.ties else "")
    text = (
        f"Choosing among the settings that did as well could still gain "
        f"{percent(best.regret.value)}: more seeds of those alone tell ({command})."
    )
    return Sentence(text, "best", numbers)


def stopped(design: Designed | None, study: str = "") -> Sentence | None:
    """Whether a design has its answer, or why it has stopped without; None where there is none."""
    if design is None:
        return None
    words = {
        "answered": "You have your answer: all that the design was asked is answered.",
        "budget": "The budget was spent before all that the design was asked is answered: "
        f"{_suggest(study)} says what is open, and how to go on.",
        "hopeless": "The design stopped before all that it was asked is answered: more trials "
        "would tell too little for their price.",
        "": "The design goes on: not all that it was asked is answered yet "
        f"({_suggest(study)} says what is open).",
    }
    text = words.get(design.stopped, f"The design has stopped: {design.stopped}.")
    return Sentence(text, "trials", design.why)


def _suggest(study: str) -> str:
    return f"`wdstudy suggest{f' {study}' if study else ''}`"


def _alone_on_an_axis(found: Landscape) -> str:
    """That one value of an axis tells nothing of both together; empty where there are more."""
    if found.edges[1].where == "unknown":
        return "Nothing with weight decay finished: what it does is not answered until some does."
    single = [edge.axis for edge in found.edges if edge.where == "single"]
    if not single or (single == ["weight_decay"] and found.effects):
        return ""
    return f"Only one {single[0]} was tried: what others would do is not answered."


def replicated(found: Landscape) -> bool:
    """Whether seeds tell the noise."""
    return math.isfinite(found.best.loss.low)
