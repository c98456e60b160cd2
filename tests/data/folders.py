"""Folders of images for tests."""

from __future__ import annotations

from pathlib import Path

from tui_attn.data import (
    ensure,
)
from tui_attn.data.folder_content import FolderImages


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"image {name}".encode())
    return root


def flowers(root: Path) -> str:
    """20 images of two classes, and things that are no images."""
    names = [f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(10)]
    lay_out(root, *names, "rose/readme.txt", ".cache/x.jpg", "notes.md", "lily/.hidden.png")
    return f"folder:{root}"


def split(root: Path) -> str:
    lay_out(root, "train/a/1.png", "train/a/deep/2.PNG", "train/b/3.jpeg", "test/a/4.png", "test/b/5.webp")
    return f"folder:{root}"


def folder_images(name: str) -> FolderImages:
    images = ensure(name).images
    assert images is not None
    return images
