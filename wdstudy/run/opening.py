"""What stands in a study about itself, and whether a spec may go on with a study."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import optuna
import torch
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage

from wdstudy.curves import DECAY_LOSS, PRIMARY_LOSS, VAL_LOSS, VAL_PREFIX
from wdstudy.decay import decayed_weights
from wdstudy.directions import Direction
from wdstudy.errors import SpecError, StorageError, StudyError, WdstudyError, fault
from wdstudy.fingerprints import FINGERPRINT, parts_changed
from wdstudy.record import SCHEMA, STUDY_KEY, RecordedSpec, StudyRecord
from wdstudy.run.parts import Part
from wdstudy.run.provenance import provenance
from wdstudy.run.sampling import is_adaptive
from wdstudy.storage.ids import storage_of
from wdstudy.storage.opening import study_names
from wdstudy.study.optimizers import build_optimizer
from wdstudy.study.spec import StudySpec
from wdstudy.training.data import TaskData
from wdstudy.training.fingerprint import fingerprint


def study_record(
    spec: StudySpec, part: Part, device: torch.device, *, joins: bool = False
) -> StudyRecord:
    """What the study says about itself: spec, sizes, provenance, and a fingerprint of what is
    trained; along a scale, sizes and fingerprint of its first value, which is `part`.

    Of a worker that joins a run the fingerprint is only there to be compared with the leader's:
    its study file is the leader's, whatever stands in it now, but what that imports and reads is
    not. So `source` is left out of it, and all of it where `spec.same` says not to compare. What
    made the study, the leader has taken down.

    The model and the optimizer are built once to count parameters, so whatever they refuse is
    known before anything is written.

    Raises:
        SpecError: the spec has no name, its objective is not recorded, its model can't be built.
        OptimizerError: the optimizer can't be built, or has no weight decay.
    """
    if not spec.name:
        raise SpecError("the study has no name; give StudySpec(name=...)")
    data = part.data
    if data is not None:
        _check_objective(spec)
    record = StudyRecord(
        schema=SCHEMA,
        spec=spec.recorded(),
        adaptive=spec.design is not None or is_adaptive(spec.sampler),
        command=spec.command,
        steps_per_epoch=data.train.steps if data is not None else None,
        parameters=parameter_counts(part.spec) if data is not None else {},
        fingerprint=_fingerprint(part.spec, data, device, joins=joins),
        **({} if joins else provenance(device)),
    )
    try:
        return StudyRecord.of({STUDY_KEY: record.as_data()})  # as whoever reads it will have it
    except TypeError as error:
        raise SpecError(
            f"the spec can't be stored as JSON ({error}); give settings of texts, numbers and lists"
        ) from error


def open_or_create(
    spec: StudySpec,
    storage: BaseStorage,
    record: StudyRecord,
    sampler: BaseSampler,
    pruner: BasePruner,
    *,
    joins: bool = False,
) -> tuple[optuna.Study, str]:
    """The study of this name, made if it is not there. Its space grows by the spec's.

    `joins`: a worker of a run that opened the study is to go on with it.

    Returns:
        The study, and what is to be said of it once.

    Raises:
        StudyError: there is such a study, and it was recorded with another spec or other code.
    """
    said: list[str] = []
    if spec.name in study_names(storage):
        study = optuna.load_study(
            study_name=spec.name, storage=storage, sampler=sampler, pruner=pruner
        )
        if record.fingerprint and lacks_fingerprint(study):
            said.append(
                f"'{spec.name}' was recorded before there were fingerprints: whether its code has "
                "changed since then can't be told; from now on it can"
            )
        if gone := values_left_out(StudyRecord.of(study.user_attrs), record):
            assert spec.scale is not None
            listed = ", ".join(f"{value:g}" for value in gone)
            said.append(
                f"'{spec.name}' has trials of {spec.scale.name} {listed} as well: they are kept"
            )
        record = _continued(spec, study, record, joins=joins)
    else:
        study = optuna.create_study(
            study_name=spec.name,
            storage=storage,
            sampler=sampler,
            pruner=pruner,
            direction=cast(Direction, spec.direction),  # resolved when the spec was made
            load_if_exists=True,  # another worker may have been faster
        )
    if StudyRecord.of(study.user_attrs) != record:
        _describe(study, record)
    return study, "; ".join(said)


def _describe(study: optuna.Study, record: StudyRecord) -> None:
    """Write a study's record. A server may have no room for a long one: MySQL has 64 KB."""
    try:
        study.set_user_attr(STUDY_KEY, record.as_data())
    except StorageInternalError as error:
        if not study.user_attrs and not study.get_trials(deepcopy=False):
            optuna.delete_study(study_name=study.study_name, storage=storage_of(study))
        size = len(json.dumps(record.as_data()))
        raise StorageError(
            f"the storage has no room for the description of '{study.study_name}', which has "
            f"{size:,} letters; give fewer values of lr and weight_decay, or another --storage"
        ) from error


def _continued(
    spec: StudySpec, study: optuna.Study, record: StudyRecord, *, joins: bool
) -> StudyRecord:
    """The record that stands in the study, with the space that both describe."""
    name = spec.name
    recorded = StudyRecord.of(study.user_attrs)
    if recorded == StudyRecord():
        if not study.get_trials(deepcopy=False):
            return record  # whoever created it was stopped before it could describe itself
        raise StudyError(
            f"the study '{name}' was not made by wdstudy; give this one another --name"
        )
    if recorded.damage or recorded.spec.space is None or record.spec.space is None:
        told = "; ".join(recorded.damage) or "it names no space"
        raise StudyError(
            f"the record of the study '{name}' is damaged ({told}), so nothing can be added to "
            "it; give this one another --name"
        )
    _check_scale(name, recorded.spec, record.spec)
    found = recorded.spec.differences(record.spec)
    for part in ("steps_per_epoch", "parameters"):
        was, now = getattr(recorded, part), getattr(record, part)
        found += [f"{part}={was!r}, now {now!r}"] if was != now else []
    if found:
        raise StudyError(
            f"the study '{name}' was recorded with another spec: {'; '.join(found)}; "
            "give this one another --name, or go back to what was recorded"
        )
    changed = parts_changed(recorded.fingerprint, record.fingerprint, spec.precision)
    if changed and not spec.same:
        told = "; ".join(FINGERPRINT[part] for part in changed)
        raise StudyError(_OTHER_CODE[joins].format(name, told))
    if record.fingerprint and (changed or not recorded.fingerprint):
        recorded = replace(recorded, fingerprint=record.fingerprint)
    grown = recorded.with_maker(record).with_design(record).with_scale(record)
    return grown.with_space(record.spec.space)


def _check_scale(name: str, recorded: RecordedSpec, now: RecordedSpec) -> None:
    """Whether trials of both scales stand on one axis, and mean the same there.

    Raises:
        StudyError: they don't, with what to do instead.
    """
    was, is_ = recorded.scale, now.scale
    if was is None and is_ is None:
        return
    if was is None or is_ is None:
        scale = (was or is_ or {})["name"]
        told = f"along {scale}, and this has no scale"
        if was is None:
            told = f"without a scale, and this has {scale}"
        raise StudyError(f"the study '{name}' was recorded {told}; give this one another --name")
    if was["name"] != is_["name"]:
        raise StudyError(
            f"the study '{name}' was recorded along {was['name']}, and this is {is_['name']}: one "
            "study has one scale; give this one another --name"
        )
    mine, more = was["values"], is_["values"]
    if mine[0] != more[0]:
        raise StudyError(
            f"the first value of {was['name']} in the study '{name}' is {mine[0]:g}, for which its "
            f"window and its fingerprint are meant, and not {more[0]:g}; list {mine[0]:g} first: "
            "its finished trials are kept"
        )
    if (min(mine) > 0) != (min([*mine, *more]) > 0):
        raise StudyError(
            f"{was['name']} of the study '{name}' is stored by its logarithm, which 0 has not; "
            "leave out the 0, or give this one another --name"
        )


def values_left_out(recorded: StudyRecord, now: StudyRecord) -> list[float]:
    """The values of a study's scale that a spec lists no more."""
    was, is_ = recorded.spec.scale, now.spec.scale
    return [] if not was or not is_ else [v for v in was["values"] if v not in is_["values"]]


_OTHER_CODE = {
    False: "the study '{}' was recorded with other code, for these differ: {}. Give this one "
    "another --name; or say --same, if you know better",
    True: "the code or the data of the study '{}' is no longer what this run began with, for "
    "these differ: {}. Finished trials are kept: undo what was changed and run the same command "
    "again, or give a new study another --name",
}
"""What to say of changed parts of a fingerprint: before a run, and to a worker that joins it."""


def lacks_fingerprint(study: optuna.Study) -> bool:
    """Whether a study was recorded before there were fingerprints."""
    recorded = StudyRecord.of(study.user_attrs)
    return recorded.schema > 0 and not recorded.fingerprint


def _fingerprint(
    spec: StudySpec, data: TaskData | None, device: torch.device, *, joins: bool
) -> dict[str, object]:
    if joins and spec.same:
        return {}
    try:
        found = fingerprint(spec, data, device)
        return {part: value for part, value in found.items() if part != "source" or not joins}
    except WdstudyError:
        raise
    except Exception as error:
        raise SpecError(f"the first steps can't be trained: {fault(error)}") from error


def _check_objective(spec: StudySpec) -> None:
    assert spec.task is not None
    recorded = [PRIMARY_LOSS, DECAY_LOSS, VAL_LOSS]
    recorded += [VAL_PREFIX + name for name in spec.task.metrics]
    if spec.objective not in recorded:
        raise SpecError(
            f"objective '{spec.objective}' is not recorded; it is one of {', '.join(recorded)}"
        )


def parameter_counts(spec: StudySpec) -> dict[str, int]:
    """How many weights a task has: `total`, `trained`, `decayed`.

    Raises:
        WdstudyError: the model or the optimizer can't be built.
    """
    assert spec.task is not None
    try:
        with torch.random.fork_rng():
            model = spec.task.model()
        named = list(model.named_parameters())
    except Exception as error:
        raise SpecError(f"the model can't be built: {fault(error)}") from error
    optimizer = build_optimizer(
        spec.optimizer,
        [named],
        spec.space.cells()[:1],
        independent=spec.decay == "independent",
        no_decay=spec.no_decay,
    )
    return {
        "total": sum(p.numel() for _, p in named),
        "trained": sum(p.numel() for _, p in named if p.requires_grad),
        "decayed": sum(p.numel() for p in decayed_weights(optimizer)),
    }
