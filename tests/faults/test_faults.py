"""Faults, for real. After each: the study loads, what was complete is as it was, the message
says what to do, and the same command finishes the study."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from ground import (
    complete,
    finished,
    fork_servers_of,
    run,
    trials,
    wait_for,
    wait_until,
    workers_of,
)
from optuna.trial import TrialState

from wdstudy import open_study, trials_frame
from wdstudy.__main__ import main
from wdstudy.errors import StorageError
from wdstudy.storage.opening import open_storage

StudyFile = Callable[..., Path]
URL = "sqlite:///wdstudy.db"


def assert_whole(url: str, before: dict[int, Any], cells: int = 12) -> None:
    """Every cell once, and what was complete before is as it was."""
    after = complete(url)
    assert {number: after[number] for number in before} == before
    assert set(finished(url).values()) == {1}
    assert len(finished(url)) == cells
    assert not any(t.state in (TrialState.RUNNING, TrialState.WAITING) for t in trials(url))


# What the loss does on the third trial, and what is said of it.
BAD_LOSSES = {
    "raises": ("raise RuntimeError('the third trial')", "RuntimeError: the third trial"),
    "wrong shape": ("return output - y", ""),
    "nothing": ("return None", ""),
    "out of memory": ("raise MemoryError", "MemoryError"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD_LOSSES)
def test_a_loss_that_goes_wrong_on_the_third_trial(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    path = study_file()
    fault, says = BAD_LOSSES[kind]
    whole = path.read_text()
    broken = whole.replace(
        "    time.sleep(0.0)\n", f"    if third(): {fault}\n    time.sleep(0.0)\n"
    )
    path.write_text(
        broken + "\ncount = [0]\n"
        "def third():\n"
        "    import optuna\n"
        "    if 'linear' not in optuna.get_all_study_names('sqlite:///wdstudy.db'): return False\n"
        "    study = optuna.load_study(study_name='linear', storage='sqlite:///wdstudy.db')\n"
        "    return any(t.state.name == 'RUNNING' and t.number == 2 for t in study.get_trials())\n"
    )
    assert main(["run", str(path), "--lanes", "1", "--jobs", "1"]) == 2
    said = capfd.readouterr().err
    assert "a trial failed: " in said
    assert says in said
    assert "1 of 12 trials failed; run the same command again" in said
    assert "Traceback" not in said
    before = complete(URL)
    assert len(before) == 11
    path.write_text(whole)
    assert main(["run", str(path)]) == 0
    assert_whole(URL, before)


def test_a_loss_that_becomes_nan_diverges_and_ends_the_study_well(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    path.write_text(path.read_text().replace("lr=[0.001, 0.01, 0.1]", "lr=[0.001, 0.01, 1e30]"))
    assert main(["run", str(path)]) == 0
    assert "4 diverged" in capfd.readouterr().err
    assert trials_frame(open_study("linear"))["diverged"].sum() == 4


def test_a_loader_that_raises_is_told_with_its_line(
    study_file: StudyFile, capfd: pytest.CaptureFixture[str]
) -> None:
    path = study_file()
    whole = path.read_text()
    path.write_text(
        whole.replace(
            "    return (x[:64], x[:64].sum(1)), (x[64:], x[64:].sum(1))",
            "    class Broken(torch.utils.data.Dataset):\n"
            "        def __len__(self): return 64\n"
            "        def __getitem__(self, i):\n"
            "            if i == 40: raise OSError('unreadable sample 40')\n"
            "            return x[i], x[i].sum()\n"
            "    return Broken(), (x[64:], x[64:].sum(1))",
        )
    )
    assert main(["run", str(path)]) == 2
    said = capfd.readouterr().err
    assert "unreadable sample 40" in said
    assert "linear.py', line" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_corrupted_attribute_is_missing_and_nothing_more(study_file: StudyFile) -> None:
    assert main(["run", str(study_file())]) == 0
    with sqlite3.connect("wdstudy.db") as database:
        database.execute(
            "UPDATE trial_user_attributes SET value_json = '\"nonsense\"' "
            "WHERE key = 'primary_loss' AND trial_id = 3"
        )
    database.close()
    frame = trials_frame(open_study("linear"))
    assert len(frame) == 12
    assert main(["report", "linear"]) == 0
    assert main(["run", str(study_file())]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 30, 4000])
def test_a_journal_cut_in_the_middle_of_a_line_goes_on(study_file: StudyFile, cut: int) -> None:
    path, url = study_file(), "journal:///study.journal"
    process = run(path, url, "--lr", "0.001")
    assert process.communicate(timeout=120)
    journal = Path("study.journal")
    with journal.open("rb+") as file:
        file.truncate(journal.stat().st_size - cut)
    before = complete(url)
    assert main(["run", str(path), "--storage", url, "--jobs", "1"]) == 0
    assert_whole(url, before)


@pytest.mark.slow
def test_a_report_during_a_run_harms_neither(study_file: StudyFile) -> None:
    process = run(study_file(pause=0.1), URL)
    wait_for(URL, 2)
    assert main(["report", "linear"]) == 0
    assert main(["list"]) == 0
    assert process.poll() is None
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert_whole(URL, {})


@pytest.mark.slow
def test_two_runs_of_different_specs_on_one_name(study_file: StudyFile, in_folder: Path) -> None:
    first = run(study_file(pause=0.1), URL)
    wait_for(URL, 1)
    other = run(study_file(pause=0.1), URL, "--epochs", "3")
    said = other.communicate(timeout=60)[1]
    assert other.returncode == 2
    assert "was recorded with another spec: epochs=2, now 3" in said
    assert first.communicate(timeout=120)[1]
    assert first.returncode == 0
    assert_whole(URL, {})


@pytest.mark.slow
def test_a_database_that_another_process_locks_is_waited_for(study_file: StudyFile) -> None:
    process = run(study_file(pause=0.05), URL)
    wait_for(URL, 1)
    locker = sqlite3.connect("wdstudy.db", isolation_level=None, timeout=30)
    locker.execute("BEGIN IMMEDIATE")
    time.sleep(30)
    assert process.poll() is None
    locker.execute("ROLLBACK")
    locker.close()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert_whole(URL, {})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, more than the write-ahead log takes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["sqlite", "journal"])
def test_a_full_disk_is_said_and_waited_for(
    study_file: StudyFile, small_disk: Path, scheme: str
) -> None:
    url = f"{scheme}:///{small_disk / 'study'}"
    process = run(study_file(pause=0.05), url, "--jobs", "1")
    wait_for(url, 2)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"0" * 4096)
        except OSError:
            pass
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "out of reach" in line:
            break
    assert "full" in lines[-1] or "No space left" in lines[-1], lines
    before = complete(url)
    (small_disk / "ballast").unlink()
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert "is back" in said
    assert_whole(url, before)


@pytest.mark.slow
def test_a_server_that_is_restarted_is_waited_for(
    study_file: StudyFile, postgres: str, postgres_server: Any
) -> None:
    process = run(study_file(pause=0.1), postgres, "--jobs", "2")
    wait_for(postgres, 2)
    before = complete(postgres)
    postgres_server.stop()
    time.sleep(3)
    postgres_server.start()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert "is out of reach" in said
    assert "is back" in said
    assert_whole(postgres, before)


@pytest.mark.slow
def test_connections_that_are_dropped_are_made_again(study_file: StudyFile, postgres: str) -> None:
    import psycopg

    process = run(study_file(pause=0.1), postgres, "--jobs", "1")
    for done in (1, 4, 7):
        wait_for(postgres, done)
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert_whole(postgres, {})


def stop_outside_of_a_transaction(process: subprocess.Popen[str]) -> None:
    while True:
        process.send_signal(signal.SIGSTOP)
        probe = sqlite3.connect("wdstudy.db", isolation_level=None, timeout=0.2)
        try:
            probe.execute("BEGIN IMMEDIATE")
            probe.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:  # it holds the lock
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        finally:
            probe.close()


@pytest.mark.slow
def test_a_worker_that_sleeps_too_long_finds_its_trial_taken_and_goes_on(
    study_file: StudyFile, in_folder: Path
) -> None:
    process = run(study_file(pause=0.05), URL, "--jobs", "1")
    wait_for(URL, 1)
    stop_outside_of_a_transaction(process)
    storage = open_storage(URL)
    study = optuna.load_study(study_name="linear", storage=storage)
    running = [t for t in study.get_trials() if t.state == TrialState.RUNNING]
    for trial in running:  # as another machine would, after 120 s
        storage.set_trial_user_attr(trial._trial_id, "error", "its worker was lost")
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert running == [] or "was taken over by another worker" in said
    assert_whole(URL, {})


def kill_at_random(path: Path, url: str, rng: random.Random) -> str:
    """Start a run, kill a worker or the parent after a random time; who it was."""
    process = run(path, url, "--jobs", "2", stdin=subprocess.DEVNULL)
    time.sleep(rng.uniform(3.0, 11.0))
    whom = rng.choice(["parent", "worker"])
    if process.poll() is None:
        workers = workers_of(process.pid)
        if whom == "worker" and workers:
            subprocess.run(["kill", "-9", str(rng.choice(workers))], check=False)
        else:
            process.kill()
    process.communicate(timeout=180)
    return whom


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(50))
def test_killed_at_a_random_moment(study_file: StudyFile, in_folder: Path, moment: int) -> None:
    rng = random.Random(moment)
    url = rng.choice([URL, "journal:///study.journal"])
    path = study_file(pause=0.05)
    kill_at_random(path, url, rng)
    try:
        before = complete(url)
    except (StorageError, KeyError):  # killed before the storage or the study was made
        before = {}
    last = run(path, url, "--jobs", "2")
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    assert_whole(url, before)


@pytest.mark.slow
def test_workers_that_are_killed_again_and_again(study_file: StudyFile, in_folder: Path) -> None:
    """Three kills in one run: of whoever trains at that moment."""
    process = run(study_file(pause=0.1), URL, "--jobs", "2")
    for done in (1, 3, 5):
        wait_until(URL, lambda found, n=done: sum(t.state.is_finished() for t in found) >= n)
        if process.poll() is None and (workers := workers_of(process.pid)):
            subprocess.run(["kill", "-9", str(workers[-1])], check=False)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert_whole(URL, {})


@pytest.mark.slow
def test_the_server_that_forks_workers_is_killed_while_one_is_started(
    study_file: StudyFile, in_folder: Path
) -> None:
    process = run(study_file(pause=0.01), URL, "--jobs", "2")
    while not (servers := fork_servers_of(process.pid)):
        time.sleep(0.01)
    os.kill(servers[0], signal.SIGSTOP)  # whoever asks it for a worker now waits
    assert process.stderr is not None
    while "2 processes" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(1)
    os.kill(servers[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "a worker was lost (the process that starts them ended" in said
    assert_whole(URL, {})


@pytest.mark.slow
def test_a_file_that_is_edited_while_it_runs_changes_nothing(
    study_file: StudyFile, in_folder: Path
) -> None:
    path = study_file(pause=0.1)
    process = run(path, URL, "--jobs", "2")
    wait_for(URL, 2)
    text = path.read_text()
    edited = text.replace("STUDY = StudySpec(", "STUDY = StudySpec(name='renamed',")
    path.write_text(edited.replace("nn.functional.mse_loss", "100 * nn.functional.mse_loss"))
    subprocess.run(["kill", "-9", *map(str, workers_of(process.pid))], check=True)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "a worker was lost" in said
    assert_whole(URL, {})
    found = {t.number: t.value for t in trials(URL) if t.value is not None}
    path.write_text(text)
    assert main(["run", str(path), "--name", "again", "--jobs", "1", "--lanes", "1"]) == 0
    cells = {tuple(t.params.values()): t.value for t in trials(URL, "again")}
    assert found == {
        t.number: pytest.approx(cells[tuple(t.params.values())])
        for t in trials(URL)
        if t.value is not None
    }


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_while_it_starts_leaves_no_trace_and_no_folder(
    study_file: StudyFile, in_folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    temporary = in_folder / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    path = study_file(pause=0.1)
    for delay in (0.0, 1.0):
        process = run(path, URL, "--jobs", "2", start_new_session=True)
        while not (servers := fork_servers_of(process.pid)):
            time.sleep(0.01)
        time.sleep(delay)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said
        while Path(f"/proc/{servers[0]}").exists():
            time.sleep(0.01)
        assert list(temporary.glob("pymp-*")) == []
