"""What trackers may do to a training: nothing. With trackers of our own, which fail and hang."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from small_tasks import blobs, mlp
from torch import Tensor, nn

from wdstudy import LossRecorder, SearchSpace, StudySpec, Task, run_study
from wdstudy.__main__ import main
from wdstudy.errors import TrackerError
from wdstudy.run.prepared import prepare
from wdstudy.run.progress import Silent
from wdstudy.run.runner import Runner
from wdstudy.trackers import RunInfo, StudyRun, sender
from wdstudy.trackers.options import make_backends, split_settings
from wdstudy.trackers.sender import Sender, TrackedRun, without_secrets

MakeSpec = Callable[..., StudySpec]
URL = "sqlite:///wd.db"


class Page:
    """A run that keeps what it is told, and fails as often as it should."""

    def __init__(self, book: Book, info: RunInfo) -> None:
        self.book, self.info = book, info
        self.points: list[Mapping[str, float]] = []
        self.ends: list[tuple[Mapping[str, float], str]] = []
        self.discarded = False

    def log(self, points: Sequence[Mapping[str, float]]) -> None:
        self.book.fail("log")
        self.points.extend(points)

    def end(self, scalars: Mapping[str, float], state: str) -> None:
        self.book.fail("end")
        self.ends.append((scalars, state))

    def discard(self) -> None:
        self.discarded = True


@dataclass(frozen=True)
class Book:
    """A tracker of one's own. `failures` names the calls that fail, one after the other."""

    pages: list[Page] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    locked: threading.Event | None = None

    def fail(self, call: str) -> None:
        self.calls.append(call)
        if self.locked is not None:
            self.locked.wait()
        if self.failures and self.failures[0] == call:
            self.failures.pop(0)
            raise OSError(28, "No space left on device")

    def check(self) -> None:
        pass

    def begin(self, study: StudyRun) -> None:
        self.fail("begin")

    def open(self, info: RunInfo) -> Page:
        self.fail("open")
        self.pages.append(Page(self, info))
        return self.pages[-1]

    def finish(self, study: StudyRun, completed: bool) -> None:
        self.calls.append(f"finish {study.name} {completed}")


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        self.lines.append(line)


def losses(study: Any) -> list[tuple[TrialState, Any]]:
    return [(t.state, t.user_attrs.get("primary_loss")) for t in study.trials]


def test_each_trial_is_a_run_that_gets_its_points_and_its_end(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    book = Book()
    study = run_study(make_spec(epochs=3, name="mine"), URL, lanes=4, trackers=[book])
    assert book.calls[0] == "begin"
    assert book.calls[-1] == "finish mine True"
    assert len(book.pages) == 4
    for trial, page in zip(study.trials, book.pages, strict=True):
        assert page.info.name == f"trial-{trial.number:04d}"
        assert page.info.study.name == "mine"
        assert page.info.study.key == study.user_attrs["tracked_as"]
        assert page.info.params == {**trial.params, "seed": 0, "decay_kind": "coupled"}
        assert [p["step"] for p in page.points] == trial.user_attrs["step"]
        assert [p["primary_loss"] for p in page.points] == trial.user_attrs["primary_loss"]
        ((scalars, state),) = page.ends
        assert state == "COMPLETE"
        assert scalars["final_val_loss"] == trial.value
    run_study(make_spec(epochs=3, name="mine"), URL, trackers=[book])
    assert len(book.pages) == 4


@pytest.mark.parametrize("call", ["begin", "open", "log", "end"])
def test_a_tracker_that_fails_is_told_of_once_and_changes_nothing(
    in_folder: Path, make_spec: MakeSpec, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "REST_SECONDS", 0.01)
    without = run_study(make_spec(), URL, lanes=1)  # as measured, lanes may differ and round
    display = Lines()
    broken = Book(failures=[call] * 1000)
    backends = [broken, healthy := Book()]
    tracked = run_study(make_spec(name="tracked"), URL, display, lanes=1, trackers=backends)
    assert losses(tracked) == losses(without)
    assert display.lines == [
        "tracker Book: OSError: [Errno 28] No space left on device; the training goes on without it"
    ]
    assert [page.ends[0][1] for page in healthy.pages] == ["COMPLETE"] * 4


def test_a_tracker_that_comes_back_gets_everything_once_and_in_order(
    in_folder: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "REST_SECONDS", 0.01)
    book = Book(failures=["open", "log", "log", "end"])
    study = run_study(make_spec(epochs=5), URL, Lines(), lanes=4, trackers=[book])
    by_name = {page.info.name: page for page in book.pages}
    for trial in study.trials:
        page = by_name[f"trial-{trial.number:04d}"]
        assert [p["step"] for p in page.points] == trial.user_attrs["step"]
        assert len(page.ends) == 1


def test_a_tracker_that_never_answers_holds_up_neither_training_nor_the_end(
    in_folder: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call waits for an event that comes only after the study is done."""
    monkeypatch.setattr(sender, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("wdstudy.trackers.tracking.BEGIN_SECONDS", 0.1)
    locked, display = threading.Event(), Lines()
    try:
        study = run_study(make_spec(), URL, display, trackers=[Book(locked=locked)])
    finally:
        locked.set()
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    (line,) = display.lines
    assert line.startswith("tracker Book: ")
    assert "no answer for " in line


def test_a_stop_ends_the_runs_as_failed_and_waits_for_nobody(
    in_folder: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "HURRY_SECONDS", 0.1)
    calls = [0]

    def loss(output: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] == 26:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(output, y)

    locked, book, hanging = threading.Event(), Book(), Book(locked=threading.Event())
    spec = make_spec(task=Task(mlp, blobs, loss), epochs=4)
    monkeypatch.setattr("wdstudy.trackers.tracking.BEGIN_SECONDS", 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_study(spec, URL, lanes=1, trackers=[book, hanging])
    finally:
        locked.set()
        assert hanging.locked is not None
        hanging.locked.set()
    states = [state for page in book.pages for _, state in page.ends]
    assert states == ["COMPLETE", "FAIL"]
    assert book.calls[-1] == "finish small False"


def test_a_trial_that_begins_anew_begins_a_new_run(in_folder: Path, make_spec: MakeSpec) -> None:
    """Memory runs out in the third epoch of four lanes: they go on, two by two, from the start."""
    calls = [0]

    def loss(output: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        if output.dim() == 2 and calls[0] == 14:  # vmapped: called once for all lanes
            raise torch.OutOfMemoryError("out of memory")
        return nn.functional.cross_entropy(output, y)

    book = Book()
    spec = make_spec(task=Task(mlp, blobs, loss), epochs=4)
    prepared = prepare(spec, URL, [book])
    runner = Runner(prepared, Silent())
    choice = prepared.lanes(runner.take_stock(), 4, say=Silent().say)
    runner.enqueue()
    calls[0] = 0
    runner.work(choice)
    kept = {page.info.name: page for page in book.pages if not page.discarded}
    assert len(kept) == 4
    gone = [page for page in book.pages if page.discarded]
    assert gone
    assert all(page.points and not page.ends for page in gone)
    for trial in runner.study.trials:
        page = kept[f"trial-{trial.number:04d}"]
        assert [p["step"] for p in page.points] == trial.user_attrs["step"] == [3, 6, 9, 12]
        assert page.ends[0][1] == "COMPLETE"


def test_a_diverged_trial_is_pruned_and_one_that_fails_failed(
    in_folder: Path, make_spec: MakeSpec
) -> None:
    book = Book()
    run_study(make_spec(space=SearchSpace([0.1, 1e30], [0])), URL, trackers=[book])
    states = {page.info.params["lr"]: page.ends[0] for page in book.pages}
    assert states[0.1][1] == "COMPLETE"
    assert states[1e30][1] == "PRUNED"
    assert states[1e30][0]["diverged_at"] >= 1


def test_marking_a_run_many_times_writes_it_once_with_all_its_points() -> None:
    gate = threading.Event()
    book = Book(locked=gate)
    line = Sender("book")
    run = TrackedRun(line, lambda: book.open(RunInfo("run")))
    for step in range(100):
        run.log({"step": float(step)})
    gate.set()
    run.end({}, "COMPLETE")
    line.close()
    assert [p["step"] for p in book.pages[0].points] == list(range(100))
    assert book.calls.count("log") <= 3
    assert book.pages[0].ends == [({}, "COMPLETE")]


def test_a_recorder_takes_runs_and_bare_trackers_and_closes_what_can_be_closed() -> None:
    class Kept:
        points: list[Mapping[str, float]] = []  # noqa: RUF012

        def log(self, point: Mapping[str, float]) -> None:
            self.points.append(point)

    book, kept = Book(), Kept()
    run = TrackedRun(Sender("book"), lambda: book.open(RunInfo("run")))
    weight = nn.Parameter(torch.ones(3))
    recorder = LossRecorder(torch.optim.SGD([weight], lr=0.1, weight_decay=0.5), [run, kept])
    weight.grad = torch.ones(3)
    recorder.step(torch.tensor(2.0))
    point = recorder.point(val_loss=1.5)
    recorder.close()
    assert [*book.pages[0].points] == kept.points == [point]
    ((scalars, state),) = book.pages[0].ends
    assert state == "COMPLETE"
    assert scalars["final_primary_loss"] == scalars["initial_loss"] == 2.0
    assert scalars["decay_share"] == pytest.approx(0.75 / 2.75)


def test_a_script_that_ends_without_close_loses_nothing(tmp_path: Path) -> None:
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from wdstudy.trackers.sender import Sender, TrackedRun\n"
        "class Slow:\n"
        "    def log(self, points):\n"
        "        time.sleep(0.2)\n"
        "        print(*(point['step'] for point in points), flush=True)\n"
        "run = TrackedRun(Sender('slow'), Slow)\n"
        "run.log({'step': 1})\n"
        "time.sleep(0.1)\n"
        "run.log({'step': 2})\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ["--track", "wandb,tensorbord"],
            "unknown tracker 'tensorbord'; did you mean 'tensorboard'? Known: mlflow, "
            "tensorboard, wandb",
        ),
        (
            ["--set", "tensorboard.dir=runs"],
            "--set tensorboard.dir: tensorboard does not track this run; add --track tensorboard",
        ),
        (["--set", "aim.repo=here"], "--set aim.repo: unknown tracker 'aim'; Known: mlflow, "),
    ],
)
def test_wrong_names_are_one_line_before_anything_is_made(
    study_file: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    says: str,
) -> None:
    path = study_file()
    assert main(["run", str(path), *flags]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert [p.name for p in Path().iterdir()] == ["linear.py"]


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_told_before_training(
    study_file: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, f"wdstudy.trackers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)  # as Python has it for what can't be imported
    assert main(["run", str(study_file()), "--track", name]) == 2
    said = capfd.readouterr().err
    assert said.strip().endswith(
        f"the tracker {name} needs an optional package: pip install 'wdstudy[{name}]'"
    )
    assert not Path("wdstudy.db").exists()


def test_settings_with_a_dot_are_for_trackers() -> None:
    given = {"data": "digits", "tensorboard.dir": "runs"}
    assert split_settings(given) == ({"data": "digits"}, {"tensorboard.dir": "runs"})
    assert make_backends("", {}) == []
    with pytest.raises(TrackerError, match="unknown tracker 'wandbb'; did you mean 'wandb'"):
        make_backends("wandbb", {})


def test_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "gnurz")
    told: list[str] = []
    line = Sender("book", told.append)

    def refuse() -> Page:
        raise ConnectionError("http://me:geheim@host/api with gnurz\nand more")

    run = TrackedRun(line, refuse)
    run.log({"step": 1.0})
    line.close()
    assert told == [
        "tracker book: ConnectionError: http://***@host/api with ***; the training goes on "
        "without it"
    ]
    assert without_secrets("sqlite:///a.db") == "sqlite:///a.db"


def test_the_command_to_go_on_with_has_no_password(
    study_file: Callable[..., Path],
) -> None:
    from wdstudy.cli.flags import called

    called = called(["run", "a.py", "--set", "mlflow.uri=http://me:geheim@host:5000"])
    assert "geheim" not in called
    assert "mlflow.uri=http://me:***@host:5000" in called
