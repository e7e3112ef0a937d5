"""What a report says of the study in words and tables, apart from its numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from wdstudy.analysis.frames.cells import finished_trials
from wdstudy.analysis.frames.design import designed
from wdstudy.analysis.frames.scale import scale_in
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.curves import (
    BATCH,
    DIVERGED_AT,
    FINAL_PREFIX,
    LR_X_WD,
    STAGE,
    TRAIN_SECONDS,
    VAL_LOSS,
)
from wdstudy.record import DESIGN, StudyRecord
from wdstudy.words import counted, number

MAX_ROWS = 1000
IMPROVING = 0.02
"""A trial still improves if its loss fell by more than this share over the last fifth."""

_RESCALING = ("Adam", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Adamax")


def headline(trials: pd.DataFrame, record: StudyRecord) -> str:
    """One line under the study's name: what was trained, and how much of it is there."""
    spec = record.spec
    states = trials["state"].value_counts()
    complete = int(states.get("COMPLETE", 0))
    parts = [name for k in ("model", "data") if (name := _named(getattr(spec, k)))]
    if spec.train:
        parts.append(f"a loop of its own, {_named(spec.train) or 'unnamed'}")
    parts += [spec.optimizer] if spec.optimizer else []
    placed = ", placed by its design" if spec.sampler == DESIGN else ""
    scale = scale_in(trials)
    values: list[float] = sorted(trials[scale].dropna().unique()) if scale else []
    along = f" along {scale} {number(values[0])} … {number(values[-1])}" if len(values) > 1 else ""
    parts.append(f"{counted(complete, 'complete trial')}{along}{placed}")
    diverged = int(trials["diverged"].sum())
    if diverged:
        parts.append(f"{diverged:,} diverged")
    others = {"RUNNING": "still running", "FAIL": "failed"}
    parts += [f"{states[state]:,} {word}" for state, word in others.items() if state in states]
    return " · ".join(parts)


def _named(thing: str | None) -> str:
    """The name of a function for a headline: nothing where it has none, no long arguments."""
    if not thing or "<lambda>" in thing:
        return ""
    return thing.rpartition("<locals>.")[2] if len(thing) <= 60 else thing.partition("(")[0]


def decay_meaning(record: StudyRecord) -> tuple[str, ...]:
    """What the decay loss means for the study's optimizer: paragraphs."""
    spec = record.spec
    name = spec.optimizer or "This optimizer"
    first = (
        "The decay loss is ½ · weight_decay · ‖w‖², summed over the weights that the optimizer "
        "decays. The primary loss is the loss of the data alone; the total loss is their sum."
    )
    if spec.independent:
        return (
            first,
            f"In this study weight decay is independent of lr: a step of {name} shrinks the "
            "weights by w *= 1 − multiplier(t) · weight_decay, where multiplier is the schedule. "
            "The decay loss is a diagnostic: it is not part of the objective, and nothing "
            "minimises the total loss. In PyTorch's form these slopes are smaller by one.",
        )
    if spec.decay_kind == "coupled":
        told = (
            f"{name} is coupled: it adds weight_decay · w to the gradient, which is the gradient "
            "of the decay loss. So the decay loss is part of the objective: the optimizer "
            "minimises the total loss."
        )
        if name in _RESCALING:
            told += (
                f" {name} rescales that sum by the size of past gradients, so weights with large "
                "gradients are decayed less than others."
            )
        return first, told
    if spec.decay_kind == "decoupled":
        return (
            first,
            f"{name} is decoupled: each step shrinks the weights by w *= 1 − lr · weight_decay, "
            "apart from the gradient. The decay loss is a diagnostic: it is not part of the "
            "objective, and nothing minimises the total loss. It tells how large the decayed "
            "weights are, in the units of a coupled penalty.",
        )
    return (
        first,
        "The study does not say how its optimizer applies weight_decay, so whether the decay loss "
        "is part of the objective can't be told.",
    )


def improves(trials: pd.DataFrame, curves: pd.DataFrame) -> bool:
    """Whether some of the best trials were still getting better when they ended."""
    return any(fall > IMPROVING for fall in _falls(trials, curves))


def still_improving(trials: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Whether the best trials were still getting better when they ended; empty if not known."""
    falls = _falls(trials, curves)
    if not falls:
        return ""
    better = [fall for fall in falls if fall > IMPROVING]
    best = "The best trial" if len(falls) == 1 else f"The best {len(falls)} trials"
    if not better:
        return (
            f"{best} had stopped improving: over the last fifth of the run the validation loss "
            f"fell by no more than {percent(IMPROVING)}."
        )
    some = best if len(falls) == len(better) else f"{len(better)} of the best {len(falls)} trials"
    middle = " (median of these)" if len(better) > 1 else ""
    return (
        f"{some} still improved at the end: over the last fifth of the run the validation loss "
        f"fell by {percent(float(np.median(better)))}{middle}. A longer run may move the best cell."
    )


def _falls(trials: pd.DataFrame, curves: pd.DataFrame) -> list[float]:
    """By what share the loss of each of the best trials fell over the last fifth of its run."""
    done = trials[(trials["state"] == "COMPLETE") & trials["value"].notna()]
    minimize = bool(trials.attrs.get("minimize", True))
    best = done.sort_values("value", ascending=minimize).head(10)
    rows = curves[(curves["series"] == VAL_LOSS) & curves["trial"].isin(best["trial"])]
    falls = []
    for _, curve in rows.dropna(subset="value").groupby("trial")["value"]:
        if len(curve) >= 5 and curve.iloc[-1] > 0:
            before = float(curve.iloc[: -max(1, len(curve) // 5)].min())
            falls.append(1 - float(curve.iloc[-1]) / before)
    return falls


def trial_table(trials: pd.DataFrame) -> tuple[list[str], list[list[tuple[str, str]]], str]:
    """Every trial for the sortable table: head, rows of (text, sort key), and what was left out."""
    scale = scale_in(trials)
    wanted = ["trial", "state", *([scale] if scale else ()), "lr", "weight_decay", LR_X_WD, "seed"]
    wanted += ["value"]
    wanted += [] if designed(trials) is None else [STAGE, BATCH]
    objective = FINAL_PREFIX + str(trials.attrs.get("objective"))  # the column value, once more
    finals = [c for c in trials.columns if c.startswith(FINAL_PREFIX) and c != objective]
    wanted += [c for c in trials.columns if c.startswith("params_")]
    wanted += [*finals, "decay_share", "initial_loss", DIVERGED_AT, TRAIN_SECONDS]
    columns = [c for c in wanted if c in trials.columns and trials[c].notna().any()]
    ranked = trials.sort_values(
        "value", ascending=bool(trials.attrs.get("minimize", True)), kind="stable"
    )
    shown = ranked.head(MAX_ROWS)
    note = ""
    if len(shown) < len(ranked):
        note = f"The best {len(shown):,} of {len(ranked):,} trials; all are in trials.csv."
    records = shown[columns].itertuples(index=False)
    diverged = shown["diverged"].tolist()
    rows = [
        [_table_cell(c, v, lost) for c, v in zip(columns, record, strict=True)]
        for record, lost in zip(records, diverged, strict=True)
    ]
    return [c.replace("lr_x_wd", "lr · weight_decay") for c in columns], rows, note


def _table_cell(column: str, value: Any, diverged: bool) -> tuple[str, str]:
    if column == "state":
        text = "diverged" if diverged else str(value).lower()
        return text, text
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return "–", ""
        whole = column in ("trial", "seed", BATCH, DIVERGED_AT)
        return (f"{value:.0f}" if whole else number(value)), repr(float(value))
    return str(value), str(value)


def caveats(trials: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """What is missing from the data, each said once."""
    notes = list(dict.fromkeys([*trials.attrs.get("notes", []), *curves.attrs.get("notes", [])]))
    open_trials = int((trials["state"] == "RUNNING").sum())
    if open_trials:
        notes.append(f"{counted(open_trials, 'trial')} still running, shown in the table only")
    if finished_trials(trials)["seed"].nunique() < 2 and not _others(trials):
        notes.append("one seed only: differences between cells can't be told from seed noise")
    return notes


def _others(trials: pd.DataFrame) -> dict[str, str]:
    """What varies beside lr and weight_decay: parameter → its values in words."""
    return dict(trials.attrs.get("others") or {})
