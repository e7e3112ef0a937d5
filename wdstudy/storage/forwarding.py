"""A storage around another storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optuna.storages import BaseStorage


def _handed_on(name: str) -> Callable[..., Any]:
    def method(self: Forwarding, *args: Any, **kwargs: Any) -> Any:
        return self._ask(getattr(self.storage, name), *args, **kwargs)

    method.__name__ = name
    return method


_methods = [name for name in dir(BaseStorage) if not name.startswith("_")]

# Every public method, of Optuna's next versions too. As a class of its own, or Python would take
# what its base declares for missing.
_HandedOn: Any = type("_HandedOn", (BaseStorage,), {name: _handed_on(name) for name in _methods})


class Forwarding(_HandedOn):  # type: ignore[misc]
    """Hands everything on to another storage; a subclass changes some of it.

    Args:
        storage: The other one; kept as `storage`.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self.storage = storage

    def _ask(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """How a method of the other storage is called."""
        return method(*args, **kwargs)
