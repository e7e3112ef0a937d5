"""A connection to a Ray cluster, and what the cluster has room for."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

import wdstudy
from wdstudy.errors import FlagError, SpecError, StorageError, StudyError
from wdstudy.launchers.processtitle import hide_argument
from wdstudy.run.progress import Display
from wdstudy.study.spec import StudySpec

ROOM_SECONDS = 300.0
"""So long a cluster that has no node for a job may take to get one."""

CONNECT_SECONDS = 5.0
_OBJECT_STORE = 100 * 2**20  # bytes; nothing of size is passed through Ray

NOT_SHARED = (
    "the storage {} is a file, and there is none on the node '{}'; "
    "give --storage postgresql://…, which all nodes can reach"
)


@contextmanager
def connected(address: str | None, folder: Path) -> Iterator[None]:
    """Be connected to a cluster that has the study's folder, or to a Ray of our own."""
    package = str(Path(wdstudy.__file__).parent)  # also where it is not installed on the nodes
    options: dict[str, Any] = {"address": "local", "runtime_env": {"py_modules": [package]}}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    else:
        _check_address(address)
        options["address"] = address
        options["runtime_env"]["working_dir"] = str(folder)
        # A submitted job has a folder already, which need not be the study's.
        os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # or it waits for hours
    stop = signal.getsignal(signal.SIGTERM)
    # Ray prints pages about a node that is gone. What we print goes to standard error.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        try:
            with _quiet():
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (RayError, RuntimeError, ValueError, OSError) as error:
            raise StudyError(_why_not(address, error)) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)  # Ray has put its own there
        try:
            yield
        finally:
            with _quiet():
                ray.shutdown()


def _why_not(address: str | None, error: Exception) -> str:
    """Why there is no connection, in a line. What Ray says is long, and lies in the cause."""
    says, whole = str(error).strip().partition("\n")[0], f"{error} {error.__cause__}"
    if address is None:
        return f"Ray can't be started: {says}"
    if "AuthToken" in whole or "AuthenticationError" in whole:
        says = "the cluster asks for its token: RAY_AUTH_MODE=token, RAY_AUTH_TOKEN or a token file"
    elif "Failed to connect to" in says:
        says = "what listens there is no Ray cluster, or is too busy to answer"
    return f"--address {address}: {says}"


def _check_address(address: str) -> None:
    """Whether somebody listens: Ray itself waits for minutes."""
    if address == "auto":
        return  # Ray looks for one on this machine
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise SpecError(
            f"--address {address}: give the HOST:PORT of the cluster, from one of its machines; "
            "from elsewhere hand the command to `ray job submit`"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise StudyError(
            f"--address {address}: nobody listens there ({error}); `ray status` says where the "
            "cluster is, and `ray start --head` starts one"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray's native parts write off the terminal; what matters they raise as well."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def check_gpus(gpus: float | None) -> None:
    """Refuse what Ray can't give: it shares one GPU, and gives several whole.

    Raises:
        SpecError: it can't give that.
    """
    if gpus is not None and not (0 <= gpus <= 1 or (gpus > 1 and gpus.is_integer())):
        raise FlagError(f"--gpus-per-job {gpus:g}: give a share of one, like 0.25, or whole ones")


def gpus_where_there_are(spec: StudySpec) -> float:
    """GPUs of a job where nobody says: one if the cluster has any and the spec may use it."""
    return float(spec.device != "cpu" and any(node["Resources"].get("GPU") for node in _nodes()))


def room_for(gpus: float, display: Display, *, may_grow: bool) -> int:
    """How many jobs the cluster can run at a time, at least one.

    Raises:
        SpecError: no node is large enough for one, and none came that is.
    """
    until, told = time.monotonic() + ROOM_SECONDS * may_grow, False
    while not (room := sum(_fit(node["Resources"], gpus) for node in _nodes())):
        needs = "1 CPU" + (f" and {gpus:g} GPU" if gpus else "")
        most = max((node["Resources"].get("GPU", 0.0) for node in _nodes()), default=0.0)
        if time.monotonic() >= until:
            raise SpecError(
                f"a job needs {needs}, and no node of the cluster has that (GPUs of one node: at "
                f"most {most:g}); give a --gpus-per-job that fits"
            )
        if not told:
            told = True
            display.say(
                f"a job needs {needs}, and no node of the cluster has that: "
                f"waiting {ROOM_SECONDS:.0f} s for one"
            )
        time.sleep(1)
    return room


def _fit(resources: Mapping[str, float], gpus: float) -> int:
    """How many jobs fit on a node; floats in it are inexact."""
    fit = resources.get("CPU", 0.0)
    if gpus > 0:
        fit = min(fit, resources.get("GPU", 0.0) / gpus)
    return int(fit + 1e-6)


def free() -> str:
    """What of the cluster is not in use."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return " and ".join(
        f"{free.get(kind, 0):g} of {have[kind]:g} {kind}s are free"
        for kind in ("CPU", "GPU")
        if have.get(kind)
    )


def check_shared(file: Path) -> None:
    """A file is no storage for other machines, unless it lies on a disk that they share."""
    here = socket.gethostname()
    others = sorted({n["NodeManagerHostname"] for n in _nodes()} - {here})
    if others:
        raise StorageError(NOT_SHARED.format(file, others[0]))


def hide_password(password: str | None) -> None:
    """Ray's dashboard shows the command line of whoever connects: not with a password in it.

    Raises:
        StorageError: it can't be hidden here.
    """
    if password and not hide_argument(password) and any(password in a for a in sys.argv):
        raise StorageError(
            "Ray would show the password in --storage to others; set OPTUNA_STORAGE instead"
        )
