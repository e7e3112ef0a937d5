"""Studies made apart, one a value of a scale, read as one; and a study's column as a scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import optuna
import pandas as pd

from wdstudy.analysis.frames.cells import cells_of, finished_trials
from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.study import number_of, record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.frames.valued import scale_attribute, valued
from wdstudy.errors import StudyError, nearest
from wdstudy.record import RecordedSpec, StudyRecord
from wdstudy.space import LR, SEED, WEIGHT_DECAY
from wdstudy.words import counted, number

ALIKE = {
    "objective": "objectives",
    "minimize": "directions",
    "optimizer": "optimizers",
    "decay": "forms of decay",
}
"""What studies that are read as one must have in common, in a frame's `attrs`."""

PLACING = ("space", "sampler", "pruner", "design", "settings", "scale")
"""Of a record, what does not say what is trained."""

Values = Mapping[str, float] | Sequence[float]


def scaled_frame(
    studies: optuna.Study | Sequence[optuna.Study],
    scale: str | None = None,
    values: Values | None = None,
) -> pd.DataFrame:
    """One row a trial of a study along a scale, or of studies that were made apart, one a value.

    Args:
        studies: One study, which is along a scale or has a column of this name, as of another
            hyperparameter; or several.
        scale: The scale's name, as `batch_size`; of one study, as its record says where it is None.
        values: Of several studies, the value of each: in their order, or by their names. Where it
            is None, as their trials or their records say.

    Returns:
        As from `trials_frame`, with the column of the scale and `attrs["scale"]`. Of several
        studies trials are numbered on from one to the next, and the column `study` names theirs.

    Raises:
        StudyError: a study has no value, or not the objective, the direction, the optimizer or the
            form of decay that the others have; or two have trials of the same place.
    """
    several = [studies] if isinstance(studies, optuna.Study) else list(studies)
    if not several:
        raise StudyError("no study is given; name one, or several")
    if scale is None:
        return _frame_of_one(several, values)
    if scale in (LR, WEIGHT_DECAY, SEED, "value"):
        raise StudyError(f"the scale is '{scale}', which every sweep has; name another")
    told = _told([study.study_name for study in several], scale, values)
    parts = [
        valued(
            study, trials_frame(study), scale, told.get(study.study_name), alone=len(several) == 1
        )
        for study in several
    ]
    return parts[0] if len(parts) == 1 else _one_of(several, parts, scale)


def scaled_curves(studies: Sequence[optuna.Study]) -> pd.DataFrame:
    """The curves of these trials, as from `curves_frame`, numbered as in `scaled_frame`."""
    parts = [curves_frame(study) for study in studies]
    if len(parts) == 1:
        return parts[0]
    shifted = [
        part.assign(trial=part["trial"] + shift, series=part["series"].astype(object))
        for part, shift in zip(parts, _shifts(studies), strict=True)
    ]
    some = [part for part in shifted if len(part)] or shifted[:1]
    frame = pd.concat(some, ignore_index=True)
    frame["series"] = frame["series"].astype("category")
    notes = [n for s, part in zip(studies, parts, strict=True) for n in _notes(s, part)]
    frame.attrs = {**parts[0].attrs, "study": joined_name(studies), "notes": notes}
    return frame


def joined_record(studies: Sequence[optuna.Study], trials: pd.DataFrame) -> StudyRecord:
    """What the records of studies that are read as one have in common, with their scale.

    Args:
        studies: The studies.
        trials: As from `scaled_frame`.
    """
    records = [record_of(study) for study in studies]
    first = records[0]
    if len(records) > 1:
        spec = replace(first.spec, **_differing([record.spec for record in records]))
        empty = {**_differing(records), "spec": spec, "command": (), "damage": first.damage}
        first = replace(first, **empty)
    for other in records[1:]:
        if other.spec.space is not None:
            first = first.with_space(other.spec.space)
    scale = trials.attrs.get("scale")
    return replace(first, spec=replace(first.spec, scale=scale)) if scale else first


def _differing(parts: Sequence[Any]) -> dict[str, Any]:
    """The fields that are not the same everywhere, as they are where nothing is known."""
    empty = type(parts[0])()
    return {
        f.name: getattr(empty, f.name)
        for f in fields(empty)
        if any(getattr(part, f.name) != getattr(parts[0], f.name) for part in parts)
        and f.name not in ("schema", "space")
    }


def joined_name(studies: Sequence[optuna.Study]) -> str:
    """What studies that are read as one are called: `small+medium+large`, the middle left out of
    many.
    """
    names = [study.study_name for study in studies]
    whole = "+".join(names)
    return whole if len(whole) <= 60 or len(names) < 4 else f"{names[0]}+…+{names[-1]}"


def _frame_of_one(studies: Sequence[optuna.Study], values: Values | None) -> pd.DataFrame:
    """A study that knows its scale by itself, or has none."""
    if len(studies) > 1 or values is not None:
        what = f"{len(studies)} studies" if len(studies) > 1 else "values"
        raise StudyError(
            f"{what}, and no scale is named; say what differs: --scale batch_size "
            "(scale='batch_size')"
        )
    return trials_frame(studies[0])


def _told(names: Sequence[str], scale: str, values: Values | None) -> dict[str, float]:
    """The values that are named, by the studies."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StudyError(f"the study '{twice}' is named twice; name it once")
    if values is None:
        return {}
    if isinstance(values, Mapping):
        unknown = next((name for name in values if name not in names), None)
        if unknown is not None:
            raise StudyError(f"a value of {scale} for '{unknown}'; {nearest(unknown, names)}")
        told = dict(values)
    else:
        if len(values) != len(names):
            raise StudyError(
                f"{scale} has {counted(len(values), 'value')} for {len(names)} of the names; "
                "give one for each study, in their order"
            )
        told = dict(zip(names, values, strict=True))
    for name, value in told.items():
        if not (math.isfinite(number_of(value)) and value > 0):
            raise StudyError(f"{scale}={value!r} of the study '{name}': give a number above 0")
    return {name: float(value) for name, value in told.items()}


def _one_of(
    studies: Sequence[optuna.Study], parts: Sequence[pd.DataFrame], scale: str
) -> pd.DataFrame:
    """The trials of several studies as one frame."""
    _check_alike(studies, parts)
    _check_apart(studies, parts, scale)
    numbered = [
        part.assign(trial=part["trial"] + shift, study=study.study_name)
        for study, part, shift in zip(studies, parts, _shifts(studies), strict=True)
    ]
    for part in numbered:  # which pandas would compare, and warn of
        part.attrs = {}
    some = [part for part in numbered if len(part)] or numbered[:1]
    frame = pd.concat(some, ignore_index=True)
    notes = [n for s, part in zip(studies, parts, strict=True) for n in _notes(s, part)]
    frame.attrs = {
        **{key: value for key, value in parts[0].attrs.items() if key != "design"},
        "study": joined_name(studies),
        "others": {n: which for part in parts for n, which in part.attrs["others"].items()},
        "scale": scale_attribute(scale, frame[scale]),
        "notes": [*notes, *_also_differ(studies, scale)],
    }
    return frame


def _shifts(studies: Sequence[optuna.Study]) -> list[int]:
    """What the numbers of each study's trials are raised by, so that no two are the same."""
    shifts = [0]
    for study in studies[:-1]:
        last = max((t.number for t in study.get_trials(deepcopy=False)), default=-1)
        shifts.append(shifts[-1] + last + 1)
    return shifts


def _notes(study: optuna.Study, part: pd.DataFrame) -> list[str]:
    return [f"'{study.study_name}': {note}" for note in part.attrs.get("notes", [])]


def _check_alike(studies: Sequence[optuna.Study], parts: Sequence[pd.DataFrame]) -> None:
    first, before = studies[0].study_name, parts[0].attrs
    for study, part in zip(studies[1:], parts[1:], strict=True):
        for key, what in ALIKE.items():
            one, other = before.get(key), part.attrs.get(key)
            if one == other:
                continue
            if key == "minimize":
                one, other = ("minimize" if low else "maximize" for low in (one, other))
            raise StudyError(
                f"'{first}' and '{study.study_name}' have different {what} "
                f"('{one or 'not known'}' and '{other or 'not known'}'), so they are no sweep "
                "along one scale; leave one out, or compare them without --scale"
            )


def _check_apart(
    studies: Sequence[optuna.Study], parts: Sequence[pd.DataFrame], scale: str
) -> None:
    """Refuse two studies that trained the same."""
    seen: dict[tuple[float, float, float, int], str] = {}
    for study, part in zip(studies, parts, strict=True):
        done = finished_trials(part)
        rows = zip(done[scale], cells_of(done), done[SEED], strict=True)
        places = {(float(at), lr, decay, int(seed)) for at, (lr, decay), seed in rows}
        twice = next((place for place in sorted(places) if place in seen), None)
        if twice is not None:
            at, lr, decay, seed = twice
            raise StudyError(
                f"'{seen[twice]}' and '{study.study_name}' both hold {scale} {number(at)} at lr "
                f"{number(lr)}, weight_decay {number(decay)}, seed {seed}: leave one out, or name "
                f"the values: --scale {scale}=64,128 (values=[64, 128])"
            )
        seen |= dict.fromkeys(places, study.study_name)


def _also_differ(studies: Sequence[optuna.Study], scale: str) -> Iterator[str]:
    """What else the studies differ in, which counts as the scale's doing."""
    specs = [record_of(study).spec for study in studies]
    names = [f.name for f in fields(RecordedSpec) if f.name not in PLACING]
    told = [{name: getattr(spec, name) for name in names} | dict(spec.settings) for spec in specs]
    for name in sorted({name for one in told for name in one} - {scale}):
        values = [_shown(one.get(name)) for one in told]
        if len(set(values)) > 1:
            which = ", ".join(dict.fromkeys(values))
            yield f"the studies differ in {name} too ({which}): what that does counts as {scale}'s"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return "none" if value in (None, (), {}) else str(value)
