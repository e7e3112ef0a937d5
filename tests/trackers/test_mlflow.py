"""What MLflow's own client finds, in a database and on a real server."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from small_tasks import read_trials

from wdstudy import SearchSpace, StudySpec, run_study
from wdstudy.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of MLflow's packages

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MLflow server, on a free port."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--backend-store-uri", "sqlite:///server.db", "--host", "127.0.0.1", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *flags, "--port", str(port)],
        cwd=folder,
        env={
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5)
            break
        except OSError:
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
    yield address
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def runs_at(uri: str) -> tuple[Any, list[Any], dict[str, Any]]:
    """A client, the runs without a parent, and those with one by name."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("wdstudy")
    found = list(client.search_runs([experiment.experiment_id], max_results=1000))
    nested = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    names = {run.info.run_name: run for run in nested}
    assert len(names) == len(nested)
    return client, [run for run in found if run not in nested], names


@pytest.mark.parametrize("where", ["database", "server"])
def test_the_study_is_a_parent_run_and_its_trials_are_nested_in_it(
    in_folder: Path, make_spec: MakeSpec, request: pytest.FixtureRequest, where: str
) -> None:
    from wdstudy.trackers.mlflow import MLflow

    # Absolute: MLflow keeps the stores it opened by their address, for the whole process.
    database = f"sqlite:///{in_folder}/mlflow.db"
    uri = database if where == "database" else request.getfixturevalue("server")
    space = SearchSpace(lr=[0.01, 1e30], weight_decay=[0, 0.01])
    study = run_study(make_spec(space=space, epochs=3), URL, lanes=4, trackers=[MLflow(uri)])
    client, parents, nested = runs_at(uri)
    assert [(run.info.run_name, run.info.status) for run in parents] == [("small", "FINISHED")]
    assert len(nested) == len(study.trials) == 4
    for trial in study.trials:
        run, attributes = nested[f"trial-{trial.number:04d}"], trial.user_attrs
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.tags["wdstudy.study"] == "small"
        assert run.data.tags["wdstudy.state"] == trial.state.name
        assert run.info.status == "FINISHED"
        assert {k: float(run.data.params[k]) for k in ("lr", "weight_decay", "seed")} == {
            **trial.params,
            "seed": 0,
        }
        assert run.data.params["decay_kind"] == "coupled"
        histories = {
            name: client.get_metric_history(run.info.run_id, name)
            for name in ("primary_loss", "decay_loss", "val_loss", "weight_norm", "learning_rate",
                         "total_loss")
        }  # fmt: skip
        for name, history in histories.items():
            assert [m.step for m in history] == attributes["step"]
            stored = [
                attributes[name]
                if name in attributes
                else [
                    math.nan if None in both else sum(both)
                    for both in zip(
                        attributes["primary_loss"], attributes["decay_loss"], strict=True
                    )
                ]
            ][0]
            if trial.state == TrialState.COMPLETE:  # MLflow has no infinite numbers
                assert [m.value for m in history] == pytest.approx(stored, rel=1e-9)
        if trial.state == TrialState.COMPLETE:
            assert run.data.metrics["final_val_loss"] == trial.value
        else:
            assert run.data.metrics["diverged_at"] == attributes["diverged_at"]


def test_a_study_that_goes_on_in_several_processes_keeps_its_parent(
    study_file: Callable[..., Path],
) -> None:
    path = str(study_file())
    track = ["--track", "mlflow", "--set", "mlflow.uri=sqlite:///runs.db"]
    assert main(["run", path, "--jobs", "2", "--lanes", "2", *track, "--lr", "0.01,0.1"]) == 0
    assert main(["run", path, "--jobs", "2", "--lanes", "2", *track]) == 0
    assert main(["run", path, *track]) == 0  # nothing is left to train
    _, parents, nested = runs_at("sqlite:///runs.db")
    trials = read_trials("linear")
    assert [(run.info.run_name, run.info.status) for run in parents] == [("linear", "FINISHED")]
    assert {run.data.tags["mlflow.parentRunId"] for run in nested.values()} == {
        parents[0].info.run_id
    }
    assert set(nested) == {f"trial-{t.number:04d}" for t in trials}
    assert len(nested) == 12
    # A study of the same name in another storage is another study.
    assert main(["run", path, "--lr", "0.1", "--storage", "sqlite:///other.db", *track]) == 0
    with pytest.raises(AssertionError):
        runs_at("sqlite:///runs.db")  # names of trials come twice now: there are two parents


def test_what_a_killed_worker_left_open_is_closed_by_the_next_run(
    study_file: Callable[..., Path], in_folder: Path
) -> None:
    path, uri = study_file(pause=0.2), f"sqlite:///{in_folder}/killed.db"
    track = ["--track", "mlflow", "--set", f"mlflow.uri={uri}", "--lr", "0.1"]
    command = [sys.executable, "-m", "wdstudy", "run", str(path), "--lanes", "1", "--jobs", "1"]
    with subprocess.Popen([*command, *track], stderr=subprocess.DEVNULL) as killed:
        wait_for_a_run(in_folder / "killed.db")
        killed.kill()
    assert main(["run", str(path), *track]) == 0
    _, _, nested = runs_at(uri)
    found = Counter(run.info.status for run in nested.values())
    assert found == {"KILLED": 1, "FINISHED": 4}


def wait_for_a_run(database: Path) -> None:
    """Until a trial's run is open. A client would make tables, as the run does in that moment."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.1)
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
        ):
            query = "select count(*) from tags where key = 'mlflow.parentRunId'"
            if connection.execute(query).fetchone()[0]:
                return
    raise AssertionError("no run was begun")


def test_a_server_that_is_away_is_told_once_and_the_study_is_trained(
    study_file: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and not listening: connections are refused
        uri = f"http://someone:geheim@127.0.0.1:{closed.getsockname()[1]}"
        path = str(study_file())
        track = ["--track", "mlflow", "--set", f"mlflow.uri={uri}"]
        assert main(["run", path, "--jobs", "2", "--lanes", "2", *track]) == 0
    said = capfd.readouterr().err
    assert said.count("tracker mlflow") == 1
    assert "the training goes on without it" in said
    assert "geheim" not in said
    assert [t.state for t in read_trials("linear")] == [TrialState.COMPLETE] * 12


def test_a_folder_of_files_is_refused_before_training(
    study_file: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    track = ["--track", "mlflow", "--set", "mlflow.uri=./mlruns"]
    assert main(["run", str(study_file()), *track]) == 2
    said = capfd.readouterr().err
    assert "mlflow.uri=./mlruns: give a database or a server, like sqlite:///mlflow.db" in said
    assert said.count("\n") == 1
    assert os.listdir() == ["linear.py"]
