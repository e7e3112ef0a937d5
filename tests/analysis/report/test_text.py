from __future__ import annotations

import pytest
from made_studies import grid_study, placed, study_of
from optuna.trial import TrialState

from wdstudy.analysis.frames.curves import curves_frame
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.analysis.report.text import (
    caveats,
    decay_meaning,
    improves,
    still_improving,
    trial_table,
)
from wdstudy.record import RecordedSpec, StudyRecord

SMALL = {"lrs": [0.1, 1.0], "weight_decays": [0.01, 0.1]}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"optimizer": "SGD", "decay_kind": "coupled"}, "SGD is coupled"),
        ({"optimizer": "Adam", "decay_kind": "coupled"}, "Adam rescales that sum"),
        ({"optimizer": "AdamW", "decay_kind": "decoupled"}, "a diagnostic: it is not part of"),
        ({"decay": "independent", "decay_kind": "decoupled"}, "independent of lr"),
        ({}, "can't be told"),
    ],
)
def test_what_decay_loss_means_is_told_for_every_kind(spec: dict[str, str], says: str) -> None:
    assert says in " ".join(decay_meaning(StudyRecord(spec=RecordedSpec(**spec))))


def test_trials_that_still_improve_are_counted() -> None:
    flat = [placed(0.1, 0.01 * i, 1.0, step=[1, 2, 3, 4, 5], val_loss=[2, 1, 1, 1, 1])
            for i in range(1, 4)]  # fmt: skip
    falling = [placed(1.0, 0.01, 1.0, step=[1, 2, 3, 4, 5], val_loss=[2, 2, 2, 2, 1])]
    study = study_of(flat + falling)
    text = still_improving(trials_frame(study), curves_frame(study))
    assert text.startswith("1 of the best 4 trials still improved")
    assert "fell by 50 %." in text  # of one there is no median
    assert improves(trials_frame(study), curves_frame(study))
    study = study_of(flat)
    assert "had stopped" in still_improving(trials_frame(study), curves_frame(study))
    assert not improves(trials_frame(study), curves_frame(study))
    one = study_of(falling)
    told = still_improving(trials_frame(one), curves_frame(one))
    assert told.startswith("The best trial still improved at the end: ")
    assert still_improving(trials_frame(study), curves_frame(study_of([]))) == ""


def test_the_table_holds_every_trial_best_first() -> None:
    study = grid_study(diverges=lambda lr, wd: lr == 1.0 and wd == 0.1)
    trials = trials_frame(study)
    head, rows, note = trial_table(trials)
    assert head[:5] == ["trial", "state", "lr", "weight_decay", "lr · weight_decay"]
    assert "final_val_loss" not in head  # the column value, once more
    assert len(rows) == 12
    assert rows[0][0][0] == str(trials["value"].idxmin())
    assert rows[-1][1] == ("diverged", "diverged")
    assert rows[-1][head.index("value")] == ("–", "")
    assert note == ""


def test_what_is_missing_is_said_once() -> None:
    study = study_of([placed(0.1, 0.01, 1.0), placed(0.2, 0.01, None, TrialState.RUNNING)])
    trials, curves = trials_frame(study), curves_frame(study)
    trials.attrs["notes"] = curves.attrs["notes"] = ["a"]
    notes = caveats(trials, curves)
    assert notes[:2] == ["a", "1 trial still running, shown in the table only"]
    assert len(notes) == 3
