"""Where else the numbers of a training go. A tracker needs one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Tracker(Protocol):
    """Receives every record point of one training."""

    def log(self, point: Mapping[str, float]) -> None:
        """Take one record point: series name → value, `step` among them."""
        ...
