"""A storage's URL: where it comes from, what it names, and how it is shown without secrets."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from wdstudy.errors import StorageError, nearest

DEFAULT_URL = "sqlite:///wdstudy.db"
_OF_FILES = ("sqlite", "journal")
SCHEMES = (*_OF_FILES, "postgresql", "mysql")


def resolve_url(given: str | None = None) -> str:
    """The storage's URL: as given, from a file, from Optuna's variable, else a file here.

    Args:
        given: A URL; `@FILE` for one that stands in a file, where no list of processes shows
            its password; None for `$OPTUNA_STORAGE`.

    Raises:
        StorageError: the file can't be read, or is empty.
    """
    url = given or os.environ.get("OPTUNA_STORAGE") or DEFAULT_URL
    if not url.startswith("@"):
        return url
    try:
        url = Path(url[1:]).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"the storage's URL can't be read from '{url[1:]}' ({type(error).__name__}); "
            "name a file that holds nothing but a URL"
        ) from None
    if not url:
        raise StorageError(f"the file {given} is empty; let it hold a storage's URL")
    return url


def masked(url: str) -> str:
    """The URL without its password, fit for logs, reports and errors, and else as it was written.

    What may be a password is one: of a URL that is not understood nothing is shown that might be.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        # `postgresql:u:password@host`, `u:password@host/db`: mistyped, rather than a file's name.
        meant = next((s for s in SCHEMES[2:] if url.startswith(s)), "")
        is_one = ":" in url and ("@" in url or bool(meant))
        return (f"{meant}:***" if meant else "***") if is_one else url
    if _names_a_file(url):
        return _without_secrets(url)
    user, at, where = rest.rpartition("@")  # the last: a password may hold others
    if at:
        name, colon, _ = user.partition(":")
        known = re.fullmatch(r"/?[\w.%+~-]*", name)
        shown = (name if known else "***") + (":***" if colon and known else "")
        return _without_secrets(f"{scheme}://{shown}@{where}")
    host, colon, port = rest.partition("/")[0].partition(":")
    if colon and not host.startswith("[") and not re.fullmatch(r"\d*(\?.*)?", port):
        return f"{scheme}://{host}:***"  # `postgresql://u:password`, the host forgotten
    return _without_secrets(url)


def password_in(url: str) -> str:
    """The password in a URL, as it is written there; empty where there is none."""
    if _names_a_file(url):
        return ""
    user, at, _ = url.partition("://")[2].rpartition("@")
    if at and (password := user.partition(":")[2]):
        return password
    found = _SECRET.search(url)
    return found[2] if found else ""


_SECRET = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)([^&]*)", re.IGNORECASE)


def _without_secrets(url: str) -> str:
    return _SECRET.sub(r"\1***", url)


def _names_a_file(url: str) -> bool:
    """Whether it is a file's URL; it may stand behind a flag, as in `--storage=sqlite:///a.db`."""
    scheme, _, rest = url.partition("://")
    kind = scheme.rpartition("=")[2].partition("+")[0]
    return kind in _OF_FILES and rest.startswith("/")


def without_password(text: str, url: str) -> str:
    """What a driver says, without the URL's password in any of its forms."""
    with suppress(ArgumentError, ValueError):
        if parsed := make_url(url).password:
            text = text.replace(str(parsed), "***")
    text = text.replace(url, masked(url))
    secrets = [password_in(url), *(found[2] for found in _SECRET.finditer(url))]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***").replace(unquote(secret), "***")
    return text


def kind_of(url: str) -> str:
    """One of `SCHEMES`, without the driver that a URL may name as well.

    Raises:
        StorageError: it is none of them.
    """
    scheme, separator, _ = url.partition("://")
    kind = scheme.partition("+")[0]
    if not separator or kind not in SCHEMES:
        raise StorageError(
            f"unknown storage '{masked(url)}'; {_meant(url, scheme if separator else '')}"
        )
    if kind in _OF_FILES and url.partition("://")[2] and not _names_a_file(url):
        raise StorageError(f"unknown storage '{masked(url)}'; {_did_you_mean(url)}")
    if not _names_a_file(url) and not _is_understood(url):
        raise StorageError(
            f"the storage {masked(url)} can't be understood; write it as "
            f"{kind}://user:password@host:port/database, and in a password @ as %40, : as %3A, "
            "/ as %2F"
        )
    return kind


def file_of(url: str) -> Path | None:
    """The file that a URL names; None for a database server.

    Raises:
        StorageError: as `kind_of`.
    """
    if kind_of(url) not in _OF_FILES:
        return None
    return Path(url.partition("://")[2].removeprefix("/").partition("?")[0])


def _is_understood(url: str) -> bool:
    """Whether SQLAlchemy takes for host and database what was meant: no piece of a password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return "@" not in f"{found.host}{found.database}"


def _meant(url: str, scheme: str) -> str:
    if scheme:
        if scheme.lower() in SCHEMES:
            return _did_you_mean(url)
        return nearest(scheme.lower(), SCHEMES)
    if masked(url) != url:
        return "write it as postgresql://user:password@host/database"
    return _did_you_mean(url)


def _did_you_mean(url: str) -> str:
    """A URL of which some sign is missing or too large, put right."""
    scheme, colon, rest = url.partition(":")
    if colon and (kind := scheme.lower()) in SCHEMES:
        where = rest.removeprefix("//")
        if kind in _OF_FILES:
            where = f"/{where.removeprefix('/') if rest.startswith('///') else where}"
        return f"did you mean '{masked(f'{kind}://{where}')}'?"
    kind = "journal" if url.endswith((".journal", ".log", ".jsonl")) else "sqlite"
    return f"did you mean '{kind}:///{url}'?"
