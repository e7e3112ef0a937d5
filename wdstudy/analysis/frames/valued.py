"""The value of a scale that a study has: as a column of its trials, or as its record says."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import optuna
import pandas as pd

from wdstudy.analysis.frames.study import number_of, record_of
from wdstudy.errors import StudyError, nearest
from wdstudy.record import OTHER_PREFIX, RecordedSpec, StudyRecord


def valued(
    study: optuna.Study, trials: pd.DataFrame, scale: str, told: float | None, *, alone: bool
) -> pd.DataFrame:
    """The trials of one study with the column of a scale.

    Args:
        study: The study.
        trials: As from `trials_frame`.
        scale: The scale's name.
        told: Its value, where that is named.
        alone: Whether the study is read alone.

    Raises:
        StudyError: it is along another scale, or tells no value of this one.
    """
    own = (trials.attrs.get("scale") or {}).get("name")
    if own == scale and told is not None:
        raise StudyError(
            f"the study '{study.study_name}' tells its values of {scale} by itself: name no others"
        )
    if own not in (None, scale):
        remedy = f"ask along {own}" if alone else f"read it alone, along {own}"
        raise StudyError(f"the study '{study.study_name}' is along '{own}' by itself; {remedy}")
    record = record_of(study)
    column = next((c for c in (scale, OTHER_PREFIX + scale) if c in trials.columns), None)
    if told is not None:
        at = pd.Series(told, trials.index)
    elif column is not None:
        at = pd.to_numeric(trials[column], errors="coerce").astype(float)
        if at.isna().all() and len(at):
            raise StudyError(
                f"'{scale}' of the study '{study.study_name}' holds no numbers, which a scale is"
            )
    else:
        at = pd.Series(
            _recorded(study.study_name, record, trials, scale, alone=alone), trials.index
        )
    frame = trials.assign(**_sizes(trials, record), **{scale: at})
    frame = frame.drop(columns=OTHER_PREFIX + scale, errors="ignore")
    others = {name: v for name, v in trials.attrs.get("others", {}).items() if name != scale}
    frame.attrs = {**trials.attrs, "others": others, "scale": scale_attribute(scale, at)}
    return frame


def scale_attribute(name: str, at: pd.Series) -> dict[str, Any]:
    """What a frame's `attrs` tell of its scale: its name and the values."""
    return {"name": name, "values": sorted(at.dropna().unique().tolist())}


def _recorded(
    name: str, record: StudyRecord, trials: pd.DataFrame, scale: str, *, alone: bool
) -> float:
    """The value of a scale as the study's record has it.

    Raises:
        StudyError: it has none.
    """
    spec = record.spec
    known = {f.name: number_of(getattr(spec, f.name)) for f in fields(RecordedSpec)
             if not isinstance(getattr(spec, f.name), bool)}  # fmt: skip
    known |= {key: _as_number(value) for key, value in spec.optimizer_options.items()}
    known |= {key: _as_number(value) for key, value in spec.settings.items()}
    known |= {"parameters": number_of(record.parameters.get("total"))}
    found = {key: value for key, value in known.items() if value > 0}
    if scale in found:
        return found[scale]
    others = {c.removeprefix(OTHER_PREFIX) for c in trials.columns if c.startswith(OTHER_PREFIX)}
    if alone:
        varied = trials.attrs.get("others", {})
        hint = nearest(scale, varied) if varied else "it varies lr, weight_decay and seed alone"
        raise StudyError(f"the study '{name}' has no '{scale}' to be a scale; {hint}")
    raise StudyError(
        f"the study '{name}' does not tell its {scale}; {nearest(scale, {*found, *others})}; or "
        f"give the values, one a study in the order of the names: --scale {scale}=64,128 "
        "(values=[64, 128])"
    )


def _as_number(value: Any) -> float:
    """A number, also one that was written as text, as settings are."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _sizes(trials: pd.DataFrame, record: StudyRecord) -> dict[str, float]:
    """How long a trial is and how large its model, where only the record says."""
    epoch, epochs = record.steps_per_epoch or math.nan, record.spec.epochs or math.nan
    told = {
        "steps": epoch * epochs,
        "steps_per_epoch": epoch,
        "parameters": record.parameters.get("total", math.nan),
    }
    return {n: float(v) for n, v in told.items() if math.isfinite(v) and n not in trials.columns}
