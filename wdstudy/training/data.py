"""What a task's data becomes: batches on the device, in an order that the seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, Protocol, cast

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from wdstudy.errors import DataError

Batch = tuple[Any, Any]


class Batches(Protocol):
    """One half of the data. `steps` is the number of batches that an epoch yields."""

    steps: int

    def seen(self, steps: int) -> int | None:
        """How many examples so many steps look at; None where a loader doesn't tell."""
        ...

    def epoch(self, generator: Generator) -> Iterator[Batch]:
        """The batches of one epoch, on the device; training order is drawn from the generator."""
        ...


class TensorBatches:
    """Batches of a pair of tensors that live on the device.

    Training batches are drawn by a permutation made on the CPU, so that every device sees the
    same order. An incomplete last batch is left out of training (each epoch leaves out others)
    and kept in validation.
    """

    def __init__(self, x: Tensor, y: Tensor, batch_size: int, *, train: bool) -> None:
        self.x, self.y = x, y
        self._batch_size = batch_size
        self._train = train
        self.steps = len(x) // batch_size if train else -(-len(x) // batch_size)

    def seen(self, steps: int) -> int:
        """How many examples so many steps look at."""
        epochs, rest = divmod(steps, self.steps)
        each = self.steps * self._batch_size if self._train else len(self.x)
        return epochs * each + rest * self._batch_size

    def epoch(self, generator: Generator) -> Iterator[Batch]:
        """One pass, shuffled by the generator for training, in order for validation."""
        if not self._train:
            yield from zip(
                torch.split(self.x, self._batch_size),
                torch.split(self.y, self._batch_size),
                strict=True,
            )
            return
        order = torch.randperm(len(self.x), generator=generator).to(self.x.device)
        for index in torch.split(order, self._batch_size)[: self.steps]:
            yield self.x.index_select(0, index), self.y.index_select(0, index)


class LoaderBatches:
    """Batches of a `DataLoader`, moved to the device one by one."""

    def __init__(self, loader: DataLoader[Any], device: torch.device) -> None:
        try:
            self.steps = len(loader)
        except TypeError as error:
            raise DataError(
                f"a DataLoader over {type(loader.dataset).__name__} has no length, so the "
                "schedule has no end; give the dataset a __len__"
            ) from error
        self._loader = loader
        self._device = device

    def seen(self, steps: int) -> int | None:
        """How many examples so many steps look at; None where batches are of any size."""
        size, loader = self._loader.batch_size, self._loader
        if size is None or not isinstance(loader.sampler, Sized):
            return None
        epochs, rest = divmod(steps, self.steps)
        each = self.steps * size if loader.drop_last else len(loader.sampler)
        return epochs * each + rest * size

    def epoch(self, generator: Generator) -> Iterator[Batch]:
        """One pass over the loader. A loader without a generator draws from the global one."""
        if self._loader.generator is not None:
            self._loader.generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for batch in self._loader:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise DataError(
                    f"a DataLoader yields {_form(batch)}; each batch must be a pair (x, y)"
                )
            yield _to(batch[0], self._device), _to(batch[1], self._device)


class TaskData:
    """The two halves of a task's data, ready to be trained and validated on.

    Args:
        halves: What `Task.data()` returned.
        batch_size: Examples in a training batch.
        device: Where batches are needed. Tensors are moved there once.

    Raises:
        DataError: the data is of another form, or smaller than a batch.
    """

    def __init__(self, halves: Any, batch_size: int, device: torch.device) -> None:
        if not isinstance(halves, tuple | list) or len(halves) != 2:
            raise DataError(f"data() returned {_form(halves)}; it must return (train, val)")
        self.train = _batches("train", halves[0], batch_size, device, train=True)
        # Without a graph to keep, four times the batch needs no more memory than training.
        self.val = _batches("val", halves[1], 4 * batch_size, device, train=False)

    def tensors(self) -> list[Tensor]:
        """The data that lies in memory: x and y of each half that is a pair of tensors."""
        halves = [half for half in (self.train, self.val) if isinstance(half, TensorBatches)]
        return [part for half in halves for part in (half.x, half.y)]


def on_device(halves: Any, device: torch.device) -> Any:
    """The data with its tensors on the device, so that several `TaskData` share them."""
    if not isinstance(halves, tuple | list):
        return halves
    moved = [half.tensors if isinstance(half, TensorDataset) else half for half in halves]
    return tuple(
        tuple(_to(part, device) for part in half) if isinstance(half, tuple | list) else half
        for half in moved
    )


def _batches(
    half: str, data: Any, batch_size: int, device: torch.device, *, train: bool
) -> Batches:
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, DataLoader):
        batches = LoaderBatches(data, device)
        if not batches.steps:
            raise DataError(f"the {half} DataLoader yields no batch; is its dataset empty?")
        return batches
    size = len(cast(Sized, data)) if isinstance(data, Dataset) else _checked_pair(half, data)
    if size < (batch_size if train else 1):
        remedy = "lower batch_size" if size else "check what data() loads"
        raise DataError(
            f"the {half} data has {size} examples and a batch needs {batch_size}; {remedy}"
        )
    if isinstance(data, Dataset):
        loader: DataLoader[Any] = DataLoader(
            data, batch_size, shuffle=train, drop_last=train, generator=Generator()
        )
        return LoaderBatches(loader, device)
    x, y = data
    return TensorBatches(x.to(device), y.to(device), batch_size, train=train)


def _checked_pair(half: str, data: Any) -> int:
    if not (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(isinstance(part, Tensor) for part in data)
    ):
        raise DataError(
            f"the {half} data is {_form(data)}; give a pair of tensors (x, y), a Dataset "
            "or a DataLoader"
        )
    x, y = data
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError(
            f"the {half} data has x of shape {list(x.shape)} and y of shape {list(y.shape)}; "
            "their first dimension, the examples, must agree"
        )
    return len(x)


def _to(part: Any, device: torch.device) -> Any:
    return part.to(device, non_blocking=True) if isinstance(part, Tensor) else part


def _form(thing: Any) -> str:
    if isinstance(thing, tuple | list):
        return f"a {type(thing).__name__} of {len(thing)} ({', '.join(map(_form, thing))})"
    return f"a {type(thing).__name__}"
