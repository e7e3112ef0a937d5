"""The live page of a study along a scale: what it says of each value, and of all."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from made_studies import SIZES, placed, scaled_study, study_of
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.live import along
from wdstudy.live.along import Kept
from wdstudy.live.page import live_page

COMMAND = "python -m wdstudy report made"


def first(study: optuna.Study, count: int) -> optuna.Study:
    """The study when so many of its trials had ended."""
    some = study_of(study.trials[:count], "made")
    some.set_user_attr("wdstudy", study.user_attrs["wdstudy"])
    return some


def heatmaps(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "heatmap"]


def test_each_value_has_a_plane_of_its_own_on_one_scale_of_colours() -> None:
    study = scaled_study(seeds=1)
    page = live_page(study, 168, "running", COMMAND)
    heats = heatmaps(page.figures["objective"])
    trials = trials_frame(study)
    for heat, size in zip(heats, SIZES, strict=True):
        own = trials.loc[trials["batch_size"] == size, "value"]
        shown = [z for row in heat.z for z in row if z is not None]
        assert sorted(shown) == pytest.approx(sorted(own), rel=1e-3)
    assert len({(heat.zmin, heat.zmax) for heat in heats}) == 1
    assert [heat.showscale for heat in heats] == [False, False, False, True]
    texts = [note.text for note in page.figures["objective"].layout.annotations]
    assert texts == [f"batch_size {size:g}" for size in SIZES]
    legend = [
        t.name for t in page.figures["objective"].data if t.name and t.showlegend is not False
    ]
    assert len(legend) == len(set(legend))
    assert "batch_size 64" in page.figures["curves"].layout.title.text  # of one value alone


@pytest.mark.slow
def test_what_is_in_training_is_marked_at_its_value_alone() -> None:
    study = first(scaled_study(seeds=1), 84)
    params = {"lr": 0.1, "weight_decay": 0.1, "batch_size": 8.0}
    study.add_trial(
        create_trial(
            params=params,
            distributions={n: FloatDistribution(1e-6, 1e6) for n in params},
            state=TrialState.RUNNING,
            user_attrs={"step": [1], "val_loss": [0.5], "primary_loss": [0.5]},
        )
    )
    page = live_page(study, 168, "running", COMMAND)
    marks = [t for t in page.figures["objective"].data if t.name == "in training" and len(t.x)]
    assert [mark.xaxis for mark in marks] == ["x"]  # of the first plane
    assert "batch_size 8" in page.figures["curves"].layout.title.text
    assert "84 of 168 trials done, 1 in training" in page.note


def test_the_note_names_the_best_of_each_value_and_how_it_moves() -> None:
    note = live_page(scaled_study(), 336, "finished", COMMAND).note
    for size in SIZES:
        assert f"- batch\\_size {size:g}: the best of 42 cells is lr" in note
    assert "Each time batch\\_size doubles, the best lr surely grows" in note
    assert "lr ∝ batch\\_size^+0.51" in note
    some = live_page(first(scaled_study(), 84), 336, "running", COMMAND).note
    assert "needs two values of it, and there is 8" in some


def test_how_the_best_moves_is_told_anew_only_when_there_is_a_fifth_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = []

    def counted(trials: Any, scale: str) -> None:
        told.append(len(trials))

    monkeypatch.setattr(along, "transfer", counted)
    trials, kept = trials_frame(scaled_study()), Kept()
    for count in (170, 180, 203, 204, 240, 245):
        kept.renew(trials[:count], "batch_size", last=False)
    assert told == [170, 204, 245]
    for count in (250, 250):
        kept.renew(trials[:count], "batch_size", last=True)
    assert told == [170, 204, 245, 250]


def test_a_study_along_a_scale_in_which_little_has_happened_has_a_page() -> None:
    study = scaled_study()
    assert live_page(first(study, 0), 336, "running", COMMAND).figures == {}
    one = live_page(first(study, 1), 336, "running", COMMAND)
    assert len(heatmaps(one.figures["objective"])) == 1
    lost = first(study, 0)
    lost.add_trial(placed(0.1, 0.1, state=TrialState.PRUNED, diverged_at=3))
    assert "diverged" in live_page(lost, 336, "running", COMMAND).note


def test_planned_cells_stand_where_the_window_of_their_value_is() -> None:
    study = first(scaled_study(sizes=(8, 32), seeds=1), 0)
    record = {**study.user_attrs["wdstudy"]}
    scale = {**record["spec"]["scale"], "follow": {"lr": 0.5}}
    record["spec"] = {**record["spec"], "scale": scale}
    study.set_user_attr("wdstudy", record)
    for trial in scaled_study(sizes=(8, 32), lrs=(0.1,), weight_decays=(0.1,), seeds=1).trials:
        moved = trial.params["lr"] * (trial.params["batch_size"] / 8) ** 0.5
        params = {**trial.params, "lr": moved}
        study.add_trial(
            create_trial(params=params, distributions=trial.distributions, value=trial.value,
                         user_attrs=trial.user_attrs)
        )  # fmt: skip
    figure = live_page(study, 84, "running", COMMAND).figures["objective"]
    assert [len(heat.z[0]) for heat in heatmaps(figure)] == [7, 7]  # no lr stands there twice
    assert figure.layout.xaxis.ticktext[0] == "0.001"
    assert figure.layout.xaxis2.ticktext[0] == "0.002"
    alone = live_page(study, 2, "running", COMMAND).figures["objective"]  # of a run --at
    assert [len(heat.z[0]) for heat in heatmaps(alone)] == [1, 1]


@pytest.mark.slow
def test_of_many_values_some_are_shown_and_it_is_said() -> None:
    sizes = [2.0**k for k in range(12)]
    study = scaled_study(sizes=sizes, lrs=(0.01, 0.1), weight_decays=(0.01, 0.1), seeds=1)
    figure = live_page(study, 48, "running", COMMAND).figures["objective"]
    assert len(heatmaps(figure)) == 9
    assert "9 of 12 values of batch_size" in figure.layout.title.text
    texts = [note.text for note in figure.layout.annotations]
    assert (texts[0], texts[-1]) == ("batch_size 1", "batch_size 2048")
    for axis in ("xaxis", "yaxis"):
        ends = [figure.layout[f"{axis}{k or ''}"].domain for k in (0, *range(2, 10))]
        assert all(0 <= low < high <= 1 for low, high in ends)
        assert math.isclose(max(high for _, high in ends), 1)
