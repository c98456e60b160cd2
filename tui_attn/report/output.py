"""Puts a report's files into a folder that may hold other things: only ours are replaced, none is ever half there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tui_attn.experiment.manifest import RunsError
from tui_attn.export.outfolder import OpenFolders
from tui_attn.system.files import read_json, sync_folder, write_atomically
from tui_attn.system.plain_file import open_to_read

INDEX = "report.json"
"""The list of the files that were written, with their digests; by it the next report knows which are ours."""


class ReportError(RunsError):
    """The report can't be written; the message is one line and says what to do."""


def write_files(folder: Path, files: Mapping[str, bytes], *, last: str) -> None:
    """Write `files`, relative paths with `/` to contents, into `folder`, the one called `last` after all others.

    What an earlier report left and this one doesn't have is removed, unless it was changed since. Raises `ReportError`.
    """
    names = sorted(files, key=lambda name: (name == last, name))
    before = _digests(folder)
    write = partial(write_atomically, sync=False, mode=0o666)  # as the user's umask lets new files be read
    folders = OpenFolders(folder)
    try:
        for name in names:
            write(folders.place(name), files[name])
        digests = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
        index = json.dumps({"format": "tui-attn-report", "files": digests}, indent=1).encode() + b"\n"
        write(folders.place(INDEX), index)
        for name in before.keys() - files.keys():
            _remove(folders, name, before[name])
        sync_folder(folder)
    except OSError as error:
        where = folders.shown(error.filename or folder)
        raise ReportError(f"can't write the report to {where} ({error.strerror}): choose another folder") from None
    finally:
        folders.close()


def _digests(folder: Path) -> dict[str, str]:
    """The files of the report that is there, as its index tells, with their digests."""
    index = read_json(folder / INDEX) or {}
    files = index.get("files")
    if index.get("format") != "tui-attn-report" or not isinstance(files, dict):
        return {}
    return {name: str(digest) for name, digest in files.items() if _inside(name)}


def _inside(name: str) -> bool:
    """Whether `name` can only mean a file in the folder or one folder below."""
    parts = name.split("/")
    return len(parts) <= 2 and all(part not in {"", ".", ".."} and "\\" not in part for part in parts)


def _remove(folders: OpenFolders, name: str, digest: str) -> None:
    """Remove a file of an earlier report that is still as it was written, and its folder where that is empty then."""
    with contextlib.suppress(OSError):
        path = folders.place(name)
        with os.fdopen(open_to_read(path), "rb") as file:
            ours = hashlib.file_digest(file, "sha256").hexdigest() == digest
        if ours:
            path.unlink()
        (folders.root / name).parent.rmdir()
