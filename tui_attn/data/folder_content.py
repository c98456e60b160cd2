"""Reads folders of images: digests, facts about the images, pixels."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tui_attn.data import folder_notes
from tui_attn.data.base import (
    Arrays,
    DataError,
    DatasetInfo,
    Located,
    Problem,
    Progress,
    SetStatus,
    counts_text,
    short_digest,
    silent,
)
from tui_attn.data.decode import (
    EIGHT_BITS,
    IMAGE_SIZE,
    ImageFacts,
    Scales,
    UnreadableImageError,
    decode,
    examine,
    quiet,
    read_file,
)
from tui_attn.data.folder import Labelled, folder_path, hold_out, list_folder, some
from tui_attn.data.subset import draw_split
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BYTES = 8 << 30
"""Maximum size of all images in memory: more doesn't fit beside the training on most machines."""
_NAMED = 40
"""Unreadable images listed in an error message."""
_TOGETHER = 32
"""Files in a thread's batch."""
_AT_A_TIME = 256
"""Files read between two calls of the progress callback."""
_READING = "reading of images: 2"
"""Part of the version of folders with images that version 0.1.0 reads differently."""
_SCALED_BY_CONTENT = 4095
"""Training images of 16 bits without a larger value than this hold 12 bits."""

_PLAIN = ImageFacts()

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class FolderImages:
    """The images of a folder, split and examined. Paths are within `root`."""

    root: Path
    class_names: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...]
    digests: dict[str, bytes]
    """SHA-256 of the files that could be read."""
    scales: Scales
    problems: tuple[Problem, ...]
    """Unreadable images, judged by their headers."""
    size: int
    """Bytes of the files."""
    version: str
    """A digest of every image's path and bytes."""
    notes: tuple[str, ...] = ()
    """What a user should know of them, in sentences; warnings begin with "warning: "."""

    def counts(self) -> dict[str, dict[str, int]]:
        """The number of images by split and class."""
        found = {}
        for split, items in (("train", self.train), ("test", self.test)):
            by_label = Counter(label for _, label in items)
            found[split] = {name: by_label[label] for label, name in enumerate(self.class_names)}
        return found


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found in one file."""

    size: int = 0
    digest: bytes = b""
    facts: ImageFacts = _PLAIN
    problem: str = ""


def folder_info(name: str) -> DatasetInfo:
    """The properties of `folder:PATH` by its file names. Raises `DataError`."""
    found = list_folder(name)
    test = len(found.test) if found.test is not None else len(hold_out(found, {})[1])
    return DatasetInfo(
        name=name,
        title=f"images in {safe_text(found.root, one_line=True)}",
        class_names=found.class_names,
        channels=3,
        image_size=IMAGE_SIZE,
        train_size=len(found.train) - (test if found.test is None else 0),
        test_size=test,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        layout="folder",
        licence="your own",
    )


def locate_folder(name: str, progress: Progress = silent) -> Located:
    """Read `folder:PATH`. Unreadable images are no error here, but in `check_images`. Raises `DataError`."""
    images = _read(name, progress)
    return Located(name, images.root, (), "folder", images.version, images)


def _read(name: str, progress: Progress = silent) -> FolderImages:
    root = folder_path(name)
    listing = list_folder(name, lambda _: progress(f"listing {root.name}", 0, None))
    items = [*listing.train, *(listing.test or ())]
    looks: dict[str, _Look] = {}
    done = 0
    for (path, _), look in _each(lambda item: _look(root, item[0]), items):
        looks[path] = look
        done += look.size
        if len(looks) % _AT_A_TIME == 1 or len(looks) == len(items):
            progress(f"reading {root.name}", done, None)
    digests = {path: look.digest for path, look in looks.items() if look.digest}
    sound = {path: digest for path, digest in digests.items() if not looks[path].problem}
    train, test = (listing.train, listing.test) if listing.test is not None else hold_out(listing, sound)
    problems = [Problem(root / path, why) for path, why in listing.unreadable]
    problems += [Problem(root / path, look.problem) for path, look in looks.items() if look.problem]
    scales = _scales(looks[path].facts for path, _ in train)
    for path, _ in test or ():
        if (kind := looks[path].facts.kind) != EIGHT_BITS and kind not in scales:
            problems.append(Problem(root / path, f"is a {kind} image, and no training image says how to scale it"))
    images = FolderImages(root, listing.class_names, train, test, digests, scales, tuple(problems), done, "")
    notes = (
        f"{safe_text(root.name, one_line=True)}: {counts_text(images.counts())}",
        *folder_notes.of_copies(images),
        *folder_notes.of_kinds(scales, [look.facts for look in looks.values()]),
        *(f"passed over {what}" for what in listing.passed_over),
    )
    return replace(images, version=_version(images, looks), notes=notes)


def check_images(
    where: Located,
    train_limit: int | None = None,
    test_limit: int | None = None,
    progress: Progress = silent,
    *,
    seeds: Sequence[int] = (),
) -> tuple[str, ...]:
    """Decode each image that an experiment with these limits uses. Raises `DataError` with all unreadable ones.

    `seeds`: those that draw subsets of the training images, if any. Returns notes on the images in use.
    """
    images = _images(where)
    train = {item for seed in seeds or (None,) for item in some(images.train, train_limit, seed)}
    used = [item for item in images.train if item in train] + some(images.test, test_limit)
    if len(used) * 3 * IMAGE_SIZE**2 > MAX_BYTES:
        raise DataError(f"{where.root} holds too many images for memory: use --train-limit and --test-limit")
    known = {str(problem.path) for problem in images.problems}
    problems = list(images.problems)
    done, contrasts = 0, list[float]()
    for number, ((path, _), look) in enumerate(_each(lambda item: _look(images.root, item[0], thoroughly=True), used)):
        if look.problem and str(images.root / path) not in known:
            problems.append(Problem(where.root / path, look.problem))
        contrasts.append(folder_notes.contrast(look.facts, images.scales))
        done += look.size
        if number % _AT_A_TIME == 0:
            progress(f"checking {where.root.name}", done, None)
    if problems:
        raise UnreadableImagesError(where, sorted(problems, key=lambda problem: str(problem.path)))
    labels = {label for _, label in train}, {label for _, label in some(images.test, test_limit)}
    return folder_notes.of_used(images, labels, contrasts)


def folder_status(name: str, progress: Progress = silent) -> SetStatus:
    """The status of `folder:PATH` in `tui-attn data`; each image is decoded. Raises `DataError`."""
    where = locate_folder(name, progress)
    images = _images(where)
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    try:
        remarks = check_images(where, progress=progress)
    except UnreadableImagesError as error:
        problems = error.problems
    sizes = len(images.train), len(images.test)
    title = f"images in {safe_text(where.root, one_line=True)}"
    state = "damaged" if problems else "ready"
    notes = (*images.notes, *remarks)
    return SetStatus(name, title, state, where, images.size, problems, "it is a folder of yours", sizes, notes)


class UnreadableImagesError(DataError):
    """Images can't be read."""

    def __init__(self, where: Located, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        root = safe_text(where.root, one_line=True)
        named = ", ".join(_within(where, problem) for problem in problems[:_NAMED])
        rest = len(problems) - _NAMED
        more = f" and {rest:,} more, which 'tui-attn data {safe_text(where.name, one_line=True)}' lists"
        what = "1 image" if len(problems) == 1 else f"{len(problems):,} images"
        super().__init__(
            f"{root}: {what} can't be read: {named}{more if rest > 0 else ''}\n"
            f"replace {'it' if len(problems) == 1 else 'them'}, or move "
            f"{'it' if len(problems) == 1 else 'them'} elsewhere, then start again"
        )


def load_folder(
    where: Located,
    train_limit: int | None,
    test_limit: int | None,
    subset: int | None = None,
    validation: int | None = None,
) -> Arrays:
    """The images of a folder as uint8 (N, 3, S, S), S = `IMAGE_SIZE`; limits take images evenly from the whole list.

    `subset`: the seed from which the training images are drawn class by class instead. `validation`: see `data.load`.

    Raises `DataError` where the folder isn't what `where` says, or an image can't be read.
    """
    import numpy as np

    images = _images(where)
    if images.version != where.version:
        raise DataError(
            f"{where.root} has changed since the experiment began: restore it, or start a new experiment with it"
        )

    def pixels(items: Sequence[Labelled]) -> NDArray[np.uint8]:
        out = np.empty((len(items), 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
        for index, (_, made) in enumerate(_each(lambda item: _decoded(images, item[0]), items)):
            if isinstance(made, str):
                raise DataError(f"{where.root / items[index][0]} {made}: restore it, or start a new experiment")
            out[index] = made
        return out

    if validation and subset is not None:
        parts = draw_split([label for _, label in images.train], train_limit, validation, subset)
        train, test = ([images.train[index] for index in part] for part in parts)
    else:
        train, test = some(images.train, train_limit, subset), some(images.test, test_limit)
    if (len(train) + len(test)) * 3 * IMAGE_SIZE**2 > MAX_BYTES:
        raise DataError(f"{where.root} holds too many images for memory: use --train-limit and --test-limit")
    return Arrays(
        train_images=pixels(train),
        train_labels=np.array([label for _, label in train], dtype=np.int64),
        test_images=pixels(test),
        test_labels=np.array([label for _, label in test], dtype=np.int64),
        class_names=images.class_names,
    )


def folder_test_labels(where: Located, test_limit: int | None = None) -> list[int]:
    """The labels of the test images of a folder that was just found."""
    return [label for _, label in some(_images(where).test, test_limit)]


def folder_test_images(
    where: Located, indices: Iterable[int], test_limit: int | None = None
) -> dict[int, NDArray[np.uint8] | str]:
    """Test images of a folder by their indices, uint8 (3, S, S), S = `IMAGE_SIZE`; or why one can't be shown.

    `test_limit` is the experiment's: it decides which images there are. Raises `DataError`.
    """
    images = _images(where)
    files = dict(enumerate(some(images.test, test_limit)))
    return {index: _decoded(images, files[index][0]) if index in files else "is not there" for index in indices}


def _images(where: Located) -> FolderImages:
    """The images at `where`, listed again if need be. Raises `DataError`."""
    return where.images or _read(where.name)


def _each(work: Callable[[In], Out], items: Sequence[In]) -> Iterator[tuple[In, Out]]:
    """Apply `work` to the items in a few threads, in order, with a bounded number of results in memory."""
    parts = [items[start : start + _TOGETHER] for start in range(0, len(items), _TOGETHER)]
    at_a_time = _AT_A_TIME // _TOGETHER
    with quiet(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, len(parts), at_a_time):
            made = pool.map(lambda part: [(item, work(item)) for item in part], parts[start : start + at_a_time])
            yield from chain.from_iterable(made)


def _look(root: Path, path: str, *, thoroughly: bool = False) -> _Look:
    content = b""
    try:
        content = read_file(f"{root}/{path}")
        facts, problem = examine(content, thoroughly=thoroughly), ""
    except UnreadableImageError as error:
        facts, problem = _PLAIN, str(error)
    readable = bool(content) or problem == "is empty"
    return _Look(len(content), hashlib.sha256(content).digest() if readable else b"", facts, problem)


def _decoded(images: FolderImages, path: str) -> NDArray[np.uint8] | str:
    """The pixels (3, S, S) of an image whose bytes haven't changed since it was examined; or a problem."""
    try:
        content = read_file(f"{images.root}/{path}")
        if hashlib.sha256(content).digest() != images.digests.get(path):
            return "has changed"
        return decode(content, images.scales)
    except UnreadableImageError as error:
        return str(error)


def _version(images: FolderImages, looks: dict[str, _Look]) -> str:
    lines = []
    for split, items in (("train", images.train), ("test", images.test)):
        for path, label in items:
            digest = looks[path].digest.hex() or "unreadable"
            lines.append(f"{split}:{images.class_names[label]}:{path}:{digest}")
    if not all(look.facts.plain for look in looks.values()):
        lines.append(_READING)
    return short_digest(lines)


def _scales(facts: Iterable[ImageFacts]) -> Scales:
    """The scale of each kind of image with more than 8 bits, from the training images."""
    ranges: dict[str, tuple[float, float]] = {}
    for its in facts:
        if its.kind != EIGHT_BITS:
            low, high = ranges.get(its.kind, (its.low, its.high))
            ranges[its.kind] = min(low, its.low), max(high, its.high)
    for kind, (low, high) in ranges.items():
        if kind == "16-bit" and high > _SCALED_BY_CONTENT:
            ranges[kind] = 0.0, 65535.0
        elif kind == "float" and low >= 0 and high <= 1:
            ranges[kind] = 0.0, 1.0
        elif low == high:
            ranges[kind] = low, low + 1
    return ranges


def _within(where: Located, problem: Problem) -> str:
    path = safe_text(os.path.relpath(problem.path, where.root), one_line=True)
    return f"{path} ({problem.text})"
