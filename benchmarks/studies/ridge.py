"""Ridge regression with more weights than examples, trained by AdamW (after Schaipp 2024).

The setting of https://fabian-sp.github.io/posts/2024/02/decoupling/: 200 examples in 1,000
dimensions, batches of 20, 50 epochs, 5 seeds. Nearly all of a step is overhead, not arithmetic.
"""

from functools import partial

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range

Halves = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def noisy_line(n: int, d: int) -> Halves:
    """Targets of unit size that are linear in x, and noise; half of them to validate on."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * n, d, generator=generator) / d**0.5
    noise = torch.randn(2 * n, 1, generator=generator)
    y = x @ torch.randn(d, 1, generator=generator) + 0.3 * noise
    return (x[:n], y[:n]), (x[n:], y[n:])


def study(
    n: int = 200, d: int = 1000, epochs: int = 50, side: int = 10, seeds: int = 5
) -> StudySpec:
    return StudySpec(
        name="ridge",
        task=Task(
            model=partial(nn.Linear, d, 1, bias=False),
            data=partial(noisy_line, n, d),
            loss=nn.functional.mse_loss,
        ),
        space=SearchSpace(
            lr=log_range(1e-3, 1e-1, side), weight_decay=log_range(1e-3, 1, side), seeds=seeds
        ),
        optimizer="adamw",
        epochs=epochs,
        batch_size=20,
    )
