"""Folders of images: which subfolders are splits or classes, and which files are images.

This module only looks at names. `tui_attn.data.folder_content` reads the files.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tui_attn.data.base import DataError
from tui_attn.data.files import absolute
from tui_attn.data.folder_walk import EXTENSIONS, Scan, Subfolder, folded, identity, shortened
from tui_attn.data.subset import stratified
from tui_attn.system.text import has_control_characters, safe_text

PREFIX = "folder:"
TRAINING = ("train", "training", "train_set", "trainset")
TEST = ("test", "testing", "test_set", "testset")
VALIDATION = ("val", "valid", "validation", "dev")
"""Names of splits, in lower case."""
TEST_SHARE = 5
"""Without a test split, one image in this many is held out."""
MAX_CLASSES = 10_000

Labelled = tuple[str, int]
"""A file's path within the folder, and its label."""


class FolderListing(NamedTuple):
    """The files of a folder of images: sorted by class, then by folder and name."""

    root: Path
    class_names: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...] | None
    """None where the folder has no splits of its own."""
    passed_over: tuple[str, ...]
    """What was ignored, in words."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Folders that could not be listed, and why."""


class FolderGlance(NamedTuple):
    """The result of a quick scan of a folder."""

    classes: int
    images: int
    complete: bool
    """False where a limit was reached."""
    problem: str | None = None
    """Why it can't be trained on, in one line."""
    sizes: tuple[int, int] | None = None
    """Training and test images, where all were seen."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The caller cancelled a quick scan."""


class _LimitReached(Exception):  # noqa: N818 - not an error
    """A quick scan reached a limit."""


def folder_path(name: str) -> Path:
    """The folder that `folder:PATH` names, absolute."""
    return absolute(Path(name.removeprefix(PREFIX)))


def list_folder(name: str, tick: Callable[[int], None] = lambda _: None) -> FolderListing:
    """List the images of `folder:PATH`. Raises `DataError` where the folder is not one of labelled images.

    `tick` is called regularly with the number of files and folders so far; it may raise to cancel.
    """
    return _list(folder_path(name), Scan(tick))


def glance(
    path: Path,
    limit: int = 20_000,
    *,
    folders: int = 2_000,
    seconds: float = 1.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> FolderGlance:
    """Scan a folder of images briefly, without reading any, such as for a path that is being typed.

    Stops after `limit` files and folders, `folders` folders or `seconds` seconds. Raises `Cancelled` and nothing else.
    """
    deadline = time.monotonic() + seconds

    def tick(seen: int) -> None:
        if cancelled():
            raise Cancelled
        if seen > limit or scan.folders > folders or time.monotonic() > deadline:
            raise _LimitReached

    scan = Scan(tick)
    try:
        found = _list(absolute(path), scan)
    except _LimitReached:
        return FolderGlance(len(scan.classes), scan.images, complete=False)
    except DataError as error:
        return FolderGlance(len(scan.classes), scan.images, True, str(error).splitlines()[0])
    test = found.test if found.test is not None else found.train[::TEST_SHARE]
    train = len(found.train) if found.test is not None else len(found.train) - len(test)
    return FolderGlance(len(found.class_names), train + len(test), complete=True, sizes=(train, len(test)))


def some(items: Sequence[Labelled], limit: int | None, subset: int | None = None) -> list[Labelled]:
    """At most `limit` images of a split, drawn class by class from the seed `subset`.

    Without a seed they are evenly spaced in the list, which is sorted by class.
    """
    if limit is None or limit >= len(items):
        return list(items)
    if subset is not None:
        return [items[index] for index in stratified([label for _, label in items], limit, subset)]
    return [items[index * len(items) // limit] for index in range(limit)]


def _list(root: Path, scan: Scan) -> FolderListing:
    scan.root = str(root)
    scan.above = {identity(str(path)) for path in (root, *Path(os.path.realpath(root)).parents)}
    names = scan.subfolders(scan.root)
    splits = _splits(root, names, scan) or ("",)
    found = {}
    for split in splits:
        where = f"{scan.root}/{split}" if split else scan.root
        scan.above.add(identity(where))
        inside = scan.subfolders(where) if split else names
        found[split] = _classes(Path(where), [scan.subfolder(where, name) for name in inside], scan)
    if splits == ("",):
        _refuse_disguised_splits(root, found[""])
    else:
        _refuse_missing(root, found)
    _refuse_empty(root, found, dict(scan.unreadable))
    train, *others = (
        tuple((path, label) for label, its in enumerate(classes) for path in its.files) for classes in found.values()
    )
    class_names = tuple(its.name for its in found[splits[0]])
    return FolderListing(root, class_names, train, next(iter(others), None), scan.said(), tuple(scan.unreadable))


def _splits(root: Path, names: Sequence[str], scan: Scan) -> tuple[str, ...] | None:
    """Which of the subfolders hold training and test images; None where they are classes."""

    def called(those: Sequence[str]) -> list[str]:
        return [name for name in names if name.casefold() in those]

    train, test, validation = called(TRAINING), called(TEST), called(VALIDATION)
    held_out = test or validation
    if not train and (not held_out or len(test + validation) < len(names)):
        return None  # a class may be called "test"
    if not held_out:
        if len(names) > 1:
            return None  # a class may be called "train"
        raise DataError(
            f"{safe_text(root)} has {train[0]}, and neither test nor val: add one\n"
            f"or give folder:{safe_text(root / train[0])}, and a fifth of each class is held out for testing"
        )
    if not train:
        raise DataError(f"{safe_text(root)} has {shortened(held_out)}, and no train: add the training images")
    for several in (train, held_out):
        if len(several) > 1:
            raise DataError(f"{safe_text(root)} has {shortened(several)}: keep or rename all but one of them")
    others = [name for name in names if name not in (train[0], held_out[0])]
    if others:
        scan.skipped[f"folders beside {train[0]} and {held_out[0]}: {shortened(others)}"] = len(others)
    return train[0], held_out[0]


def _classes(root: Path, found: Sequence[Subfolder], scan: Scan) -> list[Subfolder]:
    """The subfolders that are classes. Raises `DataError` where there are too few, or a name is unusable."""
    classes = [its for its in found if its.files or not its.not_a_class]
    where = safe_text(root, one_line=True)
    if len(classes) < 2:
        inner = [name for its in classes for name in its.inside]
        hint = f"give folder:{safe_text(root / classes[0].name, one_line=True)}" if len(inner) > 1 else ""
        raise DataError(
            f"{where} holds {len(classes)} class folder{'' if len(classes) == 1 else 's'}, "
            "and at least two are needed\n"
            + (hint or "lay the images out as PATH/CLASS/IMAGE, or as PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE")
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{where} holds {len(classes):,} class folders, and at most {MAX_CLASSES:,} can be told apart")
    for its in classes:
        if has_control_characters(its.name) or len(its.name) > 100:
            raise DataError(
                f"{where}: rename the class folder {safe_text(its.name, one_line=True)[:60]}: "
                "class names are printable and at most 100 characters long"
            )
    return classes


def _refuse_disguised_splits(root: Path, classes: Sequence[Subfolder]) -> None:
    """Refuse folders that are probably splits with other names: each holds the same subfolders and no image."""
    inside = {its.inside for its in classes}
    if len(inside) != 1 or len(next(iter(inside))) < 2:
        return
    raise DataError(
        f"{safe_text(root, one_line=True)}: {shortened(its.name for its in classes)} all hold the same folders "
        f"({shortened(classes[0].inside)}) and no images of their own: are they splits?\n"
        "call splits train and test (or val), or let each class folder hold its images"
    )


def _refuse_missing(root: Path, found: Mapping[str, Sequence[Subfolder]]) -> None:
    """Refuse splits with different classes."""
    (train, classes), (test, others) = found.items()
    names, other_names = {its.name for its in classes}, {its.name for its in others}
    if names == other_names:
        return
    parts = [
        f"{shortened(sorted(odd))} only in {split}"
        for split, odd in ((train, names - other_names), (test, other_names - names))
        if odd
    ]
    alike = {folded(name) for name in names - other_names} & {folded(name) for name in other_names - names}
    raise DataError(
        f"{safe_text(root, one_line=True)}: {', '.join(parts)}: each split needs a folder for each class\n"
        + ("upper and lower case, and the coding of accents (NFC or NFD), count: " if alike else "")
        + "add the missing folders with images, or remove the odd ones"
    )


def _refuse_empty(root: Path, found: Mapping[str, Sequence[Subfolder]], unreadable: Mapping[str, str]) -> None:
    """Refuse classes without images, all in one message."""
    empty = [f"{split}/{its.name}".lstrip("/") for split, classes in found.items() for its in classes if not its.files]
    if blocked := [name for name in empty if name in unreadable]:
        raise DataError(
            f"{safe_text(root, one_line=True)}: {shortened(blocked)} {unreadable[blocked[0]]}\n"
            "make the folders readable, or move them elsewhere"
        )
    if empty:
        holds = "holds" if len(empty) == 1 else "hold"
        raise DataError(
            f"{safe_text(root, one_line=True)}: {shortened(empty)} {holds} no images: put some there, or move "
            f"{'it' if len(empty) == 1 else 'them'} elsewhere\nimages end in {', '.join(EXTENSIONS)}"
        )


# ---- images for testing


def hold_out(listing: FolderListing, digests: Mapping[str, bytes]) -> tuple[tuple[Labelled, ...], tuple[Labelled, ...]]:
    """Training and test images of a folder without splits: a fifth of each class, at least one, is for testing.

    Test images are the first by the SHA-256 of their paths within the class, so that adding images moves few. Copies
    of an image, by `digests`, stay on one side. Raises `DataError` for a class with less than two different images.
    """
    by_label: dict[int, list[str]] = defaultdict(list)
    for path, label in listing.train:
        by_label[label].append(path)
    side: dict[bytes, bool] = {}
    held_out: set[str] = set()
    for label, paths in sorted(by_label.items()):
        skip = len(listing.class_names[label]) + 1

        def key(path: str, skip: int = skip) -> bytes:
            return hashlib.sha256(os.fsencode(path[skip:])).digest()

        copies: dict[bytes, list[str]] = defaultdict(list)
        for path in sorted(paths, key=key):
            copies[digests.get(path, os.fsencode(path))].append(path)
        if len(copies) < 2:
            what = "one image" if len(paths) == 1 else f"{len(paths):,} copies of one image"
            name = safe_text(listing.root / listing.class_names[label], one_line=True)
            raise DataError(f"{name} holds {what}: at least two different ones are needed, for training and testing")
        target = max(1, len(paths) // TEST_SHARE)
        chosen = [digest for digest in copies if side.get(digest)]
        count = sum(len(copies[digest]) for digest in chosen)
        free = [digest for digest in copies if digest not in side]
        for digest in free:
            if count + len(copies[digest]) <= target:
                chosen.append(digest)
                count += len(copies[digest])
        if not chosen and free:
            chosen.append(min(free, key=lambda digest: len(copies[digest])))
        side |= {digest: digest in chosen for digest in free}
        held_out.update(path for digest in chosen for path in copies[digest])
    train = tuple(item for item in listing.train if item[0] not in held_out)
    return train, tuple(item for item in listing.train if item[0] in held_out)
