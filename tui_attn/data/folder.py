"""Folders of images: which subfolders are splits, which are classes, and which files are images.

Everything here goes by names. `tui_attn.data.folder_content` reads the files.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tui_attn.data.base import DataError
from tui_attn.data.files import absolute, os_error_text
from tui_attn.system.files import read_json
from tui_attn.system.text import has_control_characters, safe_text

PREFIX = "folder:"
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
TRAINING = ("train", "training", "train_set", "trainset")
TEST = ("test", "testing", "test_set", "testset")
VALIDATION = ("val", "valid", "validation", "dev")
"""Names of splits, in lower case."""
TEST_SHARE = 5
"""Where the folder has no test images of its own, one in this many is held out."""
MAX_CLASSES = 10_000
MAX_FILES = 5_000_000
_NAMED = 8
"""Names that an error lists before it says how many more there are."""
_SYSTEM_FOLDERS = frozenset(
    ("@eadir", "__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found", "#recycle")
)
_OUR_FILES = {
    "experiment.json": "tui-attn",
    "report.json": "tui-attn-report",
    "tui-attn-export.json": "tui-attn-export",
}
"""Files that mark a folder as written by this program, and the format that they name."""

Labelled = tuple[str, int]
"""A file's path within the folder, and its label."""


@dataclass(frozen=True, slots=True)
class FolderListing:
    """The files of a folder of images: sorted by class, then by folder and name."""

    root: Path
    class_names: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...] | None
    """None where the folder has no splits of its own."""
    passed_over: tuple[str, ...]
    """What else lies there, in words."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Folders that could not be listed, and why."""


@dataclass(frozen=True, slots=True)
class FolderGlance:
    """What a quick look at a folder found."""

    classes: int
    images: int
    complete: bool
    """False where a limit was reached: there may be more."""
    problem: str | None = None
    """Why it can't be trained on, in one line."""
    sizes: tuple[int, int] | None = None
    """Training and test images, where all were seen."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The caller lost interest in a look at a folder."""


class _LimitReached(Exception):  # noqa: N818 - not an error
    """A quick look has seen enough."""


def folder_path(name: str) -> Path:
    """The folder that `folder:PATH` names, absolute."""
    return absolute(Path(name.removeprefix(PREFIX)))


def list_folder(name: str, tick: Callable[[int], None] = lambda _: None) -> FolderListing:
    """List the images of `folder:PATH`. Raises `DataError` where the folder is not one of labelled images.

    `tick` gets the number of files and folders seen so far, now and then; it may raise to cancel.
    """
    return _list(folder_path(name), _Scan(tick))


def glance(
    path: Path,
    limit: int = 20_000,
    *,
    folders: int = 2_000,
    seconds: float = 1.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> FolderGlance:
    """Look at a folder of images without reading any, and not for long: for a path that is being typed.

    Stops after `limit` files and folders, `folders` folders or `seconds` seconds. Raises `Cancelled` and nothing else.
    """
    deadline = time.monotonic() + seconds

    def tick(seen: int) -> None:
        if cancelled():
            raise Cancelled
        if seen > limit or scan.folders > folders or time.monotonic() > deadline:
            raise _LimitReached

    scan = _Scan(tick)
    try:
        found = _list(absolute(path), scan)
    except _LimitReached:
        return FolderGlance(len(scan.classes), scan.images, complete=False)
    except DataError as error:
        return FolderGlance(len(scan.classes), scan.images, True, str(error).splitlines()[0])
    test = found.test if found.test is not None else found.train[::TEST_SHARE]
    train = len(found.train) if found.test is not None else len(found.train) - len(test)
    return FolderGlance(len(found.class_names), train + len(test), complete=True, sizes=(train, len(test)))


def some(items: Sequence[Labelled], limit: int | None) -> list[Labelled]:
    """As many of a split's images as a limit allows, taken evenly from the whole list, which is sorted by class."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def shortened(names: Iterable[str]) -> str:
    """Names for a message: the first ones, and how many more there are."""
    shown = [safe_text(name, one_line=True)[:100] for name in names]
    more = f" and {len(shown) - _NAMED:,} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more


@dataclass(slots=True)
class _Subfolder:
    """A folder that may be a class."""

    name: str
    files: list[str]
    """Paths of its images within the data set's folder."""
    not_a_class: bool
    """It holds what this program wrote, or is a link that leads in a circle: without images it is left out."""
    inside: tuple[str, ...]
    """Names of its subfolders; empty where images lie beside them."""


@dataclass(slots=True)
class _Scan:
    """One walk through a folder, and what it passes over."""

    tick: Callable[[int], None]
    seen: int = 0
    folders: int = 0
    images: int = 0
    classes: set[str] = field(default_factory=set)
    root: str = ""
    above: set[tuple[int, int]] = field(default_factory=set)
    """Device and inode of the data set's folder and those that hold it: links to them would lead in circles."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by extension."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Other things that are passed over."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Folders that could not be listed, and why."""

    def entries(self, folder: str) -> tuple[list[str], list[str], list[str], bool]:
        """The files, folders and links to folders in `folder`, sorted, and whether this program made it."""
        files, folders, links = list[str](), list[str](), list[str]()
        self.folders += 1
        ours = False
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.seen += 1
                    if self.seen % 256 == 1:
                        self.tick(self.seen)
                    if not _is_dir(entry):
                        files.append(entry.name)
                        ours = ours or _is_mark(folder, entry.name)
                    elif entry.name.startswith(".") or entry.name.casefold() in _SYSTEM_FOLDERS:
                        self.skipped["hidden and system folders"] += 1
                    else:
                        (links if entry.is_symlink() else folders).append(entry.name)
        except OSError as error:
            reason = f"can't be read: {os_error_text(error)}"
            if folder == self.root:
                raise DataError(f"{folder} {reason}: give a folder of images") from None
            self.unreadable.append((self._within(folder), reason))
        self.tick(self.seen)
        if self.seen > MAX_FILES:
            raise DataError(f"{self.root} holds more than {MAX_FILES:,} files: give a folder of images only")
        return sorted(files), sorted(folders), sorted(links), ours

    def subfolders(self, folder: str) -> list[str]:
        """Names of the folders in `folder` that may be splits or classes, sorted; links count as folders."""
        files, folders, links, _ = self.entries(folder)
        self._count([f"{folder}/{name}" for name in files], beside=True)
        return sorted((*folders, *links))

    def subfolder(self, folder: str, name: str) -> _Subfolder:
        """Find the images below a folder. Real folders come first, then linked ones, each once."""
        top = f"{folder}/{name}"
        found: list[str] = []
        inside: tuple[str, ...] = ()
        been = set(self.above)
        not_a_class = name == "runs"
        stack, linked = [top], list[str]()
        while stack or linked:
            through_link = not stack
            path = stack.pop() if stack else linked.pop(0)
            key = _identity(path)
            if (through_link or path == top) and (key in self.above or _leads_back(path)):
                self.skipped["links that lead in a circle"] += 1
                not_a_class = not_a_class or path == top
                continue
            if key in been:
                continue
            been.add(key)
            files, folders, links, made_here = self.entries(path)
            if made_here:
                not_a_class = True
                self.skipped["folders of tui-attn's own"] += 1
                continue
            images = [f"{path}/{file}" for file in files if _is_image(file)]
            self._count([f"{path}/{file}" for file in files])
            found += images
            self.images += len(images)
            stack += [f"{path}/{below}" for below in reversed(folders)]
            linked += [f"{path}/{below}" for below in links]
            if path == top and not images:
                inside = tuple(sorted((*folders, *links)))
        if found:
            self.classes.add(name)
        return _Subfolder(name, [self._within(path) for path in found], not_a_class, inside)

    def _within(self, path: str) -> str:
        return path[len(self.root) :].lstrip("/")

    def said(self) -> tuple[str, ...]:
        """What was passed over, in words."""
        common = self.kinds.most_common(_NAMED)
        kinds = [f"{count:,} {kind or 'without an extension'}" for kind, count in common]
        if rest := self.kinds.total() - sum(count for _, count in common):
            kinds.append(f"{rest:,} others")
        files = [f"files that are no images by their names ({', '.join(kinds)})"] if kinds else []
        return (*files, *(f"{what} ({count:,})" for what, count in sorted(self.skipped.items()) if count))

    def _count(self, files: Iterable[str], *, beside: bool = False) -> None:
        for path in files:
            name = path.rpartition("/")[2]
            if name.startswith("."):
                self.skipped["hidden images"] += name.lower().endswith(EXTENSIONS)
            elif not _is_image(name):
                self.kinds[safe_text(Path(name).suffix.lower(), one_line=True)[:12]] += 1
            elif beside:
                self.skipped["images outside of the class folders"] += 1


def _list(root: Path, scan: _Scan) -> FolderListing:
    scan.root = str(root)
    scan.above = {_identity(str(path)) for path in (root, *_parents(root))}
    names = scan.subfolders(scan.root)
    train, test = _splits(root, names, scan)
    if train is None or test is None:
        classes = _classes(root, [scan.subfolder(scan.root, name) for name in names], scan)
        _refuse_disguised_splits(root, classes)
        _refuse_empty(root, {"": classes}, dict(scan.unreadable))
        labelled = tuple((path, label) for label, its in enumerate(classes) for path in its.files)
        return FolderListing(
            root, tuple(its.name for its in classes), labelled, None, scan.said(), tuple(scan.unreadable)
        )
    found = {}
    for split in (train, test):
        where = f"{scan.root}/{split}"
        scan.above.add(_identity(where))
        found[split] = _classes(Path(where), [scan.subfolder(where, name) for name in scan.subfolders(where)], scan)
    _refuse_missing(root, found)
    _refuse_empty(root, found, dict(scan.unreadable))
    names = [its.name for its in found[train]]
    one, other = (
        tuple((path, label) for label, its in enumerate(found[split]) for path in its.files) for split in (train, test)
    )
    return FolderListing(root, tuple(names), one, other, scan.said(), tuple(scan.unreadable))


def _splits(root: Path, names: Sequence[str], scan: _Scan) -> tuple[str | None, str | None]:
    """Which of the subfolders hold training and test images; (None, None) where they are classes."""

    def called(those: Sequence[str]) -> list[str]:
        return [name for name in names if name.casefold() in those]

    train, test, validation = called(TRAINING), called(TEST), called(VALIDATION)
    held_out = test or validation
    if not train and (not held_out or len(test + validation) < len(names)):
        return None, None  # a class may be called "test"
    if not held_out:
        if len(names) > 1:
            return None, None  # a class may be called "train"
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


def _classes(root: Path, found: Sequence[_Subfolder], scan: _Scan) -> list[_Subfolder]:
    """The subfolders that are classes. Raises `DataError` where there are too few, or some have no usable name."""
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


def _refuse_disguised_splits(root: Path, classes: Sequence[_Subfolder]) -> None:
    """Refuse what looks like classes in splits of unknown names: each holds the same subfolders and no image."""
    inside = {its.inside for its in classes}
    if len(inside) != 1 or len(next(iter(inside))) < 2:
        return
    raise DataError(
        f"{safe_text(root, one_line=True)}: {shortened(its.name for its in classes)} all hold the same folders "
        f"({shortened(classes[0].inside)}) and no images of their own: are they splits?\n"
        "call splits train and test (or val), or let each class folder hold its images"
    )


def _refuse_missing(root: Path, found: Mapping[str, Sequence[_Subfolder]]) -> None:
    """Refuse splits whose classes aren't the same."""
    (train, classes), (test, others) = found.items()
    names, other_names = {its.name for its in classes}, {its.name for its in others}
    if names == other_names:
        return
    parts = [
        f"{shortened(sorted(odd))} only in {split}"
        for split, odd in ((train, names - other_names), (test, other_names - names))
        if odd
    ]
    alike = {name.casefold() for name in names - other_names} & {name.casefold() for name in other_names - names}
    raise DataError(
        f"{safe_text(root, one_line=True)}: {', '.join(parts)}: each split needs a folder for each class\n"
        + ("upper and lower case count: " if alike else "")
        + "add the missing folders with images, or remove the odd ones"
    )


def _refuse_empty(root: Path, found: Mapping[str, Sequence[_Subfolder]], unreadable: Mapping[str, str]) -> None:
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


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_mark(folder: str, name: str) -> bool:
    """Whether a file says that this program made the folder."""
    if name not in _OUR_FILES:
        return False
    content = read_json(Path(folder) / name)
    return content is not None and content.get("format") == _OUR_FILES[name]


def _identity(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _leads_back(link: str) -> bool:
    """Whether a link to a folder leads to one that holds the link itself."""
    here = Path(os.path.realpath(Path(link).parent))
    return Path(os.path.realpath(link)) in (here, *here.parents)


def _parents(root: Path) -> tuple[Path, ...]:
    return tuple(Path(os.path.realpath(root)).parents)
