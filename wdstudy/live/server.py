"""optuna-dashboard on a study's storage, in this process: no password stands on a command line."""

from __future__ import annotations

import errno
import re
import socket
import sys
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from copy import copy
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import wsgi

from wdstudy.errors import FlagError
from wdstudy.live.guards import Application, at_home, read_only, sandboxed
from wdstudy.storage.forwarding import Forwarding
from wdstudy.storage.ids import id_of_trial

REPORTING = 40
"""Finished trials whose reports are shown, an even sample of more."""

REPORTS = 50
"""Reports shown of a trial."""


def open_dashboard(storage: BaseStorage, artifacts: Path, host: str, port: int) -> WSGIServer:
    """A server of the dashboard, listening, not yet answering: call `serve_forever`.

    Args:
        storage: Whose studies to show. It is only read: what would change it is refused.
        artifacts: The directory of the published figures; none are shown if it is not there.
        host: An address of this machine.
        port: A free port; 0 for any.

    Raises:
        FlagError: the address or the port can't be taken.
    """
    store = FileSystemArtifactStore(artifacts) if artifacts.is_dir() else None
    light = LightStorage(storage)
    application = reading_ahead(read_only(sandboxed(wsgi(light, artifact_store=store))), light)
    server = _Server6 if ":" in host else _Server
    try:
        return make_server(host, port, at_home(application, host), server, _Handler)
    except (OSError, OverflowError) as error:
        raise FlagError(_untakable(host, port, error)) from error


class LightStorage(Forwarding):
    """A storage as the dashboard reads it: without what makes a large study slow to open.

    Of 1,000 trials the dashboard loads every report three times, sends a piece of every series,
    which it can't draw, and writes the number of every trial that has reports into a legend.
    So finished trials are read once, series are left out, and the reports of some trials are
    shown. The studies themselves are not changed.
    """

    def __init__(self, storage: BaseStorage) -> None:
        super().__init__(optuna.storages.get_storage(storage))  # a database's, with its cache
        self._known: dict[int, FrozenTrial] = {}
        self._one_reader = Lock()  # of two requests the second finds what the first has read

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials, made light."""
        with self._one_reader:
            trials = self.storage.get_all_trials(study_id, deepcopy=False, states=states)
        shown = set(thinned([t.number for t in trials if t.intermediate_values], REPORTING))
        return [_light(trial, self._known, trial.number in shown) for trial in trials]


def _light(trial: FrozenTrial, known: dict[int, FrozenTrial], reporting: bool) -> FrozenTrial:
    """The trial without series; with reports if it is one of those that show them, or runs."""
    finished = trial.state.is_finished()
    if finished and id_of_trial(trial) in known:
        return known[id_of_trial(trial)]
    light = copy(trial)
    light.user_attrs = {n: v for n, v in trial.user_attrs.items() if not isinstance(v, list)}
    if finished:
        kept = thinned(list(trial.intermediate_values), REPORTS) if reporting else []
        light.intermediate_values = {step: trial.intermediate_values[step] for step in kept}
        known[id_of_trial(trial)] = light
    return light


def thinned(numbers: list[int], most: int) -> list[int]:
    """At most so many of these, evenly, the last among them."""
    numbers = sorted(numbers)
    stride = max(1, -(-len(numbers) // most))
    return numbers[(len(numbers) - 1) % stride :: stride] if numbers else []


def reading_ahead(application: Application, storage: BaseStorage) -> Application:
    """The application that reads a study while the browser still loads the program of its page."""

    def ahead(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if found := re.fullmatch(r"/dashboard/studies/(\d+)(/.*)?", environ["PATH_INFO"]):
            read = Thread(target=_read, args=(storage, int(found[1])), daemon=True)
            read.start()
        return application(environ, start_response)

    return ahead


def _read(storage: BaseStorage, study_id: int) -> None:
    with suppress(Exception):  # what is wrong, the page's own request meets and says
        storage.get_all_trials(study_id, deepcopy=False)


def address(server: WSGIServer) -> str:
    """Where a browser finds the server."""
    host, port = server.server_address[:2]
    shown = f"[{host!s}]" if ":" in str(host) else str(host)
    return f"http://{shown}:{port}/"


def _untakable(host: str, port: int, error: OSError | OverflowError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"--port {port}: another program listens there; name another, or 0 for a free one"
    if number == errno.EACCES:
        return f"--port {port}: only the administrator may use it; name one above 1023"
    if isinstance(error, OverflowError):
        return f"--port {port}: give a number from 0 to 65535"
    return f"--host {host}: this machine has no such address ({error.strerror or error})"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a browser that still waits does not hold the end up

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Requests are not of interest."""
