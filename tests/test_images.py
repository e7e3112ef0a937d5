from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator

from wdstudy.errors import DataError, MissingPackageError
from wdstudy.images import _digits_table, crop_and_flip, digits, hub_images


def test_digits_are_standardised_and_halves_share_no_image() -> None:
    (x, y), (x_val, y_val) = digits()
    assert (x.shape, x_val.shape) == ((1440, 1, 8, 8), (357, 1, 8, 8))
    assert len(y) == 1440
    assert set(y_val.tolist()) == set(range(10))
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std().item() == pytest.approx(1, abs=1e-4)


def test_wrong_labels_are_a_share_of_those_to_train_on_and_of_no_others() -> None:
    (x, y), (x_val, y_val) = digits(1000)
    (x_wrong, y_wrong), (x_val_wrong, y_val_wrong) = digits(1000, wrong=0.5)
    assert torch.equal(x, x_wrong)
    assert torch.equal(x_val, x_val_wrong)
    assert torch.equal(y_val, y_val_wrong)
    changed = (y != y_wrong).float().mean().item()
    assert changed == pytest.approx(0.5 * 9 / 10, abs=0.05)  # a tenth is drawn as it was
    assert torch.equal(y_wrong, digits(1000, wrong=0.5)[0][1])
    assert torch.equal(digits(1000, wrong=0)[0][1], y)


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    table = _digits_table()
    assert (table[:, :-1] == bunch.data).all()
    assert (table[:, -1] == bunch.target).all()


def test_without_scikit_learn_digits_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'wdstudy\[studies\]'"):
        digits()


def test_crops_are_windows_of_the_padded_image_and_half_are_mirrored() -> None:
    x = torch.arange(1.0, 4 * 3 * 8 * 8 + 1).reshape(4, 3, 8, 8).repeat(50, 1, 1, 1)
    out = crop_and_flip(padding=2)(x, Generator().manual_seed(0))
    padded = torch.nn.functional.pad(x, (2,) * 4)
    mirrored = 0
    for image, source in zip(out, padded, strict=True):
        windows = [source[:, i : i + 8, j : j + 8] for i in range(5) for j in range(5)]
        plain = any(torch.equal(image, w) for w in windows)
        flipped = any(torch.equal(image.flip(-1), w) for w in windows)
        assert plain != flipped
        mirrored += flipped
    assert 60 < mirrored < 140


def test_augmentation_draws_only_from_its_generator() -> None:
    x = torch.randn(8, 1, 8, 8)
    before = torch.get_rng_state()
    first = crop_and_flip()(x, Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, crop_and_flip()(x, Generator().manual_seed(1)))
    assert not torch.equal(first, crop_and_flip()(x, Generator().manual_seed(2)))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_folder_of_parquet_files_of_the_hubs_schema(tmp_path: Path, mode: str) -> None:
    import datasets
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    shape = (8, 8, 3) if mode == "RGB" else (8, 8)
    features = datasets.Features(
        {"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    pixels = {
        split: generator.integers(0, 255, (n, *shape), dtype=np.uint8)
        for split, n in (("train", 12), ("test", 5))
    }
    for split, array in pixels.items():
        rows = {
            "img": [Image.fromarray(a) for a in array],
            "label": [i % 3 for i in range(len(array))],
        }
        datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / f"{split}-0.parquet")
    (x, y), (x_val, y_val) = hub_images(str(tmp_path))
    channels = 3 if mode == "RGB" else 1
    assert (x.shape, x_val.shape) == ((12, channels, 8, 8), (5, channels, 8, 8))
    assert y.tolist() == [i % 3 for i in range(12)]
    assert y_val.tolist() == [0, 1, 2, 0, 1]
    raw = torch.from_numpy(pixels["train"]).float().reshape(12, 64, channels) / 255
    mean, std = raw.mean(dim=(0, 1)), raw.std(dim=(0, 1))
    expected = ((raw - mean) / std).transpose(1, 2).reshape(12, channels, 8, 8)
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_dataset_without_images_or_splits_is_described(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_dict({"text": ["a", "b"]}).to_parquet(tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match="has the splits train; it needs"):
        hub_images(str(tmp_path))
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "test-0.parquet")
    with pytest.raises(DataError, match="has the columns text; it needs one of images"):
        hub_images(str(tmp_path))
