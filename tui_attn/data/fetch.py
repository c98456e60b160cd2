"""Fills the cache from files on this machine, over https, or from the Debian archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from tui_attn.data import debian
from tui_attn.data.base import DataError, DataFile, DatasetInfo, DebianPackage, FetchOptions, Limits, Progress
from tui_attn.data.download import DownloadError, allowed, download, host_of
from tui_attn.data.files import (
    CHUNK,
    DamagedError,
    cache_dir,
    check_file,
    is_file,
    packed_path,
    remove_leftovers,
    write_verified,
)
from tui_attn.data.locate import CACHE, FoundFiles, archive_in
from tui_attn.data.unpack import unpack_archive, unpack_gz
from tui_attn.system.files import atomic_file
from tui_attn.system.text import safe_text


def take_in(info: DatasetInfo, given: FoundFiles, target: Path | None, progress: Progress) -> None:
    """Unpack the user's copy into the cache's `target`, or only verify it. Raises `DamagedError`, `OSError`."""
    if given.archive is not None:
        unpack_archive(given.archive, target, info, progress)
        return
    for file in info.files:
        source = given.files[file.name]
        try:
            _take_file(source, target, file, progress)
        except DamagedError as error:
            raise DamagedError(f"holds a damaged {source.name}: it {error}") from None


def fetch(info: DatasetInfo, target: Path, options: FetchOptions) -> str:
    """Fetch what is missing or damaged in `target` from the first source that works; returns its name.

    Raises `DataError`, which lists what the user can do, and `OSError` where the disk fails.
    """
    source = _fetch(info, target, options)
    remove_leftovers(target, ".*.part")  # of earlier sources
    return source


def _fetch(info: DatasetInfo, target: Path, options: FetchOptions) -> str:
    mirror, progress = options.mirror, options.progress
    if mirror is not None and not allowed(mirror):
        shown = safe_text(mirror, one_line=True)[:100]
        raise DataError(f"the mirror {shown} is not an https address: give one, or leave it out")
    if _from_packed_cache(info, target, progress):
        return CACHE
    if info.debian is not None and _unpack_each(info, Path(info.debian.folder), target, progress):
        return "Debian package"
    attempts: list[tuple[str, str, Callable[[], None]]] = [
        (host_of(url), "downloaded", partial(_from_https, info, url, target, options)) for url in _sources(info, mirror)
    ]
    if info.debian is not None:
        ask_apt = partial(_from_debian_archive, info, info.debian, target, progress)
        attempts.append(("Debian archive:", "Debian archive", ask_apt))
    if options.offline:
        raise _nowhere(info, ["the network is switched off"])
    reasons: list[str] = []
    for place, source, attempt in attempts:
        try:
            attempt()
        except (DownloadError, debian.DebianError) as error:
            reasons.append(f"{place} {error}")
        else:
            return source
    raise _nowhere(info, reasons)


def _wanted(info: DatasetInfo, target: Path) -> list[DataFile]:
    """The files that are missing or damaged in `target`."""
    return [
        file
        for file in info.files
        if not is_file(target / file.name) or check_file(target / file.name, file) is not None
    ]


def _from_packed_cache(info: DatasetInfo, target: Path, progress: Progress) -> bool:
    """Unpack archives that torchvision or the user put into the cache."""
    path = archive_in(info, cache_dir())
    if path is not None:
        with suppress(DamagedError):
            unpack_archive(path, target, info, progress)
            return True
    return _unpack_each(info, target, target, progress)


def _unpack_each(info: DatasetInfo, folder: Path, target: Path, progress: Progress) -> bool:
    """Unpack the intact NAME.gz in `folder`; whether `target` is complete afterwards."""
    for file in _wanted(info, target):
        source = packed_path(folder / file.name)
        if not file.gz_size or not is_file(source):
            return False
        try:
            _take_file(source, target, file, progress)
        except (DamagedError, PermissionError):
            return False
    return True


def _sources(info: DatasetInfo, mirror: str | None) -> Iterator[str]:
    """URLs of the archive, or of the folder of the .gz files; the mirror first.

    A mirror is the URL of the archive itself, or of a folder that holds ARCHIVE, or NAME/FILE.gz.
    """
    if mirror is not None and info.archive is not None:
        yield mirror if mirror.endswith(".gz") else f"{mirror.rstrip('/')}/{info.archive.name}"
    elif mirror is not None:
        yield f"{mirror.rstrip('/')}/{info.name}/"
    yield from info.archive.urls if info.archive else info.urls


def _from_https(info: DatasetInfo, url: str, target: Path, options: FetchOptions) -> None:
    """Download missing files from `url`, that of the archive or of a folder. Raises `DownloadError`."""
    progress, phase = options.progress, f"downloading {info.title} from {host_of(url)}"
    if (archive := info.archive) is not None:
        part = cache_dir() / f".{archive.name}.part"
        jobs = [(url, part, archive.size, partial(unpack_archive, part, target, info, progress))]
    else:
        wanted = [(file, target / f".{file.name}.gz.part") for file in _wanted(info, target)]
        jobs = [
            (f"{url}{file.name}.gz", part, file.gz_size, partial(_take_file, part, target, file, progress))
            for file, part in wanted
        ]
    total, before = sum(size for _, _, size, _ in jobs), 0
    for address, part, size, use in jobs:
        tick = partial(lambda before, done: progress(phase, before + done, total), before)
        _obtain(address, part, size, options.limits, use=use, tick=tick)
        before += size


def _obtain(
    url: str, part: Path, size: int, limits: Limits, *, use: Callable[[], None], tick: Callable[[int], None]
) -> None:
    """Download `url` into `part`, resuming a partial download, then `use` it and remove it.

    If the resumed file is damaged, it is downloaded once more from the start. Raises `DownloadError`, `OSError`.
    """
    resumed = is_file(part)
    tick(part.stat().st_size if resumed else 0)
    while True:
        if not is_file(part) or part.stat().st_size != size:
            download(url, part, size, limits, tick)
        try:
            use()
        except DamagedError:
            part.unlink()
            if not resumed:
                raise DownloadError("sends something else than the data set") from None
            resumed = False
        else:
            part.unlink()
            return


def _take_file(source: Path, target: Path | None, file: DataFile, progress: Progress) -> None:
    """Copy NAME or unpack NAME.gz into `target`, verifying it on the way; without a `target` only verify it.

    Where only NAME.gz is pinned, it is kept in `target`: it proves what NAME is.
    """
    into = None if target is None else target / file.name
    if source.name == file.name and file.sha256:
        with source.open("rb") as stream:
            write_verified(into, iter(lambda: stream.read(CHUNK), b""), file)
        return
    if source.name == file.name:
        source = packed_path(source)
        if not is_file(source):
            raise DamagedError(f"cannot be verified without {source.name}")
    unpack_gz(source, into, file, progress)
    if into is not None and not file.sha256 and source != packed_path(into):
        with source.open("rb") as stream, atomic_file(packed_path(into)) as out:
            shutil.copyfileobj(stream, out, CHUNK)


def _from_debian_archive(info: DatasetInfo, package: DebianPackage, target: Path, progress: Progress) -> None:
    remove_leftovers(cache_dir(), debian.scratch_name(package) + "*")
    debian.fetch_package(package, _wanted(info, target), target, cache_dir(), progress)


def _nowhere(info: DatasetInfo, reasons: list[str]) -> DataError:
    install = f" install the package {info.debian.name}," if info.debian else ""
    mirror = ""
    if info.archive is not None:
        mirror = f" set TUI_ATTN_DATA_MIRROR to a mirror of {info.archive.name},"
    return DataError(
        f"{info.title} is not on this machine and could not be fetched: {'; '.join(reasons)}\n"
        f"go online and try again, pass --data-dir with its files in it,{mirror}{install} "
        "or use --dataset synthetic"
    )
