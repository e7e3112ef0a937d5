"""Title, legend and caption around panels are part of the figure, also where it is cut to fit."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D

from wdstudy.analysis.figures.head import framed


def test_a_notebook_which_cuts_figures_to_what_is_in_them_cuts_nothing_off() -> None:
    figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
    framed(figure, pd.DataFrame(), "A title", [Line2D([], [], label="a line")], "a caption")
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    cut = figure.get_tightbbox(renderer).transformed(figure.dpi_scale_trans)
    title, caption = (text.get_window_extent(renderer) for text in figure.texts)
    legend = figure.legends[0].get_window_extent(renderer)
    for box in (title, legend, caption):
        assert cut.x0 <= box.x0 + 1
        assert cut.y0 <= box.y0 + 1
        assert cut.x1 >= box.x1 - 1
        assert cut.y1 >= box.y1 - 1
    panel = ax.get_tightbbox(renderer)
    assert panel is not None
    assert caption.y1 <= panel.y0 + 1
    assert panel.y1 <= legend.y0 + 1
    assert legend.y1 <= title.y0 + 1
