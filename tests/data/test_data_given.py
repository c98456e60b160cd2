"""A folder that the user gives: used in place, taken in, or refused, but never passed over in silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.small_sets import (
    OFFLINE,
    QUICK,
    Made,
    contents,
    lines_of,
    make_cifar_set,
    make_idx_set,
    names_in,
    write,
)
from tui_attn.data import DataError, ensure, find, status
from tui_attn.data.base import DatasetInfo
from tui_attn.data.locate import find_info
from tui_attn.data.resolve import ensure_info


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
    with pytest.raises(DataError, match="no such home folder"):
        ensure("fashion-mnist", Path("~nobody-of-this-name/data"))
    with pytest.raises(DataError) as caught:
        ensure("fashion-mnist", tmp_path / "\x1b]0;title\x07")
    assert "\x1b" not in str(caught.value)
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


@pytest.mark.parametrize("cached", [False, True])
def test_a_file_that_only_its_gz_pins_is_proved_by_the_one_beside_it(cached: bool, tmp_path: Path, cache: Path) -> None:
    made = make_idx_set()
    first, *others = made.info.files
    info = replace(made.info, files=(first._replace(sha256=""), *others))
    made.write_packed(tmp_path / "mine")
    write(tmp_path / "mine", {first.name: made.raw[first.name]})
    if cached:
        made.write_raw(cache / info.folder)
        write(cache / info.folder, {f"{first.name}.gz": made.packed[first.name]})
    assert contents(ensure_info(info, tmp_path / "mine", OFFLINE)) == made.raw
    (tmp_path / "mine" / f"{first.name}.gz").unlink()
    with pytest.raises(DataError, match=f"cannot be verified without {first.name}.gz"):
        ensure_info(info, tmp_path / "mine", OFFLINE)
