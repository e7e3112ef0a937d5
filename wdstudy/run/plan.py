"""Which trials a spec asks for, and what counts towards them."""

from __future__ import annotations

import optuna

from wdstudy.record import GRID
from wdstudy.run.cells import TAKEN, params_of
from wdstudy.space import TrialParams
from wdstudy.study.spec import StudySpec


class Plan:
    """Which cells a spec asks for."""

    def __init__(self, spec: StudySpec) -> None:
        self._space = spec.space
        named = isinstance(spec.sampler, str)
        self._sampler = spec.sampler if named else type(spec.sampler).__name__
        self._sampled = spec.trials or len(spec.space)
        self.with_seed = len(spec.space.seed_list) > 1
        self.grid = spec.space.cells() if spec.sampler == GRID else None
        self._wanted = None if self.grid is None else {params.key for params in self.grid}

    def __str__(self) -> str:
        if self.grid is not None:
            return str(self._space)
        lrs, decays = self._space.lr, [d for d in self._space.weight_decay if d] or [0.0]
        text = (
            f"{self._sampled} trials of {self._sampler} over lr {min(lrs):g} … {max(lrs):g}, "
            f"weight_decay {min(decays):g} … {max(decays):g}"
        )
        baseline = len(self._baseline())
        return f"{text}, and {baseline} without weight_decay" if baseline else text

    @property
    def target(self) -> int:
        """How many trials the study will have."""
        return len(self.grid) if self.grid is not None else self._sampled + len(self._baseline())

    def wants(self, params: TrialParams) -> bool:
        """Whether a trial with these parameters counts towards the target."""
        return self._wanted is None or params.key in self._wanted

    def cells(self, study: optuna.Study) -> list[TrialParams]:
        """The cells known so far: the grid; or a sampler's baseline, and replicas of its points."""
        if self.grid is not None:
            return self.grid
        trials = study.get_trials(deepcopy=False, states=TAKEN)
        points = {(p.lr, p.weight_decay): None for t in trials if (p := params_of(t)) is not None}
        replicas = [TrialParams(*point, s) for point in points for s in self._space.seed_list]
        return self._baseline() + [params for params in replicas if params.weight_decay]

    def wants_sample(self, study: optuna.Study) -> bool:
        """Whether the sampler has made too few trials yet."""
        trials = study.get_trials(deepcopy=False, states=TAKEN)
        return sum(bool(p.weight_decay) for t in trials if (p := params_of(t))) < self._sampled

    def _baseline(self) -> list[TrialParams]:
        lrs = self._space.lr if 0 in self._space.weight_decay else ()
        return [TrialParams(lr, 0.0, seed) for seed in self._space.seed_list for lr in lrs]
