"""Types shared within the data package: data sets, their locations, errors, progress, limits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tui_attn.system.text import safe_text
from tui_attn.system.user_error import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_attn.data.folder_content import FolderImages

_CLASSES_LISTED = 12
"""With more classes, only the smallest and the largest number of images are shown."""
SYNTHETIC_RECIPE = "tui-attn synthetic shapes 1"


class DataError(UserError):
    """A data set can't be found, fetched or read; the message has at most two lines and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(safe_text(message))  # it may quote paths and messages of servers and apt


class Progress(Protocol):
    """Callback for long operations."""

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Report the current phase, the bytes done, and the bytes in all where they are known."""


class Limits(NamedTuple):
    """Time limits of a download, in seconds, and how often it is retried."""

    connect: float = 5.0
    """To resolve a name, and to connect."""
    stall: float = 20.0
    """Without receiving a byte; also the period over which the rate is measured."""
    least: float = 2000.0
    """Minimum bytes per second of a server."""
    retries: int = 4
    """Consecutive attempts that bring next to nothing."""
    pause: float = 0.5
    """Before the second attempt; doubled for each further one."""


def check_limits(*limits: int | None) -> None:
    """Refuse limits that leave no images. Raises `DataError`."""
    for limit in limits:
        if limit is not None and limit < 1:
            raise DataError(f"a limit of {limit} images leaves nothing to read: give at least 1")


def silent(phase: str, done: int, total: int | None) -> None:
    """The progress callback that does nothing."""


class FetchOptions(NamedTuple):
    """Options for fetching."""

    offline: bool = False
    """Don't use the network."""
    mirror: str | None = None
    """A URL to try first."""
    progress: Progress = silent
    limits: Limits = Limits()


DEFAULT = FetchOptions()


class DataFile(NamedTuple):
    """One file of a data set, as it is read: decompressed."""

    name: str
    size: int
    sha256: str
    """Of the decompressed bytes; empty where unpublished: `gz_sha256` then pins NAME.gz, which is kept."""
    gz_size: int = 0
    gz_sha256: str = ""


class Archive(NamedTuple):
    """A .tar.gz that holds all files of a data set in one folder."""

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]


class DebianPackage(NamedTuple):
    """A Debian package that ships the files, gzipped, in `folder`."""

    name: str
    folder: str
    size: int


@dataclass(frozen=True)
class DatasetInfo:
    """The properties of a data set that are known without reading it."""

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
    """Whether its file names are too generic to recognise the set outside its own folder."""

    @cached_property
    def version(self) -> str:
        """12 hex digits that identify the pinned contents."""
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


@dataclass(frozen=True, slots=True)
class Located:
    """Where a data set lies on this machine."""

    name: str
    root: Path
    """torchvision's root where the files lie in its layout, else the folder that holds them."""
    files: tuple[Path, ...]
    """The decompressed files in the order of the catalogue; empty for `synthetic` and folders of images."""
    source: str
    """Where it came from: "--data-dir", "cache", "Debian package", "downloaded", "made on the spot", ..."""
    version: str
    """Hex digest of the contents; only experiments with the same one are comparable."""
    images: FolderImages | None = field(default=None, compare=False, repr=False)
    """The images of a folder, where they were just listed."""

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Of a folder of images: split ("train", "test") -> class -> number of images."""
        return self.images.counts() if self.images else {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of a folder of images, in sentences; warnings begin with "warning: "."""
        return self.images.notes if self.images else ()

    @property
    def scales(self) -> dict[str, list[float]]:
        """Of a folder of images: for each kind of more than 8 bits, the values that become 0 and 255."""
        return {kind: [*scale] for kind, scale in self.images.scales.items()} if self.images else {}

    def to_json(self) -> dict[str, Any]:
        """The record in an experiment's manifest."""
        files = [str(file) for file in self.files]
        found = {"root": str(self.root), "files": files, "source": self.source, "version": self.version}
        return found | {key: value for key in ("counts", "scales") if (value := getattr(self, key))}

    @classmethod
    def from_json(cls, name: str, found: Mapping[str, Any]) -> Located:
        """The inverse of `to_json`, for the data set `name`. Raises `DataError`."""
        try:
            return cls(
                name=name,
                root=Path(found["root"]),
                files=tuple(Path(file) for file in found.get("files", ())),
                source=str(found["source"]),
                version=str(found["version"]),
            )
        except (AttributeError, KeyError, TypeError):
            raise DataError("experiment.json doesn't say where the data is: start a new experiment") from None


def counts_text(counts: object) -> str:
    """The number of images by split and class in words; "" for invalid counts.

    As in "40 training images (cats 20, dogs 20), 10 test images (cats 5, dogs 5)".
    """
    if not isinstance(counts, Mapping):
        return ""
    parts = []
    for split, word in (("train", "training"), ("test", "test")):
        its = counts.get(split)
        if not isinstance(its, Mapping) or not its or not all(isinstance(count, int) for count in its.values()):
            return ""
        least, most = min(its.values()), max(its.values())
        each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        listed = ", ".join(f"{name} {count:,}" for name, count in its.items())
        of = listed if len(its) <= _CLASSES_LISTED else f"{len(its):,} classes, {each} in each"
        parts.append(f"{sum(its.values()):,} {word} images ({of})")
    return safe_text(", ".join(parts), one_line=True)


class Problem(NamedTuple):
    """A problem with one file of a data set."""

    path: Path
    text: str

    def __str__(self) -> str:
        return safe_text(f"{self.path} {self.text}", one_line=True)


class SetStatus(NamedTuple):
    """The status of one data set, as in `tui-attn data`."""

    name: str
    title: str
    state: str
    """"ready", "packed" (to be decompressed at the first start), "damaged" or "missing"."""
    located: Located | None
    size: int
    """Bytes to fetch where it is missing, else bytes on disk; 0 for generated data."""
    problems: tuple[Problem, ...]
    how: str
    """How it can be fetched, in words."""
    sizes: tuple[int, int] | None = None
    """Training and test images, where known."""
    notes: tuple[str, ...] = ()
    """What a user should know of a folder of images."""


class Arrays(NamedTuple):
    """A data set in memory."""

    train_images: NDArray[np.uint8]
    """(N, C, H, W), C-contiguous, values 0 to 255."""
    train_labels: NDArray[np.int64]
    """(N,), values 0 to the number of classes - 1."""
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
