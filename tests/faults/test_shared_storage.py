"""Several runs of one study on one storage, with nobody to coordinate them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
from ground import finished, open_together, run, run_together, trials, wait_until
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

import wdstudy.run.heartbeat
from wdstudy import StudySpec, run_study
from wdstudy.__main__ import main
from wdstudy.curves import ENQUEUED_BY
from wdstudy.errors import StorageError, StudyError
from wdstudy.launchers.processes import warm_up, worker_context
from wdstudy.run.cells import LOST, MAX_LOST, missing, params_of
from wdstudy.run.queue import Queue, enqueue
from wdstudy.space import SearchSpace, log_range
from wdstudy.storage.opening import open_storage, open_study, study_names

StudyFile = Callable[..., Path]


def wait_for_one_of(process: subprocess.Popen[str], url: str) -> None:
    """Until a run has finished a trial of its own."""
    wait_until(
        url,
        lambda found: any(
            t.state == TrialState.COMPLETE and f":{process.pid}:" in t.user_attrs["worker"]
            for t in found
        ),
    )


def test_runs_that_start_in_the_same_instant_train_every_cell_once(
    study_file: StudyFile, shared_url: str
) -> None:
    warm_up(None)
    context = worker_context()
    ready, ended = context.Barrier(3), context.SimpleQueue()
    together = study_file(pause=0.03), shared_url, ready, ended
    runs = [context.Process(target=run_together, args=together) for _ in range(3)]
    for process in runs:
        process.start()
    codes, said = zip(*(ended.get() for _ in runs), strict=True)
    assert codes == (0, 0, 0), said
    assert all("12/12 trials" in lines for lines in said), said
    for process in runs:
        process.join(60)
    assert set(finished(shared_url).values()) == {1}
    assert len(finished(shared_url)) == 12
    cells = [p.key for t in trials(shared_url) if t.state != TrialState.FAIL
             and (p := params_of(t)) is not None]  # fmt: skip
    assert len(cells) == 12  # nothing is left waiting


@pytest.mark.slow
def test_an_empty_storage_is_opened_by_many_in_the_same_instant(shared_url: str) -> None:
    context = worker_context()
    ready, opened = context.Barrier(8), context.SimpleQueue()
    openers = [
        context.Process(target=open_together, args=(shared_url, ready, opened)) for _ in range(8)
    ]
    for opener in openers:
        opener.start()
    assert [opened.get() for _ in openers] == ["opened"] * 8
    for opener in openers:
        opener.join(60)


@pytest.mark.slow
def test_a_run_that_is_killed_is_replaced_by_the_other_one(
    study_file: StudyFile, shared_url: str
) -> None:
    path = study_file(pause=0.1)
    first, second = run(path, shared_url, "--jobs", "1"), run(path, shared_url, "--jobs", "1")
    wait_for_one_of(first, shared_url)
    first.kill()
    first.communicate()
    _, said = second.communicate(timeout=300)
    assert second.returncode == 0, said
    assert "12/12 trials" in said
    assert set(finished(shared_url).values()) == {1}
    assert len(finished(shared_url)) == 12


@pytest.mark.slow
def test_a_run_that_is_stopped_leaves_its_cells_to_the_other_one(
    study_file: StudyFile, in_folder: Path
) -> None:
    url, path = "sqlite:///shared.db", study_file(pause=0.1)
    first, second = run(path, url, "--jobs", "1"), run(path, url, "--jobs", "1")
    wait_for_one_of(first, url)
    first.send_signal(signal.SIGTERM)
    assert "To go on" in first.communicate(timeout=60)[1]
    _, said = second.communicate(timeout=300)
    assert second.returncode == 0, said
    assert len(finished(url)) == 12


def test_a_claimed_trial_without_a_worker_is_trained_by_whoever_is_there(
    study_file: StudyFile, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = study_file(), "sqlite:///wdstudy.db"
    assert main(["run", str(path), "--lr", "0.001"]) == 0
    storage = open_storage(url)
    study = optuna.load_study(study_name="linear", storage=storage)
    more = SearchSpace(lr=[0.01], weight_decay=[0, 0.001])
    enqueue(study, more.cells(), with_seed=False)
    assert Queue(study, storage, more.cells()).claim() is not None  # and killed right then
    monkeypatch.setattr(wdstudy.run.heartbeat, "NAMELESS_SECONDS", 1.0)
    assert main(["run", str(path)]) == 0
    assert len(finished(url)) == 12


def test_a_worker_of_another_machine_is_replaced_when_it_is_not_seen_any_more(
    study_file: StudyFile, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path, url = study_file(), "sqlite:///wdstudy.db"
    assert main(["run", str(path), "--lr", "0.001"]) == 0
    storage = open_storage(url)
    study = optuna.load_study(study_name="linear", storage=storage)
    cells = SearchSpace(lr=[0.01], weight_decay=[0]).cells()
    enqueue(study, cells, with_seed=False)
    trial = Queue(study, storage, cells).claim()
    assert trial is not None
    trial.set_user_attr("worker", "elsewhere:1:0")
    trial.set_user_attr("last_seen", 0.0)
    monkeypatch.setattr(wdstudy.run.heartbeat, "STALE_SECONDS", 2.0)
    assert main(["run", str(path)]) == 0
    said = capfd.readouterr().err
    assert "waiting for 1 trial of other workers" in said
    assert "12/12 trials" in said
    assert len(finished(url)) == 12


def test_a_cell_that_kills_its_workers_is_given_up_at_last(study_file: StudyFile) -> None:
    path = study_file()
    text = path.read_text().replace("import time\n", "import os, time\n")
    text = text.replace(
        "def loss(output, y):",
        "def loss(output, y):\n    if os.environ.get('DIE') and kills(): os._exit(137)",
    )
    text += (
        "\ndef kills():\n"
        "    import optuna\n"
        "    study = optuna.load_study(study_name='linear', storage='sqlite:///wdstudy.db')\n"
        "    running = [t for t in study.get_trials() if t.state.name == 'RUNNING']\n"
        "    ours = [t for t in running if f':{os.getpid()}:' in t.user_attrs.get('worker', '')]\n"
        "    return any(t.params.get('lr') == 0.1 and t.params.get('weight_decay') == 0.1\n"
        "               for t in ours)\n"
    )
    path.write_text(text)
    assert main(["run", str(path), "--lr", "0.001"]) == 0
    command = [sys.executable, "-m", "wdstudy", "run", str(path), "--jobs", "2", "--lanes", "1"]
    ended = subprocess.run(
        command, env={**os.environ, "DIE": "1"}, text=True, stderr=subprocess.PIPE, timeout=300
    )
    url = "sqlite:///wdstudy.db"
    assert ended.returncode == 2, ended.stderr
    assert "1 of 12 trials failed" in ended.stderr.splitlines()[-1], ended.stderr
    lost = [t for t in trials(url) if t.user_attrs.get("error") == "its worker was lost"
            and t.params["lr"] == 0.1 and t.params["weight_decay"] == 0.1]  # fmt: skip
    assert len(lost) == MAX_LOST
    assert main(["run", str(path)]) == 0  # mended, the same command finishes it
    assert len(finished(url)) == 12


def test_only_the_first_of_several_runs_enqueues(in_folder: Path) -> None:
    """The election, step by step: what the second sees between two moves of the first."""
    storage = open_storage("sqlite:///wd.db")
    study = optuna.create_study(study_name="q", storage=storage)
    cells = SearchSpace(lr=[0.1, 1.0], weight_decay=[0, 0.1]).cells()
    enqueue(study, cells[:1], with_seed=False, by="first")
    enqueue(study, cells[:1], with_seed=False, by="second")
    enqueue(study, cells[1:], with_seed=False)
    queue = Queue(study, storage, cells)
    claimed = list(iter(queue.claim, None))
    assert [t.number for t in claimed] == [0, 2, 3, 4]
    spare = study.get_trials()[1]
    assert (spare.state, spare.user_attrs[ENQUEUED_BY]) == (TrialState.FAIL, "second")
    assert missing(study.get_trials(), cells) == []


@pytest.mark.slow
def test_a_run_in_a_namespace_of_its_own_leaves_the_others_their_trials(
    study_file: StudyFile, in_folder: Path
) -> None:
    """As in a container with the host's network: one name, one boot, other process ids."""
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("no right to make a namespace here")
    path, url = study_file(pause=0.2), "sqlite:///shared.db"
    runs = [run(path, url, "--jobs", "1", before=before) for before in ([], apart)]
    said = [process.communicate(timeout=300)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], said
    assert not [t for t in trials(url) if t.user_attrs.get("error") == LOST]
    assert len({t.user_attrs["worker"] for t in trials(url) if t.value is not None}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["sqlite", "journal"])
def test_trials_that_somebody_else_ends_leave_the_run_going_on(
    study_file: StudyFile, in_folder: Path, scheme: str
) -> None:
    url = f"{scheme}:///shared.{scheme}"
    process = run(study_file(pause=0.15), url, "--jobs", "2")
    ended: set[int] = set()
    while len(ended) < 8:
        wait_until(url, lambda found: any(map(is_trained, found)))
        storage = open_storage(url)
        for trial in filter(is_trained, trials(url)):
            with suppress(UpdateFinishedTrialError):
                storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                ended.add(trial.number)
    _, said = process.communicate(timeout=300)
    assert "Traceback" not in said
    assert "lost" not in said
    assert process.returncode == 0, said
    assert said.count("was taken over") == len(ended)
    assert set(finished(url).values()) == {1}
    assert len(finished(url)) == 12


def is_trained(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and "worker" in trial.user_attrs


@pytest.mark.slow
def test_a_description_that_the_server_has_no_room_for_is_refused_and_leaves_nothing(
    make_spec: Callable[..., StudySpec], mariadb: str
) -> None:
    wide = SearchSpace(lr=log_range(1e-5, 1, 6000), weight_decay=[0])
    with pytest.raises(StorageError, match=r"no room for the description .* fewer values"):
        run_study(make_spec(space=wide, epochs=1), mariadb)
    assert study_names(open_storage(mariadb)) == []
    run_study(make_spec(epochs=1), mariadb)
    with pytest.raises(StorageError, match="no room"):
        run_study(make_spec(space=wide, epochs=1), mariadb)
    assert len(trials(mariadb, "small")) == 4


def test_no_name_is_too_odd_to_be_unknown(shared_url: str) -> None:
    open_storage(shared_url)
    for name in ("x" * 600, "ü" * 600, "a\0b", "\x1b[2J", ""):
        with pytest.raises(StudyError, match="There are none"):
            open_study(name, shared_url)
