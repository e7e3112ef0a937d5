"""Who a process is: the name it goes by in a storage, its run, and whether it is gone."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path


def _place() -> str:
    """This machine as processes see each other on it: containers that share a name differ."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text()[:8])
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))  # pid_namespaces(7)
    return "-".join(parts)


def run_token() -> str:
    """What the processes of one run have in common in their names, and no other's have."""
    return secrets.token_hex(4)


def worker_name(run: str) -> str:
    """A name for this process that no other has: place, process id, the run's token."""
    return f"{_place()}:{os.getpid()}:{run}"


def is_gone(worker: str) -> bool:
    """Whether the process of this name has ended; false where it is of another machine."""
    place, _, pid = worker.rpartition(":")[0].rpartition(":")
    return place == _place() and pid.isdigit() and not _is_running(int(pid))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
