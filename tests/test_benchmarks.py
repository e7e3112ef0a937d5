"""Benchmarks still run, at a size that says nothing of speed; tables are of their studies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from wdstudy import SearchSpace, StudySpec, run_study, trials_frame
from wdstudy.space import TrialParams
from wdstudy.study.file import load_specs
from wdstudy.study.optimizers import optimizer_name

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
TABLES = sorted(path.name.split(".")[0] for path in (BENCHMARKS / "tables").glob("*.csv.xz"))


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(BENCHMARKS / "tables" / f"{name}.csv.xz")


def plane(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean value over the seeds, weight_decay × lr; NaN where a seed diverged."""
    cells = rows.groupby(["weight_decay", "lr"])["value"]
    return cells.agg(lambda v: v.mean(skipna=False)).unstack()


def spec_of(name: str) -> StudySpec:
    (spec,) = load_specs(BENCHMARKS / "studies" / f"{name}.py")
    return spec


def run(script: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_cost_of_trackers_is_measured_beside_none(tmp_path: Path) -> None:
    table = run("trackers.py", "--small", "--repeats", "1", "--out", str(tmp_path))
    rows = pd.read_csv(tmp_path / "trackers.csv").set_index("tracker")
    assert list(rows.index) == ["none", "tensorboard", "wandb", "mlflow"]
    assert (rows["training_seconds"] > 0).all()
    assert rows.loc["none", "command_ratio"] == 1
    assert "mlflow" in table


@pytest.mark.slow
def test_the_dashboard_benchmark_opens_a_study_and_times_a_run(tmp_path: Path) -> None:
    run("dashboard.py", "--small", "--out", str(tmp_path))
    rows = pd.read_csv(tmp_path / "dashboard.csv").set_index("what")
    opened = rows.loc[["open: wdstudy dashboard", "open: optuna-dashboard"]]
    assert list(opened["pruner"]) == [False, True, False, True]
    assert (opened["open_seconds"] > 0).all()
    assert rows.loc["push", "pushes"] >= 1
    assert 0 < rows.loc["push", "share"] < 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler: g++")
def test_what_was_tried_for_speed_can_be_tried_again(tmp_path: Path) -> None:
    run("tried.py", "--small", "--out", str(tmp_path))
    rows = pd.read_csv(tmp_path / "tried.csv")
    assert list(rows["way"]) == ["compiled", "bfloat16"] * 2
    assert (rows["times_as_fast"] > 0).all()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_holds_every_trial_of_its_study_and_no_other(name: str) -> None:
    spec, rows = spec_of(name), table(name)
    assert list(rows) == ["lr", "weight_decay", "seed", "value", "diverged", "initial_loss"]
    assert spec.name == name
    trials = [TrialParams(*row) for row in rows[["lr", "weight_decay", "seed"]].itertuples(False)]
    assert sorted(t.key for t in trials) == sorted(t.key for t in spec.space.cells())
    assert 0 in spec.space.weight_decay
    assert rows["value"].isna().equals(rows["diverged"])


@pytest.mark.parametrize("name", TABLES)
def test_a_table_reaches_from_what_is_learnt_to_what_weight_decay_destroys(name: str) -> None:
    rows = table(name)
    cells = plane(rows)
    assert cells.min().min() < 0.75 * rows["initial_loss"].mean()
    harmed = (cells.max() > 1.15 * cells.min()) | cells.isna().any()  # by lr
    assert harmed.mean() > 0.6


def test_tables_are_of_several_optimizers_and_weight_decay_helps_in_some() -> None:
    assert {"SGD", "Adam", "AdamW", "Muon"} <= {
        optimizer_name(spec_of(n).optimizer) for n in TABLES
    }
    gains = {}
    for name in TABLES:
        cells = plane(table(name))
        gains[name] = (1 - cells.min() / cells.loc[0]).max()  # at the lr where it gains most
    assert min(gains.values()) < 0.02
    assert sum(gain > 0.2 for gain in gains.values()) >= 3


@pytest.mark.slow
def test_a_table_is_what_its_study_trains_again() -> None:
    """Processors round differently: within 1 %, where another cell or seed is further off."""
    name, lr, seeds = "head_sgd", 0.1, [0, 1]
    spec = replace(spec_of(name), space=SearchSpace([lr], [0, 0.0464159], seeds))
    again = trials_frame(run_study(spec, optuna.storages.InMemoryStorage()))
    keys = ["lr", "weight_decay", "seed"]
    both = again.merge(table(name), on=keys, suffixes=("", "_recorded"))
    assert len(both) == 4
    np.testing.assert_allclose(both["value"], both["value_recorded"], rtol=0.01)
    np.testing.assert_allclose(both["initial_loss"], both["initial_loss_recorded"], rtol=0.01)
    assert both.groupby("weight_decay")["value"].mean().pct_change().iloc[1] > 0.05


@pytest.mark.slow
def test_a_table_is_made_and_shown_by_the_command(tmp_path: Path) -> None:
    said = run("tables.py", "--show", "head_sgd")
    assert said.startswith("head_sgd: 1014 trials")
