"""Terms of a polynomial about its bottom, in any number of axes, and their derivatives."""

from __future__ import annotations

import itertools

import numpy as np

from wdstudy.analysis.numbers.estimate import Array

Powers = tuple[tuple[int, ...], ...]
"""The exponents of each term, one an axis."""


def powers_up_to(degree: int, axes: int) -> Powers:
    """Exponents of the terms of degree 2 up to this one."""
    every = itertools.product(range(degree + 1), repeat=axes)
    return tuple(power for power in every if 2 <= sum(power) <= degree)


def monomials(offset: Array, powers: Powers) -> Array:
    """The terms at places `[n, d]`, `[n, T]`."""
    return np.stack([np.prod(offset ** np.array(power), axis=1) for power in powers], axis=1)


def derivative(offset: Array, powers: Powers, axis: int) -> Array:
    """Their derivatives along an axis, `[n, T]`."""
    terms = []
    for power in powers:
        lower = np.array(power)
        lower[axis] = max(lower[axis] - 1, 0)
        terms.append(power[axis] * np.prod(offset**lower, axis=1))
    return np.stack(terms, axis=1)


def hessian(shape: Array, powers: Powers) -> Array:
    """The second derivatives at the bottom `[d, d]`."""
    axes = len(powers[0])
    bend = np.zeros((axes, axes))
    for coefficient, power in zip(shape, powers, strict=True):
        if sum(power) != 2:
            continue
        one, other = (axis for axis in range(axes) for _ in range(power[axis]))
        bend[one, other] += coefficient
        bend[other, one] += coefficient
    return bend
