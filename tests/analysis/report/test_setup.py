"""How a study was run, from its record, and what of it is another at each value of a scale."""

from __future__ import annotations

from made_studies import grid_study, placed, scaled_study, study_of

from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.report.setup import how_it_was_run
from wdstudy.record import StudyRecord


def test_how_it_was_run_leaves_out_what_is_not_known() -> None:
    study = grid_study(
        lrs=[0.1, 1.0],
        weight_decays=[0.01, 0.1],
        space={"lr": [0.1, 1.0], "weight_decay": [*range(20)]},
        warmup=0.1,
    )
    rows = dict(how_it_was_run(trials_frame(study), record_of(study)))
    assert rows["optimizer"] == "SGD(momentum=0.9)"
    assert rows["lr"] == "0.1, 1"
    assert rows["weight_decay"].startswith("20 values")
    assert rows["warmup"] == "10 % of the run"
    assert "device" not in rows
    foreign = trials_frame(study_of([placed(0.1, 0.1, 1.0)]))
    assert how_it_was_run(foreign, StudyRecord()) == [("objective", "value, minimised")]


def test_along_a_scale_its_values_are_told_and_not_what_is_another_at_each() -> None:
    scale = {"name": "batch_size", "values": [8, 16], "follow": {"lr": 0.5}, "budget": "steps"}
    study = scaled_study(sizes=(8, 16), seeds=1, scale=scale, batch_size=8)
    rows = dict(how_it_was_run(trials_frame(study), record_of(study)))
    assert rows["scale"] == (
        "batch_size 8, 16; the windows follow it: lr with the power 0.5; steps held"
    )
    assert rows["epochs"] == "5"
    assert not {"batch size", "steps an epoch"} & {*rows}
    assert "parameters" in rows
    plain = dict(how_it_was_run(*[f(grid_study(batch_size=8)) for f in (trials_frame, record_of)]))
    assert plain["batch size"] == "8"
    assert "scale" not in plain
