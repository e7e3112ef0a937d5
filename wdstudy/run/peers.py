"""Trials of one value of a scale among themselves: what samplers and pruners may compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from wdstudy.run.cells import scale_of


class View:
    """A study some of whose trials are seen, in some form; everything else is the study's own."""

    def __init__(
        self, study: Study, seen: Callable[[list[FrozenTrial]], list[FrozenTrial]]
    ) -> None:
        self._study = study
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All that are seen."""
        return self.get_trials()

    def get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        """Those that are seen, of these states."""
        return self._seen(self._study.get_trials(*args, **kwargs))

    # Optuna's samplers read trials through this method of Study, private as it is. Where they
    # read by another way they would see weight_decay on its linear axis, and a test would fail.
    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return self._seen(self._study._get_trials(*args, **kwargs))


class SamplerOfValues(BaseSampler):
    """One sampler for each value of a scale: what is good at one is not at another.

    Which value a trial has is said before it is asked for, as for a trial that is enqueued.
    """

    def __init__(self, each: Mapping[float, BaseSampler]) -> None:
        self._each = each

    def reseed_rng(self) -> None:
        """As the samplers do."""
        for sampler in self._each.values():
            sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the sampler of the trial's value."""
        return self._of(trial).infer_relative_search_space(alike(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler of the trial's value, by the trials of that value."""
        return self._of(trial).sample_relative(alike(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: BaseDistribution
    ) -> Any:
        """As the sampler of the trial's value, by the trials of that value."""
        own = alike(study, trial)
        return self._of(trial).sample_independent(own, trial, param_name, distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the sampler of the trial's value."""
        self._of(trial).before_trial(alike(study, trial), trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the sampler of the trial's value."""
        self._of(trial).after_trial(alike(study, trial), trial, state, values)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        at = scale_of(trial)
        first = next(iter(self._each.values()))  # of a trial that a larger scale left behind
        return self._each.get(at[0], first) if at else first


class PrunerOfValues(BasePruner):
    """A pruner that compares a trial with others of its value of a scale alone."""

    def __init__(self, pruner: BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """As the pruner does, in a study of the trials of this value."""
        return self._pruner.prune(alike(study, trial), trial)


def alike(study: Study, trial: FrozenTrial) -> Study:
    """The study with the trials of one value of its scale alone."""
    at = scale_of(trial)
    return cast(Study, View(study, lambda trials: [t for t in trials if scale_of(t) == at]))
