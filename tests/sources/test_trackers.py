"""Sweeps that trackers hold, made with the real packages, with the numbers that these show."""

from __future__ import annotations

import http.server
import json
import math
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from tracker_files import records, sessions, summary

import wdstudy
from wdstudy import curves_frame, trials_frame
from wdstudy.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of their packages

LRS, DECAYS, EPOCHS = (0.01, 0.1), (0.0, 0.001, 0.01), 4


def loss(lr: float, weight_decay: float, epoch: int) -> float:
    return 0.1 + lr + weight_decay + 1.0 / epoch


def cells() -> Iterator[tuple[float, float]]:
    return ((lr, decay) for lr in LRS for decay in DECAYS)


def read(source: str, *flags: str, name: str = "read") -> optuna.Study:
    assert main(["read", source, "--name", name, *flags]) == 0
    return wdstudy.open_study(name)


def values(study: optuna.Study) -> dict[tuple[float, float], float]:
    return {(t.params["lr"], t.params["weight_decay"]): t.values[0] for t in study.trials}


def curves(study: optuna.Study, series: str = "val_loss") -> dict[tuple[float, float], list[Any]]:
    frame = curves_frame(study, [series])
    frame = frame[frame["series"] == series]
    return {
        (lr, decay): list(zip(part["step"], part["value"], strict=True))
        for (lr, decay), part in frame.groupby(["lr", "weight_decay"])
    }


def test_wandb_offline(
    in_folder: Path, no_account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    settings = wandb.Settings(silent=True, console="off")
    how: Any = {"mode": "offline", "reinit": "create_new", "settings": settings}
    for lr, decay in cells():
        config = {"optimizer": {"lr": lr, "name": "adamw"}, "wd": decay}
        run = wandb.init(project="mine", name=f"{lr} {decay}", config=config, **how)
        for epoch in range(1, EPOCHS + 1):
            run.log({"val/loss": loss(lr, decay, epoch), "train": {"loss": 1.0}}, step=epoch)
        run.finish()
    config = {"optimizer": {"lr": 1.0, "name": "adamw"}, "wd": 0.0}
    cut = wandb.init(project="mine", name="1 0", config=config, **how)
    cut.log({"val/loss": math.nan})
    cut.finish()
    study = read("wandb")
    told = capsys.readouterr().out
    assert "lr: the column 'optimizer.lr'" in told
    assert "metric: val/loss, minimized by its name" in told
    assert trials_frame(study).attrs["optimizer"] == "AdamW"
    assert trials_frame(study)["diverged"].sum() == 1
    truth = {}
    for name, lines in records(in_folder).items():
        lr, decay = map(float, name.split())
        truth[lr, decay] = summary(lines)["val/loss"]
    lost = truth.pop((1.0, 0.0))
    assert not isinstance(lost, float) or math.isnan(lost)
    done = {(t.params["lr"], t.params["weight_decay"]): t.value for t in study.trials if t.values}
    assert done == truth
    assert curves(study)[0.1, 0.001] == [(e, loss(0.1, 0.001, e)) for e in range(1, EPOCHS + 1)]
    assert len(curves(study, "primary_loss")[0.1, 0.01]) == EPOCHS
    (file, *_) = sorted(Path("wandb").glob("offline-run-*/run-*.wandb"))
    file.write_bytes(file.read_bytes()[:-200])  # as a killed run leaves it
    assert len(read("wandb", name="killed").trials) == 6
    assert "left out: 1 run still running" in capsys.readouterr().out


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that refuses every key."""

    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b'{"error": "invalid api key"}')

        do_GET = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_wandb_refuses_the_key(in_folder: Path, no_account: Path, refusing: str) -> None:
    key = "0123456789abcdef" * 2 + "01234567"
    environment = {**os.environ, "WANDB_API_KEY": key, "WANDB_BASE_URL": refusing}
    for source in ("wandb:me/mine", "https://wandb.ai/me/mine", "wandb:me/mine/sweeps/abc"):
        done = subprocess.run(
            [sys.executable, "-m", "wdstudy", "read", source],
            capture_output=True, text=True, env=environment, timeout=200,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        line = done.stderr.strip().splitlines()[-1]
        assert "W&B does not give the runs of 'me/mine" in line
        assert key not in done.stdout + done.stderr
    assert main(["read", "wandb:mine"]) == 2


@pytest.mark.parametrize("package", ["wandb", "mlflow", "tensorboard"])
def test_a_missing_package_is_named(
    in_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:  # fmt: skip
    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"wdstudy.sources.{package}", raising=False)
    assert main(["read", f"{package}:somewhere"]) == 2
    assert f"pip install 'wdstudy[{package}]'" in capsys.readouterr().err


def test_a_password_of_mlflow_is_masked(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", "mlflow:http://me:secret@127.0.0.1:9"]) == 2
    told = capsys.readouterr()
    assert "MLflow can't read 'http://me:***@127.0.0.1:9'" in told.err
    assert "secret" not in told.out + told.err


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "mlruns"])
def test_mlflow(in_folder: Path, capsys: pytest.CaptureFixture[str], uri: str,
                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    at = Path(uri.removeprefix("sqlite:///")).absolute()
    where = f"sqlite:///{at}" if "://" in uri else at.as_uri()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = MlflowClient(tracking_uri=where)
        experiment = client.create_experiment("mine")
        parent = client.create_run(experiment).info.run_id
        for lr, decay in cells():
            run = client.create_run(experiment, tags={"mlflow.parentRunId": parent}).info.run_id
            client.log_param(run, "learning_rate", lr)
            client.log_param(run, "l2", decay)
            for epoch in range(1, EPOCHS + 1):
                client.log_metric(run, "val_accuracy", 1 - loss(lr, decay, epoch) / 2, step=epoch)
            client.set_terminated(run)
        running = client.create_run(experiment).info.run_id
        client.log_param(running, "learning_rate", 1.0)
        client.log_param(running, "l2", 0.0)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    study = read(uri.removeprefix("sqlite:///"))
    told = capsys.readouterr().out
    assert "left out: 1 run still running" in told
    assert "metric: val_accuracy, maximized by its name" in told
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    truth = {}
    for run in client.search_runs([experiment]):
        if "val_accuracy" in run.data.metrics:
            cell = float(run.data.params["learning_rate"]), float(run.data.params["l2"])
            truth[cell] = run.data.metrics["val_accuracy"]
            history = client.get_metric_history(run.info.run_id, "val_accuracy")
            assert curves(study, "val_accuracy")[cell] == [(m.step, m.value) for m in history]
    assert values(study) == truth
    assert len(truth) == 6
    assert main(["read", uri, "--study", "mien"]) == 2
    assert "did you mean 'mine'" in capsys.readouterr().err


def test_tensorboard_hparams_of_torch(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for i, (lr, decay) in enumerate(cells()):
        with SummaryWriter(f"runs/run{i}") as writer:
            for epoch in range(1, EPOCHS + 1):
                writer.add_scalar("Loss/val", loss(lr, decay, epoch), epoch)
            end = {"hparam/val_loss": loss(lr, decay, EPOCHS)}
            writer.add_hparams({"lr": lr, "weight_decay": decay, "name": "a"}, end)
    study = read("runs")
    found = sessions(Path("runs"))
    truth = {
        (s.hparams["lr"], s.hparams["weight_decay"] or 0.0): s.metrics["hparam/val_loss"]
        for s in found.values()
    }
    assert values(study) == pytest.approx(truth)
    assert len(truth) == 6
    assert curves(study)[0.1, 0.01] == [
        (e, pytest.approx(loss(0.1, 0.01, e), rel=1e-6)) for e in range(1, EPOCHS + 1)
    ]


def test_tensorboard_without_hparams(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter("runs/a") as writer:
        writer.add_scalar("Loss/val", 0.1, 1)
    assert main(["read", "runs"]) == 2
    assert "tells no hyperparameters of its 1 runs" in capsys.readouterr().err


RAY = """
import ray
from ray import tune

def train(config):
    for epoch in range(1, 5):
        tune.report({{"val_loss": 0.1 + config["opt"]["lr"] + config["wd"] + 1 / epoch}})

ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
space = {{"opt": {{"lr": tune.grid_search([0.01, 0.1])}},
          "wd": tune.grid_search([0.0, 0.001, 0.01])}}
run = tune.RunConfig(name="exp", storage_path="{folder}", verbose=0)
results = tune.Tuner(train, param_space=space, run_config=run).fit()
results.get_dataframe().to_csv("{folder}/truth.csv", index=False)
"""


def test_ray_tune(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    subprocess.run([sys.executable, "-c", RAY.format(folder=in_folder)], check=True,
                   capture_output=True, timeout=300)  # fmt: skip
    study = read("exp")
    truth = pd.read_csv("truth.csv").set_index(["config/opt/lr", "config/wd"])["val_loss"]
    assert values(study) == truth.to_dict()
    assert curves(study)[0.1, 0.01] == [(e, loss(0.1, 0.01, e)) for e in range(1, EPOCHS + 1)]
    (short, *_) = sorted(Path("exp").glob("*/result.json"))
    short.write_text("".join(short.read_text().splitlines(keepends=True)[:2]))
    stopped = read("exp", name="stopped")
    assert "1 trial with fewer results than the others' 4" in capsys.readouterr().out
    assert sorted(t.state.name for t in stopped.trials) == ["COMPLETE"] * 5 + ["PRUNED"]
    told = read("truth.csv", name="table")  # and what Ray's own frame says of it
    assert values(told) == values(study)


def test_trackio(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trackio")
    code = """
import trackio
for lr, decay in CELLS:
    trackio.init(project="mine", config={"lr": lr, "wd": decay})
    for epoch in range(1, 5):
        trackio.log({"val_loss": 0.1 + lr + decay + 1 / epoch}, step=epoch)
    trackio.finish()
trackio.init(project="mine", config={"lr": 1.0, "wd": 0.0})
trackio.log({"val_loss": float("nan")}, step=1)
trackio.finish()
import json
from trackio.sqlite_storage import SQLiteStorage
told = [(r.config, SQLiteStorage.get_logs("mine", r.name, run_id=r.id)) for r in
        trackio.Api().runs("mine")]
print("TOLD" + json.dumps(told, default=str))
"""
    folder = in_folder / "trackio"
    environment = {**os.environ, "TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code.replace("CELLS", repr(list(cells())))],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    study = read("trackio:mine")
    assert trials_frame(study)["diverged"].sum() == 1
    done_ = {(t.params["lr"], t.params["weight_decay"]): t.value for t in study.trials if t.values}
    told = json.loads(done.stdout.partition("TOLD")[2].splitlines()[0])
    logs = {(config["lr"], config["wd"]): log for config, log in told}
    assert len(logs) == 7
    assert done_ == {cell: logs[cell][-1]["val_loss"] for cell in cells()}
    truth = [(row["step"], row["val_loss"]) for row in logs[0.1, 0.01]]
    assert curves(study)[0.1, 0.01] == truth
    assert main(["read", str(folder / "mine.db"), "--name", "again"]) == 0
    assert main(["read", "trackio:mien"]) == 2
    assert "did you mean 'mine'" in capsys.readouterr().err


@pytest.mark.parametrize("tracker", ["wandb", "mlflow", "tensorboard"])
def test_what_wdstudy_tracks_it_reads_back(
    study_file: Callable[..., Path], no_account: Path, tracker: str
) -> None:
    """A study and the study of its own runs in a tracker say the same."""
    path = study_file()
    option = {"wandb": "mode=offline", "mlflow": "uri=sqlite:///mlflow.db"}.get(tracker, "dir=runs")
    flags = ["--track", tracker, "--set", f"{tracker}.{option}"]
    assert main(["run", str(path), *flags]) == 0
    ours = trials_frame(wdstudy.open_study("linear"))
    source = {"wandb": "wandb", "mlflow": "mlflow.db", "tensorboard": "runs"}[tracker]
    theirs = trials_frame(read(source, "--metric", "val_loss"))
    keys = ["lr", "weight_decay"]
    for frame in (ours, theirs):
        frame[keys] = frame[keys].map(lambda v: float(f"{v:.6g}"))
    both = ours.merge(theirs, on=keys, suffixes=("", "_read"))
    assert len(both) == len(ours) == len(theirs)
    assert both["value_read"].tolist() == pytest.approx(both["value"].tolist(), rel=1e-6)
    decay = both["final_decay_loss"].tolist()
    assert both["final_decay_loss_read"].tolist() == pytest.approx(decay, rel=1e-6, abs=1e-9)
