"""How the best lr and weight_decay move along a scale: batch size, epochs, width, data, or other.

For every value of the scale the optimum of lr, weight_decay, their product and τ is told from one
model of all values: its logs are linear in the log of the scale, and the basin has one shape,
unless the cells object. Where weight decay only harms there is no optimum of it: then the best lr
and the harmless limit are followed. What can't be said is told with the reason and what would say
it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd

from wdstudy.analysis.frames.given import low_is_good, named
from wdstudy.analysis.frames.joined import scaled_frame
from wdstudy.analysis.frames.scale import scale_in
from wdstudy.analysis.numbers.asking import asked, check_new, check_scale
from wdstudy.analysis.numbers.drift import Drift
from wdstudy.analysis.numbers.estimate import Array, Estimate, cannot_say
from wdstudy.analysis.numbers.following import Followed, Law, followed
from wdstudy.analysis.numbers.heldout import held_out
from wdstudy.analysis.numbers.landscape import words_for
from wdstudy.analysis.numbers.prediction import (
    Prediction,
    predicted,
    raised,
    spoken_at,
    weights_of,
)
from wdstudy.analysis.numbers.rules import Measured, judged
from wdstudy.analysis.numbers.scaled import Part, Scaled, scale_of, scaled
from wdstudy.analysis.numbers.transferadvice import transfer_advice
from wdstudy.analysis.numbers.transferfindings import QUANTITIES, Place, Shape, Transfer
from wdstudy.space import LR, WEIGHT_DECAY
from wdstudy.words import number


def transfer(
    trials: pd.DataFrame,
    scale: str | None = None,
    value: str = "value",
    *,
    name: str | None = None,
    minimize: bool | None = None,
    seed: int = 0,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
) -> Transfer:
    """How the optimum of a sweep moves along a scale, from one row a trial.

    Needs the columns lr, weight_decay, `value` and the scale's; uses `steps`, `steps_per_epoch`,
    `examples_seen`, `parameters`, state, seed, diverged and initial_loss where they are there.

    Args:
        trials: As from `trials_frame`.
        scale: The column of the scale; as the study says where it is None.
        value: The column to judge by.
        name: The word for the value in sentences.
        minimize: Whether low values are good. As the study says of its "value" where it is None;
            of any other column as its name says.
        seed: Makes the intervals repeatable.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Raises:
        StudyError: a column is missing, or fewer than two values of the scale have results.
    """
    trials = named(trials, lr=lr, weight_decay=weight_decay)
    objective = str(trials.attrs.get("objective") or value) if value == "value" else value
    words = name or words_for(objective)
    low = low_is_good(trials, value) if minimize is None else minimize
    parts = scaled(
        trials, scale_of(trials, scale), value, minimize=low,
        capped="loss" in words or words == "value", seed=seed,
    )  # fmt: skip
    return told(parts, parts.parts[0].cells.sign + words)


def told(parts: Scaled, name: str) -> Transfer:
    """What the parts of a scale say."""
    found = followed(parts)
    exponents, measured = exponents_of(parts, found)
    law = found.law
    span = float(np.ptp(parts.t))
    result = Transfer(
        scale=parts.name,
        values=parts.values,
        name=name,
        trials=sum(part.trials for part in parts.parts),
        places=tuple(_place(parts, found, k) for k in range(len(parts.parts))),
        exponents=exponents,
        straight=law.drift.bent if law is not None and len(law.drift.t) > 2 else math.nan,
        shape=None if law is None else _shape(parts, law),
        rules=judged(
            parts.drivers, measured, independent=parts.independent,
            sizes=len(parts.parts), span=span,
        ),
        test=held_out(parts),
        advice=(),
        notes=(*parts.notes, *_left_out(parts, found)),
        parts=parts,
        followed=found,
        measured=measured,
    )  # fmt: skip
    return replace(result, advice=transfer_advice(result))


def predict(
    study: optuna.Study | Sequence[optuna.Study] | pd.DataFrame | Transfer,
    value: float | None = None,
    /,
    **at: float,
) -> Prediction:
    """The pair to train with at a value of the scale that was not trained.

    Intervals grow with the distance from the values that were.

    Args:
        study: A study along a scale, or several made apart, one a value; or a frame as from
            `trials_frame`, or what `transfer` said of one.
        value: The value, where it is clear along which scale.
        at: The scale and the value: `predict(study, batch_size=1024)`.

    Raises:
        StudyError: the sweep is not along this scale; nothing can be followed along it; or the
            value is no number above 0, was trained already, or lies too far outside.
    """
    scale, wanted = asked(value, at)
    found = study if isinstance(study, Transfer) else _followed_along(study, scale)
    check_scale(found, scale)
    check_new(found, wanted)
    return predicted(found.parts, found.followed, wanted)


def _followed_along(
    study: optuna.Study | Sequence[optuna.Study] | pd.DataFrame, scale: str | None
) -> Transfer:
    """What is said of a study, or of several, along the scale that is asked for."""
    if not isinstance(study, pd.DataFrame):
        return transfer(scaled_frame(study, scale), scale)
    known = scale_in(study)
    return transfer(study, scale if scale in study.columns or known is None else None)


def exponents_of(parts: Scaled, found: Followed) -> tuple[dict[str, Estimate], dict[str, Measured]]:
    """The exponents as estimates, and those that are known as rules are judged by."""
    exponents: dict[str, Estimate] = {}
    measured: dict[str, Measured] = {}
    for quantity in QUANTITIES:
        why, drift, weights, offset = _of(parts, found, quantity)
        count = 0 if drift is None else len(drift.t)
        if drift is not None and count < 3:
            price = f"{parts.price} trials"
            why = f"two values of {parts.name} can't show a power law; a third ({price}) would"
        if why or drift is None:
            exponents[quantity] = cannot_say(why, count)
            continue
        value, half = drift.exponent(weights)
        value += offset
        exponents[quantity] = Estimate(value, value - half, value + half, _cells(found, quantity))
        measured[quantity] = Measured(value, half, drift.df)
    return exponents, measured


def _cells(found: Followed, quantity: str) -> int:
    return 0 if found.law is None or quantity == "limit" else found.law.alignment.cells


def _of(parts: Scaled, found: Followed, quantity: str) -> tuple[str, Drift | None, Array, float]:
    """Why a quantity is not followed; its drift, the sum of axes, and what else moves it."""
    if quantity == "limit":
        return found.why_limit, found.limit, np.ones(1), 0.0
    law = found.law
    if law is None:
        return found.why_lr, None, np.ones(1), 0.0
    if quantity == "lr":
        return "", law.drift, weights_of(law, "lr"), 0.0
    if not law.follows_decay:
        return found.why_decay, None, np.ones(1), 0.0
    if quantity in ("weight_decay", "product"):
        return "", law.drift, weights_of(law, quantity), 0.0
    memory = np.array([parts.memory(part)[quantity == "tau_epochs"] for part in parts.parts])
    if not np.isfinite(memory).all():
        what = "steps of an epoch" if quantity == "tau_epochs" else "steps of a trial"
        return f"the trials don't tell the {what}", None, np.ones(1), 0.0
    return "", law.drift, -_shrink(parts, law), -float(np.polyfit(parts.t, memory, 1)[0])


def _shrink(parts: Scaled, law: Law) -> Array:
    """What a step shrinks the weights by, as a sum of the axes."""
    return weights_of(law, "weight_decay" if parts.independent else "product")


def _place(parts: Scaled, found: Followed, k: int) -> Place:
    part = parts.parts[k]
    lr = cannot_say(found.why_lr)
    decay = product = share = epochs = cannot_say(found.why_lr or found.why_decay)
    law = found.law
    if law is not None:
        lr = spoken_at(law, part.t, "lr")
        if law.follows_decay:
            decay, product = (spoken_at(law, part.t, q) for q in ("weight_decay", "product"))
            share, epochs = (_memory(parts, law, part, which) for which in (0, 1))
    limit = cannot_say(found.why_limit)
    if found.limit is not None:
        limit = raised(*found.limit.at(part.t, np.ones(1)), len(found.limit.t))
    own = [_own(law, part.t, axis) for axis in (0, 1)]
    return Place(
        part.value, lr, decay, product, share, epochs, limit, own[0], own[1], found.banks[k],
        part.best.lr, part.best.weight_decay, part.best.loss, part.trials,
    )  # fmt: skip


def _memory(parts: Scaled, law: Law, part: Part, which: int) -> Estimate:
    """τ of the optimum, in runs (0) or epochs (1)."""
    length = parts.memory(part)[which]
    if not math.isfinite(length):
        return cannot_say("the trials don't tell their steps")
    middle, half = law.drift.at(part.t, -_shrink(parts, law))
    return raised(middle - length, half, law.alignment.cells)


def _own(law: Law | None, t: float, axis: int) -> Estimate:
    """Where the cells of one value have its bottom, on one axis."""
    if law is None or axis >= len(law.drift.slope):
        return cannot_say("nothing is followed")
    here = np.flatnonzero(np.isclose(law.drift.t, t))
    if not len(here):
        return cannot_say("too few of its cells lie in the basin")
    k = int(here[0])
    half = 1.96 * math.sqrt(float(law.drift.blocks[k, axis, axis]))
    return raised(float(law.drift.places[k, axis]), half, law.alignment.cells)


def _shape(parts: Scaled, law: Law) -> Shape:
    aligned = law.alignment
    return Shape(
        not aligned.change.any(), aligned.objection, parts.parts[0].cells.ratio(aligned.depth),
        aligned.cells, aligned.misfit,
    )  # fmt: skip


def _left_out(parts: Scaled, found: Followed) -> list[str]:
    """The values that the law does not rest on."""
    if found.law is None or found.law.used.all():
        return []
    used = zip(parts.values, found.law.used, strict=True)
    which = ", ".join(number(value) for value, use in used if not use)
    return [f"{parts.name} {which}: no basin is seen there, so the law rests on the others"]
