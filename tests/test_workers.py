"""Names of processes: two places never share one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wdstudy.workers import is_gone, run_token, worker_name

IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def test_a_name_says_in_which_namespace_its_process_id_counts() -> None:
    if not os.path.exists("/proc/self/ns/pid"):
        pytest.skip("this system has no namespaces")
    number = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    place = worker_name(run_token()).rsplit(":", 2)[0]
    assert place.rsplit("-", 1)[1] == number


def test_a_worker_is_gone_when_its_process_has_ended() -> None:
    process = subprocess.Popen(["sleep", "60"])
    place, _, token = worker_name(run_token()).rsplit(":", 2)
    name = f"{place}:{process.pid}:{token}"
    assert not is_gone(name)
    process.kill()
    process.wait()
    assert is_gone(name)


def test_a_worker_of_another_namespace_is_not_taken_for_lost() -> None:
    """Containers with the host's network have its name, and none of its processes."""
    if subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("no right to make a namespace here")
    code = f"from wdstudy.workers import is_gone; print(is_gone({worker_name('0')!r}))"
    asked = [*IN_A_NAMESPACE, sys.executable, "-c", code]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "False\n"
