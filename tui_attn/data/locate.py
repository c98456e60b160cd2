"""Finds the files of a data set on this machine, without writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tui_attn.data.base import DataError, DatasetInfo, Located, Problem
from tui_attn.data.files import absolute, cache_dir, check_file, is_file, length_of, os_error_text, packed_path

DATA_DIR = "--data-dir"
CACHE = "cache"


@dataclass
class FoundFiles:
    """A copy of a data set: the files in a folder, or an archive."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    """By name: NAME, or else NAME.gz."""
    missing: list[str] = field(default_factory=list)
    archive: Path | None = None

    @property
    def in_place(self) -> bool:
        """Whether it can be read where it is, because all files are decompressed."""
        return self.archive is None and all(path.name == name for name, path in self.files.items())


def files_in(info: DatasetInfo, folder: Path) -> FoundFiles:
    """Look for the files of `info` in `folder`, by name."""
    found = FoundFiles(folder)
    for file in info.files:
        path = folder / file.name
        if is_file(path):
            found.files[file.name] = path
        elif file.gz_size and is_file(packed_path(path)):
            found.files[file.name] = packed_path(path)
        else:
            found.missing.append(file.name)
    return found


def located(info: DatasetInfo, folder: Path, source: str) -> Located:
    """`info`, all of whose decompressed files lie in `folder`."""
    depth = len(Path(info.folder).parts)
    in_layout = folder.parts[-depth:] == Path(info.folder).parts
    return Located(
        name=info.name,
        root=folder.parents[depth - 1] if in_layout else folder,
        files=tuple(folder / file.name for file in info.files),
        source=source,
        version=info.version,
    )


def check_data_dir(data_dir: Path) -> Path:
    """`data_dir` as an absolute path. Raises `DataError` where it is no folder that can be read."""
    folder = absolute(data_dir)
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        raise DataError(f"--data-dir {folder} does not exist: give a folder that holds data sets") from None
    except NotADirectoryError:
        raise DataError(f"--data-dir {folder} is not a folder: give the folder that the files lie in") from None
    except (OSError, ValueError) as error:
        raise DataError(f"--data-dir {folder} cannot be read: {os_error_text(error)}") from None
    return folder


def in_data_dir(info: DatasetInfo, data_dir: Path | None) -> FoundFiles | None:
    """The copy of `info` in `data_dir`, in torchvision's layout, flat or in an archive; None where there is none.

    Raises `DataError` where `data_dir` can't be read, or holds a part of the set only.
    """
    if data_dir is None:
        return None
    data_dir = check_data_dir(data_dir)
    archive = archive_in(info, data_dir)
    for found in (files_in(info, folder) for folder in _folders(info, data_dir)):
        if found.files and not found.missing:
            return found
        if found.files and archive is None:
            raise DataError(
                f"{found.folder} holds a part of {info.title} only: {found.missing[0]} is missing\n"
                "complete it, or leave --data-dir out and the data set is fetched"
            )
        if found.files:
            break
    return None if archive is None else FoundFiles(data_dir, archive=archive)


def _folders(info: DatasetInfo, data_dir: Path) -> Iterator[Path]:
    layout = Path(info.folder)
    yield data_dir / layout
    if len(layout.parts) > 1:
        yield data_dir / layout.parts[0]  # torchvision's folder without its "raw"
        yield data_dir / info.name
    if not info.generic_names or data_dir.name == layout.name:
        yield data_dir


def archive_in(info: DatasetInfo, folder: Path) -> Path | None:
    """The set's .tar.gz in `folder`, if it is there."""
    if info.archive is None:
        return None
    path = folder / info.archive.name
    return path if is_file(path) else None


def problems(info: DatasetInfo, where: Located) -> list[Problem]:
    """Problems of the files at `where`, by lengths and digests."""
    return [
        Problem(path, text)
        for path, file in zip(where.files, info.files, strict=True)
        if (text := check_file(path, file)) is not None
    ]


def find_info(info: DatasetInfo, data_dir: Path | None = None) -> Located | None:
    """Find `info` decompressed in `data_dir`, or else whole in the cache, going by names and lengths.

    Raises `DataError` where `data_dir` cannot be read, or holds a part of the set or a file of the wrong length.
    """
    if info.layout == "synthetic":
        return generated(info)
    found = in_data_dir(info, data_dir)
    if found is None or not found.in_place:
        return in_cache(info)
    where = located(info, found.folder, DATA_DIR)
    for path, file in zip(where.files, info.files, strict=True):
        if length_of(path) != file.size:
            raise damaged(info, Problem(path, check_file(path, file) or "changes while it is read"))
    return where


def generated(info: DatasetInfo) -> Located:
    """A data set that lies nowhere, because it is generated when it is read."""
    return Located(info.name, Path(), (), "made on the spot", info.version)


def in_cache(info: DatasetInfo) -> Located | None:
    """`info` in the cache, if all its files are there and as long as they should be."""
    folder = cache_dir() / info.folder
    if any(length_of(folder / file.name) != file.size for file in info.files):
        return None
    return located(info, folder, CACHE)


def damaged(info: DatasetInfo, problem: Problem) -> DataError:
    """The error for a damaged file that the user pointed to."""
    return DataError(
        f"{problem}\nreplace it with {info.title}'s own file, or leave --data-dir out and the data set is fetched"
    )
