"""What a study says about itself: its attribute `wdstudy`, written once and read here.

The run writes a `StudyRecord` when it opens a study; whatever reads studies gets the same thing
back, without the study file and without torch. Of a study that another program made, or an older
version, fields that are not known are None or empty; what stands there but can't be read is named
in `damage`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

from wdstudy.errors import SpaceError
from wdstudy.space import SearchSpace

STUDY_KEY = "wdstudy"
"""The study's user attribute that holds the record."""

READ_KEY = "wdstudy_read"
"""The user attribute of a study that was read from another program: whence, how, with which
`notes`."""

OTHER_PREFIX = "params_"
"""What stands before the name of another hyperparameter, in the columns of frames and in the
attributes of trials that were read from another program."""

SCHEMA = 1

MAX_NAME = 200
"""Characters of a study's name, at most."""

GRID = "grid"
"""The sampler that trains every cell of the space."""

DESIGN = "design"
"""The sampler of a study that designs itself: it asks which cells still tell something."""

MAKER = ("versions", "device", "platform", "commit")
"""The fields that say what a study was recorded on, and with."""

NOT_ADAPTIVE = (GRID, "random", "qmc", "RandomSampler", "QMCSampler", "GridSampler",
                "BruteForceSampler")  # fmt: skip
"""Samplers that place trials without a look at results, by name or exact class."""


@dataclass(frozen=True)
class RecordedSpec:
    """A StudySpec as plain data; functions and classes are there by their names.

    In a loop of one's own only the first fields, up to `train`, are known. scale: the third axis,
    where there is one: `name`, `values`, `follow` (how the window of lr and weight_decay moves
    along it) and `budget` (what is held).
    """

    space: SearchSpace | None = None
    objective: str | None = None
    direction: str | None = None
    sampler: str | None = None
    pruner: str | None = None
    design: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    scale: Mapping[str, Any] | None = None
    train: str | None = None
    model: str | None = None
    data: str | None = None
    loss: str | None = None
    metrics: tuple[str, ...] = ()
    augment: str | None = None
    optimizer: str | None = None
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    decay: str | None = None
    decay_kind: str | None = None
    no_decay: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    schedule: str | None = None
    warmup: float | None = None
    record_every: int | None = None
    precision: str | None = None
    diverged_factor: float | None = None
    angular_update: bool | None = None

    @property
    def independent(self) -> bool:
        """Whether weight decay is not scaled by lr."""
        return self.decay == "independent"

    @property
    def decay_is_diagnostic(self) -> bool:
        """Whether the decay loss is no part of what the optimizer minimises."""
        return self.independent or self.decay_kind == "decoupled"

    @property
    def sampled(self) -> bool:
        """Whether a sampler draws the trials, rather than a grid placing them."""
        return self.sampler not in (None, GRID)

    def differences(self, now: RecordedSpec) -> list[str]:
        """What two specs differ in, as `key=recorded, now current`.

        The space may grow, a design may ask for something else, and a grid may be gone on with by
        a design, or a design by a grid: cells are cells, whoever places them.
        """
        may = {"space", "design"}
        may |= {self.scale["name"]} if self.scale and now.scale else set()  # of the first value
        may |= {"sampler"} if {self.sampler, now.sampler} <= {GRID, DESIGN} else set()
        pairs = {
            f.name: (_plain(getattr(self, f.name)), _plain(getattr(now, f.name)))
            for f in fields(self)
            if f.name not in may
        }
        if self.scale and now.scale:  # its values may grow
            del pairs["scale"]
            for part in ("follow", "budget"):
                pairs[f"{part} of the scale"] = self.scale.get(part), now.scale.get(part)
        return [f"{name}={a!r}, now {b!r}" for name, (a, b) in sorted(pairs.items()) if a != b]


@dataclass(frozen=True)
class StudyRecord:
    """A study's description of itself.

    Attributes:
        schema: The version of this layout; 0 where the study has no record.
        spec: What is swept, and what is trained.
        adaptive: Whether the sampler looks at results when it places a trial.
        versions: Package → version. platform, device, commit: what it was recorded on.
        command: The study file as it was named, and the flags that change it.
        steps_per_epoch: Optimizer steps; None where a loop of one's own decides.
        parameters: How many weights there are: `total`, `trained`, `decayed`.
        fingerprint: What is trained, in a few numbers: see `training.fingerprint`.
        later: What it was gone on with where that differs: each a mapping of `MAKER` to values.
        damage: What stands in the record and can't be read, in words.
    """

    schema: int = 0
    spec: RecordedSpec = field(default_factory=RecordedSpec)
    adaptive: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    platform: str | None = None
    commit: str | None = None
    command: tuple[str, ...] = ()
    steps_per_epoch: int | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    later: tuple[Mapping[str, Any], ...] = ()
    damage: tuple[str, ...] = ()

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> StudyRecord:
        """The record among a study's user attributes; an empty one where there is none."""
        found = attributes.get(STUDY_KEY)
        if found is None:
            return cls()
        if not isinstance(found, Mapping):
            return cls(damage=(f"{STUDY_KEY} is {_short(found)}, and no record",))
        damage: list[str] = []
        known = _read(cls, found, damage)
        spec = found.get("spec")
        if isinstance(spec, Mapping):
            known["spec"] = RecordedSpec(**_read(RecordedSpec, spec, damage))
        elif spec is not None:
            damage.append(f"spec is {_short(spec)}")
        if known.get("schema", SCHEMA) > SCHEMA:
            damage.append(f"its layout, {known['schema']}, is newer than this version's, {SCHEMA}")
        record = cls(**known, damage=tuple(damage))
        if "adaptive" not in known:  # which the first version did not record
            name = record.spec.sampler
            record = replace(record, adaptive=name is not None and name not in NOT_ADAPTIVE)
        return record

    def as_data(self) -> dict[str, Any]:
        """The attribute's value, as JSON has it; what is not known is left out."""
        return {**_known(self), "spec": _known(self.spec)}

    def with_maker(self, other: StudyRecord) -> StudyRecord:
        """The same study, gone on with by what made another record."""
        mine, made = _known(self), _known(other)
        maker = {name: made[name] for name in MAKER if name in made}
        if not maker or maker in ({n: mine[n] for n in MAKER if n in mine}, *self.later):
            return self
        return replace(self, later=(*self.later, maker))

    def with_design(self, other: StudyRecord) -> StudyRecord:
        """The same study, gone on with by a design or by a grid: one design makes it designed."""
        if DESIGN not in (self.spec.sampler, other.spec.sampler):
            return self
        asked = other.spec.design or self.spec.design
        return replace(self, adaptive=True, spec=replace(self.spec, sampler=DESIGN, design=asked))

    def with_space(self, space: SearchSpace) -> StudyRecord:
        """The same study with its space enlarged by another."""
        mine = self.spec.space
        if mine is None:
            return self
        return replace(self, spec=replace(self.spec, space=mine.grown(space)))

    def with_scale(self, other: StudyRecord) -> StudyRecord:
        """The same study with the values of another's scale after its own."""
        mine, more = self.spec.scale, other.spec.scale
        if not mine or not more:
            return self
        values = [*dict.fromkeys([*mine["values"], *more["values"]])]
        return replace(self, spec=replace(self.spec, scale={**mine, "values": values}))


def _known(part: StudyRecord | RecordedSpec) -> dict[str, Any]:
    """The fields of one level that are known, as JSON has them."""
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    return {
        name: _plain(value)
        for name, value in values.items()
        if name not in ("spec", "damage") and value not in (None, (), {})
    }


def _plain(value: Any) -> Any:
    """A field's value after a way through JSON."""
    if isinstance(value, SearchSpace):
        value = value.as_data()
    return json.loads(json.dumps(dict(value) if isinstance(value, Mapping) else value))


def _read(cls: type, data: Mapping[str, Any], damage: list[str]) -> dict[str, Any]:
    """The fields of a dataclass that stand in `data` with a value of their type."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(cls).items():
        value = data.get(name)
        if name in ("spec", "damage") or value is None:
            continue
        try:
            json.dumps(value, ensure_ascii=False).encode()  # half a letter is no text
            found[name] = _typed(hint, value)
        except (AttributeError, KeyError, TypeError, UnicodeError, SpaceError):
            damage.append(f"{name} is {_short(value)}")
    return found


def _typed(hint: Any, value: Any) -> Any:
    """A value of JSON as the field's type has it; a TypeError where it is of another."""
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    kind = kinds[0]
    name = str(hint)
    if kind is SearchSpace:
        return SearchSpace.of_data(value)
    if "tuple" in name and "Mapping" in name:
        if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
            raise TypeError(name)
        return tuple(dict(v) for v in value)
    if "Mapping" in name and isinstance(value, Mapping):
        if kinds[-1] is int and not all(isinstance(v, int) for v in value.values()):
            raise TypeError(name)
        return dict(value)
    if "tuple" in name and isinstance(value, list):
        return tuple(map(str, value))
    if "Mapping" in name or "tuple" in name:
        raise TypeError(name)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(name)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
