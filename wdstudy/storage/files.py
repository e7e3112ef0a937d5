"""The file in which a storage lies: whether it can be read or written, before it is."""

from __future__ import annotations

import os
from pathlib import Path

from wdstudy.errors import EmptyStorageError, StorageError


def check_file(url: str, path: Path, create: bool) -> None:
    """Refuse a file that can't be opened, with what to do about it.

    Args:
        url: The storage's, fit for messages.
        path: Its file.
        create: Whether it is to be written, and made if it is not there.

    Raises:
        EmptyStorageError: there is none, and it is only to be read.
        StorageError: it lies in memory or where there is no folder, or may not be written.
    """
    if str(path).removeprefix("file:") in ("", ".", ":memory:") or "mode=memory" in url:
        raise StorageError(
            f"the storage {url} would lie in the memory of one process; name a file: "
            "sqlite:///wdstudy.db"
        )
    if path.is_dir():
        raise StorageError(f"the storage {url} is a directory; name a file in it")
    if not path.parent.is_dir():
        raise StorageError(
            f"the storage {url} can't be opened: there is no directory '{path.parent}'; create it"
        )
    if not create and not path.exists():
        raise EmptyStorageError(
            f"there is no storage {url} yet; run a study first, or name its storage with --storage"
        )
    if create and path.exists() and not os.access(path, os.W_OK):
        raise StorageError(
            f"the storage {url} is a file that you may read only, so no trial can be kept in it; "
            "change its permissions, or name another with --storage"
        )
    if create and not os.access(path.parent, os.W_OK):
        raise StorageError(
            f"the storage {url} lies in the folder '{path.parent}', in which you may make no file, "
            "as every writer must; change its permissions, or name another with --storage"
        )
