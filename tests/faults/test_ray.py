"""Ray: a Ray of its own on this machine, and a real cluster of which a node is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ground import finished, trials
from optuna.trial import TrialState
from sqlalchemy.engine import make_url

from wdstudy.__main__ import main

StudyFile = Callable[..., Path]
LAUNCH = [sys.executable, "-m", "wdstudy", "run"]
STORE = 80 * 2**20  # bytes, about the least that Ray takes


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A run with Ray; its lines are read at the end."""
    return subprocess.Popen(
        [*LAUNCH, *map(str, arguments), "--launcher", "ray"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until something is so, while the process still runs."""
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it does not happen"
        try:
            if condition():
                return
        except Exception:  # the study is not there yet
            pass
        time.sleep(0.1)


def workers(url: str, state: TrialState = TrialState.COMPLETE) -> set[str]:
    found = {t.user_attrs.get("worker", "") for t in trials(url) if t.state == state}
    return found - {""}  # which a claimed trial has for a moment


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--launcher", "rey"], "--launcher rey: did you mean 'ray'? Known: local, ray"),
        (["--address", "head:6379"], "--address head:6379: only with --launcher ray"),
        (["--gpus-per-job", "0.25"], "--gpus-per-job 0.25: only with --launcher ray"),
        (["--launcher", "ray", "--devices", "cpu"], "only with --launcher local"),
        (["--gpus-per-job", "few"], "Invalid value for '--gpus-per-job'"),
    ],
)
def test_bad_flags_are_one_line(
    study_file: StudyFile,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    says: str,
) -> None:
    assert main(["run", str(study_file()), *flags]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert os.listdir() == ["linear.py"]


def test_without_ray_the_line_that_installs_it_is_said(
    study_file: StudyFile,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as Python itself does it: no such module
    monkeypatch.delitem(sys.modules, "wdstudy.launchers.ray", raising=False)
    assert main(["run", str(study_file()), "--launcher", "ray"]) == 2
    assert capfd.readouterr().err == (
        "wdstudy: --launcher ray needs an optional package: pip install 'wdstudy[ray]'\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--address", "127.0.0.1:9"], "--address 127.0.0.1:9: nobody listens there"),
        (["--address", "ray://head:10001"], "give the HOST:PORT of the cluster"),
        (["--gpus-per-job", "1.5"], "--gpus-per-job 1.5: give a share of one"),
        (["--gpus-per-job", "64"], "a job needs 1 CPU and 64 GPU, and no node of the"),
        (["--lanes", "2", "--storage", "wd.db"], "did you mean 'sqlite:///wd.db'"),
    ],
)
def test_what_ray_cannot_give_is_one_line(
    study_file: StudyFile, flags: list[str], says: str
) -> None:
    process = start(study_file(), *flags)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    last = said.splitlines()[-1]
    assert says in last
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 2, said  # the study's name, where Ray was needed to know
    assert out == ""
    assert os.listdir() == ["linear.py"]


def ours(said: str) -> bool:
    """Whether every line is one of wdstudy's."""
    known = ("study '", "best trial so far: val_loss", "best cell: ",
             "next: ", "stopped; ", "'linear': ", "a job was lost", "waiting ",
             "a job needs")  # fmt: skip
    within = "/12 trials · ", " trials to train: about "
    return all(
        line.startswith(known) or any(part in line for part in within) for line in said.splitlines()
    )


@pytest.mark.slow
def test_a_run_on_a_laptop_is_stopped_and_goes_on(study_file: StudyFile) -> None:
    path, url = study_file(pause=0.3), "sqlite:///wdstudy.db"
    flags = ["--jobs", "2", "--lanes", "1"]
    process = start(path, *flags, start_new_session=True)
    wait_for(lambda: len(workers(url, TrialState.RUNNING)) == 2 and finished(url), process)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches all processes of the terminal
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "To go on: python -m wdstudy run" in said
    assert ours(said), said
    assert out == ""
    before = finished(url)
    assert 1 <= len(before) < 12
    left = [t for t in trials(url) if t.state == TrialState.RUNNING]
    assert not left  # they were given back

    path.write_text(path.read_text().replace("0.3)", "0.01)", 1))
    process = start(path, *flags)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert f"{len(before)} finished trial" in said
    assert "12/12 trials" in said
    assert ours(said), said
    assert out == ""
    assert set(finished(url).values()) == {1}
    assert len(finished(url)) == 12


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs, as clusters have it, and three nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
    )
    for _ in range(3):
        made.add_node(num_cpus=1, object_store_memory=STORE)
    yield made
    made.shutdown()


def processes_of(node: Any) -> set[int]:
    return {info.process.pid for infos in node.all_processes.values() for info in infos}


def parents(pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def node_of(cluster: Any, worker: str) -> Any:
    """The node that a worker runs on."""
    above = set(parents(int(worker.split(":")[1])))
    return next(node for node in cluster.worker_nodes if processes_of(node) & above)


def command_lines() -> bytes:
    """Those of all processes of this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            found.append(path.read_bytes())
    return b"\n".join(found)


@pytest.mark.slow
def test_a_node_is_killed_and_the_study_completes_and_no_password_is_left(
    study_file: StudyFile, postgres: str, cluster: Any, in_folder: Path
) -> None:
    path, notes = study_file(pause=0.3), in_folder / "notes"
    password = str(make_url(postgres).password)
    notes.mkdir()
    # A module beside the study file notes where it was imported from.
    (in_folder / "beside.py").write_text(
        f"import os\nopen(f'{notes}/{{os.getpid()}}', 'w').write(__file__)\n"
    )
    path.write_text("import beside\n" + path.read_text())
    process = start(path, "--address", cluster.address, "--storage", postgres, "--jobs", "2",
                    "--lanes", "1", cwd="/")  # fmt: skip
    wait_for(lambda: len(workers(postgres, TrialState.RUNNING)) == 2 and finished(postgres),
             process)  # fmt: skip
    shown = command_lines()
    before = finished(postgres)
    victim = workers(postgres, TrialState.RUNNING).pop()
    cluster.remove_node(node_of(cluster, victim), allow_graceful=False)
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "2 Ray jobs" in said
    assert "a job was lost: Ray has started it again" in said
    assert "12/12 trials" in said
    assert ours(said), said
    assert out == ""
    assert 1 <= len(before) < 12
    assert set(finished(postgres).values()) == {1}
    assert len(finished(postgres)) == 12
    assert len(workers(postgres)) >= 2

    where = {int(note.name): Path(note.read_text()) for note in notes.iterdir()}
    assert where.pop(process.pid).parent == in_folder
    assert len(where) >= 3  # two jobs, and the one that was started again
    assert not any(in_folder in file.parents for file in where.values())

    assert b"*" * len(password) + b"@127.0.0.1" in shown  # the run itself, as `ps` shows it
    assert password.encode() not in shown
    entries = [job["Entrypoint"] for job in cluster.global_state.job_table()]
    assert any("--launcher ray" in entry for entry in entries)
    assert password not in str(entries) + said
    files = [f for f in Path(cluster.head_node.get_session_dir_path()).rglob("*") if f.is_file()]
    assert len(files) > 20
    assert not [f for f in files if password.encode() in f.read_bytes()]


@pytest.mark.slow
def test_jobs_share_the_gpu_of_a_node_that_joins_while_they_wait(
    study_file: StudyFile, postgres: str, cluster: Any
) -> None:
    # As `ray job submit` starts it: in a job that has an environment and a folder already.
    job = {"runtime_env": {"working_dir": "/tmp", "env_vars": {"OF_THE_JOB": "1"}}}
    within = {"RAY_ADDRESS": cluster.address, "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}
    process = start(study_file(pause=0.3), "--storage", postgres, "--jobs", "2", "--lanes", "1",
                    "--gpus-per-job", "0.25", env={**os.environ, **within})  # fmt: skip
    assert process.stderr is not None
    said = [process.stderr.readline(), process.stderr.readline()]
    assert "needs 1 CPU and 0.25 GPU, and no node of the cluster has that: waiting" in said[1], said
    node = cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=STORE)
    wait_for(lambda: len(workers(postgres, TrialState.RUNNING)) == 2, process)
    assert {node_of(cluster, worker) for worker in workers(postgres, TrialState.RUNNING)} == {node}
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 0, rest
    assert len(finished(postgres)) == 12


@pytest.mark.slow
def test_a_file_is_no_storage_for_another_machine(study_file: StudyFile, cluster: Any) -> None:
    # A machine is known by its name: this run believes to be on another one.
    code = (
        "import socket, sys; socket.gethostname = lambda: 'laptop'; "
        "from wdstudy.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "run", str(study_file()), "--launcher", "ray",
         "--address", cluster.address],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "wdstudy.db is a file, and there is none on the node" in ended.stderr.splitlines()[-1]
    assert "--storage postgresql://" in ended.stderr.splitlines()[-1]
    assert os.listdir() == ["linear.py"]
