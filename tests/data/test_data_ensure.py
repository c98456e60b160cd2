"""Finding, verifying and fetching: the order, the errors, the lock."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.making import (
    Made,
    Server,
    make_cifar_set,
    make_idx_set,
    names_in,
    serving,
    sha256,
    with_archive,
    with_debian,
    with_urls,
    write,
)
from tui_attn.data import DATASETS, DataError, FetchOptions, Located, ensure, find, load, status, verify
from tui_attn.data.base import Limits
from tui_attn.data.registry import DatasetInfo
from tui_attn.data.resolve import ensure_info, find_info

QUICK = FetchOptions(limits=Limits(connect=2.0, stall=2.0, retries=1, pause=0.001))
OFFLINE = FetchOptions(offline=True)


@pytest.fixture
def server() -> Iterator[Server]:
    idx, cifar = make_idx_set(), make_cifar_set()
    files = {f"idx/{name}.gz": content for name, content in idx.packed.items()}
    with serving(files | {"made-python.tar.gz": cifar.archive}) as running:
        yield running


@pytest.fixture(params=["idx", "cifar"])
def online(request: pytest.FixtureRequest, server: Server) -> tuple[Made, DatasetInfo]:
    """A made set, and its info with the addresses of the server."""
    if request.param == "idx":
        return make_idx_set(), with_urls(make_idx_set(), f"{server.url}idx/")
    return make_cifar_set(), with_urls(make_cifar_set(), f"{server.url}made-python.tar.gz")


def contents(where: Located) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in where.files}


def lines_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    lines = str(caught.value).splitlines()
    assert len(lines) <= 2
    return lines


def test_what_is_nowhere_is_downloaded_into_the_cache(
    online: tuple[Made, DatasetInfo], cache: Path, server: Server
) -> None:
    made, info = online
    assert find_info(info) is None
    where = ensure_info(info, options=QUICK)
    assert contents(where) == made.raw
    assert where.source == "downloaded"
    assert where.root == cache
    assert where.files[0].parent == cache / info.folder
    assert where.version == info.version
    assert names_in(cache / info.folder) == sorted(made.raw)  # no archive, no part, no temporary file
    assert names_in(cache) == sorted([f".{info.name}.lock", Path(info.folder).parts[0]])
    asked = len(server.asked)
    again = ensure_info(info, options=QUICK)
    assert again == replace(where, source="cache")
    assert find_info(info) == again
    assert len(server.asked) == asked


def test_the_cache_is_for_its_owner_alone(online: tuple[Made, DatasetInfo], cache: Path) -> None:
    where = ensure_info(online[1], options=QUICK)
    assert cache.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in where.files)


def test_progress_tells_of_the_download_as_a_whole(online: tuple[Made, DatasetInfo], cache: Path) -> None:
    _, info = online
    steps: list[tuple[str, int, int | None]] = []
    ensure_info(info, options=replace(QUICK, progress=lambda *step: steps.append(step)))
    downloading = [(done, total) for phase, done, total in steps if phase.startswith("downloading")]
    assert {total for _, total in downloading} == {info.bytes_to_fetch}
    assert [done for done, _ in downloading] == sorted(done for done, _ in downloading)
    assert downloading[-1][0] == info.bytes_to_fetch
    assert any(phase.startswith("unpacking") for phase, _, _ in steps)


@pytest.mark.parametrize("damage", ["short", "flipped", "missing", "empty"])
def test_a_damaged_file_in_the_cache_is_fetched_again(
    online: tuple[Made, DatasetInfo], cache: Path, damage: str
) -> None:
    """As a killed decompression leaves it: torchvision would take the short file for good."""
    made, info = online
    path = ensure_info(info, options=QUICK).files[0]
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"short": content[:-100], "flipped": content[:-1] + b"\xff", "empty": b""}[damage])
    where = ensure_info(info, options=QUICK)
    assert contents(where) == made.raw
    assert where.source == "downloaded"


def test_only_what_is_missing_is_downloaded(cache: Path, server: Server) -> None:
    info = with_urls(make_idx_set(), f"{server.url}idx/")
    ensure_info(info, options=QUICK).files[2].unlink()
    server.asked.clear()
    ensure_info(info, options=QUICK)
    assert server.paths == ["/idx/t10k-images-idx3-ubyte.gz"]


def test_leftovers_of_a_killed_start_are_cleared_away(online: tuple[Made, DatasetInfo], cache: Path) -> None:
    made, info = online
    name = info.files[0].name
    write(cache / info.folder, {f".{name}.x1y2.tmp": b"half", name: made.raw[name][: len(made.raw[name]) // 2]})
    assert contents(ensure_info(info, options=QUICK)) == made.raw
    assert names_in(cache / info.folder) == sorted(made.raw)


def part_of(info: DatasetInfo, cache: Path) -> Path:
    """Where the (first) download keeps what it has so far."""
    if info.archive is not None:
        return cache / f".{info.archive.name}.part"
    return cache / info.folder / f".{info.files[0].name}.gz.part"


def test_a_download_that_was_cut_off_goes_on(online: tuple[Made, DatasetInfo], cache: Path, server: Server) -> None:
    made, info = online
    content = made.archive or made.packed[info.files[0].name]
    part = part_of(info, cache)
    write(part.parent, {part.name: content[:300]})
    assert contents(ensure_info(info, options=QUICK)) == made.raw
    assert server.asked[0][1] == "bytes=300-"
    assert not part.exists()


def test_a_download_that_was_complete_is_not_repeated(cache: Path, server: Server) -> None:
    made = make_cifar_set()
    info = with_urls(made, f"{server.url}made-python.tar.gz")
    write(cache, {".made-python.tar.gz.part": made.archive})
    assert contents(ensure_info(info, options=QUICK)) == made.raw
    assert server.asked == []


def test_a_damaged_part_is_thrown_away(online: tuple[Made, DatasetInfo], cache: Path, server: Server) -> None:
    made, info = online
    part = part_of(info, cache)
    write(part.parent, {part.name: b"\x00" * 200})
    assert contents(ensure_info(info, options=QUICK)) == made.raw
    assert [wanted for _, wanted in server.asked[:2]] == ["bytes=200-", None]


def test_a_source_that_sends_something_else_is_passed_over(
    online: tuple[Made, DatasetInfo], cache: Path, server: Server
) -> None:
    made, info = online
    server.answer = lambda path: (200, {}, b"<html>log in first</html>") if path.startswith("/portal") else None
    urls = [f"{server.url}portal/", *(info.archive.urls if info.archive else info.urls)]
    where = ensure_info(with_urls(replace(made, info=info), *urls), options=QUICK)
    assert contents(where) == made.raw
    assert server.paths[0].startswith("/portal")


def test_a_mirror_is_asked_first(cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    idx, cifar = make_idx_set(), make_cifar_set()
    server.files |= {f"m/made/{name}.gz": content for name, content in idx.packed.items()}
    server.files |= {"m/made-python.tar.gz": cifar.archive, "one.tar.gz": cifar.archive}
    ensure_info(with_urls(idx, f"{server.url}idx/"), options=replace(QUICK, mirror=f"{server.url}m"))
    assert all(path.startswith("/m/made/") for path in server.paths)
    ensure_info(with_urls(cifar), options=replace(QUICK, mirror=f"{server.url}m/"))
    assert server.paths[-1] == "/m/made-python.tar.gz"
    (cache / "made-batches-py" / "test_batch").unlink()
    ensure_info(with_urls(cifar), options=replace(QUICK, mirror=f"{server.url}one.tar.gz"))
    assert server.paths[-1] == "/one.tar.gz"


def test_a_mirror_that_has_it_not_is_not_the_last_word(cache: Path, server: Server) -> None:
    made = make_cifar_set()
    info = with_urls(made, f"{server.url}made-python.tar.gz")
    where = ensure_info(info, options=replace(QUICK, mirror=f"{server.url}empty"))
    assert contents(where) == made.raw


@pytest.mark.parametrize("mirror", ["http://mirror.example/", "ftp://x/", "/local/path", "nonsense"])
def test_a_mirror_must_be_https(cache: Path, mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_ATTN_DATA_MIRROR", mirror)
    with pytest.raises(DataError, match="is not an https address"):
        ensure("cifar10")


def test_an_offline_failure_names_every_way_out(cache: Path, tmp_path: Path) -> None:
    made = make_idx_set()
    with pytest.raises(DataError) as caught:
        ensure_info(with_debian(made, tmp_path / "nowhere"), options=OFFLINE)
    first, second = lines_of(caught)
    assert "Made-MNIST is not on this machine and could not be fetched: the network is switched off" in first
    for way in ("go online", "--data-dir", "dataset-made", "--dataset synthetic"):
        assert way in second
    with pytest.raises(DataError) as caught:
        ensure_info(make_cifar_set().info, options=OFFLINE)
    assert "TUI_ATTN_DATA_MIRROR" in lines_of(caught)[1]


def test_every_source_that_failed_is_named(cache: Path, server: Server) -> None:
    info = with_urls(make_idx_set(), f"{server.url}none/", "https://no-such-host.invalid/")
    with pytest.raises(
        DataError, match=r"127\.0\.0\.1 answers 404.*no-such-host\.invalid (cannot be found|does not answer)"
    ) as caught:
        ensure_info(info, options=QUICK)
    assert len(lines_of(caught)) == 2


# --- a folder that the user gives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [make_idx_set(), make_cifar_set()], ids=["idx", "cifar"])
@pytest.mark.parametrize("flat", [False, True])
def test_files_in_data_dir_are_used_in_place(made: Made, flat: bool, tmp_path: Path, cache: Path) -> None:
    data_dir = tmp_path / "mine"
    folder = made.write_raw(data_dir if flat else data_dir / made.info.folder)
    for where in (ensure_info(made.info, data_dir, OFFLINE), find_info(made.info, data_dir)):
        assert where is not None
        assert where.source == "--data-dir"
        assert [path.parent for path in where.files] == [folder] * len(made.raw)
        assert where.root == data_dir
    assert not cache.exists()


def test_a_data_dir_that_cannot_be_written_to_is_fine(tmp_path: Path, cache: Path) -> None:
    made = make_idx_set()
    made.write_raw(tmp_path / "mine").chmod(0o500)
    assert ensure_info(made.info, tmp_path / "mine", OFFLINE).source == "--data-dir"
    (tmp_path / "mine").chmod(0o700)


def test_links_in_data_dir_are_followed(tmp_path: Path, cache: Path) -> None:
    made = make_idx_set()
    made.write_raw(tmp_path / "elsewhere")
    (tmp_path / "mine").mkdir()
    for name in made.raw:
        (tmp_path / "mine" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert contents(ensure_info(made.info, tmp_path / "link", OFFLINE)) == made.raw


@pytest.mark.parametrize("flat", [False, True])
def test_gz_files_in_data_dir_are_unpacked_into_the_cache(flat: bool, tmp_path: Path, cache: Path) -> None:
    made = make_idx_set()
    data_dir = tmp_path / "mine"
    folder = made.write_packed(data_dir if flat else data_dir / "MadeMNIST")
    before = names_in(folder)
    for _ in range(2):
        where = ensure_info(made.info, data_dir, OFFLINE)
        assert where.source == "--data-dir"
        assert where.root == cache
        assert contents(where) == made.raw
    assert names_in(folder) == before


def test_an_archive_in_data_dir_is_unpacked_into_the_cache(tmp_path: Path, cache: Path) -> None:
    made = make_cifar_set()
    write(tmp_path / "mine", {"made-python.tar.gz": made.archive})
    for _ in range(2):
        assert contents(ensure_info(made.info, tmp_path / "mine", OFFLINE)) == made.raw


def test_a_data_dir_without_this_set_is_passed_over(
    online: tuple[Made, DatasetInfo], tmp_path: Path, cache: Path
) -> None:
    _, info = online
    write(tmp_path / "mine", {"holiday.jpg": b"x"})
    assert ensure_info(info, tmp_path / "mine", QUICK).source == "downloaded"
    assert ensure_info(info, tmp_path / "mine", QUICK).source == "cache"


def test_a_data_dir_that_is_missing_is_an_error(tmp_path: Path, cache: Path) -> None:
    for name in ("fashion-mnist", "cifar10", "mnist"):
        with pytest.raises(DataError, match=r"--data-dir .*nowhere does not exist"):
            ensure(name, tmp_path / "nowhere", offline=True)
        with pytest.raises(DataError, match="does not exist"):
            find(name, tmp_path / "nowhere")
    write(tmp_path, {"file": b"x"})
    with pytest.raises(DataError, match="is not a folder"):
        ensure("fashion-mnist", tmp_path / "file")
    with pytest.raises(DataError, match="does not exist"):
        status(tmp_path / "nowhere")


@pytest.mark.parametrize("made", [make_idx_set(), make_cifar_set()], ids=["idx", "cifar"])
@pytest.mark.parametrize("content", [b"", b"short", None])
@pytest.mark.parametrize("cached", [False, True])
def test_a_damaged_file_in_data_dir_is_never_passed_over(
    made: Made, content: bytes | None, cached: bool, tmp_path: Path, cache: Path
) -> None:
    if cached:
        made.write_raw(cache / made.info.folder)
    name = made.info.files[1].name
    folder = made.write_raw(tmp_path / "mine" / made.info.folder)
    (folder / name).write_bytes(made.raw[name][:-1] + b"\xee" if content is None else content)
    with pytest.raises(DataError) as caught:
        ensure_info(made.info, tmp_path / "mine", OFFLINE)
    first, second = lines_of(caught)
    assert first.startswith(str(folder / name))
    assert "replace it" in second
    assert "--data-dir" in second


@pytest.mark.parametrize("cached", [False, True])
def test_a_damaged_archive_in_data_dir_is_never_passed_over(cached: bool, tmp_path: Path, cache: Path) -> None:
    idx, cifar = make_idx_set(), make_cifar_set()
    if cached:
        idx.write_raw(cache / idx.info.folder)
        cifar.write_raw(cache / cifar.info.folder)
    name = idx.info.files[2].name
    folder = replace(idx, packed=idx.packed | {name: idx.packed[name][:-9]}).write_packed(tmp_path / "mine")
    with pytest.raises(DataError, match=f"{folder} holds a damaged {name}.gz: it is cut off"):
        ensure_info(idx.info, tmp_path / "mine", OFFLINE)
    write(tmp_path / "mine", {"made-python.tar.gz": cifar.archive[:-9]})
    with pytest.raises(DataError, match=r"made-python.tar.gz has the wrong SHA-256"):
        ensure_info(cifar.info, tmp_path / "mine", OFFLINE)


def test_another_sets_files_of_the_same_names_are_noticed(tmp_path: Path, cache: Path) -> None:
    """Fashion-MNIST and MNIST share their file names and lengths: only a digest tells them apart."""
    make_idx_set(seed=99).write_raw(tmp_path / "mine")
    with pytest.raises(DataError, match="not this data set's"):
        ensure_info(make_idx_set().info, tmp_path / "mine", OFFLINE)


def test_a_part_of_a_set_in_data_dir_is_an_error(tmp_path: Path, cache: Path) -> None:
    made = make_idx_set()
    folder = made.write_raw(tmp_path / "mine")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    for ask in (ensure_info, find_info):
        with pytest.raises(DataError, match="a part of Made-MNIST only: t10k-labels-idx1-ubyte is missing"):
            ask(made.info, folder)


def test_generic_names_are_looked_for_in_their_own_folder_only(tmp_path: Path, cache: Path) -> None:
    made = make_cifar_set()
    info = replace(made.info, generic_names=True)
    made.write_raw(tmp_path / "mine")
    assert find_info(info, tmp_path / "mine") is None
    folder = made.write_raw(tmp_path / "other" / made.info.folder)
    assert find_info(info, folder) is not None
    assert find_info(info, tmp_path / "other") is not None


# --- what torchvision or Debian has left here -----------------------------------------------------------------------


def test_what_torchvision_downloaded_into_the_cache_is_used(cache: Path) -> None:
    idx, cifar = make_idx_set(), make_cifar_set()
    idx.write_packed(cache / idx.info.folder)
    assert contents(ensure_info(idx.info, options=OFFLINE)) == idx.raw
    write(cache, {"made-python.tar.gz": cifar.archive})
    where = ensure_info(cifar.info, options=OFFLINE)
    assert contents(where) == cifar.raw
    assert where.source == "cache"


def test_a_damaged_archive_in_the_cache_is_passed_over(online: tuple[Made, DatasetInfo], cache: Path) -> None:
    made, info = online
    made.write_packed(cache / info.folder)
    for path in (cache / info.folder).iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    write(cache, {"made-python.tar.gz": made.archive[:-20]})
    where = ensure_info(info, options=QUICK)
    assert contents(where) == made.raw
    assert where.source == "downloaded"


def test_debians_installed_package_is_used(cache: Path, tmp_path: Path) -> None:
    made = make_idx_set()
    folder = made.write_packed(tmp_path / "usr-share")
    where = ensure_info(with_debian(made, folder), options=OFFLINE)
    assert where.source == "Debian package"
    assert contents(where) == made.raw


def test_a_damaged_installed_package_is_passed_over(cache: Path, tmp_path: Path, server: Server) -> None:
    made = make_idx_set()
    folder = made.write_packed(tmp_path / "usr-share")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    info = replace(with_debian(made, folder), urls=(f"{server.url}idx/",))
    where = ensure_info(info, options=QUICK)
    assert where.source == "downloaded"
    assert contents(where) == made.raw
    assert server.paths == ["/idx/t10k-labels-idx1-ubyte.gz"]


def test_a_set_pinned_by_its_gz_keeps_it(cache: Path, server: Server) -> None:
    made = make_idx_set()
    files = (replace(made.info.files[0], sha256=""), *made.info.files[1:])
    info = replace(with_urls(made, f"{server.url}idx/"), files=files)
    where = ensure_info(info, options=QUICK)
    assert contents(where) == made.raw
    assert f"{files[0].name}.gz" in names_in(cache / info.folder)
    assert ensure_info(info, options=OFFLINE).source == "cache"
    (cache / info.folder / f"{files[0].name}.gz").unlink()
    assert ensure_info(info, options=QUICK).source == "downloaded"


# --- disks and locks ------------------------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"file": b"x"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot create the data cache") as caught:
        ensure("fashion-mnist", offline=True)
    assert "XDG_CACHE_HOME" in lines_of(caught)[1]


def test_a_full_disk_is_an_error_and_leaves_nothing(
    online: tuple[Made, DatasetInfo], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="no space left for Made-") as caught:
        ensure_info(online[1], options=QUICK)
    assert "XDG_CACHE_HOME" in lines_of(caught)[1]
    assert not any(path.suffix == ".tmp" for path in cache.rglob("*"))


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tui_attn.data.files import cache_dir

    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("relative/path", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_dir() == tmp_path / ".cache" / "tui-attn" / "data"


STARTER = """
import sys
from tests.data.making import make_idx_set, with_urls
from tui_attn.data.resolve import ensure_info
from tui_attn.data import FetchOptions
def say(phase, done, total):
    if phase.startswith("waiting"):
        print("waiting", flush=True)
where = ensure_info(with_urls(make_idx_set(), sys.argv[1]), options=FetchOptions(progress=say))
print(where.source)
"""


def start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, url], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )


def test_two_starts_at_once_fetch_once(cache: Path, server: Server) -> None:
    server.hold = threading.Event()
    first = start(f"{server.url}idx/")
    while not server.asked:  # the first is in the middle of its download, and holds the lock
        assert first.poll() is None
    second = start(f"{server.url}idx/")
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting\n"
    server.hold.set()
    assert first.communicate(timeout=60)[0] == "downloaded\n"
    assert second.communicate(timeout=60)[0] == "cache\n"
    assert len(server.asked) == len(make_idx_set().raw)


def test_a_killed_start_leaves_a_lock_that_opens_and_a_part_that_goes_on(cache: Path, server: Server) -> None:
    made = make_idx_set()
    server.hold = threading.Event()
    first = start(f"{server.url}idx/")
    while not server.asked:
        assert first.poll() is None
    first.kill()
    first.communicate(timeout=60)
    server.hold.set()
    server.hold = None
    assert contents(ensure_info(with_urls(made, f"{server.url}idx/"), options=QUICK)) == made.raw


def test_two_threads_at_once_fetch_once(cache: Path, server: Server) -> None:
    info = with_urls(make_idx_set(), f"{server.url}idx/")
    sources: list[str] = []
    threads = [
        threading.Thread(target=lambda: sources.append(ensure_info(info, options=QUICK).source)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(sources) == ["cache", "cache", "cache", "downloaded"]
    assert len(server.asked) == len(info.files)


# --- by name --------------------------------------------------------------------------------------------------------


def test_status_tells_what_is_where(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx, cifar, packed = make_idx_set(), make_cifar_set(), make_idx_set(seed=8, name="packed")
    packed = replace(packed, info=replace(packed.info, folder="PackedMNIST/raw"))
    short = replace(make_idx_set(seed=5, name="short").info, folder="ShortMNIST/raw", urls=("https://example.org/x/",))
    for made in (idx, cifar, packed):
        monkeypatch.setitem(DATASETS, made.info.name, made.info)
    monkeypatch.setitem(DATASETS, "short", short)
    idx.write_raw(cache / idx.info.folder)
    folder = cifar.write_raw(tmp_path / "mine" / cifar.info.folder)
    (folder / "data_batch_2").write_bytes(cifar.raw["data_batch_2"][::-1])
    packed.write_packed(cache / packed.info.folder)
    write(cache / short.folder, {short.files[0].name: b"cut"})
    by_name = {entry.name: entry for entry in status(tmp_path / "mine")}
    assert list(by_name) == list(DATASETS)
    assert by_name["made"].state == "ready"
    assert by_name["made"].located == find("made")
    assert by_name["made"].size == idx.info.bytes_on_disk
    assert by_name["made-cifar"].state == "damaged"
    assert [problem.path.name for problem in by_name["made-cifar"].problems] == ["data_batch_2"]
    assert by_name["packed"].state == "packed"
    assert by_name["short"].state == "damaged"
    assert by_name["short"].how.endswith("from example.org")
    assert by_name["synthetic"].state == "ready"
    assert by_name["cifar10"].state == "missing"
    assert by_name["cifar10"].size == 170_498_071
    assert by_name["fashion-mnist"].how.endswith("or the Debian archive")


def test_verify_names_what_is_wrong(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_idx_set()
    monkeypatch.setitem(DATASETS, "made", made.info)
    made.write_raw(cache / made.info.folder)
    where = ensure("made", offline=True)
    assert verify(where) == []
    assert load(where).train_images.shape == (40, 1, 8, 8)
    where.files[1].write_bytes(b"x")
    where.files[3].unlink()
    assert [problem.path for problem in verify(where)] == [where.files[1], where.files[3]]


def test_archives_are_pinned_not_only_their_members(cache: Path, server: Server) -> None:
    """An archive of the right members whose own digest differs is not unpacked."""
    made = make_cifar_set()
    assert made.info.archive is not None
    server.files["made-python.tar.gz"] = made.archive + bytes(10_240)
    with pytest.raises(DataError, match=r"127\.0\.0\.1 sends something else than the data set"):
        ensure_info(with_urls(made, f"{server.url}made-python.tar.gz"), options=QUICK)
    assert sha256(made.archive) == made.info.archive.sha256


def test_an_archive_whose_member_is_wrong_is_refused(cache: Path, server: Server) -> None:
    from tests.data.making import tar_gz

    made = make_cifar_set()
    members = {f"made-batches-py/{name}": content for name, content in made.raw.items()}
    other = with_archive(made, tar_gz(members | {"made-batches-py/test_batch": b"x" * len(made.raw["test_batch"])}))
    server.files["made-python.tar.gz"] = other.archive
    with pytest.raises(DataError, match="sends something else"):
        ensure_info(with_urls(other, f"{server.url}made-python.tar.gz"), options=QUICK)
