"""The folder of an export: an empty one, or one of an earlier export. Files are written under temporary names first."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from tui_attn.experiment.manifest import RunsError
from tui_attn.system.children import Folder
from tui_attn.system.files import read_json, write_atomically
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import safe_text

INDEX = "tui-attn-export.json"
"""The list of written files, by which the next export recognises its own."""
FORMAT = "tui-attn-export"


class ExportError(RunsError):
    """An export failed; the message is one line and says what to do."""


class LinkError(OSError):
    """A folder in the path is a symbolic link."""


class OpenFolders:
    """A folder and its subfolders, each held open from its first use, so that no link put there later is followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[str, Folder] = {}

    def place(self, name: str) -> Path:
        """The path of the file `name`, relative with `/`, in its folder, which is made. Raises `OSError`."""
        folder, _, last = name.rpartition("/")
        return self._folder(folder) / last

    def _folder(self, name: str) -> Path:
        if name not in self._open:
            path = self.place(name) if name else self.root.resolve()
            path.mkdir(parents=not name, exist_ok=True)
            try:
                self._open[name] = Folder(path)
            except OSError as error:
                shown = str(self.root / name)
                if path.is_symlink():
                    raise LinkError(error.errno, "it is a symbolic link", shown) from None
                raise OSError(error.errno, error.strerror, shown) from None
        return self._open[name].path

    def shown(self, path: object) -> str:
        """`path` as the user knows it, safe to show."""
        text = str(path)
        opened = {str(folder.path): self.root / name for name, folder in self._open.items()}
        for held, known in {**opened, str(self.root.resolve()): self.root}.items():
            if text == held or text.startswith(f"{held}/"):
                text = str(known) + text.removeprefix(held)
                break
        return safe_text(text, one_line=True)

    def close(self) -> None:
        """Close them."""
        for folder in self._open.values():
            folder.close()
        self._open.clear()


class OutFolder:
    """Collects the files of one export and moves them into `path` at the end of a `with` block.

    The folder may be missing, empty, or hold an earlier export of the same experiment, whose files are replaced; other
    files are left alone. After an exception nothing is left behind. Raises `ExportError`.
    """

    def __init__(self, path: Path, experiment: str) -> None:
        self.path = path
        self._experiment = experiment
        self._folders = OpenFolders(path)
        self._ours = self._known()
        self._written: dict[Path, Path] = {}
        """Path -> the temporary file beside it."""
        self._names: list[str] = []

    def __enter__(self) -> OutFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None and self._written:
                with self._telling():
                    self._list(self._names)
                    for place, beside in self._written.items():
                        beside.replace(place)
        finally:
            for beside in self._written.values():
                with contextlib.suppress(OSError):
                    beside.unlink()
            self._folders.close()

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """A file to be called `name`, a relative path with `/`, with the permissions that the user's umask gives."""
        with self._telling():
            place = self._place(name)
            beside = place.with_name(f".{place.name}.{os.urandom(8).hex()}.tmp")
            self._written[place] = beside
            self._names.append(name)
            with os.fdopen(open_to_write(beside, os.O_EXCL, mode=0o666), "wb") as file:
                yield file

    def claim(self, name: str) -> Path:
        """The path of a file that the caller writes itself before the `with` block ends; it is listed at once."""
        with self._telling():
            place = self._place(name)
            self._list([name])
        return place

    def shown(self, path: object) -> str:
        """A path in the folder as the user knows it, safe to show."""
        return self._folders.shown(path)

    def _place(self, name: str) -> Path:
        place = self._folders.place(name)
        if place.is_symlink():
            raise LinkError(errno.ELOOP, "it is a symbolic link", str(place))
        if name not in self._ours and place.exists():
            raise ExportError(f"{self.shown(place)} is there already and not ours: choose another folder with --out")
        return place

    def _known(self) -> set[str]:
        """The files of an earlier export in the folder."""
        with self._telling():
            if not self.path.exists() or not any(self.path.iterdir()):
                return set()
        index = read_json(self.path / INDEX) or {}
        files, where = index.get("files"), self.shown(self.path)
        if index.get("format") != FORMAT or not isinstance(files, list):
            raise ExportError(f"{where} is not empty: choose another folder with --out")
        if index.get("experiment") != self._experiment:
            raise ExportError(f"{where} holds an export of another experiment: choose another folder with --out")
        return {str(name) for name in files}

    def _list(self, names: Iterable[str]) -> None:
        """Write the index before any file is moved, so that every file of ours is listed."""
        self._ours.update(names)
        about = {"format": FORMAT, "experiment": self._experiment, "files": sorted(self._ours)}
        text = json.dumps(about, indent=1) + "\n"
        write_atomically(self._folders.place(INDEX), text.encode(), sync=False, mode=0o666)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn an `OSError` into an `ExportError` for the user."""
        try:
            yield
        except OSError as error:
            where = self.shown(error.filename or self.path)
            said = f"can't write the export to {where} ({error.strerror}): choose another folder with --out"
            if isinstance(error, LinkError):
                said = f"{where} is a symbolic link, which is not followed: choose another --out"
            raise ExportError(said) from None
