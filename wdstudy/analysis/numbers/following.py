"""What of a plane moves along a scale: its bottom, or the best lr and the limit of harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wdstudy.analysis.numbers.alignment import Alignment, alignments
from wdstudy.analysis.numbers.banks import Banks, decay_banks, lr_banks
from wdstudy.analysis.numbers.drift import Drift, drift_of
from wdstudy.analysis.numbers.estimate import Array, Mask
from wdstudy.analysis.numbers.flank import harm_drift
from wdstudy.analysis.numbers.points import points_of
from wdstudy.analysis.numbers.ridge import RISE_ERRORS
from wdstudy.analysis.numbers.scaled import Part, Scaled
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.words import counted, number

FEWEST = 2
"""Values that a line needs; of three it is known whether they lie on one."""

ODD = 3.0
"""A value that shows one bank only, and fits by this factor worse than the others, is left out."""

WIDEST = 1.5
"""Half an interval of an exponent that would tell nothing."""

UNKNOWN = 10.0
"""Half an interval that is not worth its number."""

HARMLESS = 0.02
"""Cells whose loss differs by less than this from that without weight decay are as good as it."""


@dataclass(frozen=True)
class Law:
    """How the bottom of the basin moves: `drift` of lr, or of lr and weight_decay.

    used: `[K]`, by the values of the scale, which of them it rests on.
    """

    drift: Drift
    alignment: Alignment
    used: Mask

    @property
    def follows_decay(self) -> bool:
        """Whether weight_decay is an axis of it."""
        return len(self.drift.slope) == 2


@dataclass(frozen=True)
class Followed:
    """What moves along a scale, and why the rest can't be said.

    law: None where not even the best lr can be followed. limit: of harm, at the best lr.
    why_lr, why_decay, why_limit: empty where they are followed.
    banks: of each value, along lr and along weight_decay.
    """

    law: Law | None
    limit: Drift | None
    why_lr: str
    why_decay: str
    why_limit: str
    banks: tuple[tuple[Banks, Banks], ...]


def followed(scaled: Scaled) -> Followed:
    """The law of a scale's values."""
    banks = tuple((lr_banks(part.cells), decay_banks(part.cells)) for part in scaled.parts)
    why_lr = _why_not_lr(scaled, [lr for lr, _ in banks])
    why_decay = why_lr or _why_not_decay(scaled, [decay for _, decay in banks])
    law = None
    if not why_decay:
        law = _plane_law(scaled, [decay for _, decay in banks])
        why_decay = _why_no_law(scaled, law)
        law = None if why_decay else law
    if law is None and not why_lr:
        law = _lr_law(scaled)
        why_lr = _why_no_law(scaled, law)
        law = None if why_lr else law
    if law is not None and law.follows_decay:
        return Followed(law, None, why_lr, why_decay, "there is a best weight_decay instead", banks)
    if law is None:
        return Followed(None, None, why_lr, why_decay, why_lr, banks)
    limit = harm_drift(scaled, _best_lr(scaled, law))
    if isinstance(limit, str):
        return Followed(law, None, why_lr, why_decay, limit, banks)
    return Followed(law, limit, why_lr, why_decay, "", banks)


def _why_no_law(scaled: Scaled, law: Law | None) -> str:
    """Why a law tells nothing; empty if it does."""
    if law is None:
        return f"no one basin fits the cells near the best of all values; {_seeds(scaled)}"
    halves = [law.drift.exponent(weights)[1] for weights in np.eye(len(law.drift.slope))]
    if max(halves) < WIDEST:
        return ""
    known = f"known to ±{max(halves):.2g} only" if max(halves) < UNKNOWN else "not known at all"
    return (
        f"the basin is too level beside the noise (its exponents are {known}); {_seeds(scaled)}, "
        "and values further apart would help as well"
    )


def _best_lr(scaled: Scaled, law: Law) -> Array:
    """log10 of the best lr at every value `[K]`."""
    weights = np.eye(len(law.drift.slope))[0]
    return np.array([law.drift.at(t, weights)[0] for t in scaled.t])


def _plane_law(scaled: Scaled, banks: Sequence[Banks]) -> Law | None:
    """The law of lr and weight_decay, through the values whose weight_decay matters."""
    used = np.array([bank != "none" for bank in banks])
    law = _law(scaled, used, [part.cells.decayed for part in scaled.parts], "xy")
    if law is None:
        return None
    misfit = np.zeros(len(banks))
    misfit[law.used] = law.alignment.by_value
    sure = np.array([bank == "both" for bank in banks])
    odd = ~sure & (misfit > ODD * max(float(np.median(misfit[law.used])), 1.0))
    if odd.any() and (used & ~odd).sum() >= FEWEST:
        return _law(scaled, used & ~odd, [part.cells.decayed for part in scaled.parts], "xy")
    return law


def _lr_law(scaled: Scaled) -> Law | None:
    """The law of lr alone, at the weight_decay that do no harm."""
    tables = [harmless(part) for part in scaled.parts]
    return _law(scaled, np.array([len(table) > 2 for table in tables]), tables, "x")


def _law(scaled: Scaled, used: Mask, tables: Sequence[pd.DataFrame], axes: str) -> Law | None:
    if used.sum() < FEWEST:
        return None
    some = [(part.cells, table) for part, table, use in zip(scaled.parts, tables, used, strict=True)
            if use]  # fmt: skip
    found = alignments(points_of(some, scaled.t[used], axes))
    if not found:
        return None
    drift, alignment = drift_of(found)
    rests = np.zeros(len(used), dtype=bool)
    rests[np.flatnonzero(used)[alignment.used]] = True
    return Law(drift, alignment, rests)


def harmless(part: Part) -> pd.DataFrame:
    """The cells of each lr, from the least weight_decay on, that do as well as that."""
    done = part.cells.finished
    if part.cells.scattered:
        return done[done["y"] <= done["y"].quantile(1 / 3)]
    if not part.effects:
        return done[done["weight_decay"] == done.groupby("column")["weight_decay"].transform("min")]
    kept = []
    for effect in part.effects:
        for change in effect.changes:
            loss = change.loss
            level = abs(loss.value) < HARMLESS or loss.low <= 0 <= loss.high
            if not (math.isfinite(loss.value) and level):
                break
            kept.append((effect.lr, change.weight_decay))
    wanted = pd.MultiIndex.from_frame(done[["lr", "weight_decay"]]).isin(kept)
    return done[wanted]


def _why_not_lr(scaled: Scaled, banks: Sequence[Banks]) -> str:
    """Why the best lr can't be followed; empty if it can."""
    if banks.count("both") >= max(FEWEST, len(banks) / 2):
        return ""
    if not any(part.cells.noise.known for part in scaled.parts):
        trials = sum(len(part.cells.table) for part in scaled.parts)
        return f"the noise is not known; a second seed ({counted(trials, 'trial')}) would show it"
    why = (
        f"the loss is seen to rise on both sides of a best lr at {banks.count('both')} of "
        f"{len(banks)} values"
    )
    low, high = banks.count("low"), banks.count("high")
    if low or high:
        side: Banks = "low" if low >= high else "high"
        end = "larger" if side == "low" else "smaller"
        more = _column(scaled, banks, "lr", side)
        why += f"; {end} lr at {_at(scaled, banks, side)} would show it ({more} for each)"
    else:
        why += f"; {_seeds(scaled)}"
    return why


def _why_not_decay(scaled: Scaled, banks: Sequence[Banks]) -> str:
    """Why the best weight_decay can't be followed; empty if it can."""
    if banks.count("both") >= max(FEWEST, len(banks) / 2):
        return ""
    kinds: tuple[Banks, ...] = ("high", "low", "none")
    most = max(kinds, key=banks.count)
    where = _at(scaled, banks, most)
    if most == "high":
        least = all(effect.without == 0 for part in scaled.parts for effect in part.effects)
        other = "" if least else ", or its best lies below the least that was tried"
        return f"weight decay only harms at {where}{other}"
    if most == "low":
        more = _column(scaled, banks, "weight_decay", "low")
        return (
            f"the best weight_decay lies beyond the largest at {where}; larger ones ({more} for "
            "each) would show it"
        )
    return f"that weight_decay matters near the best is not seen at {where}; {_seeds(scaled)}"


def _seeds(scaled: Scaled) -> str:
    """What the noise hides, and what more seeds would cost and show."""
    hidden, seeds = [], []
    for part in scaled.parts:
        count = float(part.cells.finished["seeds"].median())
        hidden.append(RISE_ERRORS * part.cells.noise.sd * math.sqrt(2 / count))
        seeds.append(3 * count * len(part.cells.table))
    share = scaled.parts[0].cells.ratio(float(np.nanmedian(hidden)))
    return (
        f"the noise hides effects of less than {percent(share)}, and four times the seeds "
        f"({counted(round(sum(seeds)), 'trial')} more) would halve that"
    )


def _column(scaled: Scaled, banks: Sequence[Banks], axis: str, side: Banks) -> str:
    """What one more value of an axis costs at a value of the scale."""
    name = "column" if axis == "lr" else "y"  # the other axis may differ from lr to lr
    price = [
        part.cells.table.groupby(name)["seeds"].sum().median()
        for part, bank in zip(scaled.parts, banks, strict=True)
        if bank == side
    ]
    return counted(round(float(np.median(price))), "trial")


def _at(scaled: Scaled, banks: Sequence[Banks], wanted: Banks) -> str:
    """The values of the scale at which the banks are these, in words."""
    found = [v for v, bank in zip(scaled.values, banks, strict=True) if bank == wanted]
    if not found:
        return f"no {scaled.name}"
    if len(found) == len(banks):
        return f"every {scaled.name}"
    return f"{scaled.name} {', '.join(map(number, found))}"
