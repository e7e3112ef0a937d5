"""All that a run needs, found to be usable before the study is touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import optuna
import torch
from optuna.storages import BaseStorage, get_storage

from wdstudy.errors import fault
from wdstudy.run.cells import DONE, missing
from wdstudy.run.opening import open_or_create, parameter_counts, study_record
from wdstudy.run.parts import Part, Parts, check_that_it_matters, load_parts
from wdstudy.run.plan import Plan
from wdstudy.run.sampling import resolve_pruner, resolve_sampler
from wdstudy.space import TrialParams, rounded
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
        parts: What trials train, by the value of the scale.
        study, storage: Where trials are recorded. `url`: the storage's, None for an object.
        trackers: Where every trial is a run as well; each can be used.
        said: What is to be said of the study once.
    """

    spec: StudySpec
    plan: Plan
    device: torch.device
    parts: Parts
    study: optuna.Study
    storage: PatientStorage
    url: str | None
    trackers: tuple[Backend, ...]
    said: str = ""

    @property
    def first(self) -> Part:
        """What is trained at the first value of the scale; without one, what is trained."""
        return next(iter(self.parts.values()))

    def part(self, params: TrialParams) -> Part:
        """What a trial trains, also where a database rounded its value."""
        if params.scale is None:
            return self.first
        at = rounded(params.scale)
        return next(
            part for value, part in self.parts.items() if value is not None and rounded(value) == at
        )

    @property
    def data(self) -> TaskData | None:
        """The task's data on the device, at the first value; None for a loop of its own."""
        return self.first.data

    @property
    def total_steps(self) -> int:
        """Optimizer steps of one trial, at the first value; 0 where a loop of its own decides."""
        return self.first.total_steps

    def left(self, trials: int) -> dict[float | None, int]:
        """Of so many trials that are left to train, how many stand at each value of the scale."""
        if len(self.parts) == 1:
            return dict.fromkeys(self.parts, trials)
        if self.plan.grid is None:
            return dict.fromkeys(self.parts, -(-trials // len(self.parts)))
        undone = missing(self.study.get_trials(deepcopy=False, states=DONE), self.plan.grid)
        found = Counter(params.scale for params in undone)
        return {value: found[value] for value in self.parts}

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
        told: dict[str, None] = {}  # once, however many values say it
        each = {
            value: self._lanes(self.parts[value], here, wanted, jobs, told)
            for value, here in self.left(left).items()
            if here and not self.parts[value].refused
        }
        for line in told:
            say(line)
        known = {value: choice for value, choice in each.items() if value is not None}
        if known and self.spec.scale is not None:
            return LaneChoice.of_values(known, self.spec.scale.name)
        return each.get(None, ONE_LANE)

    def _lanes(
        self, part: Part, left: int, wanted: int | None, jobs: int, told: dict[str, None]
    ) -> LaneChoice:
        """The choice of one part."""
        assert part.data is not None
        if wanted is None:
            most = -(-left // (jobs * len(self.spec.space.seed_list)))
            if self.plan.design is not None:  # which looks at a batch before it places the next
                most = min(most, max(LANES_A_BATCH, TRIALS_A_BATCH // jobs))
            try:
                return choose_lanes(part.spec, part.data, self.device, left, most)
            except Exception as error:  # what is wrong will show again, in a trial
                return LaneChoice(1, fault(error))
        mode, alone = lane_mode(part.spec)
        reason = alone or why_not_stacked(part.spec, part.data, self.device)
        if reason is not None:
            told[f"lanes can't be stacked, so they train one at a time: {reason}"] = None
            return LaneChoice(1, reason)
        own = ", each with an optimizer of its own" if mode == "apart" else ""
        return LaneChoice(wanted, f"as asked for{own}", apart=mode == "apart")

    def threads(self, left: int, most: int) -> int:
        """One thread, unless so many are clearly faster: small tensors wait for the slowest."""
        if self.data is None or left <= 0:
            return most
        try:
            return choose_threads(self.first.spec, self.data, self.device, left, most)
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
    spec, parts = load_parts(spec, device)
    sampler = resolve_sampler(spec.sampler, spec.space, seed=0)
    pruner = resolve_pruner(spec.pruner, scaled=spec.scale is not None)
    first = next(iter(parts.values()))
    record = study_record(spec, first, device, joins=joins)
    parts = _with_sizes(parts, record.parameters)
    if not joins:
        check_that_it_matters(spec, parts, device)
    if isinstance(storage, BaseStorage):
        url, opened = None, patient(get_storage(storage))
    else:
        url, opened = resolve_url(storage), open_storage(storage, say=say)
    study, said = open_or_create(spec, opened, record, sampler, pruner, joins=joins)
    return Prepared(spec, Plan(spec), device, parts, study, opened, url, tuple(trackers), said)


def _with_sizes(parts: Parts, first: Mapping[str, int]) -> Parts:
    """The parts with how many weights each has; those of the first are known."""
    sized = {}
    for number, (value, part) in enumerate(parts.items()):
        known = part.data is not None and not part.refused
        counts = first if not number else parameter_counts(part.spec) if known else {}
        sized[value] = replace(part, parameters=counts)
    return sized
