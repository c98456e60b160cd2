"""What is known of a data set before it is read: names, sizes, pinned SHA-256 digests, addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

SYNTHETIC_RECIPE = "tui-attn synthetic shapes 1"


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, as it is read: decompressed."""

    name: str
    size: int
    sha256: str
    """Of the decompressed bytes; empty where unpublished: `gz_sha256` then pins NAME.gz, which is kept."""
    gz_size: int = 0
    gz_sha256: str = ""


@dataclass(frozen=True)
class Archive:
    """A .tar.gz that holds all files of a data set in one folder."""

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package that ships the files, gzipped, in `folder`."""

    name: str
    folder: str
    size: int


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is read."""

    name: str
    title: str
    class_names: tuple[str, ...]
    channels: int
    image_size: int
    train_size: int
    test_size: int
    mean: tuple[float, ...]
    """Per channel, of the training images scaled to [0, 1]."""
    std: tuple[float, ...]
    reader: str
    """What the worker reads it with: "idx", "cifar" or "synthetic" (by this package), or "torchvision"."""
    licence: str
    layout: str
    """The format on disk: "idx", "cifar", "synthetic" or "folder"."""
    folder: str = ""
    """torchvision's folder under its root."""
    files: tuple[DataFile, ...] = ()
    """idx: training images, training labels, test images, test labels; CIFAR: batches, test batch, names."""
    archive: Archive | None = None
    urls: tuple[str, ...] = ()
    """Addresses that end in "/" and hold the files as NAME.gz."""
    debian: DebianPackage | None = None
    label_key: str = "labels"
    generic_names: bool = False
    """The file names say too little to recognise the set outside its own folder."""

    @cached_property
    def version(self) -> str:
        """12 hex digits over the pinned contents."""
        pinned = [f"{file.name}:{file.sha256 or file.gz_sha256}" for file in self.files]
        recipe = [SYNTHETIC_RECIPE] if self.layout == "synthetic" else []
        return short_digest([self.layout, *sorted(pinned), *recipe])

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of the decompressed files."""
        return sum(file.size for file in self.files)

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of a whole download."""
        return self.archive.size if self.archive else sum(file.gz_size for file in self.files)


def short_digest(lines: Iterable[str]) -> str:
    """12 hex digits of SHA-256 over `lines`."""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:12]
