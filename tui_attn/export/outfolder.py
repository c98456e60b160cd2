"""The folder that an export is written to: only an empty one or one of ours, every file written beside and renamed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from tui_attn.experiment.manifest import RunsError
from tui_attn.system.files import read_json, write_atomically
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import safe_text

INDEX = "tui-attn-export.json"
"""The list of the files that were written; by it the next export knows which are ours."""
FORMAT = "tui-attn-export"


class ExportError(RunsError):
    """It can't be exported; the message is one line and says what to do."""


class OutFolder:
    """Collects the files of one export and puts them into `path` all together at the end of a `with` block.

    The folder may be missing, empty, or hold an earlier export of the same experiment, whose files are replaced; what
    else was put there since is left alone. After an exception nothing stays. Raises `ExportError`.
    """

    def __init__(self, path: Path, experiment: str) -> None:
        self.path = path
        self._experiment = experiment
        self._ours = self._known()
        self._written: dict[str, Path] = {}
        """Name -> the file beside its place."""

    def __enter__(self) -> OutFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._commit()
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            for beside in self._written.values():
                with contextlib.suppress(OSError):
                    beside.unlink()

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[IO[bytes]]:
        """A file to be called `name`, a relative path with `/`, with the permissions that the user's umask gives."""
        path = self._place(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
            self._written[name] = beside
            with os.fdopen(open_to_write(beside, os.O_EXCL, mode=0o666), "wb") as file:
                yield file
        except OSError as error:
            raise self._unwritable(error) from None

    def claim(self, name: str) -> Path:
        """The place of a file that is written by other means; it is listed as ours, and its folder made, at once."""
        path = self._place(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._list([name])
        except OSError as error:
            raise self._unwritable(error) from None
        return path

    def _place(self, name: str) -> Path:
        path = self.path / name
        inside = [self.path / parent for parent in Path(name).parents]
        if path.is_symlink() or any(folder.is_symlink() for folder in inside[:-1]):
            raise ExportError(f"{self._shown(path)} is a symbolic link, which is not followed: choose another --out")
        if name not in self._ours and path.exists():
            raise ExportError(f"{self._shown(path)} is there already and not ours: choose another folder with --out")
        return path

    def _known(self) -> set[str]:
        """The files of an earlier export in the folder."""
        try:
            empty = not self.path.exists() or not any(self.path.iterdir())
        except OSError as error:
            raise self._unwritable(error) from None
        if empty:
            return set()
        index = read_json(self.path / INDEX) or {}
        files = index.get("files")
        if index.get("format") != FORMAT or not isinstance(files, list):
            raise ExportError(f"{self._shown(self.path)} is not empty: choose another folder with --out")
        if index.get("experiment") != self._experiment:
            raise ExportError(
                f"{self._shown(self.path)} holds an export of another experiment: choose another folder with --out"
            )
        return {str(name) for name in files}

    def _commit(self) -> None:
        self._list(self._written)
        for name, beside in self._written.items():
            beside.replace(self.path / name)

    def _list(self, names: Iterable[str]) -> None:
        """Write the index before any file is in its place, so that none is there that isn't known to be ours."""
        self._ours.update(names)
        about = {"format": FORMAT, "experiment": self._experiment, "files": sorted(self._ours)}
        write_atomically(self.path / INDEX, json.dumps(about, indent=1).encode() + b"\n", sync=False, mode=0o666)

    def _unwritable(self, error: OSError) -> ExportError:
        where = self._shown(error.filename or self.path)
        return ExportError(f"can't write the export to {where} ({error.strerror}): choose another folder with --out")

    @staticmethod
    def _shown(path: object) -> str:
        return safe_text(path, one_line=True)
