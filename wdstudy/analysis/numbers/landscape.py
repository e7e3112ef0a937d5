"""What a sweep says about lr and weight_decay: all its numbers, and sentences that carry them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.frames.given import low_is_good, named
from wdstudy.analysis.numbers.best import baseline_gap, best_cell, diverged_share
from wdstudy.analysis.numbers.cells import Cells, Noise, measured
from wdstudy.analysis.numbers.edges import edges, stable_lr, suggest_range
from wdstudy.analysis.numbers.estimate import Estimate, cannot_say
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.frontier import Frontier, frontier
from wdstudy.analysis.numbers.lines import (
    ApartCost,
    ValleyWidth,
    apart_cost,
    sensitivity,
    valley_width,
)
from wdstudy.analysis.numbers.ridge import fit_ridge
from wdstudy.analysis.numbers.separability import product, separability
from wdstudy.analysis.numbers.surface import Surface, surface
from wdstudy.analysis.numbers.verdict import sentences
from wdstudy.curves import FINAL_PREFIX, series_named
from wdstudy.record import StudyRecord
from wdstudy.space import LR, WEIGHT_DECAY


def landscape(
    trials: pd.DataFrame,
    value: str = "value",
    *,
    name: str | None = None,
    minimize: bool | None = None,
    adaptive: bool = False,
    seed: int = 0,
    lr: str = LR,
    weight_decay: str = WEIGHT_DECAY,
) -> Landscape:
    """The numbers of a sweep from one row a trial.

    Needs the columns lr, weight_decay and `value`; uses state, seed, diverged, diverged_at and
    initial_loss where they are there.

    Args:
        trials: As from `trials_frame`.
        value: The column to judge by.
        name: The word for the value in sentences.
        minimize: Whether low values are good. As the study says of its "value" where it is None;
            of any other column as its name says.
        adaptive: The trials were placed by a sampler that looks at results, which the verdict
            then mentions.
        seed: Makes the bootstrap intervals repeatable.
        lr: The column of the learning rate.
        weight_decay: The column of the weight decay.

    Raises:
        StudyError: one of the three columns is missing.
    """
    trials = named(trials, lr=lr, weight_decay=weight_decay)
    words = name or _words(value)
    if minimize is None:
        minimize = low_is_good(trials, value)
    capped = "loss" in words or words == "value"
    cells = measured(trials, value, minimize=minimize, capped=capped)
    found = _numbers(cells, cells.sign + words, np.random.default_rng(seed))
    told = sentences(
        found, pruned=cells.pruned, adaptive=adaptive, others=trials.attrs.get("others") or {}
    )
    return replace(found, verdict=told)


def landscape_of_study(trials: pd.DataFrame, record: StudyRecord) -> Landscape:
    """The numbers of a study's trials, as from `trials_frame`, in the words of its objective.

    Args:
        trials: One row a trial; `attrs` say what the value is, and whether low is good.
        record: As from `record_of`.
    """
    name = _words(str(trials.attrs.get("objective") or "value"))
    return landscape(trials, name=name, adaptive=record.adaptive)


def _words(value: str) -> str:
    """The word for a column: "final_val_loss" is "validation loss"."""
    return series_named(value.removeprefix(FINAL_PREFIX)).label


def _numbers(cells: Cells, name: str, rng: np.random.Generator) -> Landscape:
    decayed = cells.decayed
    x, y, z = (decayed[axis].to_numpy(dtype=float) for axis in ("x", "y", "z"))
    ridge = fit_ridge(x, y, z, cells.plateau, rng)
    noise = _noise(cells.noise, ridge.scatter, len(decayed))
    table = surface(cells, ridge.scatter, rng)
    places = edges(cells, noise.value)
    line, cost, width, (along_lr, along_weight_decay) = _lines(table, cells, noise.value)
    return Landscape(
        name=name,
        trials=len(cells.trials),
        cells=len(cells.table),
        best=best_cell(cells),
        slope=ridge.slope,
        ridge=ridge,
        frontier=line.slope,
        frontier_line=line,
        separability=separability(cells, rng),
        product=product(cells, rng),
        apart_cost=cost,
        lr_sensitivity=along_lr,
        weight_decay_sensitivity=along_weight_decay,
        valley_width=width,
        edges=places,
        diverged_share=diverged_share(cells),
        stable_lr=stable_lr(cells),
        baseline_gap=baseline_gap(cells, noise.value, rng),
        noise=noise,
        logarithmic=cells.logarithmic,
        suggestion=suggest_range(cells, places),
        verdict=(),
    )


def _noise(seeds: Noise, scatter: float, n: int) -> Estimate:
    """Seed noise with the chi-squared interval of its variance, else scatter about a surface."""
    if seeds.df >= 1:
        low, high = np.sqrt(seeds.df / stats.chi2.ppf([0.975, 0.025], seeds.df)) * seeds.sd
        return Estimate(seeds.sd, float(low), float(high), seeds.df)
    if math.isfinite(scatter):
        why = "no cell has 2 seeds: scatter about a smooth surface, its lack of fit included"
        return Estimate(scatter, n=n, reason=why)
    return cannot_say("no cell has 2 seeds, and no smooth surface fits", n)


def _lines(
    table: Surface | str, cells: Cells, sd: float
) -> tuple[Frontier, ApartCost, ValleyWidth, tuple[Estimate, Estimate]]:
    """What lines across the table tell, or why they tell nothing."""
    if isinstance(table, Surface):
        return (
            frontier(table, cells, sd),
            apart_cost(table, cells),
            valley_width(table, cells),
            sensitivity(table, cells),
        )
    why = cannot_say(table, len(cells.decayed))
    return Frontier(why), ApartCost(why, why, why), ValleyWidth(why, why), (why, why)
