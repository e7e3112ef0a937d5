"""TensorBoard: folders in which HParams were written, by `SummaryWriter.add_hparams` or others."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from wdstudy.curves import SERIES, VAL_PREFIX, series_named
from wdstudy.errors import MissingPackageError, SourceError
from wdstudy.sources.base import COMPLETE, FAIL, RUNNING, Asked, Run, Sweep, sweep_of
from wdstudy.words import printable

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.util.tensor_util import make_ndarray
except ImportError as error:
    raise MissingPackageError("reading TensorBoard", "tensorboard") from error

_PLUGIN = "hparams"
_ALL = {"scalars": 0, "tensors": 0, "images": 1, "audio": 1, "histograms": 1, "graph": 1}
"""How much is kept of each; 0 is all."""

Curves = dict[str, tuple[list[float], list[float]]]


def read(source: str, asked: Asked) -> Sweep:
    """The runs of a folder that tell their hyperparameters.

    PyTorch writes them into a folder of their own under the run's, with the metrics at the end;
    where that is the run's only one, the run's curves belong to it.

    Raises:
        SourceError: no run there tells its hyperparameters.
    """
    folder = Path(source)
    folders = sorted({file.parent for file in folder.rglob("*tfevents*") if file.is_file()})
    events = {path: _Events(path) for path in folders}
    told = [path for path, found in events.items() if found.params]
    if not told:
        raise SourceError(
            f"'{printable(source)}' tells no hyperparameters of its {len(folders)} runs; write "
            "them with SummaryWriter.add_hparams, or give a table of them"
        )
    children = defaultdict(list)
    for path in told:
        children[path.parent].append(path)
    runs = []
    for path in told:
        above = events.get(path.parent)
        alone = above is not None and not above.params and len(children[path.parent]) == 1
        runs.append(events[path].run(str(path.relative_to(folder)), above if alone else None))
    return sweep_of(runs, folder.resolve().name, f"the TensorBoard folder {source}")


class _Events:
    """What the event files of one folder hold."""

    def __init__(self, folder: Path) -> None:
        events = EventAccumulator(str(folder), size_guidance=_ALL).Reload()
        self.params: dict[str, Any] = {}
        self.state = COMPLETE
        self.curves: Curves = {}
        tags = events.Tags()
        ours = any(tag.startswith(_TRIAL) for tag in tags["scalars"])
        for tag in tags["scalars"]:
            points = events.Scalars(tag)
            name = _own(tag) if ours else _plain(tag)
            self.curves[name] = [p.step for p in points], [p.value for p in points]
        for tag in tags["tensors"]:
            self._take_tensors(tag, events.Tensors(tag))
        self._take_hparams(events)

    def _take_tensors(self, tag: str, points: Any) -> None:
        """A scalar as TensorFlow 2 writes it, a tensor of one number."""
        values = [make_ndarray(point.tensor_proto) for point in points]
        if values and all(v.size == 1 and v.dtype.kind in "fiu" for v in values):
            steps = [float(point.step) for point in points]
            self.curves[_plain(tag)] = steps, [float(v.reshape(-1)[0]) for v in values]

    def _take_hparams(self, events: Any) -> None:
        try:
            contents = events.PluginTagToContent(_PLUGIN)
        except KeyError:
            return
        for content in contents.values():
            data = plugin_data_pb2.HParamsPluginData.FromString(content)
            kind = data.WhichOneof("data")
            if kind == "session_start_info":
                started = data.session_start_info
                self.params = {name: _value(v) for name, v in started.hparams.items()}
            elif kind == "session_end_info":
                self.state = _STATES.get(data.session_end_info.status, COMPLETE)

    def run(self, key: str, above: _Events | None) -> Run:
        """The run, with the curves of the folder above where these are its own."""
        curves = {**(above.curves if above is not None else {})}
        for name, line in self.curves.items():
            if len(line[0]) > 1 or name not in curves:
                curves[name] = line
        ends = {name: line[1][-1] for name, line in curves.items() if line[1]}
        ends |= {name: line[1][-1] for name, line in self.curves.items() if line[1]}
        return Run(key, self.params, ends, self.state, curves)


_STATES = {api_pb2.STATUS_FAILURE: FAIL, api_pb2.STATUS_RUNNING: RUNNING}


_OWN = {series.tag: series.name for series in SERIES.values()}
_VAL, _TRIAL = series_named(VAL_PREFIX).tag, "Trial/"


def _plain(tag: str) -> str:
    """A metric's name without the `hparam/` that PyTorch's examples put before it."""
    return tag.removeprefix("hparam/").removeprefix("metrics/")


def _own(tag: str) -> str:
    """A tag of wdstudy's own tracker, as the series that it is."""
    if tag.startswith(_VAL):
        return VAL_PREFIX + tag.removeprefix(_VAL)
    return _OWN.get(tag, tag.removeprefix(_TRIAL))


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    return None if kind in (None, "null_value") else getattr(value, kind)
