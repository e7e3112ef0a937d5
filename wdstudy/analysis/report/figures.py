"""Which figures a report holds, in which order, and what is said under each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wdstudy.analysis.figures.names import (
    plot_angular_update,
    plot_axis,
    plot_best_of_n,
    plot_components,
    plot_curve_grid,
    plot_heatmap,
    plot_isolation,
    plot_product,
    plot_ridge,
    plot_search_cost,
    plot_weight_norm,
)
from wdstudy.analysis.figures.trial_curves import best_trial
from wdstudy.analysis.numbers.findings import Landscape
from wdstudy.analysis.views.looks import label_of
from wdstudy.curves import ANGULAR_UPDATE, DECAY_LOSS, PRIMARY_LOSS, WEIGHT_NORM
from wdstudy.errors import StudyError
from wdstudy.record import StudyRecord

ABOUT = {
    "best": "heatmap",
    "slope": "ridge",
    "frontier": "ridge",
    "apart_cost": "search-cost",
    "edges": "heatmap",
    "separability": "product",
    "baseline_gap": "isolation-weight_decay",
    "valley_width": "isolation-lr",
    "diverged_share": "axis-lr",
    "curves": "curves",
}
"""The figure that shows what a sentence of the verdict is about."""


@dataclass(frozen=True)
class Plan:
    """A figure to draw: a file name, what to see in it, and how it is made."""

    key: str
    caption: str
    draw: Callable[[], Axes | Figure]
    wide: bool = False


def planned_figures(
    trials: pd.DataFrame, curves: pd.DataFrame, found: Landscape, record: StudyRecord
) -> Iterator[Plan]:
    """The figures of one study, the most telling first. Drawing one may raise StudyError."""
    several = trials["seed"].nunique() > 1
    yield Plan(
        "heatmap",
        "The whole plane. Along a dotted line lr · weight_decay is constant: where the bright "
        "valley runs along these lines, the two trade off; where it stands upright or level, "
        "tune them apart.",
        lambda: plot_heatmap(trials, spread=several and trials["seed"].nunique() <= 20),
    )
    yield Plan(
        "ridge",
        "Where the best weight_decay lies at each lr. A slope of 0 means: tune them apart; −1: "
        "hold lr · weight_decay. The largest harmless weight_decay tells how far one may go.",
        lambda: plot_ridge(trials, found),
    )
    for axis, other in (("lr", "weight_decay"), ("weight_decay", "lr")):
        yield Plan(
            f"isolation-{axis}",
            f"The best over {other} for each {axis}: a flat stretch is {axis} that need not be "
            "tuned, an end that still falls asks for a wider range.",
            lambda axis=axis: plot_isolation(trials, axis),  # type: ignore[misc]
        )
    yield Plan(
        "search-cost",
        "What a line search over one axis, then over the other, ends with, for every start. "
        "Where all bars are short, the joint search was not needed.",
        lambda: plot_search_cost(trials, found),
    )
    yield Plan(
        "product",
        "Every trial against lr · weight_decay. If all colours fall on one curve, only the product "
        "matters.",
        lambda: plot_product(trials),
    )
    yield from _loss_figures(trials, curves)
    for axis in ("lr", "weight_decay"):
        yield Plan(
            f"axis-{axis}",
            f"Every finished trial against {axis}, the diverged ones as crosses above.",
            lambda axis=axis: plot_axis(trials, axis),  # type: ignore[misc]
        )
    yield Plan(
        "best-of-n",
        "How good the best of n trials is if they are drawn at random: where it levels off, more "
        "trials would not have helped.",
        lambda: plot_best_of_n(trials),
    )
    yield from _equilibrium_figures(trials, curves, record)


def _loss_figures(trials: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Plan]:
    decayed = trials[(trials["weight_decay"] > 0) & trials["value"].notna()]
    yield Plan(
        "components",
        "Primary, decay and total loss of the best trial with weight decay.",
        lambda: plot_components(
            curves, None if decayed.empty else best_trial(curves, _like(decayed, trials))
        ),
    )
    yield Plan(
        "curves",
        "Every cell's primary and decay loss on shared axes.",
        lambda: plot_curve_grid(curves, trials),
        wide=True,
    )
    shown = [f"final_{PRIMARY_LOSS}", f"final_{DECAY_LOSS}", "decay_share"]
    objective = f"final_{trials.attrs.get('objective', '')}"
    metrics = [c for c in trials.columns if c.startswith("final_val_") and c != objective]
    for column in (*shown, *metrics):
        if column in trials and trials[column].notna().any():
            yield Plan(
                f"heatmap-{column.removeprefix('final_')}",
                f"{label_of(trials, column).capitalize()}; the marks are those of the objective.",
                lambda column=column: plot_heatmap(trials, column),  # type: ignore[misc]
            )


def _equilibrium_figures(
    trials: pd.DataFrame, curves: pd.DataFrame, record: StudyRecord
) -> Iterator[Plan]:
    recorded = set(curves["series"].dropna().unique())
    if WEIGHT_NORM in recorded:
        yield Plan(
            "weight-norm",
            "The decayed weights' norm against its prediction. Trials whose weight decay has had "
            "time to act (filled) can be compared with it. The formulas hold for weights before a "
            "normalisation layer.",
            lambda: plot_weight_norm(trials, curves, record),
        )
    if ANGULAR_UPDATE in recorded:
        yield Plan(
            "angular-update",
            "How far the weights turn in a step, against the equilibrium that lr and weight_decay "
            "predict for weights before a normalisation layer.",
            lambda: plot_angular_update(trials, curves, record),
        )


def _like(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    part = part.copy()
    part.attrs = dict(whole.attrs)
    return part


def drawn(plan: Plan) -> Figure | str:
    """The figure, or why it can't be drawn."""
    try:
        shown = plan.draw()
    except StudyError as error:
        return str(error)
    figure = shown if isinstance(shown, Figure) else shown.get_figure(root=True)
    assert figure is not None
    return figure
