"""What frames take from a study beside its trials' numbers: its words, and who has a place.

Any study with the parameters `lr` and `weight_decay` can be read, half-written or made by another
program. What is missing is NaN; `frame.attrs["notes"]` says once what that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from wdstudy.errors import StudyError
from wdstudy.record import OTHER_PREFIX, READ_KEY, RecordedSpec, StudyRecord
from wdstudy.space import LR, SEED, WEIGHT_DECAY
from wdstudy.storage.opening import left_out
from wdstudy.words import abridged, counted, number, printable

FEW = 5
"""Values of another parameter that are listed rather than counted."""


def record_of(study: optuna.Study) -> StudyRecord:
    """What the study says about itself; empty for a study of another program.

    Whoever can write to the storage writes its texts: what no figure and no terminal may be shown
    is spelled out.
    """
    record: StudyRecord = _spelled_out(StudyRecord.of(study.user_attrs))
    return record


def _spelled_out(value: Any) -> Any:
    """A part of a record, each text of it printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_spelled_out(key): _spelled_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_spelled_out, value))
    if isinstance(value, StudyRecord | RecordedSpec):
        return replace(
            value, **{f.name: _spelled_out(getattr(value, f.name)) for f in fields(value)}
        )
    return value


_DECAY_NOTES = {
    "coupled": "coupled decay (part of the objective)",
    "decoupled": "decoupled decay (a diagnostic, not in the objective)",
}


def attributes_of(study: optuna.Study) -> dict[str, Any]:
    """What figures say about the study."""
    if len(study.directions) != 1:
        raise StudyError(
            f"the study '{study.study_name}' has {len(study.directions)} objectives; "
            "make a study of one of them: wdstudy read URL --study NAME --objective N"
        )
    spec = record_of(study).spec
    kind = spec.decay_kind or ""
    note = _DECAY_NOTES.get(kind, kind)
    if spec.independent:
        note = "independent decay (not scaled by lr; a diagnostic, not in the objective)"
    return {
        "study": printable(study.study_name),
        "optimizer": spec.optimizer or "",
        "decay": note,
        "objective": spec.objective or "value",
        "minimize": study.directions[0] != StudyDirection.MAXIMIZE,
    }


def placed(study: optuna.Study) -> tuple[list[tuple[FrozenTrial, dict[str, Any]]], list[str]]:
    """The trials that have a place on the plane, with it; and what is to be said of the others."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.params]
    found = [(trial, cell) for trial in trials if (cell := _cell(trial)) is not None]
    if trials and not found:
        names = sorted({name for trial in trials for name in trial.params})
        raise StudyError(
            f"the study '{study.study_name}' has no trial with numbers lr > 0 and "
            f"weight_decay ≥ 0; its parameters are: {', '.join(names)}"
        )
    notes = [f"the study's record is damaged: {told}" for told in record_of(study).damage]
    notes += [f"left out, because it can't be read: {told}" for told in left_out(study)]
    notes += _of_its_reading(study)
    if len(found) < len(trials):
        left = counted(len(trials) - len(found), "trial")
        notes.append(f"{left} without a number lr > 0 and weight_decay ≥ 0 left out")
    return found, notes


def _of_its_reading(study: optuna.Study) -> list[str]:
    """What was said when a study was read from another program, as from `wdstudy read`."""
    read = study.user_attrs.get(READ_KEY)
    told = read.get("notes") if isinstance(read, Mapping) else None
    return [printable(str(note)) for note in told] if isinstance(told, list) else []


def scale_of_record(record: StudyRecord) -> dict[str, Any] | None:
    """The name and the values of a study's scale, as frames carry it; None where it has none."""
    told = record.spec.scale
    if not told or not isinstance(told.get("name"), str):
        return None
    values = told.get("values")
    known = values if isinstance(values, list | tuple) else ()
    return {"name": told["name"], "values": [number_of(value) for value in known]}


def other_parameters(trial: FrozenTrial, scale: str | None = None) -> dict[str, Any]:
    """What a program varied beside lr, weight_decay and the seed, as Optuna's frames name it.

    scale: the parameter that is the study's scale, which is no other.
    """
    own = (LR, WEIGHT_DECAY, SEED, scale)
    found = {f"{OTHER_PREFIX}{n}": value for n, value in trial.params.items() if n not in own}
    read = {n: v for n, v in trial.user_attrs.items() if n.startswith(OTHER_PREFIX)}
    return {**found, **read}


def varying(trials: Iterable[FrozenTrial], scale: str | None = None) -> dict[str, str]:
    """The other parameters of which finished trials have different values: name → which, in words.

    A cell of the plane holds trials of all these values, so they are part of its noise.
    """
    done = [
        other_parameters(t, scale)
        for t in trials
        if t.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]
    names = sorted({name for others in done for name in others})
    values = {name: {str(others.get(name)): others.get(name) for others in done} for name in names}
    return {
        printable(name.removeprefix(OTHER_PREFIX)): _which(list(known.values()))
        for name, known in values.items()
        if len(known) > 1
    }


def _which(values: list[Any]) -> str:
    """The values of a parameter: all of a few, else how many and between which ends."""
    numeric = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    words = sorted(abridged(printable(str(value)), 30) for value in values)
    if len(numeric) == len(values):
        words = [number(float(value)) for value in sorted(numeric)]
    if len(values) <= FEW:
        return ", ".join(words)
    ends = f", {words[0]} … {words[-1]}" if len(numeric) == len(values) else ""
    return f"{counted(len(values), 'value')}{ends}"


def _cell(trial: FrozenTrial) -> dict[str, Any] | None:
    lr, weight_decay = (number_of(trial.params.get(name)) for name in ("lr", "weight_decay"))
    if not (0 < lr < math.inf and 0 <= weight_decay < math.inf):
        return None
    seed = number_of(trial.params.get(SEED, trial.user_attrs.get(SEED, 0)))
    return {"lr": lr, "weight_decay": weight_decay, "seed": int(seed) if math.isfinite(seed) else 0}


def number_of(value: object) -> float:
    """A number, NaN for whatever is none."""
    return float(value) if isinstance(value, int | float) else math.nan
