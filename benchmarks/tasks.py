"""The three tasks that every benchmark trains, and which cells of them a short run takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wdstudy import SearchSpace, StudySpec
from wdstudy.study.file import load_specs

HERE = Path(__file__).parent
FILES = {
    "ridge": HERE / "studies" / "ridge.py",
    "mlp": HERE / "studies" / "mlp.py",
    "resnet": HERE / "studies" / "resnet_digits.py",
}


def load(name: str, settings: Mapping[str, str], epochs: int | None = None) -> StudySpec:
    """The spec of a task; `settings` are the keywords of its file that it knows."""
    (spec,) = load_specs(FILES[name], settings)
    return replace(spec, epochs=epochs) if epochs else spec


def some_cells(space: SearchSpace, trials: int) -> SearchSpace:
    """A coarse grid of about so many of the space's cells, of its first seed, ends included."""
    n_decay = max(1, min(len(space.weight_decay), round(trials**0.5)))
    n_lr = max(1, min(len(space.lr), trials // n_decay))
    return SearchSpace(
        lr=_spread(space.lr, n_lr),
        weight_decay=_spread(space.weight_decay, n_decay),
        seeds=space.seed_list[:1],
    )


def axis(values: Sequence[float]) -> str:
    """An axis as the command line reads it, every digit of it."""
    return ",".join(repr(value) for value in values)


def _spread(values: Sequence[float], n: int) -> list[float]:
    last = len(values) - 1
    return [values[round(i * last / max(n - 1, 1))] for i in range(n)]
