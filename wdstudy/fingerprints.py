"""Whether two fingerprints, as `training.fingerprint` takes them, are of the same training.

They stand in a study's record, so that a study goes on with what it was recorded with only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_NEAR = 1e-3
_NEAR_LOSS = {"float32": 2e-3, "bfloat16": 5e-2}
"""How near two sketches of one thing are, whatever rounds: relative, and losses by precision."""

FINGERPRINT = {
    "model": "the model's layers, as it prints them",
    "weights": "the initial weights",
    "data": "the data (is what is random in it seeded?)",
    "augmented": "what augment makes of it",
    "losses": "the losses of the first steps",
    "metrics": "the metrics of the first validation batch",
    "source": "the code of the loop",
}
"""The parts of a fingerprint, in words."""


def parts_changed(
    recorded: Mapping[str, Any], now: Mapping[str, Any], precision: str | None = None
) -> list[str]:
    """The parts of `FINGERPRINT` in which two fingerprints differ.

    Losses are compared on one kind of device only; the code of a file only where nothing else
    tells what it trains. A part that one of them lacks is no difference.
    """
    parts = {part for part in FINGERPRINT if part in recorded and part in now}
    if now.keys() != {"source"}:
        parts.discard("source")
    if not recorded.get("source") or not now.get("source"):
        parts.discard("source")  # of a spec that came from no file
    if recorded.get("device") != now.get("device"):
        parts -= {"losses", "metrics"}
    near = dict.fromkeys(("losses", "metrics"), _NEAR_LOSS.get(precision or "", _NEAR))
    return [
        part
        for part in FINGERPRINT
        if part in parts and not _alike(recorded[part], now[part], near.get(part, _NEAR))
    ]


def _alike(a: Any, b: Any, near: float) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_alike(x, y, near) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, int | float) and isinstance(b, int | float)
        return numbers and math.isclose(a, b, rel_tol=near, abs_tol=near)
    return bool(a == b)
