"""A storage's URL: where it comes from, what it names, and how it is shown without secrets."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from wdstudy.errors import StorageError, nearest

DEFAULT_URL = "sqlite:///wdstudy.db"
SCHEMES = ("sqlite", "journal", "postgresql", "mysql")


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
    """The URL without its password, fit for logs, reports and errors."""
    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # its password may be why it can't be understood
        shown = re.sub(r"://([^:/]*):.*@", r"://\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown)


def password_in(url: str) -> str:
    """The password in a URL, as it is written there; empty where there is none."""
    user, at, _ = url.partition("://")[2].rpartition("@")
    return user.partition(":")[2] if at else ""


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
    return kind


def file_of(url: str) -> Path | None:
    """The file that a URL names; None for a database server.

    Raises:
        StorageError: as `kind_of`.
    """
    if kind_of(url) not in ("sqlite", "journal"):
        return None
    return Path(url.partition("://")[2].removeprefix("/").partition("?")[0])


def _meant(url: str, scheme: str) -> str:
    if scheme:
        return nearest(scheme, SCHEMES)
    kind = "journal" if url.endswith((".journal", ".log", ".jsonl")) else "sqlite"
    return f"did you mean '{kind}:///{url}'?"
