"""How an estimate reads in a sentence: its value, its interval, and no digit that is noise."""

from __future__ import annotations

import math
import re

from wdstudy.analysis.numbers.estimate import Estimate
from wdstudy.words import MINUS, number


def with_interval(loss: Estimate) -> str:
    """A value and its interval, in as many digits as tell the three apart."""
    if not math.isfinite(loss.high - loss.low):
        return number(loss.value)
    half = (loss.high - loss.low) / 2
    if half <= 1e-9 * (abs(loss.value) or 1.0):  # no noise at all
        return number(loss.value)
    # Two digits of the interval's half width: the third would be noise about noise.
    needed = math.ceil(math.log10(abs(loss.value) / half)) + 1 if half and loss.value else 3
    digits = max(3, min(9, needed))
    value, low, high = (
        f"{x:#.{digits}g}".rstrip(".") if 1e-3 <= abs(x) < 10**digits else number(x)
        for x in (loss.value, loss.low, loss.high)
    )
    return f"{value}, 95 % {low} … {high}"


def percent(share: float) -> str:
    """A share in whole percents, in tenths below a tenth."""
    text = f"{100 * share:.1f}" if abs(share) < 0.0995 else f"{100 * share:.0f}"
    text = "0" if float(text) == 0 else text
    return f"{text.removesuffix('.0')} %".replace("-", MINUS)


def shared(share: Estimate) -> str:
    """A share and its interval: `24 % (95 % 10 … 36 %)`."""
    if not (math.isfinite(share.low) and math.isfinite(share.high)):
        return percent(share.value)
    return f"{percent(share.value)} (95 % {percent(share.low)} … {percent(share.high)})"


def amount(share: Estimate, *, logarithmic: bool = True) -> str:
    """A cost as a percentage of the loss, or in its own units where that makes no sense."""
    if not share.known:
        return "an unknown amount"
    return shared(share) if logarithmic else str(share)


def at_least(width: Estimate) -> str:
    """A width that may go on beyond the range."""
    return ("at least " if width.reason.startswith("at least") else "") + f"{width.value:.1f}"


def spaced(text: str) -> str:
    """12% as 12 %, as in 95 %."""
    return re.sub(r"(?<=\d)%", " %", text)
