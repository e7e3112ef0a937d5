"""Which trials a spec asks for, and what counts towards them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import optuna
from optuna.trial import FrozenTrial

from wdstudy.curves import BATCH
from wdstudy.design.design import Design
from wdstudy.record import GRID
from wdstudy.run.cells import TAKEN, params_of
from wdstudy.run.status import Status
from wdstudy.space import TrialParams, rounded
from wdstudy.study.spec import StudySpec
from wdstudy.words import counted, lasting

GUESSED = 48
"""Trials that a design takes, about: what is measured before it began is to pay for so many."""


class Plan:
    """Which cells a spec asks for: a grid, what a sampler draws, or what a design asks next."""

    def __init__(self, spec: StudySpec) -> None:
        self._space = spec.space
        self.design = spec.design
        self._objective, self._direction = spec.objective, spec.direction
        named = isinstance(spec.sampler, str)
        self._sampler = spec.sampler if named else type(spec.sampler).__name__
        self._sampled = spec.trials or len(spec.space)
        self.with_seed = self.design is not None or len(spec.space.seed_list) > 1
        self._gridded = spec.sampler == GRID and self.design is None
        known = not spec.space.tau or spec.space.clock is not None
        self.grid = spec.space.cells() if self._gridded and known else None
        self._wanted = None if self.grid is None else {params.key for params in self.grid}

    def __str__(self) -> str:
        if self.design is not None:
            return asked_of(self.design)
        if self._gridded:
            return str(self._space)
        lrs, decays = self._space.lr, [d for d in self._space.weight_decay if d] or [0.0]
        text = (
            f"{self._sampled} trials of {self._sampler} over lr {min(lrs):g} … {max(lrs):g}, "
            f"weight_decay {min(decays):g} … {max(decays):g}"
        )
        if (scale := self._space.scale) is not None:
            text += f", at {len(scale.values)} {scale.name} in turn"
        baseline = len(self._baseline())
        return f"{text}, and {baseline} without weight_decay" if baseline else text

    @property
    def target(self) -> int:
        """How many trials the study will have; of a design at most, or about."""
        if self.design is not None:
            return self.design.trials or GUESSED
        return len(self.grid) if self.grid is not None else self._sampled + len(self._baseline())

    def ends(self) -> float | None:
        """When the time of a run that begins now is over, as `time.time()` has it; or None."""
        seconds = None if self.design is None else self.design.seconds
        return None if seconds is None else time.time() + seconds

    def status(self, until: float | None = None) -> Status:
        """How far a study of this plan is before its trials are counted."""
        return Status(
            0 if self.design is not None else self.target,
            objective=self._objective,
            direction=self._direction,
            designed=self.design is not None,
            until=until,
        )

    def wants(self, params: TrialParams) -> bool:
        """Whether a trial with these parameters counts towards the target."""
        if self._wanted is None:
            return self._lists(params.scale)
        return params.key in self._wanted

    def _lists(self, value: float | None) -> bool:
        """Whether a trial stands at a value of the scale; without a scale, any does."""
        values = self._space.values if self._space.scale is not None else ()
        known = {rounded(listed) for listed in values if listed is not None}
        return self._space.scale is None or (value is not None and rounded(value) in known)

    def cells(self, study: optuna.Study) -> list[TrialParams]:
        """The cells known so far: the grid; or a sampler's baseline, and replicas of its points.

        A design knows none before it is asked.
        """
        if self.design is not None:
            return []
        if self.grid is not None:
            return self.grid
        trials = study.get_trials(deepcopy=False, states=TAKEN)
        known = [p for t in trials if (p := params_of(t)) is not None and self._lists(p.scale)]
        points = dict.fromkeys(replace(p, seed=0) for p in known)
        replicas = [replace(point, seed=s) for point in points for s in self._space.seed_list]
        return self._baseline() + [params for params in replicas if params.weight_decay]

    def takes(self, trial: FrozenTrial) -> bool:
        """Whether a waiting trial is one of those to train.

        A design leaves waiting what a grid enqueued: it may be the grid that was too dear. It asks
        for such a cell itself where it wants it.
        """
        if self.design is None:
            known = params_of(trial)
            return known is None or self._lists(known.scale)
        params, (low, high) = params_of(trial), self.design.lr
        return (
            BATCH in trial.user_attrs
            and params is not None
            and (low <= params.lr <= high and params.weight_decay <= self.design.weight_decay[1])
        )

    def wants_sample(self, study: optuna.Study) -> bool:
        """Whether the sampler has made too few trials yet."""
        return self.design is None and sum(self._made(study).values()) < self._sampled

    def next_value(self, study: optuna.Study) -> float | None:
        """The value of the scale that a sampler has dealt the fewest trials; None without one."""
        if self._space.scale is None:
            return None
        made = self._made(study)
        return min(self._space.scale.values, key=lambda value: made[value])

    def _made(self, study: optuna.Study) -> Counter[float | None]:
        """How many trials a sampler has made at each value."""
        trials = study.get_trials(deepcopy=False, states=TAKEN)
        known = [p for t in trials if (p := params_of(t)) is not None and p.weight_decay]
        return Counter(p.scale for p in known if self._lists(p.scale))

    def _baseline(self) -> list[TrialParams]:
        if 0 not in self._space.weight_decay:
            return []
        each = [(self._space.at(value).lr, value) for value in self._space.values]
        name = "" if self._space.scale is None else self._space.scale.name
        return [
            TrialParams(lrs[i], 0.0, seed, value, name)
            for seed in self._space.seed_list
            for i in range(len(self._space.lr))
            for lrs, value in each
        ]


def asked_of(design: Design) -> str:
    """What a design is asked, and what it may cost, in a line."""
    units = {"best": "{:.2g} % of the loss", "effects": "{:.2g} %", "limit": "{:.2g} decades"}
    parts = [
        f"{name} within {unit.format(width if name == 'limit' else 100 * width)}"
        for name, unit in units.items()
        if (width := getattr(design, name)) is not None
    ]
    costs = [] if design.trials is None else [f"at most {counted(design.trials, 'trial')}"]
    costs += [] if design.seconds is None else [f"about {lasting(design.seconds)}"]
    return f"designs itself: {'; '.join([', '.join(parts), *costs])}"
