"""How long weights remember, and where they settle: formulas of numbers, with their sources.

All take PyTorch's weight_decay, where a step shrinks the weights by 1 - lr · weight_decay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


def total_decay(lrs: Iterable[float], weight_decay: float) -> float:
    """Σ lr · weight_decay over the steps of a run, `lrs` the scheduled lr of each; no unit."""
    return math.fsum(lrs) * weight_decay


def memory_left(total: float) -> float:
    """exp(-Σ lr · weight_decay): the share of the initial weights left at the end of a run."""
    return math.exp(-total)


def timescale_steps(lr: float, weight_decay: float) -> float:
    """1 / (lr · weight_decay) in steps: how far back the weights average their updates.

    Wang & Aitchison 2024, "How to set AdamW's weight decay as you scale model and dataset size".
    Infinite without weight_decay.
    """
    product = lr * weight_decay
    return 1 / product if product > 0 else math.inf


def timescale_epochs(lr: float, weight_decay: float, steps_per_epoch: float) -> float:
    """The same in epochs; useful values lie between about one epoch and the whole run."""
    return timescale_steps(lr, weight_decay) / steps_per_epoch


def equilibrium_angle_adamw(lr: float, weight_decay: float, beta1: float = 0.9) -> float:
    """Angular update of a step, in radians, of scale-invariant weights at rest under AdamW.

    √(2 · lr · weight_decay · (1 - β₁) / (1 + β₁)); Kosson, Messmer & Jaggi 2024, "Rotational
    equilibrium: how weight decay balances learning across neural networks".
    """
    return math.sqrt(2 * lr * weight_decay * (1 - beta1) / (1 + beta1))


def equilibrium_angle_sgd(lr: float, weight_decay: float, momentum: float = 0.0) -> float:
    """The same under SGD: √(2 · lr · weight_decay / (1 + momentum)); Kosson et al. 2024."""
    return math.sqrt(2 * lr * weight_decay / (1 + momentum))


def equilibrium_rms_adamw(lr: float, weight_decay: float) -> float:
    """Root mean square of scale-invariant weights at rest under AdamW; Kosson et al. 2024.

    √(lr / (2 · weight_decay)); infinite without weight_decay.
    """
    return math.sqrt(lr / (2 * weight_decay)) if weight_decay > 0 else math.inf
