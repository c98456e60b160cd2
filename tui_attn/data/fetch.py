"""Fills the cache from files on this machine, over https, or from the Debian archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tui_attn.data import debian
from tui_attn.data.base import Archive, DataError, DataFile, DatasetInfo, DebianPackage, FetchOptions, Limits, Progress
from tui_attn.data.debian import DebianError
from tui_attn.data.download import DownloadError, allowed, download, host_of
from tui_attn.data.files import (
    CHUNK,
    DamagedError,
    cache_dir,
    check_file,
    is_file,
    packed_path,
    remove_leftovers,
    sha256_of,
    write_verified,
)
from tui_attn.data.locate import FoundFiles, archive_in
from tui_attn.data.unpack import check_gz, unpack_archive, unpack_gz
from tui_attn.system.files import atomic_file
from tui_attn.system.text import safe_text

DEBIAN_INSTALLED = "Debian package"
DEBIAN_ARCHIVE = "Debian archive"
DOWNLOADED = "downloaded"
CACHED_ARCHIVE = "cache"


def hosts(info: DatasetInfo) -> list[str]:
    """The hosts that `info` can be downloaded from, in order."""
    addresses = info.archive.urls if info.archive else info.urls
    return list(dict.fromkeys(host_of(url) for url in addresses))


def check_given(info: DatasetInfo, given: FoundFiles | Path) -> None:
    """Verify the user's archive or compressed files. Raises `DamagedError`, `OSError`."""
    if isinstance(given, Path):
        if info.archive is not None and sha256_of(given) != info.archive.sha256:
            raise DamagedError("has the wrong SHA-256")
        return
    for file in info.files:
        with _naming(given.packed.get(file.name) or given.raw[file.name]):
            if file.name in given.packed:
                check_gz(given.packed[file.name], file)
            elif (wrong := check_file(given.raw[file.name], file)) is not None:
                raise DamagedError(wrong)


def take_in(info: DatasetInfo, given: FoundFiles | Path, target: Path, progress: Progress) -> None:
    """Unpack the user's archive or compressed files into the cache's `target`. Raises `DamagedError`, `OSError`."""
    if isinstance(given, Path):
        if info.archive is not None:
            _unpack_archive(info, info.archive, given, target, progress)
        return
    for file in info.files:
        source = given.packed.get(file.name) or given.raw[file.name]
        with _naming(source):
            if file.name in given.packed:
                _take_gz(source, target, file, progress)
            elif file.sha256:
                _copy(source, target / file.name, file)
            else:
                raise DamagedError(f"cannot be verified without {file.name}.gz")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file's name to a `DamagedError`."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(f"holds a damaged {path.name}: it {error}") from None


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
        return CACHED_ARCHIVE
    if info.debian is not None and _unpack_each(info, Path(info.debian.folder), target, progress):
        return DEBIAN_INSTALLED
    reasons: list[str] = []
    if options.offline:
        reasons.append("the network is switched off")
    else:
        for url in _sources(info, mirror):
            try:
                _from_https(info, url, target, progress, options.limits)
            except DownloadError as error:
                reasons.append(f"{host_of(url)} {error}")
            else:
                return DOWNLOADED
        if info.debian is not None:
            try:
                _from_debian_archive(info, info.debian, target, progress)
            except DebianError as error:
                reasons.append(f"Debian archive: {error}")
            else:
                return DEBIAN_ARCHIVE
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
    if path is not None and info.archive is not None:
        with suppress(DamagedError):
            _unpack_archive(info, info.archive, path, target, progress)
            return True
    return _unpack_each(info, target, target, progress)


def _unpack_each(info: DatasetInfo, folder: Path, target: Path, progress: Progress) -> bool:
    """Unpack the intact NAME.gz in `folder`; whether `target` is complete afterwards."""
    for file in _wanted(info, target):
        source = packed_path(folder / file.name)
        if not file.gz_size or not is_file(source):
            return False
        try:
            _take_gz(source, target, file, progress)
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


def _from_https(info: DatasetInfo, url: str, target: Path, progress: Progress, limits: Limits) -> None:
    """Download missing files from `url`, that of the archive or of a folder. Raises `DownloadError`."""
    phase = f"downloading {info.title} from {host_of(url)}"
    if (archive := info.archive) is not None:
        part = cache_dir() / f".{archive.name}.part"
        _obtain(
            url,
            part,
            archive.size,
            limits,
            use=lambda: _unpack_archive(info, archive, part, target, progress),
            tick=lambda done: progress(phase, done, archive.size),
        )
        return
    wanted = _wanted(info, target)
    total, before = sum(file.gz_size for file in wanted), 0
    for file in wanted:
        part = target / f".{file.name}.gz.part"
        _obtain(
            f"{url}{file.name}.gz",
            part,
            file.gz_size,
            limits,
            use=partial(_take_gz, part, target, file, progress),
            tick=partial(lambda before, done: progress(phase, before + done, total), before),
        )
        before += file.gz_size


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


def _take_gz(source: Path, target: Path, file: DataFile, progress: Progress) -> None:
    """Unpack NAME.gz into `target`; where only NAME.gz is pinned, keep it there: it proves what NAME is."""
    unpack_gz(source, target / file.name, file, progress)
    kept = packed_path(target / file.name)
    if not file.sha256 and source != kept:
        with source.open("rb") as stream, atomic_file(kept) as out:
            shutil.copyfileobj(stream, out, CHUNK)


def _copy(source: Path, target: Path, file: DataFile) -> None:
    """Copy the decompressed `source` into the cache, verifying it on the way."""
    with source.open("rb") as stream:
        write_verified(target, iter(lambda: stream.read(CHUNK), b""), file)


def _unpack_archive(info: DatasetInfo, archive: Archive, source: Path, target: Path, progress: Progress) -> None:
    unpack_archive(
        source,
        target,
        member_folder=info.folder,
        files=info.files,
        sha256=archive.sha256,
        progress=progress,
    )


def _from_debian_archive(info: DatasetInfo, package: DebianPackage, target: Path, progress: Progress) -> None:
    scratch = cache_dir()
    remove_leftovers(scratch, debian.scratch_name(package) + "*")
    debian.fetch_package(package, _wanted(info, target), target, scratch, progress)


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
