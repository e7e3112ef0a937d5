"""A study's record comes back as it was written, and says what of it can't be read."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.samplers import RandomSampler, TPESampler

from wdstudy import SearchSpace, StudySpec, landscape, run_study, trials_frame, write_report
from wdstudy.analysis.frames.study import record_of
from wdstudy.analysis.numbers.landscape import landscape_of_study
from wdstudy.analysis.report.setup import how_it_was_run
from wdstudy.errors import SpecError, StudyError
from wdstudy.record import STUDY_KEY, RecordedSpec, StudyRecord

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


def test_what_is_written_is_read_back(make_spec: MakeSpec) -> None:
    spec = make_spec(
        optimizer=partial(torch.optim.AdamW, betas=(0.9, 0.95)),
        pruner=optuna.pruners.MedianPruner(),
        settings={"data": "digits", "sizes": (3, 4)},
        warmup=0.1,
    )
    record = StudyRecord(
        1, spec.recorded(), True, {"torch": "2"}, "cpu", "Linux", None, ("a.py", "--epochs", "2"),
        12, {"total": 3},
    )  # fmt: skip
    stored = json.loads(json.dumps(record.as_data(), allow_nan=False))
    again = StudyRecord.of({STUDY_KEY: stored})
    assert again.damage == ()
    assert again.as_data() == stored
    assert again.spec.differences(record.spec) == []
    assert again.spec.space == spec.space
    assert again.spec.optimizer_options == {"betas": [0.9, 0.95]}


@pytest.mark.parametrize(
    ("sampler", "adaptive"),
    [
        ("grid", False),
        ("random", False),
        ("tpe", True),
        (RandomSampler(0), False),
        (TPESampler(seed=0), True),
        (type("Mine", (RandomSampler,), {})(), True),  # who knows what it looks at
    ],
)
def test_the_writer_says_whether_the_sampler_looks_at_results(
    in_folder: Path, make_spec: MakeSpec, sampler: Any, adaptive: bool
) -> None:
    study = run_study(make_spec(sampler=sampler, trials=2, epochs=1), URL)
    record = record_of(study)
    assert record.adaptive == adaptive
    said = " ".join(map(str, landscape_of_study(trials_frame(study), record).verdict))
    assert ("The sampler looked at results" in said) == adaptive


@pytest.mark.parametrize(
    ("sampler", "adaptive"),
    [("grid", False), ("QMCSampler", False), ("RandomSampler", False), ("TPESampler", True)],
)
def test_an_old_record_tells_it_by_the_samplers_name(sampler: str, adaptive: bool) -> None:
    old = {STUDY_KEY: {"schema": 1, "spec": {"sampler": sampler}}}
    assert StudyRecord.of(old).adaptive == adaptive


def test_a_study_of_another_program_has_an_empty_record() -> None:
    assert StudyRecord.of({}) == StudyRecord()
    assert StudyRecord().spec == RecordedSpec()
    assert landscape(trials_frame(_foreign())).best.lr == 0.1


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("text", "wdstudy is 'text'"),
        ({"schema": 1, "spec": 7}, "spec is 7"),
        ({"spec": {"epochs": "many"}}, "epochs is 'many'"),
        ({"spec": {"space": {"lr": [0.1]}}}, "space is {'lr': [0.1]}"),
        ({"spec": {"space": {"lr": [-1], "weight_decay": [0], "seeds": [0]}}}, "space is {"),
        ({"steps_per_epoch": [1, 2]}, "steps_per_epoch is [1, 2]"),
        ({"command": "run x"}, "command is 'run x'"),
        ({"versions": "abc"}, "versions is 'abc'"),
        ({"parameters": {"total": "x"}}, "parameters is {'total': 'x'}"),
        ({"spec": {"metrics": "accuracy"}}, "metrics is 'accuracy'"),
        ({"later": [1]}, "later is [1]"),
        ({"schema": 9, "new": 1}, "its layout, 9, is newer than this version's, 1"),
    ],
)
def test_damage_is_named_and_nothing_is_added_to_it(
    in_folder: Path, make_spec: MakeSpec, record: Any, says: str
) -> None:
    spec = make_spec(epochs=1, space=SearchSpace([0.1], [0]))
    study = run_study(spec, URL)
    study.set_user_attr(STUDY_KEY, record)
    assert record_of(study).damage
    notes = trials_frame(study).attrs["notes"]  # what can be read is read
    assert any("record is damaged" in note for note in notes)
    with pytest.raises(StudyError, match=rf"is damaged \({re.escape(says)}"):
        run_study(spec, URL)
    assert optuna.load_study(study_name="small", storage=URL).user_attrs[STUDY_KEY] == record


def test_what_is_no_json_is_refused_before_the_study_is_made(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    with pytest.raises(SpecError, match="can't be stored as JSON"):
        run_study(make_spec(settings={"sizes": {1, 2}}), URL)
    assert optuna.get_all_study_names(URL) == []


@pytest.mark.usefixtures("one_figure")
def test_numbers_that_are_not_finite_are_reported(in_folder: Path, make_spec: MakeSpec) -> None:
    spec = make_spec(diverged_factor=math.inf, settings={"clip": math.inf}, epochs=1)
    run_study(spec, URL)
    study = run_study(spec, URL)  # which finds its own record again
    assert write_report(study, in_folder / "reports").is_file()


def test_every_commit_that_worked_on_a_study_is_in_its_record(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    def commit() -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        asked = ["git", "rev-parse", "--short=12", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    subprocess.run(["git", "init", "-q"], check=True)
    commits, spec = [], make_spec(epochs=1)
    for lrs in ([0.01], [0.01, 0.1], [0.01, 0.1], [0.01, 0.1, 1.0]):
        if lrs != spec.space.lr:
            commits.append(commit())
        spec = replace(spec, space=replace(spec.space, lr=lrs))
        study = run_study(spec, URL)
    record = record_of(study)
    assert not record.damage
    found = [record.commit, *(later["commit"] for later in record.later)]
    assert [str(each).removesuffix("-dirty") for each in found] == commits
    shown = dict(how_it_was_run(trials_frame(study), record))["later runs"]
    assert "; ".join(f"commit {each}" for each in found[1:]) == shown


def test_a_larger_space_keeps_what_it_had() -> None:
    record = StudyRecord(spec=RecordedSpec(SearchSpace([0.1], [0, 0.1], 1), epochs=3))
    grown = record.with_space(SearchSpace([0.01], [0.2], [2]))
    assert grown.spec.space == SearchSpace([0.01, 0.1], [0, 0.1, 0.2], [0, 2])
    assert grown.spec.epochs == 3


def _foreign() -> optuna.Study:
    study = optuna.create_study()
    study.optimize(
        lambda t: t.suggest_float("lr", 0.1, 0.1) + t.suggest_float("weight_decay", 0, 1),
        n_trials=3,
    )
    return study


def test_a_scale_comes_back_as_it_was_written() -> None:
    scale = {"name": "batch_size", "values": [32, 64], "follow": {"lr": 0.5}, "budget": "epochs"}
    record = StudyRecord(spec=RecordedSpec(scale=scale))
    assert StudyRecord.of({"wdstudy": record.as_data()}).spec.scale == scale
    assert "scale" not in StudyRecord().as_data()["spec"]
    damaged = StudyRecord.of({"wdstudy": {"spec": {"scale": [1]}}})
    assert damaged.spec.scale is None
    assert damaged.damage
