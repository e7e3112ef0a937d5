"""What the dashboard's server refuses: writing, pages of other sites, artifacts that act as it."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""

READING = ("GET", "HEAD", "OPTIONS")

_SANDBOX = [
    # A document of its own, at no origin: what runs in it can't read the dashboard.
    ("Content-Security-Policy", "sandbox allow-scripts"),
    ("X-Content-Type-Options", "nosniff"),
]
_UNBOXED = "application/pdf"
"""Browsers show it in a viewer of their own, which a sandbox would keep from opening."""


def read_only(application: Application) -> Application:
    """The application without what writes: creating, renaming, deleting, uploading, annotating."""

    def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READING:
            return application(environ, start_response)
        reason = "this dashboard only reads; to change a study, start optuna-dashboard itself"
        return _refused(start_response, reason)

    return reading


def at_home(application: Application, host: str) -> Application:
    """The application for those who call it by an address, or by a name of this machine.

    A page of another site may let its own name point here and then read what it is answered ("DNS
    rebinding"). It can't do so with an address, nor with names that aren't its own. Ports don't
    matter: a tunnel may have another.

    Args:
        application: What answers.
        host: The address that the server was told to listen at.
    """
    names = {"localhost", host.lower()}
    if not is_local(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        called = _host_in(environ.get("HTTP_HOST", ""))
        if called in names or _is_address(called):
            return application(environ, start_response)
        return _refused(start_response, "call this dashboard by its address, as it was printed")

    return answering


def sandboxed(application: Application) -> Application:
    """The application whose artifacts, which may be pages with scripts, can't act in its name."""

    def boxing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/artifacts/"):
            return application(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            # Other sites have no business with them either.
            kept = [h for h in headers if h[0].lower() != "access-control-allow-origin"]
            kind = next((value for name, value in kept if name.lower() == "content-type"), "")
            boxed = _SANDBOX[1:] if kind.partition(";")[0].strip() == _UNBOXED else _SANDBOX
            return start_response(status, [*kept, *boxed], *error)

        return application(environ, start)

    return boxing


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_in(header: str) -> str:
    """The host of a Host header, without its port and the brackets of IPv6."""
    found = re.fullmatch(r"\[([^\]]*)\](?::\d*)?|([^:]*)(?::\d*)?", header.strip())
    return (found[1] or found[2] or "").lower().rstrip(".") if found else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(start_response: Callable[..., Any], reason: str) -> Iterable[bytes]:
    start_response("403 Forbidden", [("Content-Type", "application/json")])
    return [json.dumps({"reason": reason}).encode()]
