"""Numbers and counts in the words of sentences, tables and ticks."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"


def number(value: float) -> str:
    """A number as one would type it: 5e-4, 0.1, 0.071, 30."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return str(value)
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    digits, power = f"{value:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def signed(value: float) -> str:
    """A slope with its sign and two places."""
    return f"{value:+.2f}".replace("-", MINUS) if round(value, 2) else "0.00"


def counted(n: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
