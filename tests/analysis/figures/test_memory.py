"""The loss against τ: each value's cells at their place, and the optimum's τ below."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from known_scales import ScaledSweep, bowl

from wdstudy.analysis.figures.memory import plot_memory
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.analysis.views.memory import memory_info
from wdstudy.errors import StudyError


def sweep(decay: float = 0.0, name: str = "batch_size", **changes: float) -> pd.DataFrame:
    made = ScaledSweep(name=name, noise=0.002, shift=0.0, by_lr=0.0)
    return made.trials(bowl(0.0, decay, turn=0.0), np.random.default_rng(0)).assign(**changes)


def test_a_line_has_the_cells_of_its_best_lr_at_their_tau() -> None:
    trials = sweep()
    info = memory_info(transfer(trials))
    assert [line.value for line in info.lines] == [32, 64, 128, 256]
    for line in info.lines:
        part = trials[(trials["batch_size"] == line.value) & np.isclose(trials["lr"], line.lr)]
        means = part.groupby("weight_decay")["value"].mean()
        steps = 10_000 / line.value * 32
        for decay, loss in means.items():
            tau = np.inf if decay == 0 else 1 / (line.lr * float(decay)) / steps  # type: ignore[arg-type]
            row = line.points[np.isclose(line.points["tau_share"], tau, rtol=1e-6)]
            assert len(row) == 1
            best = trials[trials["batch_size"] == line.value].groupby(["lr", "weight_decay"])
            assert row["ratio"].iloc[0] == pytest.approx(loss / best["value"].mean().min())


def test_bottoms_collapse_where_tau_of_the_run_stays() -> None:
    """weight_decay ∝ batch at one lr is one τ in runs, as the steps fall with the batch."""
    held, moving = (memory_info(transfer(sweep(decay))) for decay in (1.0, 0.0))
    at = [[line.points.loc[line.points["ratio"].idxmin(), "tau_share"] for line in info.lines]
          for info in (held, moving)]  # fmt: skip
    assert max(at[0]) / min(at[0]) < 10**0.5  # the step of the cells
    assert max(at[1]) / min(at[1]) > 4


def test_tau_in_epochs_is_shown_beside_where_it_is_something_else() -> None:
    alike = memory_info(transfer(sweep()))
    assert alike.units == ("tau_share",)
    longer = sweep(name="epochs")
    longer = longer.assign(steps=100 * longer["epochs"], steps_per_epoch=100.0)
    assert memory_info(transfer(longer)).units == ("tau_share", "tau_epochs")
    figure = plot_memory(longer)
    assert [ax.get_xlabel().partition("  ")[0] for ax in figure.axes] == [
        "τ, in runs", "τ, in epochs",
    ]  # fmt: skip


def test_without_steps_there_is_no_tau_in_runs() -> None:
    with pytest.raises(StudyError, match="don't tell their steps"):
        plot_memory(sweep().drop(columns="steps"))


def test_no_weight_decay_stands_apart_and_what_is_far_worse_at_the_top() -> None:
    ax = plot_memory(sweep()).axes[0]
    names = {text.get_text() for text in ax.get_xticklabels()}
    assert "∞" in names
    beyond = [line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert len(beyond) == 4  # without weight decay this plane is not trained
