"""Image files for tests."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def noise(size: tuple[int, int] = (40, 30), seed: int | None = None) -> NDArray[np.uint8]:
    """RGB noise (H, W, 3) of a width and height."""
    return np.random.default_rng(size[0] if seed is None else seed).integers(
        0, 256, (size[1], size[0], 3), dtype=np.uint8
    )


def picture(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB", seed: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(size, seed)).convert(mode).save(path)
    return path


def save(path: Path, image: Image.Image | NDArray[np.generic], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def labelled(root: Path, classes: tuple[str, ...] = ("a", "b"), each: int = 5) -> str:
    """A folder of different images without splits; its name as a data set."""
    for label, name in enumerate(classes):
        for index in range(each):
            picture(root / name / f"{index}.png", seed=100 * label + index)
    return f"folder:{root}"


def tiff_of_12_bits(values: NDArray[np.uint16]) -> bytes:
    """A TIFF with 12 bits a pixel, packed; an even number of pixels in all."""
    height, width = values.shape
    bits = "".join(f"{value:012b}" for value in values.ravel())
    pixels = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(pixels)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def as_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
