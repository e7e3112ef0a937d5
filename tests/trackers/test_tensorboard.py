"""What TensorBoard's own readers find in the event files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from small_tasks import read_trials
from tracker_files import read, sessions

from wdstudy import SearchSpace, StudySpec, run_study
from wdstudy.__main__ import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),  # inside tensorboard
]

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"
SUCCESS, FAILURE = 1, 2


def test_every_trial_is_one_run_with_its_curves_and_its_line_of_the_hparams_page(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    from wdstudy.trackers.tensorboard import TensorBoard

    space = SearchSpace(lr=[0.01, 0.1, 1e30], weight_decay=[0, 0.01], seeds=2)
    study = run_study(
        make_spec(space=space, epochs=3), URL, lanes=3, trackers=[TensorBoard("runs")]
    )
    runs = {path.parent.name: path.parent for path in Path("runs").rglob("events*")}
    assert len(runs) == len(study.trials) == 12
    assert len(list(Path("runs").rglob("events*"))) == 12
    listed = sessions(Path("runs"))
    assert {name.rpartition("/")[2] for name in listed} == set(runs)
    for trial in study.trials:
        name = f"trial-{trial.number:04d}"
        events, attributes = read(runs[name]), trial.user_attrs
        for tag, series in {
            "Loss/primary": "primary_loss",
            "Loss/decay": "decay_loss",
            "Loss/val": "val_loss",
            "Val/accuracy": "val_accuracy",
            "Weights/norm": "weight_norm",
            "Schedule/learning_rate": "learning_rate",
        }.items():
            assert [e.step for e in events.Scalars(tag)] == attributes["step"]
            stored = [math.nan if v is None else v for v in attributes[series]]
            assert [e.value for e in events.Scalars(tag)] == pytest.approx(
                stored, rel=1e-6, nan_ok=True
            )
        for both, *parts in zip(
            *(events.Scalars(f"Loss/{x}") for x in ("total", "primary", "decay")), strict=True
        ):
            total = sum(part.value for part in parts)
            assert both.value == pytest.approx(total, rel=1e-6, nan_ok=True)
        session = listed[f"small/{name}"]
        assert session.hparams["lr"] == trial.params["lr"]
        assert session.hparams["weight_decay"] == trial.params["weight_decay"]
        assert session.hparams["decay_kind"] == "coupled"
        complete = trial.state == TrialState.COMPLETE
        assert session.status == (SUCCESS if complete else FAILURE)
        (state,) = events.Tensors("State/text_summary")
        assert state.tensor_proto.string_val == [trial.state.name.encode()]
        metrics = session.metrics
        assert metrics["Trial/initial_loss"] == pytest.approx(attributes["initial_loss"])
        if complete:
            assert (
                metrics["Loss/val"] == metrics["Trial/final_val_loss"] == pytest.approx(trial.value)
            )
        else:
            assert metrics["Trial/diverged_at"] == attributes["diverged_at"]


def test_a_run_of_another_study_of_the_same_name_is_not_mixed_with_this_one(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    from wdstudy.trackers.tensorboard import TensorBoard

    space = SearchSpace([0.1], [0])
    for url in ("sqlite:///one.db", "sqlite:///two.db"):
        run_study(make_spec(space=space), url, trackers=[TensorBoard("runs")])
    names = sorted(path.name for path in Path("runs/small").iterdir())
    assert names == ["trial-0000", "trial-0000-2"]
    assert [len(read(Path("runs/small", name)).Scalars("Loss/val")) for name in names] == [2, 2]


def test_several_processes_and_a_run_that_goes_on_make_one_run_a_trial(
    study_file: Callable[..., Path],
) -> None:
    path = str(study_file())
    track = ["--track", "tensorboard", "--set", "tensorboard.dir=events"]
    assert main(["run", path, "--jobs", "2", "--lanes", "2", *track, "--lr", "0.01,0.1"]) == 0
    assert main(["run", path, "--jobs", "2", "--lanes", "2", *track]) == 0
    assert main(["run", path, *track]) == 0  # nothing is left to train
    trials = read_trials("linear")
    assert len({t.user_attrs["worker"] for t in trials}) >= 2
    listed = sessions(Path("events"))
    assert len(trials) == len(listed) == 12
    for trial in trials:
        run = f"linear/trial-{trial.number:04d}"
        assert listed[run].hparams["lr"] == trial.params["lr"]
        assert listed[run].status == SUCCESS
        losses = [e.value for e in read(Path("events", run)).Scalars("Loss/primary")]
        assert losses == pytest.approx(trial.user_attrs["primary_loss"], rel=1e-6)


@pytest.mark.parametrize("name", ["..", ".", "../up", "a/../../b", "é" * 200])
def test_no_name_leads_out_of_the_folder(in_folder: Path, make_spec: MakeSpec, name: str) -> None:
    from wdstudy.trackers.tensorboard import TensorBoard

    run_study(make_spec(name=name, epochs=1), URL, trackers=[TensorBoard("below/runs")])
    found = {path.parts[0] for path in Path().rglob("events*")}
    assert found == {"below"}
    assert len(list(Path("below/runs").glob("*/trial-*/events*"))) == 4
