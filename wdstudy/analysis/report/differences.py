"""What studies that are compared differ in, by their records: all of it, and what that means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wdstudy.analysis.report.setup import axis_words
from wdstudy.analysis.views.looks import shortened
from wdstudy.fingerprints import parts_changed
from wdstudy.record import DESIGN, StudyRecord

Kind = Literal["optimizer", "training", "search", "machine"]
"""Which part of a study differs: who steps, what is trained and how long, where one looked, on
what it ran."""

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("optimizer", "optimizer_options", "decay", "decay_kind", "no_decay"), "optimizer"
    ),
    **dict.fromkeys(
        ("objective", "direction", "sampler", "design", "pruner", "metrics", "record_every",
         "angular_update", "diverged_factor"),
        "search",
    ),
}  # fmt: skip
"""Fields of a spec; all others are training."""

_TRAINED = {
    "data": ("data", "the data itself"),
    "model": ("model", "the model's layers"),
    "weights": ("model", "the initial weights"),
    "augmented": ("augment", "what augment makes"),
}
"""Parts of a fingerprint that don't depend on the optimizer → the field that names them, and what
differs where the names are the same: A in some studies, B in others."""

_NONE = "none"


@dataclass(frozen=True)
class Difference:
    """One thing that differs: each study's own in words, by the study's name."""

    name: str
    values: Mapping[str, str]
    kind: Kind

    def __str__(self) -> str:
        """`epochs (5 in 'a' and 'c', 10 in 'b')`."""
        groups: dict[str, list[str]] = {}
        for study, value in self.values.items():
            groups.setdefault(value, []).append(f"'{shortened(study)}'")
        told = (f"{shortened(v)} in {' and '.join(names)}" for v, names in groups.items())
        return f"{self.name} ({', '.join(told)})"


def differences(records: Mapping[str, StudyRecord]) -> list[Difference]:
    """Everything in which the records of studies differ.

    Args:
        records: Study → its record; studies that have none are passed over.
    """
    known = {name: record for name, record in records.items() if record.schema}
    rows = {name: _rows(record) for name, record in known.items()}
    keys = dict.fromkeys(key for row in rows.values() for key in row)
    found = []
    for key in keys:
        values = {name: row.get(key) for name, row in rows.items()}
        if any(value != next(iter(values.values())) for value in values.values()):
            words = {name: _words(value) for name, value in values.items()}
            found.append(Difference(key[1].replace("_", " "), words, key[0]))
    return [*found, *_other_code(known, {difference.name for difference in found})]


def cautions(found: Sequence[Difference], unknown: Sequence[str]) -> Iterator[str]:
    """What the differences mean for the comparison, in sentences.

    Args:
        found: As from `differences`.
        unknown: The studies that have no record.
    """
    kinds: dict[str, list[Difference]] = {}
    for difference in found:
        kinds.setdefault(difference.kind, []).append(difference)
    if training := kinds.get("training"):
        told = "; ".join(map(str, training))
        if "optimizer" in kinds:
            yield f"This is no comparison of the optimizers alone: what else differs is {told}."
        else:
            yield f"What is trained differs: {told}."
    if search := kinds.get("search"):
        names = ", ".join(difference.name for difference in search)
        yield f"The sweeps differ: {names} (see the table)."
    if machine := kinds.get("machine"):
        names = ", ".join(difference.name for difference in machine)
        yield f"They ran on other ground ({names}), which moves numbers by rounding at least."
    if unknown:
        names = ", ".join(f"'{shortened(name)}'" for name in unknown)
        yield f"No description of {names} was recorded: what else differs there can't be told."


def _rows(record: StudyRecord) -> dict[tuple[Kind, str], Any]:
    """All that a record tells, as plain data; an axis of the space is a field of its own."""
    data = record.as_data()
    spec = data["spec"]
    space = record.spec.space
    rows: dict[tuple[Kind, str], Any] = {}
    for name, value in spec.items():
        kind = _KINDS.get(name, "training")
        if name in ("settings", "optimizer_options", "design"):
            rows |= {(kind, f"{name.removesuffix('s')} {key}"): v for key, v in value.items()}
        elif name != "space":
            rows[kind, name] = value
    rows["training", "steps_per_epoch"] = record.steps_per_epoch
    for which, count in record.parameters.items():
        rows["training", f"{which} parameters"] = count
    if space is not None:
        axes = {"lr": space.lr, "weight_decay": space.weight_decay, "seeds": space.seed_list}
        own = record.spec.sampler == DESIGN  # whose space says only how far it could look
        rows |= {("search", n): "as its design placed them" if own else [*v]
                 for n, v in axes.items()}  # fmt: skip
    return rows | _ground(data)


def _ground(data: Mapping[str, Any]) -> dict[tuple[Kind, str], Any]:
    """What a study ran on; where it was gone on with on other ground, everything it ran on."""
    places = [data, *data.get("later", ())]
    found: dict[tuple[Kind, str], list[Any]] = {}
    for place in places:
        versions = place.get("versions")
        told = dict(versions) if isinstance(versions, Mapping) else {}
        told |= {name: place.get(name) for name in ("device", "platform", "commit")}
        for name, value in told.items():
            known = found.setdefault(("machine", name), [])
            known += [value] if value is not None and value not in known else []
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _other_code(known: Mapping[str, StudyRecord], named: set[str]) -> Iterator[Difference]:
    """What a fingerprint tells and no name does: other data, other layers under one name."""
    for part, (field, words) in _TRAINED.items():
        if field in named or (part == "data" and "batch size" in named):
            continue  # said already; and batches are a part of the data's sketch
        kinds: list[StudyRecord] = []
        values = {}
        for name, record in known.items():
            prints = ((kind.fingerprint, record.fingerprint) for kind in kinds)
            like = next((i for i, two in enumerate(prints) if part not in parts_changed(*two)), -1)
            if like < 0:
                like = len(kinds)
                kinds.append(record)
            values[name] = chr(ord("A") + like % 26)
        if len(kinds) > 1:
            yield Difference(words, values, "training")


def _words(value: Any) -> str:
    if value in (None, "", [], {}):
        return _NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        numbers = all(isinstance(item, int | float) for item in value)
        return (axis_words(value) if numbers else ", ".join(map(str, value))) or _NONE
    return str(value)
