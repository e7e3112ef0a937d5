"""An optimizer of its own for every lane, and the probe that finds out who needs one.

Lanes are groups of one optimizer, which is right as long as its `step` treats every group by
itself. PyTorch's own classes do. A class that clips all gradients together, or learns one scale for
all of them, would mix the trials of a stack without a word; so such classes are tried first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from wdstudy.errors import OptimizerError
from wdstudy.space import TrialParams
from wdstudy.study.optimizers import NamedParameters, build_optimizer
from wdstudy.study.spec import StudySpec

LaneMode = Literal["together", "apart", "alone"]
"""How lanes may train: as groups of one optimizer, with an optimizer each, or not as lanes."""

_STEPS = 4
_RTOL = 1e-8  # in double precision, after a few steps; mixing shows in the first digits
_MOST = 200_000
"""Weights of a lane in the probe: of larger models it takes the smallest tensors of each rank."""

_PROBED = ((1.0, 1.0), (0.1, 0.0), (0.5, 3.0))
"""Shares of the largest lr and weight_decay that the lanes of the probe have."""

_SCALES = (1.0, 1e-3, 30.0)  # of their gradients: a common norm is then nobody's own


class OptimizersApart:
    """Optimizers, one a lane, that step together and show their groups as one optimizer does."""

    def __init__(self, optimizers: Iterable[Optimizer]) -> None:
        self._each = list(optimizers)
        self.param_groups = [group for each in self._each for group in each.param_groups]

    def step(self) -> None:
        """Step every lane."""
        for optimizer in self._each:
            optimizer.step()

    def of_lane(self, lane: int) -> Optimizer:
        """The optimizer of one lane."""
        return self._each[lane]

    def keep(self, lanes: Sequence[int]) -> None:
        """Go on with these lanes only."""
        self._each = [self._each[lane] for lane in lanes]


LaneOptimizer = Optimizer | OptimizersApart


def build_for_lanes(
    spec: StudySpec,
    lanes: Sequence[NamedParameters],
    params: Sequence[TrialParams],
    *,
    apart: bool,
) -> LaneOptimizer:
    """One optimizer with the groups of all lanes, or an optimizer each.

    Args:
        spec: What is trained.
        lanes: The named parameters of each lane.
        params: The lanes' lr and weight_decay.
        apart: Whether each lane has its own.

    Raises:
        OptimizerError: the optimizer refuses these parameters or options.
    """

    def build(named: Sequence[NamedParameters], of: Sequence[TrialParams]) -> Optimizer:
        independent = spec.decay == "independent"
        return build_optimizer(
            spec.optimizer, named, of, independent=independent, no_decay=spec.no_decay
        )

    if not apart:
        return build(lanes, params)
    each = zip(lanes, params, strict=True)
    return OptimizersApart(build([named], [of]) for named, of in each)


def is_torchs_own(optimizer: Optimizer) -> bool:
    """Whether this is a class of torch.optim as PyTorch wrote it: nobody hooked into its step."""
    kind = type(optimizer)
    # The hooks are PyTorch's own attributes, private as they are: `register_step_pre_hook` fills
    # them and nothing tells them. Were they renamed, an optimizer with hooks would pass for plain.
    hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    return getattr(torch.optim, kind.__name__, None) is kind and not (
        hooked or "step" in vars(optimizer)
    )


def how_lanes_may_train(spec: StudySpec) -> LaneMode:
    """Whether a lane's update depends on its neighbours, by trying.

    A few steps of three unequal lanes, on the model's own shapes and with gradients of unequal
    size, are compared with the same steps of each lane alone: weights and state.

    Raises:
        Exception: whatever the optimizer raises over weights in double precision.
    """
    assert spec.task is not None
    with torch.random.fork_rng():
        named = [(n, p) for n, p in spec.task.model().named_parameters() if p.requires_grad]
        shapes = _probed_shapes(named)
        everyone = range(len(_PROBED))
        first, _ = _build_probe(spec, shapes, [0], apart=False)
        try:
            _build_probe(spec, shapes, everyone, apart=False)
        except OptimizerError:  # it can't keep the groups of several lanes apart
            mixes = True
        else:
            mixes = False
            if isinstance(first, Optimizer) and is_torchs_own(first):
                return "together"
        alone = [_trained(spec, shapes, [lane], apart=False)[0] for lane in everyone]
        if not mixes and _same(_trained(spec, shapes, everyone, apart=False), alone):
            return "together"
        return "apart" if _same(_trained(spec, shapes, everyone, apart=True), alone) else "alone"


def _probed_shapes(named: NamedParameters) -> list[tuple[str, torch.Size]]:
    """The model's parameters, or of a large model the smallest of each rank."""
    shapes = [(name, p.shape) for name, p in named]
    if sum(shape.numel() for _, shape in shapes) <= _MOST:
        return shapes
    smallest: dict[int, tuple[str, torch.Size]] = {}
    for name, shape in sorted(shapes, key=lambda item: item[1].numel()):
        smallest.setdefault(len(shape), (name, shape))
    return list(smallest.values())


def _build_probe(
    spec: StudySpec, shapes: list[tuple[str, torch.Size]], lanes: Sequence[int], *, apart: bool
) -> tuple[LaneOptimizer, list[list[tuple[str, nn.Parameter]]]]:
    generator = Generator().manual_seed(0)
    first = [torch.randn(shape, generator=generator, dtype=torch.float64) for _, shape in shapes]
    named = [
        [(name, nn.Parameter(w.clone())) for (name, _), w in zip(shapes, first, strict=True)]
        for _ in lanes
    ]
    most_lr, most_decay = max(spec.space.lr), max(spec.space.weight_decay)
    params = [
        TrialParams(most_lr * _PROBED[lane][0], most_decay * _PROBED[lane][1] / 3) for lane in lanes
    ]
    return build_for_lanes(spec, named, params, apart=apart), named


def _trained(
    spec: StudySpec, shapes: list[tuple[str, torch.Size]], lanes: Sequence[int], *, apart: bool
) -> list[list[Tensor]]:
    """Weights and state of each lane after a few steps."""
    optimizer, named = _build_probe(spec, shapes, lanes, apart=apart)
    torch.manual_seed(0)
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    for step in range(_STEPS):
        for lane, parameters in zip(lanes, named, strict=True):
            generator = Generator().manual_seed(100 * step + lane)
            for _, p in parameters:
                noise = torch.randn(p.shape, generator=generator, dtype=p.dtype)
                p.grad = _SCALES[lane] * noise
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak / (1 + step)
        optimizer.step()
    return [
        [p.detach() for _, p in parameters] + _state_of(optimizer, place, parameters)
        for place, parameters in enumerate(named)
    ]


def _state_of(
    optimizer: LaneOptimizer, place: int, parameters: list[tuple[str, nn.Parameter]]
) -> list[Tensor]:
    of = optimizer.of_lane(place) if isinstance(optimizer, OptimizersApart) else optimizer
    states: list[dict[str, Any]] = [of.state.get(p, {}) for _, p in parameters]
    return [
        torch.as_tensor(value, dtype=torch.float64)
        for state in states
        for _, value in sorted(state.items())
        if isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())
    ]


def _same(some: list[list[Tensor]], others: list[list[Tensor]]) -> bool:
    return all(
        len(a) == len(b)
        and all(
            x.shape == y.shape and torch.allclose(x, y, rtol=_RTOL, atol=1e-12, equal_nan=True)
            for x, y in zip(a, b, strict=True)
        )
        for a, b in zip(some, others, strict=True)
    )
