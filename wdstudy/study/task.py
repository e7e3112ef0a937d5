"""What is trained: a model, its data and its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Generator, Tensor, nn

from wdstudy.errors import SpecError
from wdstudy.study.metrics import Accumulates, BatchFunction, Metric

LossFunction = Callable[[Any, Any], Tensor]
"""`loss(output, y) -> 0-d tensor`, the mean over the batch."""


@dataclass(frozen=True)
class Task:
    """What is trained: a model, its data and its loss.

    Args:
        model: Builds a fresh model. The random state is seeded before it is called.
        data: Loads `(train, val)`. Each is a pair of tensors `(x, y)`, which are kept on the
            device, or a `Dataset`, or a `DataLoader`.
        loss: `loss(output, y)`, the mean over the batch as a 0-d tensor.
        metrics: Name → function of `(output, y)`, recorded as `val_<name>`: a mean over the batch;
            `Metric(function, whole=True)` is given all validation examples at once, as an F1
            score needs them, and so is an object with `update` and `compute` (torchmetrics).
        augment: `augment(x, generator)`: changes a training batch, on the device, drawing only
            from the generator.

    What a `Scale` makes by a function of its value (`Scale("width", …, model=…)`), a task need not
    have.
    """

    model: Callable[[], nn.Module] = None  # type: ignore[assignment]  # a scale may make it
    data: Callable[[], tuple[Any, Any]] = None  # type: ignore[assignment]
    loss: LossFunction = None  # type: ignore[assignment]
    metrics: Mapping[str, BatchFunction | Metric | Accumulates] = field(default_factory=dict)
    augment: Callable[[Tensor, Generator], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.model is not None and (
            isinstance(self.model, nn.Module) or not callable(self.model)
        ):
            name = type(self.model).__name__
            raise SpecError(
                f"model= is a {name}, and every trial needs a fresh one: give what builds it, "
                f"model={name} or model=lambda: {name}(…)"
            )
        for name in ("data", "loss", "augment"):
            part = getattr(self, name)
            if isinstance(part, type) and issubclass(part, nn.Module):
                kind = part.__name__
                raise SpecError(f"{name}={kind} is a class; give an object of it: {name}={kind}()")
            if not callable(part) and part is not None:
                raise SpecError(f"{name}={part!r} is no function, and is called to train")
        if not isinstance(self.metrics, Mapping) or not all(
            isinstance(name, str) for name in self.metrics
        ):
            raise SpecError(
                f"metrics={self.metrics!r}; give a dict of names and functions, "
                "metrics={'accuracy': accuracy}"
            )
