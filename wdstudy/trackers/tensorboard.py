"""TensorBoard: one run a trial, its curves and its line of the HParams page in one event file.

`SummaryWriter.add_hparams` would make a run beside the run, and `SummaryWriter` itself a thread
a lane that throws where a disk is full; so the records are written here, with TensorBoard's own
messages and record format. Nothing else is needed: from the runs' start messages TensorBoard
makes the columns of the HParams page, and from their scalars its metrics.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wdstudy.curves import STEP, series_named
from wdstudy.errors import MissingPackageError
from wdstudy.trackers.base import Point, RunInfo, StudyRun, with_total

try:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import api_pb2, metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
        SessionEndInfo,
        SessionStartInfo,
    )
    from tensorboard.summary.writer.record_writer import RecordWriter
    from torch.utils.tensorboard.summary import text
except ImportError as error:
    raise MissingPackageError("the tracker tensorboard", "tensorboard") from error


_LONGEST = 240
"""Bytes of a folder's name; a letter has up to four."""


@dataclass(frozen=True)
class TensorBoard:
    """Writes event files for TensorBoard.

    Args:
        dir: The folder that `tensorboard --logdir` is given; a run is `dir/STUDY/trial-0000`.
    """

    dir: str = "runs"

    def check(self) -> None:
        """Nothing can be wrong yet."""

    def begin(self, study: StudyRun) -> None:
        """Runs share nothing but a folder."""

    def open(self, info: RunInfo) -> EventFile:
        """Begin a run, in a folder of its own."""
        parts = [_safe(part) for part in (info.study.name, info.name) if part]
        return EventFile(_new_folder(Path(self.dir, *parts)), info.params)

    def finish(self, study: StudyRun, completed: bool) -> None:
        """Runs share nothing but a folder."""


class EventFile:
    """One run: an event file, flushed after every turn."""

    def __init__(self, folder: Path, params: Mapping[str, float | str]) -> None:
        now = time.time()
        self.path = folder / (
            f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
        )
        self._records = RecordWriter(self.path.open("wb"))
        self._step = 0
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        start = SessionStartInfo(start_time_secs=now)
        for name, value in params.items():
            if isinstance(value, str):
                start.hparams[name].string_value = value
            else:
                start.hparams[name].number_value = value
        self._write_hparams(
            metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)
        )
        self._records.flush()

    def log(self, points: Sequence[Point]) -> None:
        """Write record points, in their order."""
        for point in points:
            self._write_scalars(
                {
                    series_named(name).tag: value
                    for name, value in with_total(point).items()
                    if name != STEP
                },
                int(point[STEP]),
            )
            self._step = int(point[STEP])
        self._records.flush()

    def end(self, scalars: Mapping[str, float], state: str) -> None:
        """Write headline scalars, as `Trial/…` below the losses, and the state.

        Only COMPLETE is a success on the HParams page.
        """
        step = self._step
        self._write_scalars({f"Trial/{name}": value for name, value in scalars.items()}, step)
        shown = text("State", state)  # type: ignore[no-untyped-call]
        self._write(Event(wall_time=time.time(), step=step, summary=shown))
        status = api_pb2.STATUS_SUCCESS if state == "COMPLETE" else api_pb2.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._write_hparams(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))
        self._records.close()

    def discard(self) -> None:
        """Remove the file, and its folder if it holds nothing else."""
        self._records.close()
        self.path.unlink(missing_ok=True)
        if not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    def _write_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write_hparams(self, name: str, data: HParamsPluginData) -> None:
        data.version = metadata.PLUGIN_DATA_VERSION
        plugin = SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString()
        )
        value = Summary.Value(
            tag=name, metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR
        )
        self._write(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


def _safe(name: str) -> str:
    """A folder's name that stays in the folder it is made in, and that a file system takes."""
    safe = re.sub(r"^\.+$", "_", re.sub(r"[^\w.+-]+", "_", name))
    return safe if len(safe.encode()) <= _LONGEST else safe[: _LONGEST // 4]


def _new_folder(wanted: Path) -> Path:
    """The folder, or the next free name beside it: two runs in one folder would be mixed up."""
    folder, number = wanted, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
