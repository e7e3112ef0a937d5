"""One trial's series, and the form in which they stand in a study's attributes.

This is where training and analysis meet: the names of all series and scalars are here and
nowhere else. Neither torch nor optuna is needed to read what stands here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

STEP = "step"
PRIMARY_LOSS = "primary_loss"
DECAY_LOSS = "decay_loss"
WEIGHT_NORM = "weight_norm"
LEARNING_RATE = "learning_rate"
ANGULAR_UPDATE = "angular_update"
VAL_LOSS = "val_loss"
VAL_PREFIX = "val_"
FINAL_PREFIX = "final_"

TOTAL_LOSS = "total_loss"


class Series(NamedTuple):
    """What is recorded at every record point: one row of the table of series.

    name: as in attributes and columns. label: in words, for titles and axes; unit: of its values.
    tag: what TensorBoard sorts it by. low_is_good: whether low values are what one looks for.
    derived: whether it follows from others, and is never stored.
    """

    name: str
    label: str
    tag: str
    unit: str = ""
    low_is_good: bool = False
    derived: bool = False

    def __str__(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


SERIES = {
    row.name: row
    for row in (
        Series(STEP, "step", "Schedule/step", "optimizer steps done"),
        Series(PRIMARY_LOSS, "primary loss", "Loss/primary", low_is_good=True),
        Series(DECAY_LOSS, "decay loss", "Loss/decay"),
        Series(TOTAL_LOSS, "total loss", "Loss/total", low_is_good=True, derived=True),
        Series(VAL_LOSS, "validation loss", "Loss/val", low_is_good=True),
        Series(WEIGHT_NORM, "weight norm", "Weights/norm", "L2"),
        Series(ANGULAR_UPDATE, "angular update", "Weights/angular_update", "radians a step"),
        Series(LEARNING_RATE, "learning rate", "Schedule/learning_rate"),
    )
}
"""Every series but the metrics of a task, which are `val_` and their name: see `series_named`."""


def series_named(name: str) -> Series:
    """The row of a series; of a metric, or of a name that is not known, what follows from it.

    >>> str(series_named("weight_norm")), series_named("val_top5_accuracy").tag
    ('weight norm (L2)', 'Val/top5_accuracy')
    """
    if name in SERIES:
        return SERIES[name]
    falls = name.endswith("loss")
    if name.startswith(VAL_PREFIX):
        metric = name.removeprefix(VAL_PREFIX)
        label = f"validation {metric.replace('_', ' ')}"
        return Series(name, label, f"Val/{metric}", low_is_good=falls)
    return Series(name, name.replace("_", " "), name, low_is_good=falls)


DECAY_SHARE = "decay_share"
LR_X_WD = "lr_x_wd"
INITIAL_LOSS = "initial_loss"
DIVERGED_AT = "diverged_at"
TRAIN_SECONDS = "train_seconds"
WORKER = "worker"
LAST_SEEN = "last_seen"
ENQUEUED_BY = "enqueued_by"
ERROR = "error"
STEPS, STEPS_PER_EPOCH = "steps", "steps_per_epoch"
PARAMETERS, EXAMPLES_SEEN = "parameters", "examples_seen"
TAU_EPOCHS, TAU_SHARE = "tau_epochs", "tau_share"
SIZES = (STEPS, STEPS_PER_EPOCH, PARAMETERS, EXAMPLES_SEEN, TAU_EPOCHS, TAU_SHARE)
"""How long a trial's whole run is and how large its model, and what weight decay remembers of it: τ
is 1 / (lr · weight_decay) steps, and of independent decay 1 / weight_decay."""

STAGE, REASON, BATCH = "stage", "reason", "batch"
"""What a design placed a trial for, why, in a line, and the number of the batch it came with."""

BATCH_TRIALS = "batch_trials"
"""How many trials a batch holds, on the first of them: the others may be on their way still."""

TRIAL_FACTS = (DECAY_SHARE, LR_X_WD, INITIAL_LOSS, DIVERGED_AT, TRAIN_SECONDS, WORKER, LAST_SEEN,
               ENQUEUED_BY, ERROR, *SIZES, STAGE, REASON, BATCH, BATCH_TRIALS)  # fmt: skip
"""Attributes of a trial beside its series."""

THINNED = "curves_thinned"
"""Present when only every n-th record point was stored; holds n."""

TRACKED_AS = "tracked_as"
"""The study's user attribute by which trackers tell it from others of its name."""

SCOUTS = "wdstudy_scouts"
"""The study's user attribute with the short runs by which a design began: a list of rows."""

DESIGN_STOP = "wdstudy_design_stop"
"""The study's user attribute that says why a design ended, `reason` and `why`; null while it goes
on."""

MAX_POINTS = 2000
"""Stored points of a series: 2,000 floats stay under the 64 KB of a MySQL text column."""


class LossCurves:
    """The series of one trial: named lists of floats, one entry a record point.

    A series that starts late or misses a point holds NaN there, so all have one length.
    """

    def __init__(self, series: Mapping[str, Sequence[float]] | None = None) -> None:
        self._series: dict[str, list[float]] = {k: list(v) for k, v in (series or {}).items()}

    def __len__(self) -> int:
        return max((len(values) for values in self._series.values()), default=0)

    def __getitem__(self, name: str) -> list[float]:
        return self._series[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __contains__(self, name: object) -> bool:
        return name in self._series

    def __repr__(self) -> str:
        return f"LossCurves({len(self)} record points of {', '.join(self)})"

    def append(self, point: Mapping[str, float]) -> None:
        """Add one record point: series name → value."""
        length = len(self)
        for name, value in point.items():
            self._series.setdefault(name, [math.nan] * length).append(float(value))
        for name in self._series.keys() - point.keys():
            self._series[name].append(math.nan)

    def last(self, name: str) -> float:
        """The newest value of a series, NaN where there is none."""
        return self._series[name][-1] if self._series.get(name) else math.nan

    def to_frame(self) -> pd.DataFrame:
        """One row a record point, one column a series."""
        import pandas as pd

        return pd.DataFrame(self._series)

    def to_attributes(self) -> dict[str, Any]:
        """The series as trial attributes: strict JSON, thinned past `MAX_POINTS` points."""
        stride = math.ceil(len(self) / MAX_POINTS) or 1
        first = (len(self) - 1) % stride  # counted from the end: the last point is always kept
        attributes: dict[str, Any] = {
            name: [json_number(v) for v in values[first::stride]]
            for name, values in self._series.items()
        }
        if stride > 1:
            attributes[THINNED] = stride
        return attributes

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> LossCurves:
        """The series among a trial's attributes; whatever is not a list of numbers is left out."""
        return cls(
            {
                name: [math.nan if v is None else float(v) for v in values]
                for name, values in attributes.items()
                if is_series(name) and isinstance(values, list) and all(map(_is_number, values))
            }
        )

    def scalars(self, lr: float, weight_decay: float) -> dict[str, float]:
        """The headline numbers of the trial, which dashboards can plot."""
        scalars = {
            FINAL_PREFIX + name: self.last(name)
            for name in self
            if name in (PRIMARY_LOSS, DECAY_LOSS) or name.startswith(VAL_PREFIX)
        }
        primary, decay = self.last(PRIMARY_LOSS), self.last(DECAY_LOSS)
        total = primary + decay
        scalars[DECAY_SHARE] = decay / total if total else math.nan
        scalars[LR_X_WD] = lr * weight_decay
        return scalars


def is_series(name: str) -> bool:
    """Whether an attribute of this name holds a series."""
    return name.startswith(VAL_PREFIX) or (name in SERIES and not SERIES[name].derived)


def json_number(value: float) -> float | int | None:
    """A number as strict JSON has it: null where it is not finite; whole steps as integers."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else float(value)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
