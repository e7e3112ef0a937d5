"""Random states that one training has to itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


class RandomStream:
    """The global random state of one training, apart from everybody else's.

    `with stream:` swaps it in, and keeps what was drawn from it for the next time.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        outer = self._states()
        torch.manual_seed(seed)
        self._own = self._states()
        self._restore(outer)

    def __enter__(self) -> None:
        self._outer = self._states()
        self._restore(self._own)

    def __exit__(self, *error: object) -> None:
        self._own = self._states()
        self._restore(self._outer)

    def _states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        elif self._device.type == "mps":
            states.append(torch.mps.get_rng_state())
        return states

    def _restore(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states[1], self._device)
        elif self._device.type == "mps":
            torch.mps.set_rng_state(states[1])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everybody's random states, torch's, numpy's and Python's, begun anew and handed back."""
    numpys, pythons = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpys)
            random.setstate(pythons)
