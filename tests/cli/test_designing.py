"""`run --design` as a user has it: what it says, what it leaves, what it refuses."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import command, study
from optuna.trial import TrialState

from wdstudy.__main__ import main
from wdstudy.curves import DESIGN_STOP, SCOUTS
from wdstudy.run.cells import params_of

StudyFile = Callable[..., Path]


def test_a_study_designs_itself_and_says_what_it_does_and_why(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = str(study_file())
    asked = ["run", path, "--design", "--epochs", "30", "--trials", "12"]
    assert main([*asked, "--dry-run"]) == 0
    said = capfd.readouterr().err
    assert "a trial takes about " in said
    assert re.search(r"begins with \d+ scouts, which take as long as \S+ trials: ", said)
    assert re.search(r"the storage grows by about \S+ kB a trial", said)
    assert os.listdir() == ["linear.py"]

    assert main(asked) == 0
    said = capfd.readouterr().err
    assert "ranges in the study file are not used: the design looks at lr 1e-7 … 1000" in said
    assert "study 'linear': designs itself: best within 2 % of the loss" in said
    assert "at most 12 trials" in said
    assert "scouts of 10 steps took " in said
    assert re.search(r"^batch 1, \d+ trials? to find: ", said, re.M)
    assert re.search(r"^(answered|stopped): ", said, re.M)
    last = said.splitlines()[-2:]
    assert last[0].startswith("best cell: lr ")
    assert last[1] == "next: python -m wdstudy report linear"
    found = study()
    trained = len(found.trials)
    assert 0 < trained <= 12
    assert found.user_attrs[DESIGN_STOP]["why"] in said
    assert found.user_attrs[SCOUTS]
    assert {t.state for t in found.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}

    assert main(asked) == 0  # once more there is nothing to train
    said = capfd.readouterr().err
    assert "nothing is trained" in said
    assert len(study().trials) == trained

    assert main([*asked[:-1], "16", "--until", "best=5%,effects"]) == 0  # and now there is
    capfd.readouterr()
    assert len(study().trials) > trained
    spec = study().user_attrs["wdstudy"]["spec"]
    assert spec["sampler"] == "design"
    assert spec["design"] == {"best": 0.05, "effects": 0.05, "limit": None, "trials": 16}


def test_limits_from_the_command_line_are_kept(study_file: StudyFile) -> None:
    path = str(study_file())
    limits = ["--lr", "1e-3:0.3", "--weight-decay", "1e-4,1"]
    assert main(["run", path, "--design", "--trials", "10", *limits]) == 0
    placed = [params_of(t) for t in study().trials]
    assert all(p is not None and 1e-3 <= p.lr <= 0.3 for p in placed)
    assert all(p is not None and (p.weight_decay == 0 or p.weight_decay <= 1) for p in placed)


def test_a_quick_designed_study_is_a_small_one(study_file: StudyFile) -> None:
    assert main(["run", str(study_file()), "--design", "--quick"]) == 0
    found = study("linear-quick")
    assert 3 < len(found.trials) <= 9
    assert found.user_attrs["wdstudy"]["spec"]["epochs"] == 2


def test_a_budget_too_small_for_any_answer_says_what_one_takes(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(study_file()), "--design", "--trials", "3"]) == 0
    said = capfd.readouterr().err
    assert re.search(r"^stopped: the budget is spent", said, re.M)
    assert re.search(r"takes about \d+", said)


def test_cells_that_are_all_equal_end_a_design(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    """As where a scheduler of the loop's own sets lr, and weight_decay is not handed on."""
    path = study_file()
    whole = path.read_text()
    path.write_text(
        whole[: whole.index("STUDY = ")] + "def train(params, recorder):\n"
        "    torch.manual_seed(0)\n"
        "    model = nn.Linear(4, 1)\n"
        "    optimizer = torch.optim.SGD(model.parameters(), 0.01)\n"
        "    recorder.watch(optimizer)\n"
        "    (x, y), _ = data()\n"
        "    for _ in range(5):\n"
        "        optimizer.zero_grad()\n"
        "        value = loss(model(x), y)\n"
        "        value.backward()\n"
        "        recorder.step(value)\n"
        "        optimizer.step()\n"
        "    recorder.point(val_loss=value.detach())\n"
        "from wdstudy import Design\n"
        "STUDY = StudySpec(train=train, design=Design())\n"
    )
    assert main(["run", str(path)]) == 0
    said = capfd.readouterr().err
    assert "the loop never uses params.lr" in said
    assert re.search(r"^stopped: all \d+ cells came out equal", said, re.M)
    assert len(study().trials) < 20


def test_a_model_that_trains_at_no_lr_ends_a_design(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    path.write_text(
        path.read_text().replace("return nn.functional.mse_loss(", "return float('nan') * (")
        .replace("output.squeeze(-1), y)", "output.squeeze(-1) - y).square().mean()")
    )  # fmt: skip
    assert main(["run", str(path), "--design"]) == 0
    said = capfd.readouterr().err
    assert re.search(r"^stopped: ", said, re.M)
    assert "diverge" in said
    assert len(study().trials) < 40
    assert study().user_attrs[DESIGN_STOP]["reason"] == "hopeless"


REFUSED = [
    (["--design", "--sampler", "tpe"], "--sampler contradicts --design: it places its own trials"),
    (["--design", "--sampler", "grid"], "--sampler contradicts --design"),
    (["--design", "--pruner", "median"], "--pruner contradicts --design"),
    (["--design", "--seeds", "3"], "--seeds contradicts --design: it asks for seeds where"),
    (["--design", "--cells", "0.1:0"], "--cells contradicts --design"),
    (["--design", "--lr", "0.1"], "--lr 0.1: for a design it is the limits"),
    (["--design", "--weight-decay", "0,1"], "--weight-decay 0,1: for a design it is the limits"),
    (["--design", "--minutes", "5", "--budget", "20m"], "--minutes 5 and --budget 20m are two"),
    (["--design", "--minutes", "0"], "--minutes 0: give a number above 0"),
    (["--design", "--budget", "soon"], "--budget soon: give a time, like 90s, 20m or 1.5h"),
    (["--design", "--until", "worst"], "--until worst: 'worst' is no question"),
    (["--design", "--until", "best=x"], "--until best=x: can't read 'best=x'"),
    (["--design", "--trials", "0"], "trials=0"),
    (["--until", "best"], "--until: only for a study that designs itself; add --design"),
    (["--minutes", "5"], "--budget: only for a study that designs itself; add --design"),
    (["--budget", "5m"], "--budget: only for a study that designs itself; add --design"),
]


@pytest.mark.parametrize(("flags", "says"), REFUSED, ids=[" ".join(f) for f, _ in REFUSED])
def test_what_a_design_cannot_be_told_is_one_line(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    path = study_file()
    assert main(["run", str(path), *flags]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert os.listdir() == ["linear.py"]


def test_a_design_in_the_file_needs_no_flag(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    text = re.sub(r"    space=.*\n", "    design=Design(trials=6),\n", path.read_text())
    path.write_text(text.replace("import SearchSpace,", "import Design,"))
    assert main(["run", str(path), "--sampler", "tpe"]) == 2
    assert "--sampler contradicts the study file, by which" in capfd.readouterr().err
    assert main(["run", str(path), "--until", "best"]) == 0
    said = capfd.readouterr().err
    assert "designs itself: best within 2 % of the loss; at most 6 trials" in said
    assert "ranges in the study file" not in said
    assert 0 < len(study().trials) <= 6


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, int]]:
    """Both ends of a terminal so wide."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "cols", str(columns), "rows", "30"], stdin=theirs, check=True)
    try:
        yield ours, theirs
    finally:
        os.close(ours)


@pytest.mark.slow
def test_on_a_terminal_of_80_columns_no_sentence_is_cut(study_file: StudyFile) -> None:
    """Under the bar stand the batch and its reason, to its end; the newest losses may be cut."""
    path = study_file(pause=0.005)
    with terminal(80) as (ours, theirs):
        flags = ["--design", "--epochs", "30", "--trials", "12"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        process = subprocess.Popen(command("run", path, *flags), stderr=theirs, env=environment)
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r", "")
    lines = text.splitlines()
    batches = [line for line in lines if re.match(r"  batch \d+, (find|map|seeds): ", line)]
    assert batches
    assert not [line for line in batches if "…" in line]
    assert max(len(line) for line in batches) <= 80
    assert lines[-1] == "next: python -m wdstudy report linear"
    frames = text.split("trials ━")
    assert "batch " not in frames[-1].splitlines()[1]  # at the end there is none any more
