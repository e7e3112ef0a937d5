"""All pictures of a study. Each takes tidy frames and an optional Axes; none shows or saves.

Every picture is made in two steps: an info, a small dataclass of what is to be shown, and the
drawing of it.
"""

from wdstudy.analysis.figures.axis import plot_axis, plot_isolation, plot_product
from wdstudy.analysis.figures.comparison import plot_comparison
from wdstudy.analysis.figures.curve_grid import plot_curve_grid
from wdstudy.analysis.figures.equilibrium import plot_angular_update, plot_weight_norm
from wdstudy.analysis.figures.heatmap import plot_heatmap
from wdstudy.analysis.figures.ridge import plot_landscape, plot_ridge
from wdstudy.analysis.figures.search import plot_best_of_n, plot_search_cost
from wdstudy.analysis.figures.trial_curves import plot_components

__all__ = [
    "plot_angular_update",
    "plot_axis",
    "plot_best_of_n",
    "plot_comparison",
    "plot_components",
    "plot_curve_grid",
    "plot_heatmap",
    "plot_isolation",
    "plot_landscape",
    "plot_product",
    "plot_ridge",
    "plot_search_cost",
    "plot_weight_norm",
]
