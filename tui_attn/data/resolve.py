"""Finds and verifies a data set, and fetches it if it is missing: only once for concurrent processes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tui_attn.data.base import (
    DEFAULT,
    DataError,
    DatasetInfo,
    FetchOptions,
    Located,
    Problem,
    Progress,
    SetStatus,
    silent,
)
from tui_attn.data.catalogue import DATASETS
from tui_attn.data.files import (
    DamagedError,
    cache_dir,
    is_file,
    length_of,
    make_folder,
    os_error_text,
    remove_leftovers,
)
from tui_attn.data.folder import PREFIX, FolderGlance, folder_path
from tui_attn.data.folder import glance as glance_folder
from tui_attn.data.locate import (
    DATA_DIR,
    FoundFiles,
    archive_in,
    check_data_dir,
    damaged,
    files_in,
    find_info,
    generated,
    in_cache,
    in_data_dir,
    located,
    problems,
)
from tui_attn.system.files import exclusive
from tui_attn.system.text import has_control_characters, safe_text
from tui_attn.system.text import size as shown_size

MIRROR_VARIABLE = "TUI_ATTN_DATA_MIRROR"


def parse_dataset(text: str) -> str:
    """The canonical name of the data set that `text` names. Raises `DataError` for one that is not known."""
    import difflib

    start, colon, path = text.strip().partition(":")
    text = PREFIX + path if colon and start.rstrip().casefold() == "folder" else text.strip()
    if text.startswith(PREFIX):
        if text == PREFIX or has_control_characters(text):
            raise DataError("folder: needs the path of a folder of images, as in folder:./flowers")
        return PREFIX + str(folder_path(text))
    name = text.lower()
    if name in DATASETS:
        return name
    near = difflib.get_close_matches(name, DATASETS, n=1, cutoff=0.6)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    shown = safe_text(text, one_line=True)[:60]
    raise DataError(f"unknown data set '{shown}'{hint}; known: {', '.join(DATASETS)}, folder:PATH")


def dataset_info(name: str) -> DatasetInfo:
    """Describe the data set `name`; `folder:PATH` is listed for it. Raises `DataError`."""
    name = parse_dataset(name)
    if name.startswith(PREFIX):
        from tui_attn.data.folder_content import folder_info  # costs start-up time

        return folder_info(name)
    return DATASETS[name]


def find(name: str, data_dir: Path | None = None) -> Located | None:
    """Where the data set is, judged by names and lengths of files; None where it must be fetched.

    Looks in `data_dir`, then in the cache; no network, nothing is written. Raises `DataError` for an unknown name
    and for a `data_dir` that is missing, or that holds the set in part or cut off.
    """
    name = parse_dataset(name)
    if name.startswith(PREFIX):
        return _locate_folder(name)
    return find_info(DATASETS[name], data_dir)


def verify(where: Located) -> list[Problem]:
    """Problems of the files of `where`, by lengths and digests; of a folder, whether it changed."""
    if where.name.startswith(PREFIX):
        try:
            now = _locate_folder(where.name)
        except DataError as error:
            return [Problem(where.root, str(error).splitlines()[0])]
        return [] if now.version == where.version else [Problem(where.root, "has changed")]
    info = DATASETS[parse_dataset(where.name)]
    return problems(info, where) if info.files else []


def ensure(
    name: str,
    data_dir: Path | None = None,
    *,
    offline: bool = False,
    progress: Progress | None = None,
    mirror: str | None = None,
) -> Located:
    """Find, verify and where needed fetch the data set `name`, so that it can be read.

    Looks in `data_dir`, the cache, what Debian's package installed; then downloads over https, `mirror` (or what
    TUI_ATTN_DATA_MIRROR says) first; then asks the Debian archive. `offline` leaves out the network. What is
    fetched ends up decompressed and verified in the cache. Raises `DataError`.
    """
    name = parse_dataset(name)
    if name.startswith(PREFIX):
        return _locate_folder(name, progress or silent)
    mirror = mirror or os.environ.get(MIRROR_VARIABLE) or None
    options = FetchOptions(offline=offline, mirror=mirror, progress=progress or silent)
    return ensure_info(DATASETS[name], data_dir, options)


def _locate_folder(name: str, progress: Progress = silent) -> Located:
    from tui_attn.data.folder_content import locate_folder  # costs start-up time

    return locate_folder(name, progress)


def ensure_info(info: DatasetInfo, data_dir: Path | None = None, options: FetchOptions = DEFAULT) -> Located:
    """As `ensure`, for a data set that need not be in the catalogue."""
    if info.layout == "synthetic":
        return generated(info)
    given = in_data_dir(info, data_dir)
    if given is not None and given.in_place:
        where = located(info, given.folder, DATA_DIR)
        if wrong := problems(info, where):
            raise damaged(info, wrong[0])
        return where
    try:
        if (ready := _ready(info)) is not None:
            return _verified_against(info, given, ready)
        with _lock(info, options.progress):
            if (ready := _ready(info)) is not None:  # fetched by the process that held the lock before
                return _verified_against(info, given, ready)
            return _fill_cache(info, given, options)
    except OSError as error:
        raise _disk_error(error, info) from None


def status(data_dir: Path | None = None) -> list[SetStatus]:
    """Find and verify every data set that is known by name. Raises `DataError` for a bad `data_dir`."""
    if data_dir is not None:
        check_data_dir(data_dir)
    return [_status(info, data_dir) for info in DATASETS.values()]


def glance(
    name: str, data_dir: Path | None = None, *, cancelled: Callable[[], bool] = lambda: False
) -> SetStatus | FolderGlance:
    """Find the data set `name` by names and lengths of files, without verifying their bytes.

    Of a folder of images only the first files are looked at. Raises `DataError` for an unknown name and a bad
    `data_dir`, and `tui_attn.data.folder.Cancelled`.
    """
    name = parse_dataset(name)
    if name.startswith(PREFIX):
        return glance_folder(folder_path(name), cancelled=cancelled)
    if data_dir is not None:
        check_data_dir(data_dir)
    return _status(DATASETS[name], data_dir, by_digest=False)


def _status(info: DatasetInfo, data_dir: Path | None, *, by_digest: bool = True) -> SetStatus:
    def made(state: str, where: Located | None = None, wrong: Sequence[Problem] = ()) -> SetStatus:
        size = info.bytes_to_fetch if state == "missing" else info.bytes_on_disk
        sizes = info.train_size, info.test_size
        return SetStatus(info.name, info.title, state, where, size, tuple(wrong), how_to_fetch(info), sizes)

    try:
        where = find_info(info, data_dir)
        given = in_data_dir(info, data_dir)
    except DataError as error:
        folder = data_dir if data_dir is not None else cache_dir()
        return made("damaged", None, [Problem(folder, f"cannot be used: {str(error).splitlines()[0]}")])
    if where is not None:
        wrong = problems(info, where) if info.files and by_digest else []
        return made("damaged" if wrong else "ready", where, wrong)
    if given is not None or _packed_here(info):
        return made("packed")
    short = _cut_off(info)
    return made("damaged" if short else "missing", None, short)


def _packed_here(info: DatasetInfo) -> bool:
    """Whether the set is compressed in the cache or in the folder of Debian's package."""
    folders = [cache_dir() / info.folder, *([Path(info.debian.folder)] if info.debian else [])]
    whole = [not found.missing for found in (files_in(info, folder) for folder in folders)]
    return any(whole) or archive_in(info, cache_dir()) is not None


def _cut_off(info: DatasetInfo) -> list[Problem]:
    """The files of `info` in the cache with the wrong length."""
    paths = [cache_dir() / info.folder / file.name for file in info.files]
    return [
        Problem(path, "is cut off: it will be fetched again")
        for path, file in zip(paths, info.files, strict=True)
        if is_file(path) and length_of(path) != file.size
    ]


def how_to_fetch(info: DatasetInfo) -> str:
    """Where `info` can be fetched from: "31.0 MB from raw.githubusercontent.com or the Debian archive"."""
    if info.layout == "synthetic":
        return "made on the spot"
    hosts = dict.fromkeys(urlsplit(url).hostname or url for url in (info.archive.urls if info.archive else info.urls))
    places = [*hosts, *(["the Debian archive"] if info.debian else [])]
    return f"{shown_size(info.bytes_to_fetch)} from {' or '.join(places)}"


def _ready(info: DatasetInfo) -> Located | None:
    """`info` in the cache, verified; None where anything is missing or wrong there."""
    where = in_cache(info)
    return where if where is not None and not problems(info, where) else None


def _verified_against(info: DatasetInfo, given: FoundFiles | None, ready: Located) -> Located:
    """`ready`, once the user's copy in another form is verified, too. Raises `DataError`."""
    if given is None:
        return ready
    _take_in(info, given, None, silent)
    return replace(ready, source=DATA_DIR)


def _fill_cache(info: DatasetInfo, given: FoundFiles | None, options: FetchOptions) -> Located:
    """Fetch what is missing into the cache. The caller holds the data set's lock."""
    target = cache_dir() / info.folder
    make_folder(target)
    remove_leftovers(target, ".*.tmp")
    if given is None:
        from tui_attn.data import fetch

        return located(info, target, fetch.fetch(info, target, options))
    _take_in(info, given, target, options.progress)
    return located(info, target, DATA_DIR)


def _take_in(info: DatasetInfo, given: FoundFiles, target: Path | None, progress: Progress) -> None:
    """As `fetch.take_in`; damage of the user's copy becomes a `DataError` that names its place."""
    from tui_attn.data.fetch import take_in

    try:
        take_in(info, given, target, progress)
    except DamagedError as error:
        raise damaged(info, Problem(given.archive or given.folder, str(error))) from None


def _lock(info: DatasetInfo, progress: Progress) -> AbstractContextManager[int]:
    """The data set's lock: one process or thread fetches it, the others wait."""
    cache = cache_dir()
    make_folder(cache)
    waiting = f"waiting for another tui-attn that is fetching {info.title}"
    return exclusive(cache / f".{info.name}.lock", within=None, on_wait=lambda: progress(waiting, 0, None))


def _disk_error(error: OSError, info: DatasetInfo) -> DataError:
    where = error.filename or cache_dir()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"no space left for {info.title} in {cache_dir()}: it needs "
            f"{shown_size(info.bytes_on_disk + info.bytes_to_fetch)}\n"
            "free some, or set XDG_CACHE_HOME to a folder on another disk"
        )
    return DataError(
        f"cannot use {where}: {os_error_text(error)}\n"
        "set XDG_CACHE_HOME to a folder that you can write to, or pass --data-dir with the data set in it"
    )
