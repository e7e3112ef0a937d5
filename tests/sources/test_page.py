"""What is read has a page in optuna-dashboard, and stands beside studies of wdstudy's own."""

from __future__ import annotations

from pathlib import Path

import optuna
import pandas as pd
import pytest
from made_studies import grid_study

from wdstudy.__main__ import main
from wdstudy.analysis.frames.trials import trials_frame
from wdstudy.storage.ids import id_of_study, storage_of


@pytest.mark.parametrize("live", [True, False])
def test_the_dashboards_page(in_folder: Path, live: bool) -> None:
    made = trials_frame(grid_study(seeds=2))
    made.to_csv("made.csv", index=False)
    flags = [] if live else ["--no-live"]
    assert main(["read", "made.csv", "--metric", "final_val_loss", *flags]) == 0
    study = optuna.load_study(study_name="made", storage="sqlite:///wdstudy.db")
    kept = storage_of(study).get_study_system_attrs(id_of_study(study))
    assert any("wdstudy-objective" in key for key in kept) is live


@pytest.mark.slow
def test_comparison_and_export(in_folder: Path) -> None:
    ours = optuna.create_study(study_name="ours", storage="sqlite:///wdstudy.db")
    made = grid_study("ours", seeds=2, optimizer="SGD")
    ours.set_user_attr("wdstudy", made.user_attrs["wdstudy"])
    ours.add_trials(made.trials)
    frame = trials_frame(made)[["lr", "weight_decay", "seed", "value"]]
    frame.rename(columns={"value": "val_loss"}).to_csv("theirs.csv", index=False)
    assert main(["read", "theirs.csv"]) == 0
    assert main(["report", "ours", "theirs"]) == 0
    page = Path("reports/comparison/report.html").read_text()
    assert "theirs" in page
    assert "read from" in Path("reports/theirs/report.html").read_text()
    assert main(["export", "theirs", "--what", "trials", "--out", "out.csv"]) == 0
    assert len(pd.read_csv("out.csv")) == len(frame)
    assert main(["suggest", "theirs"]) == 0
