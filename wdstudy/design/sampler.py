"""The design as an Optuna sampler, for anybody's study with the parameters lr and weight_decay."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from wdstudy.design.batch import Batch, Stop
from wdstudy.design.design import Design
from wdstudy.design.outcomes import Outcome
from wdstudy.design.planner import next_batch
from wdstudy.errors import SpecError
from wdstudy.space import LR, SEED, WEIGHT_DECAY, TrialParams
from wdstudy.storage.ids import id_of_trial, storage_of

REASON, STAGE = "reason", "stage"
"""User attributes of a trial: why it was placed, and in which stage of the design."""


class LandscapeSampler(BaseSampler):
    """Places trials so that the questions about lr and weight_decay are answered with few of them.

    For `study.optimize` and for ask and tell, with any number of workers on one storage: each
    plans on what is told and what runs. Every trial carries the user attributes `stage` and
    `reason`. `study.optimize` ends when the design does; whoever asks and tells looks at
    `stopped(study)`, and gets more seeds of the best cell until he does.

    A trial that fails or is pruned counts as diverged, because Optuna fails trials whose value is
    NaN. Parameters of other names are drawn at random. Where `seed` is suggested too, replicas
    have seeds of their own; else the same place is simply suggested again.

    Args:
        design: What is asked. Its ranges are those of the study's distributions; a weight_decay
            that is suggested logarithmically has no 0, and its least value stands for it.
        lr, weight_decay, seed: The names of the parameters.

    Raises:
        SpecError: a parameter of these names is suggested as something else than a number.

    Example:
        >>> import optuna
        >>> def objective(trial):
        ...     lr = trial.suggest_float("lr", 1e-6, 10, log=True)
        ...     weight_decay = trial.suggest_float("weight_decay", 0, 10)
        ...     return train(lr, weight_decay)
        >>> study = optuna.create_study(sampler=LandscapeSampler())
        >>> study.optimize(objective, n_trials=100)  # doctest: +SKIP
    """

    def __init__(
        self,
        design: Design | None = None,
        *,
        lr: str = LR,
        weight_decay: str = WEIGHT_DECAY,
        seed: str = SEED,
    ) -> None:
        self.design = design or Design()
        self._names = {lr: LR, weight_decay: WEIGHT_DECAY, seed: SEED}
        self._ranges: dict[str, BaseDistribution] = {}
        self._placed: dict[int, TrialParams] = {}
        self._random = RandomSampler(0)

    def reseed_rng(self) -> None:
        """Only what is drawn at random has a seed."""
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """None: a place is chosen when the first of its parameters is suggested."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, for there is no relative search space."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: BaseDistribution
    ) -> Any:
        """The trial's place; of another parameter, a random value."""
        name = self._names.get(param_name)
        if name is None:
            return self._random.sample_independent(study, trial, param_name, distribution)
        if not isinstance(distribution, FloatDistribution | IntDistribution):
            raise SpecError(f"LandscapeSampler: {param_name} is {distribution}; suggest a float")
        self._ranges[name] = distribution
        if trial.number not in self._placed:
            self._placed[trial.number] = self._place(study, trial)
        value = getattr(self._placed[trial.number], name)
        value += distribution.low if name == SEED else 0  # replicas are numbered from 0 on
        return type(distribution.low)(min(max(value, distribution.low), distribution.high))

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """End `study.optimize` when the design has its answers."""
        self._placed.pop(trial.number, None)
        outcomes = self._outcomes(study, but=trial.number)
        outcomes.append(self._outcome(trial, state, values, self._replica(study, trial)))
        if isinstance(self._next(study, outcomes), Stop):
            try:
                study.stop()
            except RuntimeError:  # of ask and tell: whoever asks decides
                return

    def stopped(self, study: Study) -> Stop | None:
        """Why the design places nothing more; None while it does."""
        found = self._next(study, self._outcomes(study))
        return found if isinstance(found, Stop) else None

    def _place(self, study: Study, trial: FrozenTrial) -> TrialParams:
        outcomes = self._outcomes(study, but=trial.number)
        found = self._next(study, outcomes)
        if found is None:  # it would wait, which a sampler can't: as if what runs came to nothing
            told = [replace(o, pending=False, failed=o.pending or o.failed) for o in outcomes]
            found = self._next(study, told)
        if isinstance(found, Batch):
            for key, text in ((STAGE, found.stage), (REASON, found.why)):
                storage_of(study).set_trial_user_attr(id_of_trial(trial), key, text)
            return found.cells[0]
        return self._again(study, outcomes)

    def _again(self, study: Study, outcomes: Sequence[Outcome]) -> TrialParams:
        """Another seed of the best place: of use, whatever is asked."""
        sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
        done = [o for o in outcomes if math.isfinite(o.value)]
        if not done:
            return TrialParams(math.sqrt(self._design.lr[0] * self._design.lr[1]), 0.0)
        best = min(done, key=lambda o: sign * o.value).params
        seeds = [o.params.seed for o in outcomes if o.params.cell == best.cell]
        return replace(best, seed=max(seeds) + 1)

    def _next(self, study: Study, outcomes: Sequence[Outcome]) -> Batch | Stop | None:
        self._learn_ranges(study)
        minimize = study.direction == StudyDirection.MINIMIZE
        found = next_batch(outcomes, self._design, size=1, minimize=minimize, scouts=False)
        axis = self._ranges.get(SEED)
        if isinstance(found, Batch) and isinstance(axis, FloatDistribution | IntDistribution):
            seeds = int(axis.high - axis.low) + 1
            if found.cells[0].seed >= seeds:
                return Stop("hopeless", f"{found.why}: that takes more seeds than the {seeds} that "
                                        "the study suggests")  # fmt: skip
        return found

    def _learn_ranges(self, study: Study) -> None:
        """The ranges of trials that were there before this sampler, as after a kill."""
        if all(name in self._ranges for name in (LR, WEIGHT_DECAY)):
            return
        for trial in reversed(study.get_trials(deepcopy=False)):
            for name, axis in trial.distributions.items():
                if name in self._names:
                    self._ranges.setdefault(self._names[name], axis)

    @property
    def _design(self) -> Design:
        """The design within the ranges that were suggested so far."""
        ends = {LR: self.design.lr, WEIGHT_DECAY: self.design.weight_decay}
        for name in ends:
            axis = self._ranges.get(name)
            if isinstance(axis, FloatDistribution | IntDistribution):
                ends[name] = float(axis.low), float(axis.high)
        low, high = ends[WEIGHT_DECAY]
        low = max(low, min(self.design.weight_decay[0], high / 10))
        return replace(self.design, lr=ends[LR], weight_decay=(low, high))

    def _outcomes(self, study: Study, but: int = -1) -> list[Outcome]:
        seen: Counter[tuple[float, float]] = Counter()
        found = []
        for trial in study.get_trials(deepcopy=False):
            params = self._params(trial)
            if params is None or trial.number == but:
                continue
            outcome = self._outcome(trial, trial.state, trial.values, seen[params.cell])
            seen[params.cell] += 1
            found.append(outcome)
        return found

    def _outcome(
        self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None, replica: int
    ) -> Outcome:
        params = self._params(trial) or TrialParams(self._design.lr[0], 0.0)
        if not any(self._names.get(name) == SEED for name in trial.params):
            params = replace(params, seed=replica)
        pending = not state.is_finished()
        value = values[0] if values and state == TrialState.COMPLETE else math.nan
        lost = not pending and not math.isfinite(value)
        return Outcome(params, math.nan if lost else value, lost, pending)

    def _replica(self, study: Study, trial: FrozenTrial) -> int:
        """How many trials stand at the place of one already."""
        mine = self._params(trial)
        others = (
            self._params(t) for t in study.get_trials(deepcopy=False) if t.number != trial.number
        )
        return sum(p is not None and mine is not None and p.cell == mine.cell for p in others)

    def _params(self, trial: FrozenTrial) -> TrialParams | None:
        """A trial's place, as the design has it: where there is no 0, the least stands for it."""
        values = {self._names[n]: v for n, v in trial.params.items() if n in self._names}
        if LR not in values or WEIGHT_DECAY not in values:
            return None
        axes = {self._names[n]: a for n, a in trial.distributions.items() if n in self._names}
        decay, axis = values[WEIGHT_DECAY], axes[WEIGHT_DECAY]
        if isinstance(axis, FloatDistribution) and axis.low > 0 and decay <= axis.low * 1.001:
            decay = 0.0
        seed = values[SEED] - getattr(axes[SEED], "low", 0) if SEED in values else 0
        return TrialParams(values[LR], decay, int(seed))
