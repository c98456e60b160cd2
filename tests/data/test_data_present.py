"""What torchvision, Debian or an earlier start has left here; and what `tui-attn data` says of it."""

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
    make_cifar_set,
    make_idx_set,
    names_in,
    with_debian,
    with_urls,
    write,
)
from tui_attn.data import DATASETS, ensure, find, load, status, verify
from tui_attn.data.base import DatasetInfo
from tui_attn.data.resolve import ensure_info


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
    files = (made.info.files[0]._replace(sha256=""), *made.info.files[1:])
    info = replace(with_urls(made, f"{server.url}idx/"), files=files)
    where = ensure_info(info, options=QUICK)
    assert contents(where) == made.raw
    assert f"{files[0].name}.gz" in names_in(cache / info.folder)
    assert ensure_info(info, options=OFFLINE).source == "cache"
    (cache / info.folder / f"{files[0].name}.gz").unlink()
    assert ensure_info(info, options=QUICK).source == "downloaded"


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
