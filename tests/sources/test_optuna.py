"""Plain Optuna studies, read back with the numbers that Optuna shows."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from made_studies import grid_study
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import wdstudy
from wdstudy import curves_frame, trials_frame
from wdstudy.__main__ import main
from wdstudy.storage.opening import open_storage, open_study


def objective(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("learning_rate", 1e-4, 1, log=True)
    decay = trial.suggest_float("optimizer.wd", 1e-6, 1e-1, log=True)
    end = 0.1 + (math.log10(lr) + 2) ** 2 + 0.1 * (math.log10(decay) + 3) ** 2
    if lr > 0.5:
        return math.inf
    for step in range(1, 6):
        trial.report(end + 5 - step, step)
    return end


def read(*arguments: str, code: int = 0) -> None:
    assert main(["read", *arguments]) == code


def test_a_sampled_study(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = optuna.create_study(
        study_name="theirs",
        storage="sqlite:///optuna.db",
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    theirs.optimize(objective, 40)
    before = Path("optuna.db").read_bytes()
    read("optuna.db")
    told = capsys.readouterr().out
    assert "lr: the column 'learning_rate'" in told
    assert "weight_decay: the column 'optimizer.wd'" in told
    assert "minimized as the source says" in told
    assert "scattered over the plane" in told
    ours = open_study("theirs")
    read_back = {
        int(t.user_attrs["source_run"]): (t.params["lr"], t.params["weight_decay"], t.values)
        for t in ours.trials
    }
    done = [t for t in theirs.trials if math.isfinite(t.value or math.nan)]
    assert {n: v for n, v in read_back.items() if v[2]} == {
        t.number: (
            pytest.approx(t.params["learning_rate"]),
            pytest.approx(t.params["optimizer.wd"]),
            t.values,
        )
        for t in done
    }
    lost = len(theirs.trials) - len(done)
    assert trials_frame(ours)["diverged"].sum() == lost > 0
    assert ours.best_value == theirs.best_value
    curves = curves_frame(ours)
    reports = {(t.number, s, v) for t in done for s, v in t.intermediate_values.items()}
    number = dict(zip((t.number for t in ours.trials), read_back, strict=True))
    assert reports == {
        (number[trial], step, value)
        for trial, step, value in zip(curves["trial"], curves["step"], curves["value"], strict=True)
    }
    theirs.optimize(objective, 2)
    read("sqlite:///optuna.db")
    assert "2 trials added, 40 trials there already" in capsys.readouterr().out
    assert before != Path("optuna.db").read_bytes()


def test_reading_changes_nothing_in_the_source(in_folder: Path) -> None:
    theirs = optuna.create_study(study_name="theirs", storage="sqlite:///optuna.db")
    theirs.optimize(objective, 3)
    before = Path("optuna.db").read_bytes()
    read("sqlite:///optuna.db")
    assert Path("optuna.db").read_bytes() == before


def test_a_journal_and_several_studies(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = JournalStorage(JournalFileBackend("optuna.log"))
    for name in ("one", "two"):
        optuna.create_study(study_name=name, storage=storage).optimize(objective, 3)
    read("optuna.log", code=2)
    assert "holds 2 studies; say which with --study: one, two" in capsys.readouterr().err
    read("optuna.log", "--study", "tow", code=2)
    assert "did you mean 'two'" in capsys.readouterr().err
    read("optuna.log", "--study", "two")
    assert len(open_study("two").trials) == 3


def test_one_objective_of_several(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = optuna.create_study(
        study_name="both", storage="sqlite:///optuna.db", directions=["minimize", "maximize"]
    )
    with pytest.warns(ExperimentalWarning):
        theirs.set_metric_names(["error", "speed"])
    for number in range(4):
        trial = theirs.ask()
        lr = trial.suggest_float("lr", 1e-4, 1, log=True)
        decay = trial.suggest_float("weight_decay", 0, 0.1)
        theirs.tell(trial, [lr + decay, float(number)])
    assert main(["report", "both", "--storage", "sqlite:///optuna.db"]) == 2
    assert "wdstudy read URL --study NAME --objective N" in capsys.readouterr().err
    read("optuna.db", code=2)
    assert "with --objective: 0 (error), 1 (speed)" in capsys.readouterr().err
    read("optuna.db", "--objective", "1")
    ours = open_study("both")
    assert [t.value for t in ours.trials] == [0, 1, 2, 3]
    assert ours.direction == optuna.study.StudyDirection.MAXIMIZE
    read("optuna.db", "--objective", "error", "--name", "error")
    assert [t.value for t in open_study("error").trials] == [t.values[0] for t in theirs.trials]
    read("optuna.db", "--objective", "2", code=2)
    assert "Known: error, speed, or a number, 0 to 1" in capsys.readouterr().err


def test_trials_that_did_not_complete(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = optuna.create_study(study_name="theirs", storage="sqlite:///optuna.db")
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, None):
        trial = theirs.ask()
        trial.suggest_float("lr", 1e-4, 1, log=True)
        trial.suggest_float("weight_decay", 0, 0.1)
        trial.report(0.5, 1)
        if state is not None:
            theirs.tell(trial, 0.1 if state == TrialState.COMPLETE else None, state)
    theirs.ask()
    read("optuna.db")
    told = capsys.readouterr().out
    assert "left out: 1 run still running" in told
    assert "left out: 1 run that failed" in told
    assert [t.state.name for t in open_study("theirs").trials] == ["COMPLETE", "PRUNED"]
    assert not trials_frame(open_study("theirs"))["diverged"].any()


def test_a_study_of_wdstudy_is_read_whole(in_folder: Path) -> None:
    """The copy says what the original says."""
    made = grid_study(seeds=2)
    theirs = optuna.create_study(study_name="made", storage="sqlite:///other.db")
    theirs.add_trials(made.trials)
    read("other.db", "--metric", "value")
    ours = wdstudy.open_study("made")
    columns = ["lr", "weight_decay", "seed", "value", "diverged", "state"]
    a, b = trials_frame(made)[columns], trials_frame(ours)[columns]
    assert a.equals(b)
    names = ["val_loss", "decay_loss", "primary_loss", "weight_norm"]
    curves = [curves_frame(study, names) for study in (made, ours)]
    keys = ["trial", "series", "step"]
    theirs_, ours_ = (c.sort_values(keys)[[*keys, "value"]].to_numpy() for c in curves)
    assert (theirs_ == ours_).all()


def test_what_differs_in_every_trial_is_no_setting(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The settings of a Transformers Trainer, of which some are about the run."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    theirs = optuna.create_study(
        study_name="theirs", storage="sqlite:///optuna.db", sampler=sampler
    )
    for number in range(6):
        trial = theirs.ask()
        trial.suggest_categorical("args.learning_rate", [1e-4, 1e-3, 1e-2])
        trial.suggest_float("args.weight_decay", 0, 0.1)
        trial.suggest_categorical("args.optim", ["adamw_torch_fused"])
        trial.suggest_int("args.warmup_steps", 10, 20, step=10)
        trial.set_user_attr("output_dir", f"out/{number}")
        theirs.tell(trial, 0.1 * number)
    read("optuna.db")
    told = capsys.readouterr().out
    assert "optimizer: AdamW; its weight_decay is decoupled" in told
    assert "output_dir" not in told
    assert "warmup_steps: 10, 20" in told


def test_an_empty_study(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna.create_study(study_name="empty", storage="sqlite:///optuna.db")
    read("optuna.db", code=2)
    assert "holds no runs" in capsys.readouterr().err
    assert not open_storage("sqlite:///wdstudy.db").get_all_studies()
