"""What to do, in four sentences that a practitioner can act on, their numbers beside them.

Sureness is in words with a stated meaning: "surely" is what chance alone would show in fewer than 1
of 100 sweeps, "probably" in fewer than 1 of 20, all cells counted that could have shown it; "not
shown" is what chance may have done, and says what is ruled out. Absence of a proof is never told as
absence of an effect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from wdstudy.analysis.frames.design import Designed
from wdstudy.analysis.numbers.effects import LrEffect
from wdstudy.analysis.numbers.enough import enough, replicated, stopped
from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.analysis.numbers.findings import Landscape, Sentence
from wdstudy.analysis.numbers.spoken import percent, shared, with_interval
from wdstudy.words import counted, number

SURELY, PROBABLY = 0.01, 0.05
TOO_WIDE = 0.5
"""A gain of which this much can't be ruled out was not looked at closely enough to speak of."""


def advice(
    found: Landscape, *, replica: str = "seed", study: str = "", design: Designed | None = None
) -> tuple[Sentence, ...]:
    """What to train with, what weight decay gains, where it harms, and whether the sweep is enough.

    Args:
        found: The numbers.
        replica: What a cell has several of: "seed", or "trial" where something else varies too.
        study: The study's name, for the command that goes on.
        design: How the trials were placed, where a design placed them: it knows what is enough.
    """
    if found.best.seeds == 0:
        return ()
    whether = enough(found, study) if design is None else stopped(design, study)
    told = (_best(found, replica), _gain(found), _harm(found), whether)
    return tuple(sentence for sentence in told if sentence is not None)


def _best(found: Landscape, replica: str) -> Sentence:
    best = found.best
    text = f"Train with lr {number(best.lr)} and weight_decay {number(best.weight_decay)}"
    if best.ties < 0:
        text += (
            f", the lowest {found.name} seen; with one {replica} a cell, how surely can't be said."
        )
    elif best.ties == 0 and best.rivals:
        text += f"; that one of {len(best.rivals):,} others is better, the noise can't rule out."
    elif best.ties == 0:
        told = "" if replicated(found) else ", as far as one seed can tell"
        text += f": no other setting tried did as well{told}."
    elif best.ties == 1:
        text += "; one other setting did about as well."
    else:
        text += f"; {best.ties:,} other settings did about as well, as far as "
        text += f"{counted(best.seeds, replica)} can tell."
    return Sentence(text, "best", f"{found.name} {with_interval(best.loss)}")


def _gain(found: Landscape) -> Sentence | None:
    known = [e for e in found.effects if e.gain.known and math.isfinite(e.gain_chance)]
    if not known:
        return _rescued(found)
    # What one seed does to a whole column no neighbour shows, so it makes nothing sure.
    words = ((SURELY, "surely" if replicated(found) else "probably"), (PROBABLY, "probably"))
    for level, word in words:
        helped = [e for e in known if e.gain_chance < level]
        if helped:
            return _helps(found, known, helped, word)
    return _rescued(found) or _not_shown(found, known)


def _rescued(found: Landscape) -> Sentence | None:
    """That training diverges at some lr but for weight decay."""
    lost = [e.lr for e in found.effects if not e.gain.known and e.without == 0]
    if not lost:
        return None
    lrs = _runs(lost, [e.lr for e in found.effects])
    text = f"Weight decay makes lr {lrs} trainable: without it training diverges there."
    return Sentence(text, "effects")


def _helps(
    found: Landscape, known: Sequence[LrEffect], helped: Sequence[LrEffect], word: str
) -> Sentence:
    most = max(helped, key=lambda e: e.gain.value)
    over = f"at lr {_runs([e.lr for e in helped], [e.lr for e in known])}"
    text = f"Weight decay {word} helps {over}"
    size = f"takes {percent(most.gain.value)} off {_the(found.name)}"
    text += f", where it {size}" if len(helped) == 1 else f": at {number(most.lr)} it {size}"
    good = found.good_lr
    if good.gained:
        text += f", and {_widened(found, [e.lr for e in found.effects])}"
    here = _at_best(found, known)
    if here is not None and here not in helped:
        text += f"; at the best lr, {number(here.lr)}, {_ruled_out(here.gain)}"
    elif here is not None and here is not most:
        text += f"; at the best lr, {number(here.lr)}, it takes {percent(here.gain.value)} off"
    numbers = f"at lr {number(most.lr)}: {shared(most.gain)}, {_chance(most.gain_chance)}"
    numbers += "" if replicated(found) else ", but one seed makes nothing sure"
    return Sentence(f"{text}.", "effects", numbers)


def _widened(found: Landscape, lrs: Sequence[float]) -> str:
    good, gained = found.good_lr, found.good_lr.gained
    near = f"(within {percent(good.factor - 1)} of the best)"
    if not good.in_one_piece or not math.isfinite(good.without[0]):
        return f"only with it is lr {_runs(gained, lrs)} good {near}"
    after = min(good.without[0], *gained), max(good.without[1], *gained)
    if not good.with_decay[0] <= after[0] <= after[1] <= good.with_decay[1]:
        return f"only with it is lr {_runs(gained, lrs)} good {near}"
    return f"it widens the range of good lr from {_alone(*good.without)} to {_span(*after)} {near}"


def _not_shown(found: Landscape, known: Sequence[LrEffect]) -> Sentence:
    here = _at_best(found, known) or min(known, key=lambda e: abs(math.log(e.lr / found.best.lr)))
    rest = f"at lr {number(here.lr)}: {shared(here.gain)}"
    name = (
        "weight_decay = 0"
        if here.without == 0
        else f"weight_decay {number(here.without)}, the least"
    )
    if here.gain.high > TOO_WIDE:
        text = (
            f"Weight decay may help, but this sweep can't show it: beside {name}, chance hides a "
            f"gain of up to {percent(here.gain.high)} of {_the(found.name)}."
        )
    else:
        text = (
            f"That weight decay helps is not shown: at lr {number(here.lr)}, beside {name}, a "
            f"gain{_more_than(here.gain.high)} is ruled out."
        )
    return Sentence(text, "effects", rest)


def _harm(found: Landscape) -> Sentence | None:
    factor = found.limit.factor if math.isfinite(found.limit.factor) else 1.25
    told = [e for e in found.effects if e.harms_from[factor].known and e.lr in _usable(found)]
    here = _nearest(told, found.best.lr)
    if here is None:
        return _harmless(found, factor)
    text = f"At lr {number(here.lr)} stay below weight_decay {_place(here, factor)}"
    numbers = [_harm_numbers(here, factor)]
    for far in _far(told, here):
        text += f", at {number(far.lr)} below {_place(far, factor)}"
        numbers.append(_harm_numbers(far, factor))
    least = {e.without for e in told}
    compared = "without it" if least == {0.0} else "with the least"
    above = f"{percent(factor - 1)} or more above that {compared}"
    text += f": from there on {_the(found.name)} is {above}."
    return Sentence(text, "limit", "; ".join(numbers))


def _usable(found: Landscape) -> tuple[float, ...]:
    """The lr that come near the best of all with some weight_decay: others are no choice."""
    low, high = found.good_lr.with_decay
    return tuple(e.lr for e in found.effects if low <= e.lr <= high)


def _harmless(found: Landscape, factor: float) -> Sentence | None:
    """That nothing harms, where that is ruled out to be otherwise."""
    here = _nearest([e for e in found.effects if e.gain.known], found.best.lr)
    if here is None or here.harms_from[factor].known:
        return None
    if here.harms_from[factor].low < max(change.weight_decay for change in here.changes):
        return None
    largest = here.harms_from[factor].low
    text = (
        f"At lr {number(here.lr)} weight decay does no harm of {percent(factor - 1)} up to "
        f"{number(largest)}: to see where it begins, try larger ones."
    )
    return Sentence(text, "limit")


def _at_best(found: Landscape, known: Sequence[LrEffect]) -> LrEffect | None:
    return next((e for e in known if e.lr == found.best.lr), None)


def _nearest(effects: Sequence[LrEffect], lr: float) -> LrEffect | None:
    return min(effects, key=lambda e: abs(math.log(e.lr / lr)), default=None)


def _far(told: Sequence[LrEffect], here: LrEffect) -> Iterator[LrEffect]:
    """About ten times the lr and a tenth of it, or as far as harm was seen."""
    for goal, side in ((here.lr * 10, 1), (here.lr / 10, -1)):
        beyond = [e for e in told if side * (e.lr - here.lr) > 0]
        far = _nearest(beyond, goal)
        if far is not None and abs(math.log10(far.lr / here.lr)) > 0.4:
            yield far


def _place(effect: LrEffect, factor: float) -> str:
    return number(float(f"{effect.harms_from[factor].value:.2g}"))


def _harm_numbers(effect: LrEffect, factor: float) -> str:
    onset = effect.harms_from[factor]
    high = number(onset.high) if math.isfinite(onset.high) else "beyond the range"
    ends = f" (95 % {number(onset.low)} … {high})" if onset.low > 0 else ""
    return f"at lr {number(effect.lr)} {number(onset.value)}{ends}"


def _ruled_out(gain: Estimate) -> str:
    if gain.high > TOO_WIDE:
        return "it is not shown to"
    return f"a gain{_more_than(gain.high)} is ruled out"


def _more_than(share: float) -> str:
    return f" of more than {percent(share)}" if percent(share) != "0 %" else ""


def _runs(some: Sequence[float], of: Sequence[float]) -> str:
    """Values of an axis as ranges: `0.03 … 0.3`, `0.001, 0.01 and 0.1 … 1`."""
    runs: list[list[float]] = []
    for value, before in zip(of, [None, *of], strict=False):
        if value in some:
            if runs and runs[-1][-1] == before:
                runs[-1].append(value)
            else:
                runs.append([value])
    spans = [_span(run[0], run[-1]) for run in runs]
    return " and ".join([", ".join(spans[:-1])] * (len(spans) > 1) + spans[-1:])


def _span(low: float, high: float) -> str:
    return number(low) if low == high else f"{number(low)} … {number(high)}"


def _the(name: str) -> str:
    return f"the {name}" if name[0].isalpha() else name


def _alone(low: float, high: float) -> str:
    return f"{number(low)} alone" if low == high else _span(low, high)


def _chance(p: float) -> str:
    return (
        "by chance in fewer than 1 of 1,000 sweeps"
        if p < 1e-3
        else f"by chance in {percent(p)} of sweeps"
    )
