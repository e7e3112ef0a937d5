"""What the trackers' own readers find in the files that they left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple


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


def records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of every run under a folder, by the run's name, as `wandb leet` reads them."""
    program = Path(sys.executable).with_name("wandb")
    found = {}
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        done = subprocess.run(
            [program, "leet", "inspect", "--json", file], capture_output=True, text=True, check=True
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        (run,) = [line["run"] for line in lines if line["type"] == "run"]
        assert run["display_name"] not in found
        found[run["display_name"]] = lines
    return found


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for line in lines:
        if line["type"] == "summary":
            merged |= line["summary"]["update"]
    return merged
