"""The walk through a folder of images: which files are images, and what is ignored."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tui_attn.data.base import DataError
from tui_attn.data.files import os_error_text
from tui_attn.system.files import read_json
from tui_attn.system.text import safe_text

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
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
"""Files that mark a folder as written by this program, and their format."""
_ALL = "/"
"""Stands for everything in a folder."""


def shortened(names: Iterable[str]) -> str:
    """Names for a message: the first ones, and how many more there are."""
    shown = [safe_text(name, one_line=True)[:100] for name in names]
    more = f" and {len(shown) - _NAMED:,} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more


def folded(name: str) -> str:
    """A name without differences that are hardly visible: case, and the encoding of accents."""
    return unicodedata.normalize("NFC", name.casefold())


@dataclass(slots=True)
class Subfolder:
    """A folder that may be a class."""

    name: str
    files: list[str]
    """Paths of its images within the data set's folder."""
    not_a_class: bool
    """Whether it holds files of this program, or is a link in a cycle: without images it is left out."""
    inside: tuple[str, ...]
    """Names of its subfolders; empty where images lie beside them."""


@dataclass(slots=True)
class Scan:
    """One walk through a folder, and what it ignores."""

    tick: Callable[[int], None]
    seen: int = 0
    folders: int = 0
    images: int = 0
    classes: set[str] = field(default_factory=set)
    root: str = ""
    above: set[tuple[int, int]] = field(default_factory=set)
    """Device and inode of the data set's folder and its parents: links to them would form cycles."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by extension."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Other things that are ignored."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Folders that could not be listed, and why."""

    def entries(self, folder: str) -> tuple[list[str], list[str], list[str], bool]:
        """The files, folders and links to folders in `folder`, sorted, and whether this program wrote there.

        The files of a report or an export in it are left out, and everything in an experiment.
        """
        files, folders, links = list[str](), list[str](), list[str]()
        self.folders += 1
        ours = set[str]()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.seen += 1
                    if self.seen % 256 == 1:
                        self.tick(self.seen)
                    if not _is_dir(entry):
                        files.append(entry.name)
                        ours |= _written_by_us(folder, entry.name)
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
        if ours:
            self.skipped["folders of tui-attn's own"] += 1
        files, folders, links = (
            [name for name in sorted(names) if not ours & {name, _ALL}] for names in (files, folders, links)
        )
        return files, folders, links, bool(ours)

    def subfolders(self, folder: str) -> list[str]:
        """Names of the folders in `folder` that may be splits or classes, sorted; links count as folders."""
        files, folders, links, _ = self.entries(folder)
        self._count([f"{folder}/{name}" for name in files], beside=True)
        return sorted((*folders, *links))

    def subfolder(self, folder: str, name: str) -> Subfolder:
        """Find the images in a folder and its subfolders, linked ones last and each only once."""
        top = f"{folder}/{name}"
        found: list[str] = []
        inside: tuple[str, ...] = ()
        been = set(self.above)
        not_a_class = name == "runs"
        stack, linked = [top], list[str]()
        while stack or linked:
            through_link = not stack
            path = stack.pop() if stack else linked.pop(0)
            key = identity(path)
            if (through_link or path == top) and (key in self.above or _leads_back(path)):
                self.skipped["links that lead in a circle"] += 1
                not_a_class = not_a_class or path == top
                continue
            if key in been:
                continue
            been.add(key)
            files, folders, links, made_here = self.entries(path)
            not_a_class = not_a_class or made_here
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
        return Subfolder(name, [self._within(path) for path in found], not_a_class, inside)

    def _within(self, path: str) -> str:
        return path[len(self.root) :].lstrip("/")

    def said(self) -> tuple[str, ...]:
        """What was ignored, in words."""
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


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _written_by_us(folder: str, name: str) -> set[str]:
    """What this program wrote in `folder`, by the file `name`; `_ALL` in an experiment."""
    content = read_json(Path(folder) / name) if name in _OUR_FILES else None
    if content is None or content.get("format") != _OUR_FILES[name]:
        return set()
    files = content.get("files", ())
    if name == "experiment.json" or not isinstance(files, (list, dict)):
        return {_ALL}
    return {name, *(str(path).partition("/")[0] for path in files)}


def identity(path: str) -> tuple[int, int]:
    """Device and inode of what `path` leads to; (0, 0) where it can't be seen."""
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _leads_back(link: str) -> bool:
    """Whether a link to a folder leads to one that holds the link itself."""
    here = Path(os.path.realpath(Path(link).parent))
    return Path(os.path.realpath(link)) in (here, *here.parents)
