"""A study that an earlier version recorded: it opens, reports, exports, and trains on.

`recorded/recorded.journal` was written by 0.1 with `run recorded.py --lr 0.01,10 --lanes 2`: 12 of
the 18 cells of the file's grid, half of them diverged. Beside it lies what 0.1 made of it.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from optuna.trial import TrialState

from wdstudy import open_study
from wdstudy.__main__ import main

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def url(in_folder: Path) -> str:
    for name in ("recorded.py", "recorded.journal"):
        shutil.copy(RECORDED / name, in_folder)
    return "journal:///recorded.journal"


def test_its_curves_are_exported_byte_for_byte(url: str) -> None:
    assert main(["export", "recorded", "--storage", url, "--out", "curves.csv"]) == 0
    assert Path("curves.csv").read_bytes() == (RECORDED / "curves.csv").read_bytes()


def test_its_report_says_what_it_said(url: str) -> None:
    assert main(["report", "recorded", "--storage", url, "--out", "reports"]) == 0
    folder = Path("reports/recorded")
    assert (folder / "curves.csv").read_bytes() == (RECORDED / "curves.csv").read_bytes()
    assert (folder / "trials.csv").read_bytes() == (RECORDED / "trials.csv").read_bytes()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trials"] == {"COMPLETE": 6, "PRUNED": 6}
    assert summary["diverged"] == 6
    best = summary["landscape"]["best"]
    assert (best["lr"], best["weight_decay"], best["seeds"]) == (0.01, 0.1, 2)
    assert best["seen"] == pytest.approx(0.6969696, abs=1e-6)


def test_it_resumes_and_trains_no_cell_twice(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {t.number: (t.value, t.user_attrs) for t in open_study("recorded", url).trials}
    assert main(["run", "recorded.py", "--storage", url, "--lanes", "2"]) == 0
    said = capsys.readouterr().err
    assert "12 finished trials kept, 6 to train" in said
    assert "recorded earlier" not in said
    trials = open_study("recorded", url).trials
    for number, kept in before.items():
        assert (trials[number].value, trials[number].user_attrs) == kept
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    cells = Counter(tuple(sorted(t.params.items())) for t in trials)
    assert len(cells) == 18
    assert set(cells.values()) == {1}


def test_a_new_run_of_its_file_records_the_same_curves(url: str) -> None:
    """The seeded run itself, and not only what reads it: to the last digits of a float32."""
    run = ["run", "recorded.py", "--lr", "0.01", "--storage", "sqlite:///new.db", "--lanes", "2"]
    assert main(run) == 0
    assert main(["export", "recorded", "--storage", "sqlite:///new.db", "--out", "new.csv"]) == 0
    index = ["lr", "weight_decay", "seed", "step", "series"]
    old, new = (
        pd.read_csv(path).query("lr == 0.01").set_index(index)["value"].sort_index()
        for path in (RECORDED / "curves.csv", "new.csv")
    )
    pd.testing.assert_series_equal(new, old, rtol=1e-4)
