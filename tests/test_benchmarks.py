"""Every benchmark still runs, at a size that says nothing about speed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(script: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_comparison_and_the_figure_run_and_name_the_machine(tmp_path: Path) -> None:
    tasks = ["--tasks", "ridge"]
    table = run("compare.py", "--small", "--repeats", "1", *tasks, "--out", str(tmp_path))
    assert table.count("limited by") == 5
    rows = pd.read_csv(tmp_path / "compare.csv")
    assert set(rows["row"]) == set("abcde")
    assert (rows["command_seconds"] > 0).all()
    assert {"cpu", "cores", "torch", "optuna", "date"} <= set(rows)

    run("scaling.py", "--small", "--repeats", "1", "--out", str(tmp_path))
    scaling = pd.read_csv(tmp_path / "scaling.csv")
    assert set(scaling["kind"]) == {"trials", "lanes", "epochs", "parameters", "storage"}

    run("figure.py", "--results", str(tmp_path))
    assert (tmp_path / "speed.png").stat().st_size > 10_000


def test_the_cost_of_trackers_is_measured_beside_none(tmp_path: Path) -> None:
    table = run("trackers.py", "--small", "--repeats", "1", "--out", str(tmp_path))
    rows = pd.read_csv(tmp_path / "trackers.csv").set_index("tracker")
    assert list(rows.index) == ["none", "tensorboard", "wandb", "mlflow"]
    assert (rows["training_seconds"] > 0).all()
    assert rows.loc["none", "command_ratio"] == 1
    assert "mlflow" in table


def test_the_dashboard_benchmark_opens_a_study_and_times_a_run(tmp_path: Path) -> None:
    run("dashboard.py", "--small", "--out", str(tmp_path))
    rows = pd.read_csv(tmp_path / "dashboard.csv").set_index("what")
    opened = rows.loc[["open: wdstudy dashboard", "open: optuna-dashboard"]]
    assert list(opened["pruner"]) == [False, True, False, True]
    assert (opened["open_seconds"] > 0).all()
    assert rows.loc["push", "pushes"] >= 1
    assert 0 < rows.loc["push", "share"] < 1


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler: g++")
def test_what_was_tried_for_speed_can_be_tried_again(tmp_path: Path) -> None:
    run("tried.py", "--small", "--out", str(tmp_path))
    rows = pd.read_csv(tmp_path / "tried.csv")
    assert list(rows["way"]) == ["compiled", "bfloat16"] * 2
    assert (rows["times_as_fast"] > 0).all()
