from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from made_studies import SIZES, drifting, grid_study, scaled_study, study_of
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.joined import joined_record, scaled_curves, scaled_frame
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.numbers.transfer import transfer
from wdstudy.errors import StudyError
from wdstudy.record import OTHER_PREFIX

LRS = tuple(10.0**k for k in (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0))
WEIGHT_DECAYS = tuple(10.0**k for k in (-4.0, -3.25, -2.5, -1.75, -1.0, -0.25))


def apart(sizes: Sequence[float] = SIZES, **spec: Any) -> list[optuna.Study]:
    """The study along a scale, made as one of each value."""
    return [
        grid_study(
            f"b{size:g}", LRS, WEIGHT_DECAYS, 2,
            loss=lambda *at, s=size: drifting(*at, s), batch_size=int(size), **spec,
        )
        for size in sizes
    ]  # fmt: skip


def read_elsewhere(sizes: Sequence[float] = SIZES) -> optuna.Study:
    """The same as `wdstudy read` leaves it: the scale is one more hyperparameter."""
    trials = []
    for trial in scaled_study(sizes=sizes).trials:
        params = {name: v for name, v in trial.params.items() if name != "batch_size"}
        places = {name: trial.distributions[name] for name in params}
        told = {"val_loss": trial.value, f"{OTHER_PREFIX}batch_size": trial.params["batch_size"],
                "seed": trial.user_attrs["seed"]}  # fmt: skip
        trials.append(
            create_trial(params=params, distributions=places, value=trial.value, user_attrs=told)
        )
    return study_of(trials, "read")


def test_studies_made_apart_say_what_one_along_the_scale_says() -> None:
    whole = transfer(trials_frame(scaled_study()))
    frame = scaled_frame(apart(), "batch_size")
    told = transfer(frame)
    assert told.values == whole.values
    for quantity in ("lr", "weight_decay", "product"):
        assert told.exponents[quantity].value == pytest.approx(whole.exponents[quantity].value)
    assert [p.trials for p in told.places] == [p.trials for p in whole.places]
    assert frame.attrs["scale"] == {"name": "batch_size", "values": list(SIZES)}


def test_no_two_trials_have_one_number_and_curves_are_those_of_their_trials() -> None:
    studies = apart((8, 16))
    trials, curves = scaled_frame(studies, "batch_size"), scaled_curves(studies)
    assert trials["trial"].is_unique
    assert trials.groupby("batch_size")["study"].unique().map(list).tolist() == [["b8"], ["b16"]]
    alone = [curves_frame(study) for study in studies]
    assert len(curves) == sum(map(len, alone))
    second = trials[trials["study"] == "b16"]
    last = curves[curves["series"] == "val_loss"].groupby("trial")["value"].last()
    assert np.allclose(second["trial"].map(last), second["value"])


def test_values_are_named_in_the_order_of_the_studies_or_by_their_names() -> None:
    studies = apart((8, 16))
    for values in ([64, 128], {"b8": 64, "b16": 128}):
        frame = scaled_frame(studies, "width", values)
        assert frame.groupby("study")["width"].unique().map(list).to_dict() == {
            "b8": [64.0], "b16": [128.0]
        }  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "spec", "values"),
    [
        ("epochs", [{"epochs": 5}, {"epochs": 20}], [5, 20]),
        ("width", [{"settings": {"width": "64"}}, {"settings": {"width": "256"}}], [64, 256]),
        ("momentum", [{"optimizer_options": {"momentum": m}} for m in (0.5, 0.9)], [0.5, 0.9]),
    ],
)
def test_a_record_tells_its_value(
    scale: str, spec: list[dict[str, Any]], values: list[float]
) -> None:
    studies = [grid_study(f"s{i}", seeds=1, points=1, **one) for i, one in enumerate(spec)]
    frame = scaled_frame(studies, scale)
    assert frame.attrs["scale"]["values"] == values
    assert frame["steps"].tolist() == [
        10 * record_of(study).spec.epochs for study in studies for _ in study.trials
    ]


def test_a_hyperparameter_of_a_study_read_from_elsewhere_is_a_scale() -> None:
    study = read_elsewhere()
    assert trials_frame(study).attrs["others"]
    frame = scaled_frame(study, "batch_size")
    assert frame.attrs["others"] == {}
    assert f"{OTHER_PREFIX}batch_size" not in frame
    told, whole = transfer(frame), transfer(trials_frame(scaled_study()))
    assert told.exponents["lr"].value == pytest.approx(whole.exponents["lr"].value)


def test_a_study_along_a_scale_is_joined_by_one_of_a_further_value() -> None:
    frame = scaled_frame([scaled_study("most", SIZES[:3]), *apart(SIZES[3:])], "batch_size")
    assert frame.attrs["scale"]["values"] == list(SIZES)
    assert transfer(frame).values == SIZES


def test_what_else_the_studies_differ_in_is_said() -> None:
    studies = [*apart((8,)), *apart((16,), epochs=9)]
    frame = scaled_frame(studies, "batch_size")
    assert frame.attrs["notes"] == [
        "the studies differ in epochs too (5, 9): what that does counts as batch_size's"
    ]
    record = joined_record(studies, frame)
    assert (record.spec.epochs, record.spec.optimizer, record.command) == (None, "SGD", ())
    assert record.spec.scale == frame.attrs["scale"]


def refused(studies: list[optuna.Study], *args: Any) -> str:
    with pytest.raises(StudyError) as caught:
        scaled_frame(studies, *args)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_is_no_sweep_along_one_scale_is_refused_with_the_remedy() -> None:
    small, large = apart((8, 16))
    twice = grid_study("again", LRS[:1], WEIGHT_DECAYS[:1], 1, batch_size=8)
    assert refused([small, twice], "batch_size").startswith(
        "'b8' and 'again' both hold batch_size 8 at lr 0.001, weight_decay 1e-4, seed 0"
    )
    assert "does not tell its width" in refused([small, large], "width")
    assert "did you mean 'batch_size'?" in refused([small, large], "batchsize")
    assert "2 studies, and no scale is named" in refused([small, large])
    assert "has 3 values for 2 of the names" in refused([small, large], "width", [1, 2, 3])
    assert "'b9'; Known: b16, b8" in refused([small, large], "width", {"b9": 1})
    assert "does not tell its width" in refused([small, large], "width", {"b8": 1})
    assert "give a number above 0" in refused([small, large], "width", [64, 0])
    assert "named twice" in refused([small, small], "width", [64, 128])
    assert "every sweep has" in refused([small, large], "lr")
    other = grid_study("adam", optimizer="AdamW", batch_size=32)
    assert "different optimizers ('SGD' and 'AdamW')" in refused([small, other], "batch_size")
    better = grid_study("better", direction="maximize", batch_size=32)
    assert "different objectives" in refused([small, better], "batch_size")
    form = grid_study("form", decay_kind="decoupled", batch_size=32)
    assert "different forms of decay" in refused([small, form], "batch_size")
    assert "is along 'batch_size' by itself" in refused([scaled_study(), small], "epochs")
    assert "is along 'batch_size' by itself" in refused([scaled_study()], "width")
    assert "by itself: name no others" in refused([scaled_study()], "batch_size", [3])


def test_one_study_without_such_a_column_is_no_sweep_along_it() -> None:
    assert "the study 'b8' has no 'width' to be a scale" in refused(apart((8,)), "width")
    texts = study_of(
        [
            create_trial(
                params={"lr": 0.1, "weight_decay": 0.1},
                distributions={n: FloatDistribution(0, 1) for n in ("lr", "weight_decay")},
                value=1.0,
                user_attrs={f"{OTHER_PREFIX}net": "wide"},
            )
        ]
    )
    assert "'net' of the study 'made' holds no numbers" in refused([texts], "net")
