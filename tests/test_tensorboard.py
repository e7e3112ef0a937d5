"""What TensorBoard's own readers find in the event files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import read_trials
from optuna.trial import TrialState

from wdstudy import SearchSpace, StudySpec, run_study
from wdstudy.__main__ import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),  # inside tensorboard
]

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"
SUCCESS, FAILURE = 1, 2


def read(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run)).Reload()


class Session(NamedTuple):
    status: int
    hparams: dict[str, float | str]
    metrics: dict[str, float]


def sessions(folder: Path) -> dict[str, Session]:
    """The lines of the HParams page, by name, as the plugin finds them."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, list_session_groups
    from tensorboard.plugins.hparams.backend_context import Context

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=1000,
        allowed_statuses=[
            api_pb2.STATUS_UNKNOWN,
            api_pb2.STATUS_SUCCESS,
            api_pb2.STATUS_FAILURE,
            api_pb2.STATUS_RUNNING,
        ],
    )
    context, page = RequestContext(), Context(TBContext(data_provider=provider))
    experiment = page.experiment_from_metadata(
        context, "", True, page.hparams_metadata(context, ""), []
    )
    groups = list_session_groups.Handler(context, page, "", request).run().session_groups
    found = {}
    for group in groups:
        (session,) = group.sessions  # a trial is a line of its own
        found[session.name] = Session(
            session.status,
            {k: v.string_value or v.number_value for k, v in group.hparams.items()},
            {m.name.tag: m.value for m in session.metric_values},
        )
        assert {info.name for info in experiment.hparam_infos} == set(group.hparams)
        assert {info.name.tag for info in experiment.metric_infos} >= set(
            found[session.name].metrics
        )
    return found


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
