"""What every part of the data package shares: the error, the progress callback, and what is handed back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class DataError(Exception):
    """A data set cannot be had; the message is for the user: at most two lines, and it says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(safe_text(message))  # it may quote paths, and what servers and apt say


class Progress(Protocol):
    """Called while something long goes on."""

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Take note of what goes on, the bytes done, and the bytes in all where they are known."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a download waits, in seconds, and how often it goes on."""

    connect: float = 5.0
    """For a name to be resolved and for a connection to be made, each."""
    stall: float = 20.0
    """Without a single byte."""
    retries: int = 4
    """Attempts in a row that bring nothing new."""
    pause: float = 0.5
    """Before the first further attempt; doubled for each that follows."""


def silent(phase: str, done: int, total: int | None) -> None:
    """Say nothing: the progress callback of a caller who gave none."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What a caller may choose about fetching."""

    offline: bool = False
    """Leave out the network."""
    mirror: str | None = None
    """An address to try first."""
    progress: Progress = silent
    limits: Limits = field(default_factory=Limits)


DEFAULT = FetchOptions()


@dataclass(frozen=True, slots=True)
class Located:
    """Where a data set lies on this machine."""

    name: str
    root: Path
    """torchvision's root where the files lie in its layout, else the folder that holds them."""
    files: tuple[Path, ...]
    """The decompressed files in the order of the registry; empty for `synthetic`."""
    source: str
    """How it got here: "--data-dir", "cache", "Debian package", "downloaded", "made on the spot", ..."""
    version: str
    """Hex digest over the pinned contents: experiments are comparable only where it is the same."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one file of a data set."""

    path: Path
    text: str

    def __str__(self) -> str:
        return safe_text(f"{self.path} {self.text}", one_line=True)


@dataclass(frozen=True, slots=True)
class SetStatus:
    """What `tui-attn data` says of one data set."""

    name: str
    title: str
    state: str
    """"ready", "packed" (here, to be decompressed at the first start), "damaged" or "missing"."""
    located: Located | None
    size: int
    """Bytes to fetch where it is missing, else bytes on disk; 0 for what is made on the spot."""
    problems: tuple[Problem, ...]
    how: str
    """How it can be fetched, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """A data set in memory."""

    train_images: NDArray[np.uint8]
    """(N, C, H, W), C-contiguous, values 0 to 255."""
    train_labels: NDArray[np.int64]
    """(N,), values 0 to the number of classes - 1."""
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
