"""The first examples of data, whatever form it has."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

from torch.utils.data import Dataset, Subset

from wdstudy.errors import DataError


def first_examples(half: Any, examples: int) -> Any:
    """The first so many examples of one half of the data; a `DataLoader` is left as it is, and what
    has another form is found out later.
    """
    if isinstance(half, Dataset) and isinstance(half, Sized):
        return Subset(half, range(min(len(half), examples)))
    if isinstance(half, tuple | list):
        return tuple(part[:examples] for part in half)
    return half


def training_prefix(data: Callable[[], Any], examples: int) -> Any:
    """The data with the first so many training examples alone; validation is what it was.

    Raises:
        DataError: there are fewer, or a `DataLoader` hides them.
    """
    halves = data()
    if not isinstance(halves, tuple | list) or len(halves) != 2:
        return halves  # which is found out later
    train, val = halves
    known: int | None = None
    if isinstance(train, Dataset):
        known = len(train) if isinstance(train, Sized) else None
    elif isinstance(train, tuple | list) and train and isinstance(train[0], Sized):
        known = len(train[0])
    if known is None:
        raise DataError(
            f"train_examples={examples}: the training data is a {type(train).__name__}, of which "
            "there are no first examples; let data() return a Dataset or a pair of tensors (x, y)"
        )
    if known < examples:
        raise DataError(
            f"train_examples={examples}: the training data has {known:,} examples; leave out the "
            "larger values, or load more"
        )
    return first_examples(train, examples), val
