"""What W&B's own reader finds in the files of offline runs."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from small_tasks import read_trials
from tracker_files import records, summary

from wdstudy import SearchSpace, StudySpec, run_study
from wdstudy.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of wandb's packages

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


def test_every_trial_is_a_run_of_the_studys_group(
    in_folder: Path, make_spec: MakeSpec, no_account: Path
) -> None:
    from wdstudy.trackers.wandb import WandB

    space = SearchSpace(lr=[0.01, 0.1, 1e30], weight_decay=[0, 0.01])
    tracker = WandB(project="decay", mode="offline")
    study = run_study(make_spec(space=space, epochs=3), URL, lanes=3, trackers=[tracker])
    runs = records(in_folder)
    assert set(runs) == {f"trial-{t.number:04d}" for t in study.trials}
    for trial in study.trials:
        lines, attributes = runs[f"trial-{trial.number:04d}"], trial.user_attrs
        (run,) = [line["run"] for line in lines if line["type"] == "run"]
        assert (run["project"], run["run_group"]) == ("decay", "small")
        config = {k: v for k, v in run["config"]["update"].items() if k != "_wandb"}
        assert config == {**trial.params, "seed": 0, "decay_kind": "coupled"}
        history = [line["history"] for line in lines if line["type"] == "history"]
        assert [row["step"]["num"] for row in history] == attributes["step"]
        complete = trial.state == TrialState.COMPLETE
        for name in ("primary_loss", "decay_loss", "val_loss", "weight_norm", "learning_rate"):
            if complete:
                assert [row["item"][name] for row in history] == attributes[name]
        if complete:
            for row in (row["item"] for row in history):
                assert row["total_loss"] == row["primary_loss"] + row["decay_loss"]
        final = summary(lines)
        assert final["state"] == trial.state.name
        if complete:
            assert final["final_val_loss"] == trial.value
        else:
            assert final["diverged_at"] == attributes["diverged_at"]
        assert [line["exit"]["exit_code"] for line in lines if line["type"] == "exit"] == [0]


def test_processes_and_lanes_each_have_their_runs_and_nothing_of_the_command_line(
    study_file: Callable[..., Path], no_account: Path
) -> None:
    path = str(study_file())
    with_password = "journal:////" + str(Path("some.journal").resolve()).lstrip("/")
    track = ["--track", "wandb", "--set", "wandb.mode=offline", "--storage", with_password]
    assert main(["run", path, "--jobs", "2", "--lanes", "3", *track]) == 0
    runs = records(Path())
    assert len(runs) == 12
    assert all(summary(lines)["state"] == "COMPLETE" for lines in runs.values())
    everything = b"".join(p.read_bytes() for p in Path("wandb").rglob("*") if p.is_file())
    assert b"some.journal" not in everything  # a storage's URL may hold a password


def test_without_an_account_nothing_is_asked_and_nothing_is_trained(
    study_file: Callable[..., Path], no_account: Path
) -> None:
    """On a real terminal, where W&B would ask for a key."""
    path = study_file()
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wdstudy", "run", str(path), "--track", "wandb"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    said = b""
    try:
        while chunk := os.read(screen, 1000):
            said += chunk
    except OSError:  # the other end is closed
        pass
    assert process.wait(120) == 2
    assert b"has no API key; run `wandb login`, or record offline with" in said
    assert not Path("wdstudy.db").exists()


def test_a_server_that_is_away_neither_stops_the_study_nor_its_end(
    study_file: Callable[..., Path], no_account: Path
) -> None:
    path = study_file()
    script = (
        "import sys, wdstudy.trackers.wandb as w; w.TIMEOUT_SECONDS = 2.0\n"
        "from wdstudy.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", str(path), "--track", "wandb"],
        env={**os.environ, "WANDB_API_KEY": "b" * 40},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tracker wandb: ") == 1
    assert "b" * 40 not in done.stderr
    assert [t.state for t in read_trials("linear")] == [TrialState.COMPLETE] * 12
    shutil.rmtree("wandb", ignore_errors=True)
