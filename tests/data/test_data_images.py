"""Image files as the networks see them: what is kept of each kind, what is refused, what is told."""

from __future__ import annotations

import io
import os
import stat
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.data.pictures import as_bytes, labelled, noise, picture, save, tiff_of_12_bits
from tui_attn.data import (
    DataError,
    Located,
    ensure,
    find,
    folder_content,
    load,
)
from tui_attn.data import decode as decoding
from tui_attn.data.decode import UnreadableImageError, decode, examine
from tui_attn.data.folder_content import check_images, folder_test_images, folder_test_labels

SIZES = [(32, 32), (33, 32), (500, 320), (41, 97), (7, 5), (32, 200), (301, 299)]
"""Width and height."""


def located(root: Path) -> Located:
    return ensure(f"folder:{root}")


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
def test_they_are_the_pixels_that_torchvision_makes(root: Path, limit: int | None) -> None:
    from torchvision.datasets.folder import pil_loader
    from torchvision.transforms import v2

    where = located(root)
    read = load(where, test_limit=limit).test_images
    shown = folder_test_images(where, range(len(read)), limit)
    assert len(read) == (limit or 2 * len(SIZES)) == len(folder_test_labels(where, limit))
    for index, pixels in enumerate(read):
        assert np.array_equal(shown[index], pixels)
    if limit is None:
        assert where.images is not None
        shape = v2.Compose([v2.Resize(32, antialias=True), v2.CenterCrop(32)])
        for (path, _), pixels in zip(where.images.test, read, strict=True):
            assert np.array_equal(np.asarray(shape(pil_loader(str(root / path)))).transpose(2, 0, 1), pixels)


# ---- kinds of images


def read_one(root: Path, train: NDArray[np.generic], suffix: str) -> tuple[Located, NDArray[np.uint8]]:
    """A set whose images are all `train`, with a different one a class; what is read of the first."""
    for split in ("train", "test"):
        save(root / split / "a" / f"0{suffix}", train)
        save(root / split / "b" / f"0{suffix}", np.rot90(train))
    where = located(root)
    check_images(where)
    return where, load(where).train_images[0]


def grey(seed: int = 1) -> NDArray[np.uint8]:
    values = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    values[0, :2] = 0, 255
    return values


def test_sixteen_bits_are_taken_by_their_range(tmp_path: Path) -> None:
    values = grey()
    for suffix in (".png", ".tif"):
        where, read = read_one(tmp_path / suffix, values.astype(np.uint16) * 257, suffix)
        assert np.array_equal(read, np.stack([values] * 3))
        assert where.scales == where.to_json()["scales"] == {"16-bit": [0.0, 65535.0]}
        assert any("16-bit images: values 0 to 65,535 become 0 to 255" in note for note in where.notes)


def test_twelve_bits_are_taken_by_the_values_of_the_training_images(tmp_path: Path) -> None:
    values = (grey().astype(np.uint32) * 4095 // 255).astype(np.uint16)
    where, read = read_one(tmp_path / "in16", values, ".png")
    assert where.scales == {"16-bit": [0.0, 4095.0]}
    assert np.abs(read[0].astype(int) - grey()).max() <= 1
    for split in ("train", "test"):
        for label, turned in (("a", values), ("b", np.rot90(values))):
            path = tmp_path / "packed" / split / label / "0.tif"
            path.parent.mkdir(parents=True)
            path.write_bytes(tiff_of_12_bits(turned))
    packed = located(tmp_path / "packed")
    assert packed.scales == {"12-bit": [0.0, 4095.0]}
    assert np.array_equal(load(packed).train_images[0], read)


@pytest.mark.parametrize("unsigned", [True, False])
def test_whole_numbers_of_32_bits_are_scaled_by_the_training_images(tmp_path: Path, unsigned: bool) -> None:
    values = grey().astype(np.int64) * 1_000_000 - (0 if unsigned else 100_000_000)
    for split in ("train", "test"):
        save(tmp_path / split / "a" / "0.tif", values.astype(np.int32))
        save(tmp_path / split / "b" / "0.tif", np.rot90(values).astype(np.int32))
    where = located(tmp_path)
    assert where.scales == {"32-bit": [float(values.min()), float(values.max())]}
    assert np.array_equal(load(where).train_images[0][0], grey())


@pytest.mark.parametrize(("factor", "scale"), [(1 / 255, [0.0, 1.0]), (0.4 / 255, [0.0, 1.0]), (10.0, [0.0, 2550.0])])
def test_floats_are_taken_by_0_to_1_or_by_the_training_images(
    tmp_path: Path, factor: float, scale: list[float]
) -> None:
    where, read = read_one(tmp_path, grey().astype(np.float32) * np.float32(factor), ".tif")
    assert where.scales == {"float": scale}
    expected = np.rint(grey() * 0.4) if factor == 0.4 / 255 else grey()
    assert np.array_equal(read[0], expected)


def test_values_that_are_no_numbers_cost_nothing(tmp_path: Path) -> None:
    values = grey().astype(np.float32)
    values[3, 3:6] = np.nan, np.inf, -np.inf
    where, read = read_one(tmp_path, values, ".tif")
    assert where.scales == {"float": [0.0, 255.0]}
    assert read[0, 3, 3:6].tolist() == [0, 255, 0]


def test_one_scale_holds_for_all_images_and_the_test_images_decide_nothing(tmp_path: Path) -> None:
    for split, label, value in (("train", "a", 0), ("train", "b", 1000), ("test", "a", 500), ("test", "b", 4000)):
        save(tmp_path / split / label / "0.png", np.full((32, 32), value, dtype=np.uint16))
    arrays = load(located(tmp_path))
    assert arrays.train_images[:, 0, 0, 0].tolist() == [0, 255]
    assert arrays.test_images[:, 0, 0, 0].tolist() == [128, 255]


def test_transparency_is_composed_over_mid_grey() -> None:
    drawing = np.zeros((32, 32, 4), dtype=np.uint8)
    drawing[8:24, 8:24] = 0, 0, 0, 255  # black on nothing: black on black without a ground
    image = Image.fromarray(drawing)
    two_channels = as_bytes(image.convert("LA"), "PNG")
    for content in (as_bytes(image, "PNG"), as_bytes(image, "WEBP", lossless=True), two_channels):
        assert examine(content).transparent
        read = decode(content, {})
        assert read[:, 0, 0].tolist() == [127, 127, 127]
        assert read[:, 16, 16].tolist() == [0, 0, 0]
    keyed = as_bytes(Image.fromarray(grey()), "PNG", transparency=int(grey()[5, 5]))
    assert (decode(keyed, {})[0][grey() == grey()[5, 5]] == 127).all()
    wide = Image.fromarray(grey().astype(np.uint16) * 257)
    assert not examine(as_bytes(wide, "PNG")).transparent


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    image = Image.fromarray(noise((32, 32)))
    content = as_bytes(image.convert("RGBA"), "PNG")
    assert examine(content).plain
    assert np.array_equal(decode(content, {}), np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation: int) -> None:
    image = Image.fromarray(noise((32, 32)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("JPEG", {"quality": 95})):
        content = as_bytes(image, kind, exif=exif, **options)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        assert np.array_equal(decode(content, {}), np.asarray(expected).transpose(2, 0, 1))
        assert examine(content).rotated == (orientation > 1 and kind != "TIFF")


def test_an_orientation_behind_the_pixels_of_a_png_counts_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    whole = as_bytes(Image.fromarray(noise((32, 32))), "PNG", exif=exif)
    at = whole.index(b"eXIf") - 4
    chunk = whole[at : at + 12 + int.from_bytes(whole[at : at + 4], "big")]
    moved = whole.replace(chunk, b"").replace(whole[-12:], chunk + whole[-12:])
    assert examine(moved).rotated
    assert np.array_equal(decode(moved, {}), decode(whole, {}))


def test_images_that_are_read_in_another_way_than_before_have_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = labelled(tmp_path)
    plain = ensure(name).version
    monkeypatch.setattr(folder_content, "_READING", "another way")
    assert ensure(name).version == plain
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a" / "0.png", Image.fromarray(noise(seed=0)), exif=exif)
    turned = ensure(name)
    assert any("EXIF" in note for note in turned.notes)
    monkeypatch.undo()
    assert ensure(name).version != turned.version


# ---- what can't be read


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, and is small."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BAD = {
    "empty.png": (b"", "is empty"),
    "text.png": (b"no image at all", "is damaged, or no image of a known format"),
    "cut.png": (as_bytes(Image.fromarray(noise()), "PNG")[:-200], "is damaged"),
    "cut.jpg": (as_bytes(Image.fromarray(noise()), "JPEG")[:-200], "is damaged"),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known format"),
    "bomb.png": (bomb(9_000, 9_000), "is too large: 9,000 x 9,000 pixels"),
    "huge.png": (bomb(2_000_000_000, 2), "is too large"),
    "line.png": (bomb(60_000_000, 1), "is too large: 60,000,000 x 1 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_image_is_refused_with_a_reason(name: str) -> None:
    content, why = BAD[name]
    with decoding.quiet(), pytest.raises(UnreadableImageError, match=why):
        examine(content, thoroughly=True)
    with decoding.quiet(), pytest.raises(UnreadableImageError, match=why):
        decode(content, {})


def test_all_that_cannot_be_read_are_named_at_once_and_the_advice_leads_on(tmp_path: Path) -> None:
    name = labelled(tmp_path)
    for file, (content, _) in BAD.items():
        (tmp_path / "a" / file).write_bytes(content)
    os.mkfifo(tmp_path / "b" / "pipe.png")
    (tmp_path / "b" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "b" / "gone.png").symlink_to("nowhere.png")
    bad = [*BAD, "pipe.png", "zero.png", "gone.png"]
    with pytest.raises(DataError, match=f"{len(bad)} images can't be read") as caught:
        check_images(ensure(name))
    text = str(caught.value)
    assert len(text.splitlines()) == 2
    assert all(file in text for file in bad)
    for file in bad:
        (next(tmp_path.glob(f"*/{file}"), None) or tmp_path / "b" / file).unlink()
    where = ensure(name)
    check_images(where)
    assert len(load(where).train_images) == 8


def test_only_images_that_are_used_are_decoded_before_a_start(tmp_path: Path) -> None:
    name = labelled(tmp_path, each=20)
    images = ensure(name).images
    assert images is not None
    path = tmp_path / images.train[1][0]
    path.write_bytes(path.read_bytes()[:-100])
    check_images(ensure(name), train_limit=2)
    with pytest.raises(DataError, match="1 image can't be read"):
        check_images(ensure(name))


def test_what_is_no_image_costs_only_itself_on_the_pictures_page(root: Path) -> None:
    damaged = root / "test" / "a" / "0.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    (root / "test" / "a" / "1.png").write_bytes(b"GIF89a no such thing")
    (root / "test" / "a" / "2.png").write_bytes(b"")
    where = located(root)
    found = folder_test_images(where, range(4))
    assert found[0] == "is damaged"
    assert str(found[1]).startswith("is damaged")
    assert found[2] == "is empty"
    assert not isinstance(found[3], str)
    assert folder_test_images(where, [999, -1]) == {999: "is not there", -1: "is not there"}


def test_links_are_followed_alike_when_training_and_showing(root: Path, tmp_path: Path) -> None:
    outside = picture(tmp_path / "elsewhere.png")
    for at, target in enumerate((outside, root / "test" / "b" / "0.jpg")):
        link = root / "test" / "a" / f"{at}.png"
        link.unlink()
        link.symlink_to(target)
    where = located(root)
    found = folder_test_images(where, range(2))
    for index, pixels in enumerate(load(where, test_limit=None).test_images[:2]):
        assert np.array_equal(found[index], pixels)


def test_a_file_that_changes_after_it_was_examined_is_not_used(root: Path) -> None:
    where = located(root)
    picture(root / "test" / "a" / "0.png", seed=99)
    assert folder_test_images(where, [0]) == {0: "has changed"}
    with pytest.raises(DataError, match="has changed: restore it"):
        load(where)


def test_other_images_than_the_experiment_began_with_are_refused(root: Path) -> None:
    where = Located.from_json(f"folder:{root}", located(root).to_json())
    assert len(load(where).train_images) == 2
    (root / "train" / "a" / "0.bmp").rename(root / "train" / "b" / "1.bmp")
    picture(root / "train" / "a" / "0.bmp", seed=5)
    with pytest.raises(DataError, match="has changed since the experiment began"):
        load(where)


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        find(f"folder:{tmp_path / 'gone'}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(root: Path) -> None:
    (root / "test" / "a" / "0.png").chmod(stat.S_IWUSR)
    with pytest.raises(DataError, match="permission denied"):
        check_images(located(root))


def test_wide_images_without_any_among_the_training_images_are_named_before_a_start(tmp_path: Path) -> None:
    labelled(tmp_path / "train")
    labelled(tmp_path / "test")
    save(tmp_path / "test" / "a" / "wide.tif", np.arange(64, dtype=np.int32).reshape(8, 8))
    with pytest.raises(DataError, match=r"wide\.tif .is a 32-bit image, and no training image says"):
        check_images(located(tmp_path))


def test_a_sparse_file_of_a_tebibyte_is_not_read(tmp_path: Path) -> None:
    labelled(tmp_path)
    with (tmp_path / "a" / "big.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="is too large: more than 256 MiB"):
        check_images(located(tmp_path))


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
def test_odd_sizes_are_read(size: tuple[int, int]) -> None:
    assert decode(as_bytes(Image.fromarray(noise(size)), "PNG"), {}).shape == (3, 32, 32)


def test_damaged_metadata_costs_nothing() -> None:
    image = Image.fromarray(noise((32, 32)))
    plain = as_bytes(image, "JPEG")
    for exif in (b"Exif\0\0II*\0" + b"\xff" * 54, b"Exif\0\0", b"\xff" * 60):
        with decoding.quiet():
            assert np.array_equal(decode(as_bytes(image, "JPEG", exif=exif), {}), decode(plain, {}))
    assert np.array_equal(decode(plain + os.urandom(1000), {}), decode(plain, {}))
