"""Images of a folder for showing: the pixels that a worker trains on, read with care."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tui_attn.data import DataError, folder_images
from tui_attn.data import thumbnails as reading
from tui_attn.data.base import Located
from tui_attn.data.thumbnails import folder_test_images
from tui_attn.train import load_data as training

SIZES = [(32, 32), (33, 32), (500, 320), (41, 97), (7, 5), (32, 200), (301, 299)]
"""Width and height."""


def picture(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], *((3,) if mode == "RGB" else ()))
    pixels = np.random.default_rng(size[0]).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with pictures of all sizes and kinds, and as many training images as there must be."""
    root = tmp_path / "set"
    for at, size in enumerate(SIZES):
        picture(root / "test" / "a" / f"{at}.png", size)
        picture(root / "test" / "b" / f"{at}.jpg", size, "L" if at % 2 else "RGB")
    for label in ("a", "b"):
        picture(root / "train" / label / "0.bmp")
    return root


@pytest.mark.parametrize("limit", [None, 5])
def test_they_are_the_pixels_that_a_worker_reads(root: Path, limit: int | None) -> None:
    name = f"folder:{root}"
    read = training.load(Located(name, root, (), "folder", ""), train_limit=None, test_limit=limit).test_images
    shown = folder_test_images(name, range(len(read)), limit)
    assert len(read) == (limit or 2 * len(SIZES))
    for index, pixels in enumerate(read):
        assert np.array_equal(shown[index], pixels)


def test_what_is_no_image_is_told_in_words_and_costs_only_itself(root: Path) -> None:
    damaged = root / "test" / "a" / "0.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    (root / "test" / "a" / "1.png").write_bytes(b"GIF89a no such thing")
    (root / "test" / "a" / "2.png").write_bytes(b"")
    found = folder_test_images(f"folder:{root}", range(4))
    assert [found[index] for index in range(3)] == ["is damaged"] * 3
    assert not isinstance(found[3], str)
    assert folder_test_images(f"folder:{root}", [999]) == {999: "is not there"}


def test_links_are_followed_within_the_folder_only(root: Path, tmp_path: Path) -> None:
    outside = picture(tmp_path / "elsewhere.png")
    for at, target in enumerate((outside, root / "test" / "b" / "0.jpg", root / "missing.png")):
        link = root / "test" / "a" / f"{at}.png"
        link.unlink()
        link.symlink_to(target)
    found = folder_test_images(f"folder:{root}", range(3))
    assert found[0] == "is a link out of the folder"
    assert not isinstance(found[1], str)
    assert str(found[2]).startswith("can't be read: ")


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    pipe = root / "test" / "a" / "0.png"
    pipe.unlink()
    os.mkfifo(pipe)
    assert folder_test_images(f"folder:{root}", [0]) == {0: "is not a file"}


def test_what_is_too_large_is_not_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"folder:{root}"
    at = [path.name for path, _ in folder_images(name).test].index("2.png")
    monkeypatch.setattr(reading, "MOST_PIXELS", 500 * 320 - 1)
    assert folder_test_images(name, [at]) == {at: "is too large to show"}
    monkeypatch.setattr(reading, "MOST_BYTES", 100)
    assert folder_test_images(name, [0]) == {0: "is too large to show"}


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        folder_test_images(f"folder:{tmp_path / 'gone'}", [0])
