"""Metrics of a task: means over batches, or one number of all examples together.

The mean of a batch's accuracies is the accuracy. The mean of a batch's F1 scores is no F1 score:
such a metric needs all outputs at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

BatchFunction = Callable[[Any, Any], Any]
"""`(output, y) -> 0-d mean` over a batch: a loss or a metric."""

WholeFunction = Callable[[Tensor, Any], Any]
"""`(output, y) -> number` of all validation examples: `output` is `[N, ...]`, `y` too."""


@runtime_checkable
class Accumulates(Protocol):
    """An object that takes batches and computes at the end, as those of torchmetrics do."""

    def update(self, output: Any, y: Any) -> Any:
        """Take a batch."""
        ...

    def compute(self) -> Any:
        """The number of all that was taken."""
        ...

    def reset(self) -> Any:
        """Forget what was taken."""
        ...


@dataclass(frozen=True)
class Metric:
    """A metric, where a plain function would not say enough.

    Args:
        function: `(output, y) -> number`.
        whole: It is given all validation examples at once, and not batch by batch.
    """

    function: Callable[[Any, Any], Any]
    whole: bool = False


def split(metrics: Mapping[str, Any]) -> tuple[dict[str, BatchFunction], dict[str, WholeFunction]]:
    """The metrics whose batches are averaged, and those of all examples together."""
    batch: dict[str, BatchFunction] = {}
    whole: dict[str, WholeFunction] = {}
    for name, metric in metrics.items():
        if isinstance(metric, Metric):
            (whole if metric.whole else batch)[name] = metric.function
        elif isinstance(metric, Accumulates):
            whole[name] = _computed_by(metric)
        else:
            batch[name] = metric
    return batch, whole


def _computed_by(metric: Accumulates) -> WholeFunction:
    def compute(output: Tensor, y: Any) -> Any:
        metric.reset()
        metric.update(output, y)
        found = metric.compute()
        metric.reset()
        return found

    return compute
