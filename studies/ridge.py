"""Does AdamW's best weight_decay move with lr? As PyTorch has it, and as the paper has it.

PyTorch shrinks the weights by lr · weight_decay a step, the AdamW paper (Loshchilov & Hutter 2019,
arXiv:1711.05101) by weight_decay alone; both times the schedule. The same weights are therefore
reached on other axes: slope(independent) = slope(PyTorch) + 1. After
Schaipp 2024, https://fabian-sp.github.io/posts/2024/02/decoupling/: ridge regression with more
weights than examples, for which weight decay matters. About two minutes on two cores.

    python -m wdstudy run studies/ridge.py
    python -m wdstudy report ridge ridge-independent ridge-sqrt ridge-sqrt-independent
"""

from functools import partial

import torch
from torch import Tensor, nn

from wdstudy import SearchSpace, StudySpec, Task, log_range

Halves = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def noisy_plane(n: int, d: int) -> Halves:
    """Targets that are linear in x, of unit size, and noise; half of the examples validate."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * n, d, generator=generator)
    noise = torch.randn(2 * n, 1, generator=generator)
    y = x @ torch.randn(d, 1, generator=generator) / d**0.5 + 0.3 * noise
    return (x[:n], y[:n]), (x[n:], y[n:])


def study(n: int = 200, d: int = 1000, epochs: int = 50, seeds: int = 5) -> list[StudySpec]:
    task = Task(
        model=partial(nn.Linear, d, 1, bias=False),
        data=partial(noisy_plane, n, d),
        loss=nn.functional.mse_loss,
    )
    spaces = {  # the steps of a run add up to 500 · lr, or to 44 · lr with the square root
        "": SearchSpace(log_range(1e-4, 1e-2, 9), log_range(0.1, 1e2, 10), seeds),
        "-independent": SearchSpace(log_range(1e-4, 1e-2, 9), log_range(1e-3, 1, 10), seeds),
        "-sqrt": SearchSpace(log_range(1e-3, 1e-1, 9), log_range(0.1, 1e2, 10), seeds),
        "-sqrt-independent": SearchSpace(
            log_range(1e-3, 1e-1, 9), log_range(1e-2, 2.15443, 8), seeds
        ),
    }
    return [
        StudySpec(
            name="ridge" + form,
            task=task,
            space=space,
            optimizer="adamw",
            decay="independent" if "independent" in form else "pytorch",
            schedule="inverse_sqrt" if "sqrt" in form else "constant",
            epochs=epochs,
            batch_size=20,
        )
        for form, space in spaces.items()
    ]
