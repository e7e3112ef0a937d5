"""The command line as a user has it: real processes, real signals, what they print and leave."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from commands import URL, command, study, wait_for_trials
from optuna.trial import TrialState

import wdstudy.errors
from wdstudy.__main__ import main
from wdstudy.cli.flags import called
from wdstudy.errors import WdstudyError
from wdstudy.run.progress import console, say
from wdstudy.storage.opening import open_storage

README = Path(__file__).parents[2] / "README.md"
StudyFile = Callable[..., Path]


def test_run_list_report_export(study_file: StudyFile, capfd: pytest.CaptureFixture[str]) -> None:
    path = study_file()
    assert main(["run", str(path)]) == 0
    said = capfd.readouterr().err
    assert "study 'linear': 3 lr × 4 weight_decay" in said
    assert "12/12 trials" in said
    assert "best trial so far: val_loss" in said
    assert re.search(r"best cell: lr 0\.1, weight_decay \S+ \(min val_loss \S+\)", said)
    assert "next: python -m wdstudy report linear" in said
    assert main(["run", str(path)]) == 0
    assert "12 finished trials kept, 0 to train" in capfd.readouterr().err
    assert main(["list"]) == 0
    assert "linear" in capfd.readouterr().out
    assert main(["report", "linear"]) == 0
    assert "reports/linear" in capfd.readouterr().out
    pictures = sorted(Path("reports/linear").rglob("*.png"))
    assert all(p.stat().st_size > 5000 for p in pictures)
    assert len(pictures) >= 4
    assert main(["export", "linear", "--out", "curves.csv"]) == 0
    curves = pd.read_csv("curves.csv")
    assert len(curves) == 12 * 5 * 2
    assert main(["export", "linear", "--what", "trials", "--out", "trials.csv"]) == 0
    assert len(pd.read_csv("trials.csv")) == 12


@pytest.mark.slow
def test_a_printed_command_does_the_same_in_a_shell(
    study_file: StudyFile, in_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = in_folder / "meine  \u00a0übung" / "it's  mine.py"  # with a space that is no space
    path.parent.mkdir()
    path.write_bytes(study_file().read_bytes())
    url = f"sqlite:///{path.parent.name}/a@b.db"
    assert main(["run", str(path), "--epochs", "1", "--storage", url]) == 0
    (said,) = re.findall("next: python -m (.*)", capfd.readouterr().err)
    subprocess.run(["bash", "-c", f"{sys.executable} -m {said}"], check=True, capture_output=True)
    assert len(list(in_folder.glob("reports/*/report.html"))) == 1
    assert [p.name for p in in_folder.rglob("*.db")] == ["a@b.db"]


def test_what_is_said_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    say(console(), called(["run", "a.py", "--lr", "0.001:100:5"]))
    assert capsys.readouterr().err == "python -m wdstudy run a.py --lr 0.001:100:5\n"


def test_flags_change_the_study(study_file: StudyFile) -> None:
    flags = [
        "--name",
        "other",
        "--lr",
        "0.01,0.1",
        "--weight-decay",
        "0,1e-3:1e-1:3",
        "--seeds",
        "2",
    ]
    flags += ["--epochs", "1", "--optimizer", "AdamW", "--device", "cpu"]
    assert main(["run", str(study_file()), *flags]) == 0
    found = study("other")
    spec = found.user_attrs["wdstudy"]["spec"]
    assert len(found.trials) == 16
    assert spec["space"] == {
        "lr": [0.01, 0.1],
        "weight_decay": [0.0, 0.001, 0.01, 0.1],
        "seeds": [0, 1],
    }
    assert (spec["optimizer"], spec["epochs"]) == ("AdamW", 1)


def test_a_sampler_from_the_command_line(study_file: StudyFile) -> None:
    assert main(["run", str(study_file()), "--sampler", "random", "--trials", "4"]) == 0
    assert sum(t.params["weight_decay"] > 0 for t in study().trials) == 4


def test_killed_at_any_moment_the_same_command_finishes_the_study(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file(pause=0.1)
    one_by_one = command("run", path, "--lanes", "1")
    process = subprocess.Popen(one_by_one, text=True, stderr=subprocess.PIPE)
    wait_for_trials(process, 3)
    process.kill()
    process.communicate()
    before = {t.number: t for t in study().trials if t.state == TrialState.COMPLETE}
    assert 3 <= len(before) < 12
    assert main(["run", str(path)]) == 0
    assert f"{len(before)} finished trials kept" in capfd.readouterr().err
    after = study().trials
    complete = [(t.params["lr"], t.params["weight_decay"]) for t in after
                if t.state == TrialState.COMPLETE]  # fmt: skip
    assert len(complete) == len(set(complete)) == 12
    assert not [t for t in after if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    for number, trial in before.items():
        assert after[number].value == trial.value
        assert after[number].user_attrs == trial.user_attrs


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(study_file: StudyFile, number: int) -> None:
    path = study_file(pause=0.1)
    one_by_one = command("run", path, "--lanes", "1")
    process = subprocess.Popen(one_by_one, text=True, stderr=subprocess.PIPE)
    wait_for_trials(process, 1)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"To go on: python -m wdstudy run {path}" in said
    assert "Traceback" not in said
    assert not [t for t in study().trials if t.state == TrialState.RUNNING]


BAD = [
    (["run", "no.py"], "no study file 'no.py'"),
    (["run", "linear.py", "--epoch", "3"], "No such option: --epoch"),
    (["run", "linear.py", "--sampler", "tp"], "did you mean 'tpe'"),
    (["run", "linear.py", "--optimizer", "adamv"], "did you mean 'adam"),
    (["run", "linear.py", "--optimizer", "lbfgs"], "takes no weight_decay"),
    (["run", "linear.py", "--lr", "1:0.1:3"], "reversed"),
    (["run", "linear.py", "--lr=-0.1"], "lr holds -0.1"),
    (["run", "linear.py", "--weight-decay", "0:1:3"], "list it beside the range"),
    (["run", "linear.py", "--epochs", "0"], "epochs=0"),
    (["run", "linear.py", "--set", "data"], "write --set key=value"),
    (["run", "linear.py", "--storage", "wd.db"], "did you mean 'sqlite:///wd.db'"),
    (["run", "linear.py", "--storage", "sqlite:////proc/x.db"], "can't be used"),
    (["run", "linear.py", "--device", "cuda:9"], "there are: "),
    (["run"], "Missing argument"),
    (["runn"], "No such command 'runn'"),
    (["report", "linear"], "run a study first"),
    (["list"], "run a study first"),
    (["export", "linear", "--out", "x.csv", "--what", "trails"], "did you mean 'trials'"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_exit_code_2_and_writes_nothing(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    study_file()
    assert main(arguments) == 2
    printed = capfd.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert os.listdir() == ["linear.py"]


def test_errors_name_the_section_of_the_readme_that_helps() -> None:
    kinds = [kind for kind in vars(wdstudy.errors).values() if isinstance(kind, type)]
    sections = {kind.section for kind in kinds if issubclass(kind, WdstudyError)} - {""}
    headings = set(re.findall(r"^## (.*)$", README.read_text(), re.M))
    assert sections
    assert sections <= headings


def test_a_report_of_what_is_not_there_says_what_is(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    optuna.create_study(study_name="empty", storage=open_storage(URL))
    assert main(["report", "linera"]) == 2
    assert "did you mean 'linear'" in capfd.readouterr().err
    assert main(["report", "empty"]) == 2
    assert "no finished trial" in capfd.readouterr().err
    assert main(["export", "linear", "--out", "x.txt"]) == 2
    assert main(["export", "linear", "--out", "no/x.csv"]) == 2
    assert not Path("reports").exists()


def test_without_arguments_the_help_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Begin with: wdstudy new" in capfd.readouterr().out


def test_a_failed_trial_is_exit_code_2_with_the_way_on(
    in_folder: Path, study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    text = path.read_text().replace("time.sleep(0.0)", "count[0] += 1; assert count[0] != 30")
    path.write_text("count = [0]\n" + text)
    assert main(["run", str(path), "--lanes", "1"]) == 2
    assert "1 of 12 trials failed; run the same command again" in capfd.readouterr().err
    assert main(["run", str(path)]) == 0


@pytest.mark.slow
def test_parquet_holds_what_csv_holds(trained: Path) -> None:
    for suffix in ("csv", "parquet"):
        assert main(["export", "linear", "--out", f"curves.{suffix}"]) == 0
    columns = pd.read_parquet("curves.parquet").astype({"series": "str"})  # a category there
    pd.testing.assert_frame_equal(columns, pd.read_csv("curves.csv"))


@pytest.mark.slow
def test_a_plain_dashboard_shows_the_study(trained: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    server = subprocess.Popen([program, URL, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        studies = fetch(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert [found["study_name"] for found in studies] == ["linear"]
        number = studies[0]["study_id"]
        detail = fetch(f"http://127.0.0.1:{port}/api/studies/{number}?after=0")
        assert len(detail["trials"]) == 12
        attributes = {a["key"]: a["value"] for a in detail["trials"][0]["user_attrs"]}
        assert float(attributes["final_val_loss"]) == study().trials[0].value
    finally:
        server.terminate()
        server.wait()


def fetch(url: str) -> Any:
    """The JSON behind a URL, as soon as somebody answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)
        except OSError:
            assert time.monotonic() < deadline, "the dashboard does not answer"
            time.sleep(0.2)


@pytest.mark.usefixtures("one_figure")
def test_run_list_and_report_name_one_best(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    """The best cell by its mean over seeds, whose best single trial may lie elsewhere."""
    path = str(study_file())
    assert main(["run", path, "--seeds", "3", "--epochs", "1"]) == 0
    told = capfd.readouterr().err
    best = re.search(r"best cell: lr (\S+), weight_decay (\S+) \(min val_loss (\S+), mean", told)
    assert best is not None, told
    assert main(["list"]) == 0
    listed = capfd.readouterr().out.split()
    assert {*best.groups()[2:], best[1]} <= set(listed)
    assert main(["report", "linear"]) == 0
    summary = json.loads(Path("reports/linear/summary.json").read_text())
    found = summary["landscape"]["best"]
    assert (f"{found['lr']:g}", f"{found['weight_decay']:g}") == best.groups()[:2]
    assert f"{found['seen']:.4g}" == best[3].rstrip(",")


def test_list_and_export_can_be_piped(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["study"], row["trials"]) == ("linear", 12)
    assert (row["metric"], row["direction"]) == ("val_loss", "minimize")
    best = min(t.value for t in study().trials if t.value is not None)
    assert row["best"] == pytest.approx(best, rel=1e-12)
    for what in ("curves", "trials"):
        assert main(["export", "linear", "--what", what, "--out", f"{what}.csv"]) == 0
        capfd.readouterr()
        assert main(["export", "linear", "--what", what, "--out", "-"]) == 0
        assert capfd.readouterr().out == Path(f"{what}.csv").read_text()
    piped = subprocess.run(
        f"{sys.executable} -m wdstudy export linear --out - | head -1",
        shell=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert piped.stdout == "trial,lr,weight_decay,seed,step,epoch,series,value\n"
    assert piped.stderr == ""


@pytest.mark.parametrize("url", ["sqlite:///wdstudy.db", "journal:///wdstudy.journal"])
def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    study_file: StudyFile, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, where = str(study_file()), ["--storage", url]
    file = Path(url.partition(":///")[2])
    folder = {p.name for p in Path().iterdir()}
    assert main(["run", path, "--dry-run", *where]) == 0
    said = capfd.readouterr().err
    assert "study 'linear': 3 lr × 4 weight_decay" in said
    assert re.search(r"12 trials to train: about \d+ s", said)
    assert "each trial: " in said
    assert "parameters, of which" in said
    assert re.search(r"the storage grows by about \d+ kB", said)
    assert {p.name for p in Path().iterdir()} == folder
    assert main(["run", path, *where]) == 0
    gc.collect()  # SQLite's last connection, once closed, moves its log into the file
    before = file.read_bytes()
    assert main(["run", path, "--dry-run", "--seeds", "2", *where]) == 0
    said = capfd.readouterr().err
    assert "12 finished trials kept, 12 to train" in said
    assert main(["run", path, "--dry-run", "--epochs", "3", *where]) == 2
    assert "was recorded with another spec: epochs=2, now 3" in capfd.readouterr().err
    assert main(["run", path, "--dry-run", "--quick", *where]) == 0
    assert "9 trials to train" in capfd.readouterr().err
    assert file.read_bytes() == before


def test_quiet_shows_nothing_but_what_is_wrong_and_a_log_keeps_it_all(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path, log = str(study_file()), Path("run.log")
    assert main(["run", path, "--quiet", "--log", str(log)]) == 0
    shown = capfd.readouterr()
    assert shown.out + shown.err == ""
    first = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S", line) for line in first)
    for part in ("--quiet --log", "12 trials to train", "12/12 trials", "best cell: ", "next: "):
        assert any(part in line for line in first), part
    assert main(["run", path, "--quiet", "--epochs", "3", "--log", str(log)]) == 2
    assert "recorded with another spec" in capfd.readouterr().err
    lines = log.read_text().splitlines()
    assert lines[: len(first)] == first
    assert "recorded with another spec" in lines[-1]
    for bad in (".", "nowhere/run.log"):
        assert main(["run", path, "--log", bad]) == 2
        assert f"--log {bad}: " in capfd.readouterr().err


def test_quiet_still_says_what_goes_wrong(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    path.write_text(path.read_text().replace("time.sleep(0.0)", "assert not flaky()") + FLAKY)
    assert main(["run", str(path), "--quiet", "--jobs", "1", "--lanes", "1"]) == 2
    told, last = capfd.readouterr().err.splitlines()
    assert "a trial failed: " in told
    assert "assert not flaky()" in told
    assert "1 of 12 trials failed" in last


FLAKY = """
calls = []
def flaky():
    calls.append(1)
    return len(calls) == 60
"""


@pytest.mark.parametrize("form", [["--storage"], ["--storage="]])
def test_a_log_holds_no_password(study_file: StudyFile, form: list[str]) -> None:
    url = "postgresql:u:hunter2@h/db"
    given = [*form, url] if form[0][-1] != "=" else [form[0] + url]
    assert main(["run", str(study_file()), *given, "--log", "run.log"]) == 2
    text = Path("run.log").read_text()
    assert "hunter2" not in text
    assert "stopped: unknown storage" in text


def test_the_time_of_a_large_grid_is_said_before_anything_is_written(
    study_file: StudyFile,
) -> None:
    """A slip of the finger: 200,000 trials. It says so, and Ctrl-C leaves nothing behind."""
    path = study_file(pause=0.01)
    arguments = command("run", path, "--lr", "1e-3:1e-1:200", "--seeds", "250", "--jobs", "1")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "trials to train" in line:
            break
    assert re.search(r"200,000 trials to train: about [\d.,]+ (min|h|days)", said)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert len(study().get_trials(deepcopy=False)) == 0
