"""Numbers, counts and commands in the words of sentences, tables and ticks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"


def printable(text: str) -> str:
    r"""The text with control characters, line ends and bytes of no letter spelled out.

    Names, paths and attributes may hold what moves a terminal's cursor.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii")
        for c in text
    )


def encodable(text: str) -> str:
    r"""The text with halves of letters spelled out, which no file of UTF-8 can hold.

    >>> encodable("a\ud800b✓")
    'a\\ud800b✓'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def command(arguments: Iterable[str]) -> str:
    """A command line of ours as it can be typed into a shell.

    >>> command(["list", "--storage", "journal:///a b.journal"])
    "python -m wdstudy list --storage 'journal:///a b.journal'"
    """
    return " ".join(["python -m wdstudy", *map(quoted, arguments)])


def quoted(item: str) -> str:
    """One word for a shell; what would move the cursor, or is no letter, as bash spells bytes."""
    if item.isprintable():
        return shlex.quote(item)
    spelled = (
        c if c.isprintable() and c not in "'\\"
        else "".join(f"\\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape"))
        for c in item
    )  # fmt: skip
    return f"$'{''.join(spelled)}'"


def abridged(text: str, most: int) -> str:
    """A long text without its middle."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - most // 2 :]}"


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


def lasting(seconds: float) -> str:
    """A duration in its largest sensible unit: `40 s`, `5 min`, `3.5 h`, `12 days`.

    >>> lasting(200)
    '3 min'
    """
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.{int(seconds < 10 * size and unit == 'h')}f} {unit}"
    return f"{max(1.0, seconds):.0f} s"


def briefly(seconds: float) -> str:
    """A duration that may be short: `40 ms`, `1.3 s`, `40 s`, `5 min`.

    >>> briefly(0.04)
    '40 ms'
    """
    if seconds < 1:
        return f"{max(1.0, 1000 * seconds):.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else lasting(seconds)


def sized(n: float) -> str:
    """A number of bytes: `12 kB`, `3.4 MB`.

    >>> sized(3.4e6)
    '3.4 MB'
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n >= size:
            return f"{n / size:,.1f} {unit}"
    return f"{n / 1e3:.0f} kB"


def counted(n: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
