"""Image data for the studies: digits that need no download, images of a hub, augmentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from wdstudy.errors import DataError, MissingPackageError

Pair = tuple[Tensor, Tensor]


def digits(train: int = 1440, wrong: float = 0.0) -> tuple[Pair, Pair]:
    """The 1,797 handwritten digits that ship with scikit-learn (UCI, Alpaydin & Kaynak 1998).

    Args:
        train: How many to train on; the others validate.
        wrong: The share of the training labels that is drawn anew, of all ten: there is noise to
            fit, and weight decay has something to hold back. Labels to validate on stay right.

    Returns:
        `(train, val)`: images `[N, 1, 8, 8]`, standardised, and labels `[N]`.
    """
    table = torch.from_numpy(_digits_table())
    x, y = table[:, :-1].float().reshape(-1, 1, 8, 8), table[:, -1].long()
    order = torch.randperm(len(x), generator=Generator().manual_seed(0))
    chosen, others = order[:train], order[train:]
    x = (x - x[chosen].mean()) / x[chosen].std()
    return (x[chosen], _mislabelled(y[chosen], wrong)), (x[others], y[others])


def _mislabelled(y: Tensor, share: float) -> Tensor:
    generator = Generator().manual_seed(1)
    wrong = torch.rand(len(y), generator=generator) < share
    return torch.where(wrong, torch.randint(10, (len(y),), generator=generator), y)


def _digits_table() -> NDArray[np.float64]:
    """What `sklearn.datasets.load_digits` reads, 64 pixels and the label a row, `[1797, 65]`.

    Its file is read past it: to import scikit-learn takes every process as long as torch does.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None:
        raise MissingPackageError("the digits dataset", "studies")
    for folder in package.submodule_search_locations or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    table: NDArray[np.float64] = np.column_stack([bunch.data, bunch.target])
    return table


def hub_images(path: str) -> tuple[Pair, Pair]:
    """Images of a dataset on the Hugging Face hub, or in a local folder of its parquet files.

    Args:
        path: A name on the hub (`"uoft-cs/cifar10"`), or a folder. The dataset needs a `train`
            split, a `test` or `validation` split, and an image and a class-label column.

    Returns:
        `(train, val)`: images `[N, C, H, W]`, standardised by the training channels, and labels.

    Raises:
        DataError: the hub can't be reached, or the dataset has not these splits and columns.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingPackageError(f"the dataset '{path}'", "hub") from error
    try:
        splits = datasets.load_dataset(path)
    except Exception as error:  # the library raises a dozen unrelated types for "not reached"
        says = str(error).splitlines()[0] if str(error) else ""
        raise DataError(
            f"the dataset '{path}' can't be loaded ({type(error).__name__}: {says}); "
            "check the network, or give a local folder of its parquet files"
        ) from error
    held_out = next((name for name in ("test", "validation") if name in splits), None)
    if "train" not in splits or held_out is None:
        raise DataError(
            f"the dataset '{path}' has the splits {', '.join(splits)}; "
            "it needs 'train' and one of 'test', 'validation'"
        )
    x, y = _tensors(splits["train"], path)
    x_val, y_val = _tensors(splits[held_out], path)
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    std = x.std(dim=(0, 2, 3), keepdim=True)
    return ((x - mean) / std, y), ((x_val - mean) / std, y_val)


def crop_and_flip(padding: int = 4) -> Any:
    """An `augment` for `Task`: a random crop of the padded image, and a random mirror image.

    Whole batches are cropped at once, on their device, with one gather.
    """

    def augment(x: Tensor, generator: Generator) -> Tensor:
        n, channels, height, width = x.shape
        draw = torch.rand(3, n, generator=generator, device=generator.device).to(x.device)
        padded = torch.nn.functional.pad(x, (padding,) * 4)
        top, left = (draw[:2] * (2 * padding + 1)).long()
        across = torch.arange(width, device=x.device).expand(n, width)
        across = torch.where(draw[2, :, None] < 0.5, across, across.flip(1)) + left[:, None]
        down = torch.arange(height, device=x.device) + top[:, None]  # [n, height]
        lanes = torch.arange(n, device=x.device)[:, None, None, None]
        planes = torch.arange(channels, device=x.device)[None, :, None, None]
        return padded[lanes, planes, down[:, None, :, None], across[:, None, None, :]]

    return augment


def _tensors(split: Any, path: str) -> Pair:
    """Pixels in [0, 1] and labels. Columns are found by their type: their names differ."""
    import numpy as np
    from datasets import ClassLabel, Image

    columns = split.features.items()
    image = next((name for name, kind in columns if isinstance(kind, Image)), None)
    label = next((name for name, kind in columns if isinstance(kind, ClassLabel)), None)
    if image is None or label is None:
        raise DataError(
            f"the dataset '{path}' has the columns {', '.join(split.features)}; "
            "it needs one of images and one of class labels"
        )
    pixels = np.stack([np.asarray(picture) for picture in split[image]])
    x = torch.from_numpy(pixels)
    x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2)
    return x.contiguous().float() / 255, torch.tensor(split[label])
