from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from wdstudy.errors import DataError
from wdstudy.training.data import TaskData

CPU = torch.device("cpu")
X, Y = torch.arange(10.0).unsqueeze(1), torch.arange(10)


class Items(Dataset[tuple[Tensor, Tensor]]):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return X[index], Y[index]


def epochs(half: Any, n: int = 1, seed: int = 0) -> list[list[int]]:
    data = TaskData((half, (X, Y)), batch_size=4, device=CPU)
    order = Generator().manual_seed(seed)
    return [[int(v) for _, y in data.train.epoch(order) for v in y] for _ in range(n)]


@pytest.mark.parametrize("half", [(X, Y), TensorDataset(X, Y), Items()], ids=type)
def test_training_order_is_a_shuffle_that_the_seed_decides(half: Any) -> None:
    first, second = epochs(half, n=2)
    assert [first, second] == epochs(half, n=2)
    assert first != second
    assert epochs(half, seed=1)[0] != first
    assert len(first) == len(set(first)) == 8, "an incomplete last batch is left out"


def test_validation_is_in_order_and_complete() -> None:
    data = TaskData(((X, Y), (X, Y)), batch_size=4, device=CPU)
    assert [int(v) for _, y in data.val.epoch(Generator()) for v in y] == list(range(10))


def test_the_order_is_the_one_a_plain_script_draws() -> None:
    generator = Generator().manual_seed(5)
    expected = [torch.randperm(10, generator=generator)[:8].tolist() for _ in range(2)]
    assert epochs((X, Y), n=2, seed=5) == expected


def test_a_loader_keeps_its_own_batches() -> None:
    loader = DataLoader(Items(), batch_size=3)
    data = TaskData((loader, loader), batch_size=4, device=CPU)
    assert data.train.steps == 4
    assert [len(y) for _, y in data.train.epoch(Generator())] == [3, 3, 3, 1]


class Endless(IterableDataset[Tensor]):
    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("halves", "says"),
    [
        ((X, Y, X), r"data\(\) returned a tuple of 3"),
        (((X, Y[:5]), (X, Y)), r"x of shape \[10, 1\] and y of shape \[5\]"),
        (((X[:3], Y[:3]), (X, Y)), "the train data has 3 examples and a batch needs 4"),
        (((X, Y), (X[:0], Y[:0])), "the val data has 0 examples"),
        (((X.tolist(), Y), (X, Y)), "the train data is a tuple of 2"),
        ((DataLoader(Endless()), (X, Y)), "give the dataset a __len__"),
    ],
)
def test_data_that_cannot_be_trained_on_is_described(halves: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        TaskData(halves, batch_size=4, device=CPU)


def test_a_loader_of_something_else_than_pairs() -> None:
    data = TaskData((DataLoader(X), (X, Y)), batch_size=4, device=CPU)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="each batch must be a pair"):
        next(data.train.epoch(Generator()))
