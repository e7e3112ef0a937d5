"""What a sweep says about lr and weight_decay: all its numbers, and sentences that carry them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from wdstudy.analysis.frames.design import designed
from wdstudy.analysis.frames.given import low_is_good, named
from wdstudy.analysis.frames.scale import check_one_plane
from wdstudy.analysis.numbers.advice import advice
from wdstudy.analysis.numbers.basins import second_basin
from wdstudy.analysis.numbers.best import baseline_gap, best_cell, diverged_share
from wdstudy.analysis.numbers.cells import Cells, measured
from wdstudy.analysis.numbers.edges import edges, stable_lr, suggest_range
from wdstudy.analysis.numbers.effects import effects_by_lr
from wdstudy.analysis.numbers.estimate import Estimate, cannot_say
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.numbers.frontier import Frontier, frontier
from wdstudy.analysis.numbers.goodlr import good_lr
from wdstudy.analysis.numbers.limit import harmless_limit
from wdstudy.analysis.numbers.lines import (
    ApartCost,
    ValleyWidth,
    apart_cost,
    sensitivity,
    valley_width,
)
from wdstudy.analysis.numbers.noise import Noise
from wdstudy.analysis.numbers.ridge import Ridge, ridge_of_columns
from wdstudy.analysis.numbers.scatterridge import ridge_of_scatter
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
    initial_loss where they are there. A frame whose `attrs` tell of a design gets the words of one.

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
        StudyError: one of the three columns is missing; or the trials are of several values of a
            scale, for which there is `transfer`.
    """
    trials = named(trials, lr=lr, weight_decay=weight_decay)
    check_one_plane(trials)
    words = name or words_for(value)
    if minimize is None:
        minimize = low_is_good(trials, value)
    capped = "loss" in words or words == "value"
    cells = measured(trials, value, minimize=minimize, capped=capped)
    found = _numbers(cells, cells.sign + words, seed)
    others = trials.attrs.get("others") or {}
    # The design's questions, and its stop, are about the objective.
    design = designed(trials) if value in ("value", trials.attrs.get("objective")) else None
    return replace(
        found,
        advice=advice(
            found,
            replica="trial" if others else "seed",
            study=str(trials.attrs.get("study") or ""),
            design=design,
        ),
        verdict=sentences(
            found, pruned=cells.pruned, adaptive=adaptive, others=others, design=design
        ),
    )


def landscape_of_study(trials: pd.DataFrame, record: StudyRecord) -> Landscape:
    """The numbers of a study's trials, as from `trials_frame`, in the words of its objective.

    Args:
        trials: One row a trial; `attrs` say what the value is, and whether low is good.
        record: As from `record_of`.
    """
    name = words_for(str(trials.attrs.get("objective") or "value"))
    return landscape(trials, name=name, adaptive=record.adaptive)


def words_for(value: str) -> str:
    """The word for a column: "final_val_loss" is "validation loss"."""
    return series_named(value.removeprefix(FINAL_PREFIX)).label


def _numbers(cells: Cells, name: str, seed: int) -> Landscape:
    def rng() -> np.random.Generator:  # its own for each, so that one does not move another
        return np.random.default_rng(seed)

    ridge = ridge_of(cells, rng())
    places = edges(cells)
    line, cost, width, (along_lr, along_weight_decay) = _lines(surface(cells, rng()), cells)
    effects = effects_by_lr(cells, rng())
    return Landscape(
        name=name,
        trials=len(cells.trials),
        cells=len(cells.table),
        best=best_cell(cells, rng()),
        effects=effects,
        good_lr=good_lr(cells, effects),
        limit=harmless_limit(effects),
        slope=ridge.slope,
        ridge=ridge,
        frontier=line.slope,
        frontier_line=line,
        separability=separability(cells, rng()),
        product=product(cells, rng()),
        apart_cost=cost,
        lr_sensitivity=along_lr,
        weight_decay_sensitivity=along_weight_decay,
        valley_width=width,
        edges=places,
        diverged_share=diverged_share(cells),
        stable_lr=stable_lr(cells),
        baseline_gap=baseline_gap(cells, rng()),
        second_basin=second_basin(cells),
        noise=_noise(cells.noise, len(cells.decayed)),
        logarithmic=cells.logarithmic,
        suggestion=suggest_range(cells, places),
        advice=(),
        verdict=(),
    )


def ridge_of(cells: Cells, rng: np.random.Generator) -> Ridge:
    """The ridge, by columns where there are columns."""
    return ridge_of_scatter(cells, rng) if cells.scattered else ridge_of_columns(cells, rng)


def _noise(noise: Noise, n: int) -> Estimate:
    """The pooled noise with the chi-squared interval of its variance."""
    if not noise.known:
        return cannot_say("no cell has 2 seeds, and neighbours are too few to judge by", n)
    if not noise.replicated:
        why = "no cell has 2 seeds: how neighbours differ, the bends of the plane included"
        return Estimate(noise.sd, n=n, reason=why)
    low, high = np.sqrt(noise.df / stats.chi2.ppf([0.975, 0.025], noise.df)) * noise.sd
    return Estimate(noise.sd, float(low), float(high), round(noise.df))


def _lines(
    table: Surface | str, cells: Cells
) -> tuple[Frontier, ApartCost, ValleyWidth, tuple[Estimate, Estimate]]:
    """What lines across the table tell, or why they tell nothing."""
    if isinstance(table, Surface):
        return (
            frontier(table, cells),
            apart_cost(table, cells),
            valley_width(table, cells),
            sensitivity(table, cells),
        )
    why = cannot_say(table, len(cells.decayed))
    return Frontier(why), ApartCost(why, why, why), ValleyWidth(why, why), (why, why)
