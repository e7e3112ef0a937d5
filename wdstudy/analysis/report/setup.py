"""How a study was run: its own description, as rows of label and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wdstudy.analysis.frames.scale import scale_in
from wdstudy.analysis.numbers.spoken import percent
from wdstudy.curves import TRAIN_SECONDS
from wdstudy.record import DESIGN, RecordedSpec, StudyRecord
from wdstudy.words import number


def how_it_was_run(trials: pd.DataFrame, record: StudyRecord) -> list[tuple[str, str]]:
    """The study's own description: label and text, what is not known left out."""
    spec = record.spec
    options = ", ".join(f"{k}={v}" for k, v in spec.optimizer_options.items())
    sizes = ", ".join(f"{int(v):,} {k}" for k, v in record.parameters.items())
    settings = ", ".join(f"{k}={v}" for k, v in spec.settings.items())
    seconds = pd.to_numeric(
        trials.get(TRAIN_SECONDS, pd.Series(dtype=float)), errors="coerce"
    ).sum()
    versions = ", ".join(f"{k} {v}" for k, v in record.versions.items())
    others = dict(trials.attrs.get("others") or {})
    rows = [
        ("model", spec.model),
        ("parameters", sizes),
        ("data", spec.data),
        ("loss", spec.loss),
        ("objective", _objective(trials, spec)),
        ("optimizer", f"{spec.optimizer}({options})" if spec.optimizer else None),
        ("weight decay", trials.attrs.get("decay")),
        *_places(trials, spec),
        ("scale", _scale_words(trials, spec)),
        ("varied as well", "; ".join(f"{k}: {v}" for k, v in others.items())),
        ("sampler", spec.sampler),
        ("design", "; ".join(f"{k}={v}" for k, v in spec.design.items() if v is not None)),
        ("pruner", spec.pruner),
        ("epochs", spec.epochs),
        ("batch size", spec.batch_size),
        ("steps an epoch", record.steps_per_epoch),
        ("schedule", spec.schedule),
        ("warmup", f"{percent(spec.warmup)} of the run" if spec.warmup else None),
        ("precision", spec.precision),
        ("settings", settings),
        ("device", record.device),
        ("training time, all trials", _duration(float(seconds)) if seconds else None),
        ("versions", versions),
        ("commit", record.commit),
        ("later runs", "; ".join(_what_changed(record, later) for later in record.later)),
    ]
    told = [(label, str(text)) for label, text in rows if text not in (None, "", "None")]
    moving = _moving(trials)
    return [(label, text) for label, text in told if label not in moving]


def _places(trials: pd.DataFrame, spec: RecordedSpec) -> list[tuple[str, str | None]]:
    """Where trials were placed; the space of a design says only how far it could look."""
    space = spec.space
    if space is None:
        return []
    axes = {"lr": space.lr, "weight_decay": space.weight_decay, "seeds": space.seed_list}
    if spec.sampler != DESIGN:
        return [(name, axis_words(values)) for name, values in axes.items()]
    columns = {"lr": "lr", "weight_decay": "weight_decay", "seeds": "seed"}
    tried = {name: axis_words(sorted(trials[c].unique())) for name, c in columns.items()}
    for name in ("lr", "weight_decay"):
        low, high = min(v for v in axes[name] if v > 0), max(axes[name])
        tried[name] = f"{tried[name]}; within {number(low)} … {number(high)}"
    return [*tried.items()]


def _moving(trials: pd.DataFrame) -> set[str]:
    """What is another at each value of the scale, so that no one number of it is told."""
    scale = scale_in(trials)
    columns = {"batch size": "batch_size", "epochs": "epochs", "steps an epoch": "steps_per_epoch",
               "parameters": "parameters"}  # fmt: skip
    return {
        label for label, column in columns.items()
        if scale and (column == scale or (column in trials and trials[column].nunique() > 1))
    }  # fmt: skip


def _scale_words(trials: pd.DataFrame, spec: RecordedSpec) -> str | None:
    """The values of the scale, what the windows do along it, and what is held meanwhile."""
    scale = scale_in(trials)
    if scale is None:
        return None
    told = [f"{scale} {axis_words(sorted(trials[scale].dropna().unique()))}"]
    recorded = spec.scale or {}
    follow = recorded.get("follow")
    if isinstance(follow, Mapping) and follow:
        moving = ", ".join(f"{axis} with the power {power}" for axis, power in follow.items())
        told.append(f"the windows follow it: {moving}")
    if scale == "batch_size" and recorded.get("budget"):
        told.append(f"{recorded['budget']} held")
    return "; ".join(told)


def _what_changed(record: StudyRecord, later: Mapping[str, Any]) -> str:
    """In what a later run was made otherwise than the first."""
    versions = later.get("versions")
    parts = [
        f"{name} {version}"
        for name, version in (versions if isinstance(versions, Mapping) else {}).items()
        if record.versions.get(name) != version
    ]
    parts += [
        f"{name} {later[name]}"
        for name in ("commit", "device", "platform")
        if name in later and later[name] != getattr(record, name)
    ]
    return ", ".join(parts)


def _objective(trials: pd.DataFrame, spec: RecordedSpec) -> str:
    way = "minimised" if trials.attrs.get("minimize", True) else "maximised"
    return f"{spec.objective or 'value'}, {way}"


def axis_words(values: Sequence[float]) -> str | None:
    """The values of an axis, or its ends if they are many."""
    if not values:
        return None
    if len(values) <= 12:
        return ", ".join(number(float(v)) for v in values)
    return f"{len(values)} values, {number(float(values[0]))} … {number(float(values[-1]))}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
