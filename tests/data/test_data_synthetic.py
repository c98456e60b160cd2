"""The data set made on the spot."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tui_attn.data import DATASETS, DataError, ensure, load, verify
from tui_attn.data.synthetic import LARGEST, make


def test_the_bytes_are_the_same_everywhere() -> None:
    """Pinned: whoever changes them must change the recipe's number, and with it the set's version."""
    arrays = load(ensure("synthetic"))
    digest = hashlib.sha256()
    for array in (arrays.train_images, arrays.train_labels, arrays.test_images, arrays.test_labels):
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest() == "bee360c211bd8654179db0637bfd635c7a9ef6a0dd1fb09ae1b145b48788acc9"
    assert DATASETS["synthetic"].version == "c462a5b84ba3"


def test_its_shape_and_labels() -> None:
    arrays = load(ensure("synthetic"))
    info = DATASETS["synthetic"]
    assert arrays.train_images.shape == (info.train_size, 1, 28, 28)
    assert arrays.test_images.shape == (info.test_size, 1, 28, 28)
    assert arrays.train_images.dtype == np.uint8
    assert arrays.train_labels.dtype == np.int64
    assert arrays.train_images.flags.c_contiguous
    counts = np.bincount(arrays.train_labels, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 500
    scaled = arrays.train_images / 255
    assert scaled.mean() == pytest.approx(info.mean[0], abs=1e-4)
    assert scaled.std() == pytest.approx(info.std[0], abs=1e-4)


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1200])
def test_an_image_is_the_same_however_many_are_made(count: int) -> None:
    images, labels = make("train", 1500)
    some_images, some_labels = make("train", count)
    np.testing.assert_array_equal(some_images, images[:count])
    np.testing.assert_array_equal(some_labels, labels[:count])


def test_train_and_test_are_different_images() -> None:
    train, test = make("train", 500)[0], make("test", 500)[0]
    assert len(np.unique(np.concatenate([train, test]).reshape(1000, -1), axis=0)) == 1000


def test_limits_may_go_beyond_the_default_size() -> None:
    arrays = load(ensure("synthetic"), train_limit=7_000, test_limit=1_100)
    assert len(arrays.train_labels) == 7_000
    assert len(arrays.test_images) == 1_100
    assert len(make("test", 10**9)[1]) == LARGEST["test"]
    with pytest.raises(DataError, match="at least 1"):
        load(ensure("synthetic"), train_limit=0)


def test_there_is_nothing_to_verify() -> None:
    assert verify(ensure("synthetic", offline=True)) == []


def test_class_means_say_little() -> None:
    """Comparing with each class's mean image gets nowhere near what a network gets: the shapes move about."""
    arrays = load(ensure("synthetic"))
    flat = arrays.train_images.reshape(len(arrays.train_images), -1).astype(float)
    means = np.stack([flat[arrays.train_labels == label].mean(0) for label in range(10)])
    distance = ((arrays.test_images.reshape(-1, 1, 784) - means) ** 2).sum(2)
    accuracy = (distance.argmin(1) == arrays.test_labels).mean()
    assert accuracy < 0.35


def test_a_small_network_learns_it_but_not_at_once() -> None:
    import torch
    from torch.nn import functional as F

    from tui_attn.models import CNN_Base

    arrays = load(ensure("synthetic"), train_limit=2_000, test_limit=500)
    info = DATASETS["synthetic"]

    def prepared(images: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(images).float() / 255 - info.mean[0]) / info.std[0]

    x, y = prepared(arrays.train_images), torch.from_numpy(arrays.train_labels)
    torch.manual_seed(0)
    network = CNN_Base()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for batch in torch.randperm(len(x)).reshape(-1, 16):
        optimizer.zero_grad()
        F.cross_entropy(network(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        predicted = network(prepared(arrays.test_images)).argmax(1).numpy()
    accuracy = (predicted == arrays.test_labels).mean()
    assert 0.3 < accuracy < 0.85  # after one epoch over a third of it; chance is 0.1
