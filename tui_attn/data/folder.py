"""A folder of images, one subfolder a class: PATH/train/CLASS and PATH/test/CLASS, or PATH/CLASS."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_attn.data.base import DataError, Located, Progress, silent
from tui_attn.data.files import absolute, os_error_text, sha256_of
from tui_attn.data.registry import DatasetInfo, short_digest
from tui_attn.system.text import has_control_characters, safe_text

PREFIX = "folder:"
IMAGE_SIZE = 32
"""Side in pixels that the images of a folder are scaled to; a folder is read in RGB."""
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_TEST_SHARE = 5
"""Where the folder has no test images of its own, one in this many is held out."""


Labelled = tuple[Path, int]
"""A file and its label."""


@dataclass(frozen=True, slots=True)
class FolderImages:
    """The images of a folder, in the order in which they are read: sorted by class, then by path."""

    class_names: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...]


def folder_path(name: str) -> Path:
    """The folder that `folder:PATH` names, absolute."""
    return absolute(Path(name.removeprefix(PREFIX)))


def folder_images(name: str) -> FolderImages:
    """List the images of `folder:PATH`. Raises `DataError` where the folder is not one of labelled images.

    A folder without `train` and `test` is split: of each class a fifth, the first in the order of the SHA-256 of
    their paths within the class, are test images. So the split depends on names only, and adding images moves few.
    """
    root = folder_path(name)
    train_root, test_root = root / "train", root / "test"
    if _is_folder(train_root) and _is_folder(test_root):
        names = _class_names(train_root)
        if (others := _class_names(test_root)) != names:
            odd = min(set(names) ^ set(others))
            raise DataError(
                f"{root}: the class {odd} is in only one of train and test\nboth need a subfolder for each class"
            )
        return FolderImages(names, _labelled(train_root, names), _labelled(test_root, names))
    names = _class_names(root)
    labelled = _labelled(root, names)
    held_out = _held_out(root, names, labelled)
    return FolderImages(
        names,
        tuple(item for item in labelled if item[0] not in held_out),
        tuple(item for item in labelled if item[0] in held_out),
    )


def some(items: Sequence[Labelled], limit: int | None) -> list[Labelled]:
    """As many of a split's images as a limit allows, taken evenly from the whole list, which is sorted by class."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def folder_info(name: str) -> DatasetInfo:
    """What is known of `folder:PATH`. Raises `DataError`."""
    return _info(name, folder_images(name))


def _info(name: str, images: FolderImages) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        title=f"images in {safe_text(folder_path(name), one_line=True)}",
        class_names=images.class_names,
        channels=3,
        image_size=IMAGE_SIZE,
        train_size=len(images.train),
        test_size=len(images.test),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        reader="torchvision",
        layout="folder",
        licence="your own",
    )


def locate_folder(name: str, progress: Progress = silent) -> Located:
    """Check `folder:PATH` and give its version: a digest over every image's path and bytes. Raises `DataError`."""
    root = folder_path(name)
    images = folder_images(name)
    entries = [(split, *item) for split, items in (("train", images.train), ("test", images.test)) for item in items]
    lines, done = [], 0
    for split, path, label in entries:
        try:
            digest = sha256_of(path)
            done += path.stat().st_size
        except OSError as error:
            raise DataError(f"{path} cannot be read: {os_error_text(error)}") from None
        lines.append(f"{split}:{images.class_names[label]}:{path.relative_to(root).as_posix()}:{digest}")
        progress(f"reading {root.name}", done, None)
    return Located(name, root, tuple(path for _, path, _ in entries), "folder", short_digest(lines))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _class_names(root: Path) -> tuple[str, ...]:
    """The names of the class folders in `root`, sorted."""
    try:
        names = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise DataError(f"{root} cannot be read: {os_error_text(error)}: give a folder of images") from None
    if len(names) < 2:
        raise DataError(
            f"{root} holds {len(names)} class folders, and at least two are needed\n"
            "lay the images out as PATH/CLASS/IMAGE, or as PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE"
        )
    for name in names:
        if has_control_characters(name) or len(name) > 100:
            raise DataError(
                f"{root}: rename the class folder {safe_text(name, one_line=True)[:60]}: "
                "class names are printable and at most 100 characters long"
            )
    return tuple(names)


def _labelled(root: Path, names: tuple[str, ...]) -> tuple[tuple[Path, int], ...]:
    found: list[tuple[Path, int]] = []
    for label, name in enumerate(names):
        before = len(found)
        for folder, subfolders, files in os.walk(root / name):  # links to folders are not followed: no loops
            subfolders.sort()
            found += [
                (Path(folder) / file, label)
                for file in sorted(files)
                if file.lower().endswith(EXTENSIONS) and not file.startswith(".")
            ]
        if len(found) == before:
            kinds = ", ".join(EXTENSIONS)
            raise DataError(f"{root / name} holds no images: put some there, or remove it\nimages end in {kinds}")
    return tuple(found)


def _held_out(root: Path, names: tuple[str, ...], labelled: tuple[tuple[Path, int], ...]) -> set[Path]:
    """The test images of a folder that has no test images of its own: at least one a class."""

    def key(path: Path, label: int) -> bytes:
        return hashlib.sha256(os.fsencode(path.relative_to(root / names[label]).as_posix())).digest()

    held_out: set[Path] = set()
    for label, name in enumerate(names):
        paths = sorted((path for path, its in labelled if its == label), key=lambda path: key(path, label))
        if len(paths) < 2:
            raise DataError(f"{root / name} holds one image: at least two are needed, for training and for testing")
        held_out.update(paths[: max(1, len(paths) // _TEST_SHARE)])
    return held_out
