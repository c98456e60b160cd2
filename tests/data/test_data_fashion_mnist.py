"""The real Fashion-MNIST, got by the product's own resolver into the user's own cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tui_attn.data import DATASETS, DataError, Located, ensure, find, load, verify

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module", autouse=True)
def fashion_mnist(user_cache: str) -> Iterator[Located]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", user_cache)
        yield ensure("fashion-mnist")


def test_it_is_verified(fashion_mnist: Located) -> None:
    assert verify(fashion_mnist) == []
    assert fashion_mnist.version == DATASETS["fashion-mnist"].version == "f30719d8b6a5"
    found = find("fashion-mnist")
    assert found is not None
    assert found.files == fashion_mnist.files


def test_it_is_what_torchvision_reads(fashion_mnist: Located) -> None:
    from torchvision.datasets import FashionMNIST

    arrays = load(fashion_mnist)
    for train, images, labels in (
        (True, arrays.train_images, arrays.train_labels),
        (False, arrays.test_images, arrays.test_labels),
    ):
        theirs = FashionMNIST(fashion_mnist.root, train=train, download=False)
        np.testing.assert_array_equal(images[:, 0], theirs.data.numpy())
        np.testing.assert_array_equal(labels, theirs.targets.numpy())


def test_its_normalisation_is_that_of_its_training_images(fashion_mnist: Located) -> None:
    info = DATASETS["fashion-mnist"]
    scaled = load(fashion_mnist).train_images.astype(np.float32) / 255
    assert scaled.mean(dtype=np.float64) == pytest.approx(info.mean[0], abs=5e-5)
    assert scaled.std(dtype=np.float64) == pytest.approx(info.std[0], abs=5e-5)


def test_limits_take_the_first_images(fashion_mnist: Located) -> None:
    whole, some = load(fashion_mnist), load(fashion_mnist, train_limit=100, test_limit=10)
    np.testing.assert_array_equal(some.train_images, whole.train_images[:100])
    np.testing.assert_array_equal(some.train_labels, whole.train_labels[:100])
    assert some.test_images.shape == (10, 1, 28, 28)
    assert np.bincount(whole.train_labels).tolist() == [6000] * 10


def test_a_copy_that_is_cut_off_is_refused(fashion_mnist: Located, tmp_path: Path) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for path in fashion_mnist.files[1:]:
        (folder / path.name).symlink_to(path)
    (folder / fashion_mnist.files[0].name).write_bytes(fashion_mnist.files[0].read_bytes()[:1_000_000])
    with pytest.raises(DataError, match="is 1,000,000 bytes long, not 47,040,016"):
        ensure("fashion-mnist", tmp_path, offline=True)
    with pytest.raises(DataError, match="is 1,000,000 bytes long"):
        find("fashion-mnist", tmp_path)
