"""Fetching what is not there: from where, how much of it, and what is said when it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.small_sets import (
    OFFLINE,
    QUICK,
    Made,
    Server,
    contents,
    lines_of,
    make_cifar_set,
    make_idx_set,
    names_in,
    sha256,
    tar_gz,
    with_archive,
    with_debian,
    with_urls,
    write,
)
from tui_attn.data import DataError, ensure
from tui_attn.data.base import DatasetInfo
from tui_attn.data.locate import find_info
from tui_attn.data.resolve import ensure_info


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
    ensure_info(info, options=QUICK._replace(progress=lambda *step: steps.append(step)))
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
    ensure_info(with_urls(idx, f"{server.url}idx/"), options=QUICK._replace(mirror=f"{server.url}m"))
    assert all(path.startswith("/m/made/") for path in server.paths)
    ensure_info(with_urls(cifar), options=QUICK._replace(mirror=f"{server.url}m/"))
    assert server.paths[-1] == "/m/made-python.tar.gz"
    (cache / "made-batches-py" / "test_batch").unlink()
    ensure_info(with_urls(cifar), options=QUICK._replace(mirror=f"{server.url}one.tar.gz"))
    assert server.paths[-1] == "/one.tar.gz"


def test_a_mirror_that_has_it_not_is_not_the_last_word(cache: Path, server: Server) -> None:
    made = make_cifar_set()
    info = with_urls(made, f"{server.url}made-python.tar.gz")
    where = ensure_info(info, options=QUICK._replace(mirror=f"{server.url}empty"))
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


def test_archives_are_pinned_not_only_their_members(cache: Path, server: Server) -> None:
    """An archive of the right members whose own digest differs is not unpacked."""
    made = make_cifar_set()
    assert made.info.archive is not None
    server.files["made-python.tar.gz"] = made.archive + bytes(10_240)
    with pytest.raises(DataError, match=r"127\.0\.0\.1 sends something else than the data set"):
        ensure_info(with_urls(made, f"{server.url}made-python.tar.gz"), options=QUICK)
    assert sha256(made.archive) == made.info.archive.sha256


def test_an_archive_whose_member_is_wrong_is_refused(cache: Path, server: Server) -> None:
    made = make_cifar_set()
    members = {f"made-batches-py/{name}": content for name, content in made.raw.items()}
    other = with_archive(made, tar_gz(members | {"made-batches-py/test_batch": b"x" * len(made.raw["test_batch"])}))
    server.files["made-python.tar.gz"] = other.archive
    with pytest.raises(DataError, match="sends something else"):
        ensure_info(with_urls(other, f"{server.url}made-python.tar.gz"), options=QUICK)
