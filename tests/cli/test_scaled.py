"""The commands that read studies along a scale, by itself or made apart, one a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from made_studies import drifting, grid_study, scaled_study

from wdstudy.__main__ import main
from wdstudy.storage.opening import open_storage

LRS = tuple(10.0**k for k in (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5))
DECAYS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage with a study along a scale, its first two values, and three made apart."""
    where = f"journal:///{tmp_path_factory.mktemp('stored') / 'a.journal'}"
    apart = [
        grid_study(f"b{size}", LRS, DECAYS, 2, points=2, batch_size=size,
                   loss=lambda *at, s=size: drifting(*at, s))
        for size in (8, 16, 32)
    ]  # fmt: skip
    for study in (scaled_study("mine"), scaled_study("two", (8, 16)), *apart):
        record = {**study.user_attrs["wdstudy"], "command": ["mine.py", "--epochs", "5"]}
        study.set_user_attr("wdstudy", record)
        optuna.copy_study(
            from_study_name=study.study_name, from_storage=study._storage,
            to_storage=open_storage(where),
        )  # fmt: skip
    return where


@pytest.fixture
def stored(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is where studies are looked for."""
    monkeypatch.setenv("OPTUNA_STORAGE", url)
    monkeypatch.setenv("COLUMNS", "80")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.mark.usefixtures("stored")
def test_predict_prints_the_pair_what_it_rests_on_and_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = said(capsys, "predict", "mine", "--at", "batch_size=128")
    lines = told.splitlines()
    assert lines[0] == "batch_size 128, a factor of 2 beyond 64, the largest trained"
    assert [line.split()[0] for line in lines[1:3]] == ["lr", "weight_decay"]
    assert all(len(line) <= 80 for line in lines[:-1])
    assert "run mine.py --epochs 5 --at batch_size=128 --lr 0.089" in lines[-1]
    for label in ("at stake", "rests on", "tested", "narrower", "train it"):
        assert any(line.startswith(label) for line in lines)
    data = json.loads(said(capsys, "predict", "mine", "--at", "batch_size=128", "--json"))
    assert data["value"] == 128
    assert data["lr"]["low"] < 0.09 < data["lr"]["high"]
    assert data["command"] in told


@pytest.mark.usefixtures("stored")
def test_studies_made_apart_are_read_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("b8", "b16", "b32")
    told = said(capsys, "predict", *names, "--at", "batch_size=64")
    assert "180 trials at batch_size 8, 16, 32" in told
    assert "train it" not in told  # no study of theirs holds it
    named = "--scale", "width=64,128,256"
    assert "at width 64, 128, 256" in said(capsys, "predict", *names, "--at", "width=512", *named)
    assert "you have your answer" in said(capsys, "suggest", *names, "--scale", "batch_size")
    data = json.loads(said(capsys, "report", *names, "--scale", "batch_size", "--json"))
    assert data["study"] == "b8+b16+b32"
    assert data["trials"] == {"COMPLETE": 180}
    assert data["record"]["spec"]["scale"]["values"] == [8, 16, 32]


@pytest.mark.usefixtures("stored")
def test_suggest_along_a_scale_says_where_to_train_and_at_what_price(
    capsys: pytest.CaptureFixture[str],
) -> None:
    *reasons, command = said(capsys, "suggest", "two").splitlines()
    assert "a third does: batch_size 32" in reasons[0]
    assert reasons[-1].startswith("# 84 trials, about 84 s")
    assert "run mine.py --epochs 5 --at batch_size=32 --lr" in command
    answered = said(capsys, "suggest", "mine")
    assert answered.splitlines()[-1].endswith("predict mine --at batch_size=128")


@pytest.mark.usefixtures("stored")
def test_list_names_the_best_of_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "list")
    for size in (8, 16, 32, 64):
        assert f"batch_size {size} " in told
    rows = {row["study"]: row for row in json.loads(said(capsys, "list", "--json"))}
    assert [cell["at"] for cell in rows["mine"]["along"]] == [8, 16, 32, 64]
    assert rows["mine"]["at"] == 64
    assert rows["mine"]["best"] == rows["mine"]["along"][-1]["best"]
    assert rows["b8"]["along"] is None


@pytest.mark.usefixtures("stored")
def test_what_can_not_be_read_along_a_scale_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, match in (
        (("predict", "mine", "--at", "batchsize=3"), "is along 'batch_size' by itself; ask along"),
        (("predict", "mine", "--at", "128"), "write NAME=VALUE"),
        (("predict", "mine", "--at", "batch_size=64"), "was trained"),
        (("predict", "mine", "--at", "batch_size=1e5"), "predicts no further"),
        (("predict", "b8", "--at", "batch_size=64"), "needs two values"),
        (("predict", "b8", "b16", "--at", "a=1", "--scale", "b=1,2"), "name two scales"),
        (("report", "b8", "b16", "--scale", "width"), "does not tell its width"),
        (("report", "b8", "b16", "--scale", "width=1"), "has 1 value for 2 of the names"),
        (("report", "b8", "b16", "--scale", "width=1,x"), "can't read 'x'"),
        (("report", "b8", "b8", "--scale", "batch_size"), "named twice"),
        (("report", "b8", "b16", "--scale", "="), "write NAME or NAME=VALUES"),
        (("report", "b8", "--scale", "width"), "has no 'width' to be a scale"),
        (("suggest", "b8", "b16"), "no scale is named"),
        (("report", "b8", "b16", "--scale", "batch_size", "--publish"), "--publish with --scale"),
    ):
        assert match in refused(capsys, *arguments)


def test_run_trains_at_the_values_that_are_named_and_adds_new_ones(
    study_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The line that `predict` and `suggest` print is one that can be typed."""
    run = ["run", str(study_file()), "--scale", "batch_size=8,16", "--jobs", "1"]
    cut = ["--lr", "0.01", "--weight-decay", "0.1"]
    assert main([*run, *cut]) == 0
    assert main([*run, "--at", "batch_size=32", "--lr", "0.1", "--weight-decay", "0.01"]) == 0
    assert "1 trial to train" in capsys.readouterr().err
    study = optuna.load_study(study_name="linear", storage="sqlite:///wdstudy.db")
    trained = [(t.params["batch_size"], t.params["lr"]) for t in study.trials]
    assert sorted(trained) == [(8, 0.01), (16, 0.01), (32, 0.1)]
    assert study.user_attrs["wdstudy"]["spec"]["scale"]["values"] == [8, 16, 32]
    for at, match in (
        ("width=3", "the study is along batch_size"),
        ("32", "write name=values"),
        ("batch_size=x", "can't read 'x'"),
    ):
        assert match in refused(capsys, *run, "--at", at)
    plain = ["run", str(study_file()), "--at", "batch_size=3"]
    assert "only along a scale" in refused(capsys, *plain)
    sampled = [*run, "--at", "batch_size=32", "--sampler", "random", "--trials", "3"]
    assert "--at (only= of a Scale) is for a grid" in refused(capsys, *sampled)
