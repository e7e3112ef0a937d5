"""What is asked of a scale: whether there is such a value, and whether it can be predicted at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from wdstudy.analysis.numbers.transferfindings import Place, Transfer
from wdstudy.errors import FlagError, StudyError, nearest
from wdstudy.words import number

EXAMPLE = "predict(study, batch_size=1024)"


def asked(value: Any, at: Mapping[str, Any]) -> tuple[str | None, float]:
    """The scale that is named, None where none is, and the value.

    Raises:
        StudyError: there is no value, or several, or it is no number above 0.
    """
    if len(at) + (value is not None) != 1:
        which = "no value is given" if not at else "values are given along several scales"
        raise StudyError(f"{which}; ask for one, as {EXAMPLE}")
    scale, wanted = next(iter(at.items())) if at else (None, value)
    known = isinstance(wanted, Real) and not isinstance(wanted, bool)
    if not (known and 0 < float(wanted) < math.inf):
        shown = f"{wanted:g}" if known else repr(wanted)
        raise StudyError(f"{scale or 'the value'}={shown}: give a number above 0")
    return scale, float(wanted)


def asked_on_line(text: str) -> tuple[str, float]:
    """The scale and the value, as they are written on the command line: `batch_size=1024`.

    Raises:
        FlagError: it is written in another way, or is no number above 0.
    """
    scale, is_, value = text.partition("=")
    if not (is_ and scale.strip() and value.strip()):
        raise FlagError(f"--at {text}: write NAME=VALUE, like batch_size=1024")
    try:
        wanted = float(value)
    except ValueError:
        wanted = math.nan
    if not 0 < wanted < math.inf:
        raise FlagError(f"--at {text}: give one number above 0")
    return scale.strip(), wanted


def check_scale(found: Transfer, scale: str | None) -> None:
    """Refuse to be asked about another scale.

    Raises:
        StudyError: it is another.
    """
    if scale is not None and scale != found.scale:
        raise StudyError(f"the sweep is not along '{scale}'; {nearest(scale, [found.scale])}")


def check_new(found: Transfer, value: float) -> None:
    """Refuse a value that was trained, and say what is best there.

    Raises:
        StudyError: it was trained.
    """
    for place in found.places:
        if math.isclose(place.value, value, rel_tol=1e-6):
            least, most = found.values[0], found.values[-1]
            raise StudyError(
                f"{found.scale}={number(value)} was trained, so nothing is to be predicted there: "
                f"{optimum(place)}; ask for a value between or beyond {number(least)} … "
                f"{number(most)}"
            )


def optimum(place: Place) -> str:
    """The best pair at a value that was trained, as the law of all values has it, else measured."""
    if not place.lr.known:
        pair = f"lr {number(place.best_lr)}, weight_decay {number(place.best_weight_decay)}"
        return f"the best pair that was measured is {pair}"
    text = f"its best lr is {place.lr}"
    return text + (f", weight_decay {place.weight_decay}" if place.weight_decay.known else "")
