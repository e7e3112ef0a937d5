"""How to move lr and weight_decay with scale, in plain sentences with their numbers beside them.

Sureness is in the words of `advice`: "surely" is what chance alone would show in fewer than 1 of
100 sweeps, "probably" in fewer than 1 of 20; "not shown" says what is ruled out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from wdstudy.analysis.numbers.advice import PROBABLY, SURELY
from wdstudy.analysis.numbers.contrasts import quantile
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Sentence
from wdstudy.analysis.numbers.heldout import WITHIN
from wdstudy.analysis.numbers.rules import NAMES, Measured, Verdict
from wdstudy.analysis.numbers.spoken import percent, shared
from wdstudy.analysis.numbers.transferfindings import Transfer
from wdstudy.words import counted, number, signed

HARDLY = 0.25
"""A power of less than this moves the best by less than a fifth when the scale doubles."""

WIDEST = 1.5
"""Of an exponent whose interval is wider nothing is said but that."""


def transfer_advice(found: Transfer) -> tuple[Sentence, ...]:
    """What moves and by how much, which rules that bears out, and how far it can be trusted."""
    told = (_moves(found), _decay(found), _rules(found), _test(found))
    return tuple(sentence for sentence in told if sentence is not None)


def _moves(found: Transfer) -> Sentence:
    """What the best lr does when the scale doubles."""
    exponent = found.exponents["lr"]
    if not exponent.known:
        return Sentence(
            f"How the best lr moves with {found.scale} can't be said: {exponent.reason}.",
            "exponents",
        )
    moved = _moved("the best lr", exponent, found.measured["lr"])
    text = f"Each time {found.scale} doubles, {moved}"
    if found.straight < SURELY:
        text += "; the values do not lie on one power law, so between them and beyond expect less"
    return Sentence(f"{text}.", "exponents", f"lr ∝ {found.scale}^{_power(exponent)}")


def _decay(found: Transfer) -> Sentence | None:
    """The same of weight_decay; of the limit of harm where that is all there is."""
    exponent = found.exponents["weight_decay"]
    if exponent.known:
        what = "the best weight_decay"
        text = f"{what[0].upper()}{what[1:]} {_moved('', exponent, found.measured['weight_decay'])}"
        numbers = f"weight_decay ∝ {found.scale}^{_power(exponent)}"
        memory = found.exponents["tau_share"]
        if memory.known:
            text += _memory(found, memory)
            numbers += f"; τ/run ∝ {found.scale}^{_power(memory)}"
        return Sentence(f"{text}.", "exponents", numbers)
    if not found.exponents["lr"].known and exponent.reason == found.exponents["lr"].reason:
        return None
    limit = found.exponents["limit"]
    text = f"There is no best weight_decay to follow: {exponent.reason}"
    if limit.known:
        text += f"; {_moved('the largest that does no harm', limit, found.measured['limit'])}"
        return Sentence(f"{text}.", "exponents", f"limit ∝ {found.scale}^{_power(limit)}")
    return Sentence(f"{text}.", "exponents")


def _memory(found: Transfer, memory: Estimate) -> str:
    """What τ does meanwhile."""
    low, high = found.places[0].tau_share, found.places[-1].tau_share
    if memory.low <= 0 <= memory.high and memory.high - memory.low < 2 * HARDLY:
        return f"; the memory of the weights stays about {_runs(low.value)} long"
    return f"; the memory of the weights goes from {_runs(low.value)} to {_runs(high.value)}"


def _runs(share: float) -> str:
    """A share of the run in words: `27 % of the run`, `3.1 runs`."""
    return f"{number(_two(share))} runs" if share >= 1 else f"{percent(_two(share))} of the run"


def _moved(what: str, exponent: Estimate, measured: Measured) -> str:
    """How a quantity moves when the scale doubles, as surely as it does."""
    subject = f"{what} " if what else ""
    ends = f"{_factor(exponent.low)} … {_factor(exponent.high)}"
    if exponent.high - exponent.low > WIDEST:
        return f"{subject}may do anything: a factor of {ends} is not ruled out"
    if exponent.low > -HARDLY and exponent.high < HARDLY:
        return f"{subject}hardly moves: by a factor of {ends} (95 %)"
    sure = _sure(measured)
    if not sure:
        return f"{subject}is not shown to move: a factor of {ends} (95 %) is not ruled out"
    grows = exponent.value > 0
    factor = _factor(exponent.value) if grows else f"{2**-exponent.value:.2f}"
    verb = "grows" if grows else "falls"
    by = f"{verb} by a factor of {factor}"
    ends = ends if grows else f"{2**-exponent.high:.2f} … {2**-exponent.low:.2f}"
    return f"{subject}{sure} {by} (95 % {ends})"


def _sure(measured: Measured) -> str:
    """How sure it is that an exponent is not 0; empty where it may be."""
    errors = abs(measured.value) / (measured.half / quantile(measured.df))
    chance = 2 * float(stats.t.sf(errors, measured.df))
    return "surely" if chance < SURELY else "probably" if chance < PROBABLY else ""


def _rules(found: Transfer) -> Sentence | None:
    """Which published rules that bears out."""
    told = [v for v in found.rules if v.verdict != "unknown"]
    published = [v for v in told if v.rule.source]
    if not published:
        return None
    by = {kind: [v for v in told if v.verdict == kind] for kind in ("fits", "open", "rejected")}
    parts = []
    if by["fits"]:
        parts.append(f"{_named(by['fits'])} {'fits' if len(by['fits']) == 1 else 'fit'}")
    if by["open"]:
        remedy = by["open"][0].text.rpartition("with this sweep: ")[2]
        parts.append(f"{_named(by['open'])} can't be told apart with this sweep ({remedy})")
    if by["rejected"]:
        verb = "is" if len(by["rejected"]) == 1 else "are"
        parts.append(f"{_named(by['rejected'])} {verb} rejected")
    text = f"Of {counted(len(published), 'published rule')}, {'; '.join(parts)}."
    if any(not v.rule.source for v in told):
        text = text.replace("published rules,", "published rules, and that nothing moves,")
    return Sentence(text, "rules", "; ".join(_number(v, found) for v in by["rejected"]))


def _named(verdicts: Sequence[Verdict]) -> str:
    names = [f"“{v.rule.name}”" for v in verdicts]
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])


def _number(verdict: Verdict, found: Transfer) -> str:
    asked = ", ".join(f"{NAMES[q]} {signed(p)}" for q, p in verdict.powers.items()
                      if q in found.measured)  # fmt: skip
    return f"“{verdict.rule.name}” asks for {asked}"


def _test(found: Transfer) -> Sentence:
    """How well the smaller values predict the largest."""
    test = found.test
    if not test.regret.known:
        return Sentence(f"It was not tested: {test.reason or test.regret.reason}.", "test")
    where = f"{found.scale} {number(test.value)}"
    text = f"Told from the smaller values alone, the pair for {where} is "
    cost = percent(max(test.regret.value, 0.0))
    if test.sure:
        text += f"as good as the best that was measured there, within {percent(WITHIN)}"
    elif test.passed:
        text += f"about as good as the best there: it costs {cost}"
        text += f" more, at most {percent(test.regret.high)}" if test.regret.high > 0 else ""
    else:
        text += f"not good enough: it costs {cost} more than the best that was measured there"
    if test.kept.known and test.kept.value > max(test.regret.value, 0) + 0.005:
        text += f"; the pair of {number(found.values[0])}, kept, costs {percent(test.kept.value)}"
    return Sentence(f"{text}.", "test", f"regret {shared(test.regret)}")


def _factor(exponent: float) -> str:
    return f"{2**exponent:.2f}"


def _two(value: float) -> float:
    return float(f"{value:.2g}") if math.isfinite(value) else value


def _power(exponent: Estimate) -> str:
    return f"{signed(exponent.value)} (95 % {signed(exponent.low)} … {signed(exponent.high)})"
