"""All that a run needs, found to be usable before the study is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
import torch
from optuna.storages import BaseStorage, get_storage

from wdstudy.curves import MAX_POINTS, SERIES
from wdstudy.errors import fault
from wdstudy.run.opening import load_data, open_or_create, study_record
from wdstudy.run.plan import Plan
from wdstudy.run.sampling import resolve_pruner, resolve_sampler
from wdstudy.storage.opening import open_storage
from wdstudy.storage.patient import PatientStorage, patient
from wdstudy.storage.url import resolve_url
from wdstudy.study.spec import StudySpec
from wdstudy.trackers import Backend
from wdstudy.training.data import TaskData
from wdstudy.training.devices import resolve_device
from wdstudy.training.probe import (
    ONE_LANE,
    LaneChoice,
    choose_lanes,
    choose_threads,
    lane_mode,
    try_first_batch,
    why_not_stacked,
)

LANES_A_BATCH, TRIALS_A_BATCH = 8, 16
"""As many lanes, and trials of all workers, a design's batch may have, whichever is more: what is
placed together can't learn of each other.
"""


@dataclass(frozen=True)
class Prepared:
    """A spec with everything it names in hand, and its study.

    Attributes:
        spec: What to train.
        plan: Which trials that is.
        device: Where.
        data: The task's data on the device; None for a loop of its own.
        study, storage: Where trials are recorded. `url`: the storage's, None for an object.
        trackers: Where every trial is a run as well; each can be used.
        said: What is to be said of the study once.
    """

    spec: StudySpec
    plan: Plan
    device: torch.device
    data: TaskData | None
    study: optuna.Study
    storage: PatientStorage
    url: str | None
    trackers: tuple[Backend, ...]
    said: str = ""

    @property
    def total_steps(self) -> int:
        """Optimizer steps of one trial; 0 where a loop of its own decides."""
        return self.spec.epochs * self.data.train.steps if self.data is not None else 0

    @property
    def values(self) -> int:
        """Numbers that one trial's series hold; 0 where a loop of its own decides."""
        if self.data is None or self.spec.task is None:
            return 0
        always = [row.name for row in SERIES.values() if not row.derived]
        unless = not self.spec.angular_update
        series = len(always) - unless + len(self.spec.task.metrics)
        points = self.spec.record_points(self.data.train.steps)
        return series * points // -(-points // MAX_POINTS)  # beyond, every n-th is stored

    def lanes(
        self, left: int, wanted: int | None, jobs: int = 1, *, say: Callable[[str], None]
    ) -> LaneChoice:
        """How many lanes to train together: as many as wanted if they can be stacked.

        Args:
            left: How many trials are to be trained.
            wanted: A number, or None for the fastest.
            jobs: How many processes share the trials.
            say: Told why lanes that are wanted can't be stacked.
        """
        if self.data is None or left <= 0 or wanted == 1:
            return ONE_LANE
        if wanted is None:
            most = -(-left // (jobs * len(self.spec.space.seed_list)))
            if self.plan.design is not None:  # which looks at a batch before it places the next
                most = min(most, max(LANES_A_BATCH, TRIALS_A_BATCH // jobs))
            try:
                return choose_lanes(self.spec, self.data, self.device, left, most)
            except Exception as error:  # what is wrong will show again, in a trial
                return LaneChoice(1, fault(error))
        mode, alone = lane_mode(self.spec)
        reason = alone or why_not_stacked(self.spec, self.data, self.device)
        if reason is not None:
            say(f"lanes can't be stacked, so they train one at a time: {reason}")
            return LaneChoice(1, reason)
        own = ", each with an optimizer of its own" if mode == "apart" else ""
        return LaneChoice(wanted, f"as asked for{own}", apart=mode == "apart")

    def threads(self, left: int, most: int) -> int:
        """One thread, unless so many are clearly faster: small tensors wait for the slowest."""
        if self.data is None or left <= 0:
            return most
        try:
            return choose_threads(self.spec, self.data, self.device, left, most)
        except Exception:  # what is wrong will show again, in a trial
            return 1


def prepare(
    spec: StudySpec,
    storage: str | BaseStorage | None,
    trackers: Sequence[Backend] = (),
    *,
    joins: bool = False,
    say: Callable[[str], None] | None = None,
) -> Prepared:
    """Find everything that can be wrong with a spec, and then open its study or create it.

    Args:
        spec: What to train; it needs a name.
        storage: A URL or an Optuna storage; the default storage where it is None.
        trackers: Where every trial is a run as well.
        joins: Whether this is a worker of a run that has prepared the same already.
        say: Told when the storage is out of reach: as in `open_storage`.

    Raises:
        WdstudyError: the spec, its data, device, storage or a tracker can't be used, or the
            study was recorded with another spec or other code.
    """
    for tracker in trackers:
        tracker.check()
    device = resolve_device(spec.device)
    data = load_data(spec, device)
    if data is not None:
        try_first_batch(spec, data, device)
    sampler = resolve_sampler(spec.sampler, spec.space, seed=0)
    pruner = resolve_pruner(spec.pruner)
    record = study_record(spec, data, device, joins=joins)
    if isinstance(storage, BaseStorage):
        url, opened = None, patient(get_storage(storage))
    else:
        url, opened = resolve_url(storage), open_storage(storage, say=say)
    study, said = open_or_create(spec, opened, record, sampler, pruner, joins=joins)
    return Prepared(spec, Plan(spec), device, data, study, opened, url, tuple(trackers), said)
