"""Which figures there are: their public names, and what a report shows of them, in which order.

Every figure takes tidy frames and an optional Axes; none shows or saves. Each is made in two steps:
an info, a small dataclass of what is to be shown, and the drawing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wdstudy.curves import (
    ANGULAR_UPDATE,
    DECAY_LOSS,
    DECAY_SHARE,
    FINAL_PREFIX,
    PRIMARY_LOSS,
    VAL_PREFIX,
    WEIGHT_NORM,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wdstudy.analysis.figures.axis import plot_axis as plot_axis
    from wdstudy.analysis.figures.axis import plot_isolation as plot_isolation
    from wdstudy.analysis.figures.axis import plot_product as plot_product
    from wdstudy.analysis.figures.comparison import plot_comparison as plot_comparison
    from wdstudy.analysis.figures.curve_grid import plot_curve_grid as plot_curve_grid
    from wdstudy.analysis.figures.design import plot_design as plot_design
    from wdstudy.analysis.figures.drift import plot_drift as plot_drift
    from wdstudy.analysis.figures.effects import plot_effects as plot_effects
    from wdstudy.analysis.figures.equilibrium import plot_angular_update as plot_angular_update
    from wdstudy.analysis.figures.equilibrium import plot_weight_norm as plot_weight_norm
    from wdstudy.analysis.figures.heatmap import plot_heatmap as plot_heatmap
    from wdstudy.analysis.figures.memory import plot_memory as plot_memory
    from wdstudy.analysis.figures.planes import plot_planes as plot_planes
    from wdstudy.analysis.figures.ridge import plot_landscape as plot_landscape
    from wdstudy.analysis.figures.ridge import plot_ridge as plot_ridge
    from wdstudy.analysis.figures.runs import plot_runs as plot_runs
    from wdstudy.analysis.figures.search import plot_best_of_n as plot_best_of_n
    from wdstudy.analysis.figures.search import plot_search_cost as plot_search_cost
    from wdstudy.analysis.figures.trial_curves import plot_components as plot_components
    from wdstudy.analysis.numbers.reading import Along, Read
    from wdstudy.analysis.views.design import DesignInfo
    from wdstudy.space import Cell

HOMES = {
    "plot_angular_update": "equilibrium",
    "plot_axis": "axis",
    "plot_best_of_n": "search",
    "plot_comparison": "comparison",
    "plot_components": "trial_curves",
    "plot_curve_grid": "curve_grid",
    "plot_design": "design",
    "plot_drift": "drift",
    "plot_effects": "effects",
    "plot_heatmap": "heatmap",
    "plot_isolation": "axis",
    "plot_landscape": "ridge",
    "plot_memory": "memory",
    "plot_planes": "planes",
    "plot_product": "axis",
    "plot_ridge": "ridge",
    "plot_runs": "runs",
    "plot_search_cost": "search",
    "plot_weight_norm": "equilibrium",
}
"""Public name → the module of figures that it lies in."""

__all__ = [*HOMES]


@dataclass(frozen=True)
class Drawing:
    """A figure of a report: a file name, what to see in it, and how it is made.

    about: the fields of Landscape or Transfer whose sentences it shows. narrow: how it is made for
    a phone, where the other would be too small to read.
    """

    key: str
    caption: str
    draw: Callable[[], Axes | Figure]
    wide: bool = False
    about: tuple[str, ...] = ()
    narrow: Callable[[], Axes | Figure] | None = None


def planned_figures(read: Read, design: DesignInfo | None = None) -> Iterator[Drawing]:
    """The figures of one study, the most telling first. Drawing one may raise StudyError.

    Args:
        read: The study.
        design: As from `design_if_any(read.trials)`.
    """
    # Not above: the names of the figures cost nothing, pyplot and pandas a second.
    from wdstudy.analysis.figures.axis import plot_axis, plot_isolation, plot_product
    from wdstudy.analysis.figures.design import draw_design
    from wdstudy.analysis.figures.effects import plot_effects
    from wdstudy.analysis.figures.heatmap import plot_heatmap
    from wdstudy.analysis.figures.ridge import plot_ridge
    from wdstudy.analysis.figures.search import plot_best_of_n, plot_search_cost

    if read.along is not None:
        yield from scale_figures(read.along)
    trials, curves, found = read.trials, read.curves, read.found
    seeds = trials["seed"].nunique()
    tied = found.best.tied if found.best.ties >= 0 else None
    yield Drawing(
        "effects",
        "What weight decay changes at each lr. Blue points, below the line: it helps; orange ones, "
        "above it: it harms; hollow ones: chance alone may do as much. Where blue begins at high "
        "lr only, weight decay mainly makes high lr usable.",
        lambda: plot_effects(trials, found),
        about=("effects", "limit", "good_lr"),
        narrow=lambda: plot_effects(trials, found, columns=3),
    )
    yield Drawing(
        "heatmap",
        "The whole plane. Along a dotted line lr · weight_decay is constant: where the bright "
        "valley runs along these lines, the two trade off; where it stands upright or level, "
        "tune them apart.",
        lambda: plot_heatmap(trials, spread=1 < seeds <= 20, tied=tied),
        about=("best", "edges", "second_basin"),
    )
    if design is not None:
        yield Drawing(
            "design",
            "How the trials were placed, in order of the numbers: in blue, green and orange what "
            "their batches were for; the square is the best cell, its line the way there. Above, "
            "the short runs that came first. On the right, how far each question was open: below "
            "the line it is answered as closely as was asked.",
            lambda: draw_design(design, trials),
            wide=True,
            about=("trials",),
            narrow=lambda: draw_design(design, trials, 1),
        )
    yield Drawing(
        "ridge",
        "Where the best weight_decay lies at each lr, and where harm begins. A slope of 0 means: "
        "tune them apart; −1: hold lr · weight_decay.",
        lambda: plot_ridge(trials, found),
        about=("slope", "frontier", "limit"),
    )
    for axis, other in (("lr", "weight_decay"), ("weight_decay", "lr")):
        yield Drawing(
            f"isolation-{axis}",
            f"The best over {other} for each {axis}: a flat stretch is {axis} that need not be "
            "tuned, an end that still falls asks for a wider range.",
            lambda axis=axis: plot_isolation(trials, axis),  # type: ignore[misc]
            about=("valley_width",) if axis == "lr" else ("baseline_gap",),
        )
    yield Drawing(
        "search-cost",
        "What a line search over one axis, then over the other, ends with, for every start. "
        "Where all bars are short, the joint search was not needed.",
        lambda: plot_search_cost(trials, found),
        about=("apart_cost",),
    )
    yield Drawing(
        "product",
        "Every trial against lr · weight_decay. If all colours fall on one curve, only the product "
        "matters.",
        lambda: plot_product(trials),
        about=("separability",),
    )
    yield from _loss_figures(trials, curves, tied)
    for axis in ("lr", "weight_decay"):
        yield Drawing(
            f"axis-{axis}",
            f"Every finished trial against {axis}, the diverged ones as crosses above.",
            lambda axis=axis: plot_axis(trials, axis),  # type: ignore[misc]
            about=("diverged_share",) if axis == "lr" else (),
        )
    if design is None:  # whose trials stand for no random ones
        yield Drawing(
            "best-of-n",
            "How good the best of n trials is if they are drawn at random: where it levels off, "
            "more trials would not have helped.",
            lambda: plot_best_of_n(trials),
        )
    yield from _equilibrium_figures(read)


def scale_figures(along: Along) -> Iterator[Drawing]:
    """The figures of a study along a scale. Drawing one may raise StudyError."""
    from wdstudy.analysis.figures import drift, memory, planes, runs
    from wdstudy.analysis.views.drift import drift_info
    from wdstudy.analysis.views.memory import memory_words

    trials, curves, found, scale = along.trials, along.curves, along.found, along.scale
    moving = drift_info(found)
    yield Drawing(
        "planes",
        f"The planes of all {scale}, on one scale of colours. The frame is the best cell that was "
        "trained; the orange mark is where the best lies by the law of all of them, which noise "
        "moves less, and the line is its way there.",
        lambda: planes.plot_planes(trials, found),
        wide=True,
        about=("test",),
        narrow=lambda: planes.plot_planes(trials, found, columns=2),
    )
    yield Drawing(
        "drift",
        f"What moves with {scale}, and by which power: dots are what each value shows alone, the "
        "line is the law of all. Thin lines are published rules; pale and dashed, rejected ones.",
        lambda: drift.draw_drift(moving, found, trials),
        wide=len(moving.panels) > 2,
        about=("exponents", "rules"),
        narrow=lambda: drift.draw_drift(moving, found, trials, 1),
    )
    yield Drawing(
        "memory",
        f"The loss against τ, {memory_words(found.parts)} in steps, the memory of the weights. "
        "Where all lines have their bottom at one τ, hold that; where they stand apart, it moves.",
        lambda: memory.plot_memory(trials, found),
        narrow=lambda: memory.plot_memory(trials, found, columns=1),
    )
    yield Drawing(
        "runs",
        f"How the loss falls at the best pair of each {scale}, over the share of the run.",
        lambda: runs.plot_runs(trials, curves, found),
        narrow=lambda: runs.plot_runs(trials, curves, found, narrow=True),
    )


def _loss_figures(
    trials: pd.DataFrame, curves: pd.DataFrame, tied: tuple[Cell, ...] | None
) -> Iterator[Drawing]:
    from wdstudy.analysis.figures.curve_grid import plot_curve_grid
    from wdstudy.analysis.figures.heatmap import plot_heatmap
    from wdstudy.analysis.figures.trial_curves import best_trial, plot_components
    from wdstudy.analysis.views.looks import label_of

    decayed = trials[(trials["weight_decay"] > 0) & trials["value"].notna()]
    yield Drawing(
        "components",
        "Primary, decay and total loss of the best trial with weight decay.",
        lambda: plot_components(
            curves, None if decayed.empty else best_trial(curves, _like(decayed, trials))
        ),
    )
    yield Drawing(
        "curves",
        "Every cell's losses on shared axes.",
        lambda: plot_curve_grid(curves, trials, _losses_in(curves)),
        wide=True,
        about=("curves",),
    )
    shown = [FINAL_PREFIX + PRIMARY_LOSS, FINAL_PREFIX + DECAY_LOSS, DECAY_SHARE]
    objective = FINAL_PREFIX + str(trials.attrs.get("objective", ""))
    metrics = [
        c for c in trials.columns if c.startswith(FINAL_PREFIX + VAL_PREFIX) and c != objective
    ]
    for column in (*shown, *metrics):
        if column in trials and trials[column].notna().any():
            yield Drawing(
                f"heatmap-{column.removeprefix(FINAL_PREFIX)}",
                f"{label_of(trials, column).capitalize()}; the marks are those of the objective.",
                lambda column=column: plot_heatmap(trials, column, tied=tied),  # type: ignore[misc]
            )


def _losses_in(curves: pd.DataFrame) -> tuple[str, ...]:
    """Primary and decay loss; what was validated, of a study that knows neither."""
    known = set(curves["series"].dropna().unique())
    both = (PRIMARY_LOSS, DECAY_LOSS)
    validated = sorted(name for name in known if name.startswith(VAL_PREFIX))
    return both if known & {*both} or not validated else (validated[0],)


def _equilibrium_figures(read: Read) -> Iterator[Drawing]:
    from wdstudy.analysis.figures.equilibrium import plot_angular_update, plot_weight_norm

    trials, curves, record = read.trials, read.curves, read.record
    recorded = set(curves["series"].dropna().unique())
    if WEIGHT_NORM in recorded:
        yield Drawing(
            "weight-norm",
            "The decayed weights' norm against its prediction. Trials whose weight decay has had "
            "time to act (filled) can be compared with it. The formulas hold for weights before a "
            "normalisation layer.",
            lambda: plot_weight_norm(trials, curves, record),
        )
    if ANGULAR_UPDATE in recorded:
        yield Drawing(
            "angular-update",
            "How far the weights turn in a step, against the equilibrium that lr and weight_decay "
            "predict for weights before a normalisation layer.",
            lambda: plot_angular_update(trials, curves, record),
        )


def _like(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    part = part.copy()
    part.attrs = dict(whole.attrs)
    return part
