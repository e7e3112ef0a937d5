"""The space as Optuna has it, and the samplers and pruners that a name stands for."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, BruteForceSampler, GridSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from wdstudy.errors import MissingPackageError, SpecError, nearest
from wdstudy.record import GRID, NOT_ADAPTIVE
from wdstudy.run.peers import PrunerOfValues, SamplerOfValues, View
from wdstudy.scale import Scale, exact
from wdstudy.space import LR, SEED, WEIGHT_DECAY, SearchSpace, TrialParams

_SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "tpe": ("TPESampler", {"constant_liar": True}),  # several lanes or workers ask at once
    "qmc": ("QMCSampler", {"scramble": True}),
    "random": ("RandomSampler", {}),
    "gp": ("GPSampler", {}),
    "cmaes": ("CmaEsSampler", {}),
}
_NEEDS = {"cmaes": "cmaes"}

MOST_SEED = 999
"""The last seed that a design may ask for."""


def suggest(trial: optuna.Trial, space: SearchSpace, *, designed: bool = False) -> TrialParams:
    """The parameters of a trial: those it was enqueued with, else the sampler's.

    A design asks for a seed more where it needs one, so its seeds are a wide range.

    The distributions are chosen so that the space can grow later and hold a 0: categorical
    ones never change again, and logarithmic ones have no 0. So lr is logarithmic, and
    weight_decay is linear from 0, whatever it holds today; `LogDecaySampler` shows it to
    samplers on a logarithmic scale. A scale has more room than its values, for those to come.
    """
    at: tuple[float, str] | tuple[()] = ()
    if space.scale is not None:
        at = exact(trial.suggest_float(space.scale.name, **_room(space.scale))), space.scale.name
        space = space.at(at[0])
    lr = trial.suggest_float(LR, space.lr[0], space.lr[-1], log=True)
    weight_decay = trial.suggest_float(WEIGHT_DECAY, 0.0, space.weight_decay[-1])
    seeds = (0, MOST_SEED) if designed else space.seed_list
    if len(seeds) == 1:
        return TrialParams(lr, weight_decay, seeds[0], *at)
    return TrialParams(lr, weight_decay, trial.suggest_int(SEED, min(seeds), max(seeds)), *at)


def _room(scale: Scale) -> dict[str, Any]:
    """The axis of a scale in Optuna: whole decades, by its logarithm where all values have one."""
    decades = [math.log10(value) for value in scale.values if value > 0]
    low, high = 10.0 ** math.floor(min(decades)), 10.0 ** math.ceil(max(decades))
    return {"low": low if scale.logarithmic else 0.0, "high": high, "log": scale.logarithmic}


def resolve_sampler(choice: str | BaseSampler, space: SearchSpace, seed: int) -> BaseSampler:
    """The sampler of this name, or the object itself, searching weight_decay by its logarithm.

    Raises:
        SpecError: the name is unknown.
        MissingPackageError: the sampler needs a package that is not installed.
    """
    if choice == GRID:
        return RandomSampler(seed)  # never asked: every cell of a grid is enqueued by its values
    if space.scale is not None:
        return _sampler_of_values(choice, space, seed)
    if isinstance(choice, BruteForceSampler | GridSampler):
        raise SpecError(
            f"the sampler {type(choice).__name__} walks a grid of its own, and the axes of a study "
            "are continuous; use sampler='grid'"
        )
    if isinstance(choice, BaseSampler):
        return LogDecaySampler(choice, space)
    if choice not in _SAMPLERS:
        raise SpecError(f"unknown sampler '{choice}'; {nearest(str(choice), [GRID, *_SAMPLERS])}")
    class_name, options = _SAMPLERS[choice]
    if choice in _NEEDS and find_spec(_NEEDS[choice]) is None:  # Optuna finds it out mid-study
        raise MissingPackageError(f"the sampler '{choice}'", "samplers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # chosen by name, knowingly
        try:
            sampler = getattr(optuna.samplers, class_name)(seed=seed, **options)
        except ImportError as error:
            raise MissingPackageError(f"the sampler '{choice}'", "samplers") from error
    return LogDecaySampler(sampler, space)


def _sampler_of_values(choice: str | BaseSampler, space: SearchSpace, seed: int) -> BaseSampler:
    """A sampler for each value of a scale, which learns from the trials of its own value alone."""
    each: dict[float, BaseSampler] = {}
    for number, value in enumerate(space.scale.values if space.scale is not None else ()):
        own = choice if isinstance(choice, str) else copy.deepcopy(choice)
        if isinstance(own, BaseSampler):
            own.reseed_rng()  # or all values would be given the same places
        each[value] = resolve_sampler(own, space.at(value), seed + number)
    return SamplerOfValues(each)


def is_adaptive(choice: str | BaseSampler) -> bool:
    """Whether a sampler looks at results; a class that is not Optuna's own is taken to."""
    if isinstance(choice, str):
        return choice not in NOT_ADAPTIVE
    kind = type(choice)
    return not (kind.__module__.startswith("optuna.") and kind.__name__ in NOT_ADAPTIVE)


def resolve_pruner(choice: str | BasePruner | None, *, scaled: bool = False) -> BasePruner:
    """The pruner of this name (`median` for `MedianPruner`), or the object itself.

    `scaled`: of a study along a scale, whose trials it compares at one value only.

    Raises:
        SpecError: the name is unknown, or the pruner needs arguments.
    """
    if choice is None:
        return NopPruner()
    if scaled:
        return PrunerOfValues(resolve_pruner(choice))
    if isinstance(choice, BasePruner):
        return choice
    known = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Pruner")).lower(): name
        for name in optuna.pruners.__all__
        if name not in ("BasePruner", "NopPruner")
    }
    if choice not in known:
        raise SpecError(f"unknown pruner '{choice}'; {nearest(str(choice), known)}")
    try:
        return cast(BasePruner, getattr(optuna.pruners, known[choice])())
    except TypeError as error:
        raise SpecError(
            f"the pruner '{choice}' needs arguments ({error}); "
            f"give the object: pruner=optuna.pruners.{known[choice]}(...)"
        ) from error


class LogDecaySampler(BaseSampler):
    """Lets a sampler search `weight_decay` by its logarithm, though the study's axis holds 0.

    The sampler sees the study's trials as if weight_decay had a logarithmic distribution;
    trials of the baseline at 0, and the parameter `seed`, it does not see at all.
    """

    def __init__(self, sampler: BaseSampler, space: SearchSpace) -> None:
        self._sampler = sampler
        self._seed = space.seed_list[0]
        positive = [value for value in space.weight_decay if value > 0]
        if not positive:
            raise SpecError(
                "weight_decay holds only 0, so there is nothing for a sampler to search"
            )
        self._decay_axis = FloatDistribution(positive[0], positive[-1], log=True)
        self._space: dict[str, BaseDistribution] = {
            LR: FloatDistribution(space.lr[0], space.lr[-1], log=True),
            WEIGHT_DECAY: self._decay_axis,
        }

    def reseed_rng(self) -> None:
        """As the sampler does."""
        self._sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Both axes as the study has them, from the first trial on."""
        self._sampler.infer_relative_search_space(self._view(study), trial)  # some keep it
        linear = FloatDistribution(0.0, self._decay_axis.high)
        return {LR: self._space[LR], WEIGHT_DECAY: linear}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does, on the logarithmic view of the study."""
        space = {name: axis for name, axis in self._space.items() if not axis.single()}
        return self._sampler.sample_relative(self._view(study), trial, space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, distribution: BaseDistribution
    ) -> Any:
        """As the sampler does, on the logarithmic view of the study.

        A seed is never searched for: a sampled trial has the first, its replicas the others.
        """
        if param_name == SEED:
            return self._seed
        axis = self._space.get(param_name, distribution)
        return self._sampler.sample_independent(self._view(study), trial, param_name, axis)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the sampler does."""
        self._sampler.before_trial(self._view(study), trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the sampler does."""
        self._sampler.after_trial(self._view(study), trial, state, values)

    def _view(self, study: Study) -> Study:
        return cast(Study, View(study, self._seen))

    def _seen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        seen = []
        for trial in trials:
            if trial.params.get(WEIGHT_DECAY) == 0:
                continue
            trial = copy.copy(trial)
            trial.params = {k: v for k, v in trial.params.items() if k in self._space}
            trial.distributions = {k: self._space[k] for k in trial.params}
            seen.append(trial)
        return seen
