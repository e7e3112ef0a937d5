"""The formulas against runs of the recursions that they describe."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wdstudy.analysis.numbers.timescales import (
    equilibrium_angle_adamw,
    equilibrium_angle_sgd,
    equilibrium_rms_adamw,
    memory_left,
    timescale_epochs,
    timescale_steps,
    total_decay,
)


def test_memory_is_the_product_of_the_shrinkages() -> None:
    lrs = 1e-2 * np.cos(np.linspace(0, 1.5, 500))
    left = float(np.prod(1 - lrs * 0.05))
    assert memory_left(total_decay(lrs, 0.05)) == pytest.approx(left, rel=1e-3)


def test_timescale_is_the_mean_age_of_the_updates() -> None:
    lr, weight_decay = 0.1, 0.05
    weights = (1 - lr * weight_decay) ** np.arange(20_000)
    age = float(np.sum(weights * np.arange(20_000)) / np.sum(weights))
    assert timescale_steps(lr, weight_decay) == pytest.approx(age, rel=0.01)
    assert timescale_epochs(lr, weight_decay, 50) == pytest.approx(4.0)
    assert timescale_steps(lr, 0.0) == math.inf


def test_sgd_settles_at_the_predicted_angle() -> None:
    """Random gradients orthogonal to the weights, scaled by 1 / norm: scale invariance."""
    rng = np.random.default_rng(0)
    lr, weight_decay = 0.1, 0.02
    w = rng.standard_normal(500)
    angles = []
    for step in range(6000):
        gradient = rng.standard_normal(500)
        gradient -= w * (gradient @ w) / (w @ w)
        new = w * (1 - lr * weight_decay) - lr * gradient / np.linalg.norm(w)
        if step > 4000:
            cosine = new @ w / np.linalg.norm(new) / np.linalg.norm(w)
            angles.append(math.acos(min(cosine, 1.0)))
        w = new
    predicted = equilibrium_angle_sgd(lr, weight_decay)
    assert float(np.mean(angles)) == pytest.approx(predicted, rel=0.05)
    assert equilibrium_angle_sgd(lr, weight_decay, 0.9) == pytest.approx(predicted / math.sqrt(1.9))


def test_unit_updates_settle_at_the_predicted_size() -> None:
    """AdamW's normalised update has an RMS of 1 for random gradients without momentum."""
    rng = np.random.default_rng(0)
    lr, weight_decay = 0.02, 0.5
    w = rng.standard_normal(2000)
    for _ in range(1500):
        before, w = w, w * (1 - lr * weight_decay) - lr * np.sign(rng.standard_normal(2000))
    assert float(np.sqrt(np.mean(w**2))) == pytest.approx(
        equilibrium_rms_adamw(lr, weight_decay), rel=0.05
    )
    angle = math.acos(before @ w / np.linalg.norm(before) / np.linalg.norm(w))
    assert angle == pytest.approx(equilibrium_angle_adamw(lr, weight_decay, beta1=0.0), rel=0.05)
    assert equilibrium_rms_adamw(lr, 0.0) == math.inf
