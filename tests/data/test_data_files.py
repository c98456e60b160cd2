"""Writing files whole or not at all, and finding what is wrong with them."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.small_sets import make_cifar_set, make_idx_set, names_in, sha256, tar_gz
from tui_attn.data.base import Archive, DataFile
from tui_attn.data.files import (
    WRONG,
    DamagedError,
    check_file,
    read_verified,
    remove_leftovers,
    write_verified,
)
from tui_attn.data.unpack import members as members_of
from tui_attn.data.unpack import unpack_archive, unpack_gz
from tui_attn.system.files import atomic_file

CONTENT = bytes(range(256)) * 40
FILE = DataFile("numbers", len(CONTENT), sha256(CONTENT))


def test_a_verified_file_is_written_and_nothing_besides(tmp_path: Path) -> None:
    write_verified(tmp_path / "numbers", [CONTENT[:100], CONTENT[100:]], FILE)
    assert (tmp_path / "numbers").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["numbers"]
    assert stat.S_IMODE((tmp_path / "numbers").stat().st_mode) == 0o600
    assert check_file(tmp_path / "numbers", FILE) is None


@pytest.mark.parametrize(
    ("blocks", "why"),
    [
        ([CONTENT[:-1]], "ends after 10,239 of the 10,240 bytes"),
        ([CONTENT, b"x"], "holds more than"),
        ([b"\x01" + CONTENT[1:]], "wrong SHA-256"),
        ([], "ends after 0"),
    ],
)
def test_damaged_content_replaces_nothing(tmp_path: Path, blocks: list[bytes], why: str) -> None:
    (tmp_path / "numbers").write_bytes(b"before")
    with pytest.raises(DamagedError, match=why):
        write_verified(tmp_path / "numbers", blocks, FILE)
    assert names_in(tmp_path) == ["numbers"]
    assert (tmp_path / "numbers").read_bytes() == b"before"


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_file(tmp_path / "numbers") as stream:
        stream.write(CONTENT[:500])
        raise KeyboardInterrupt
    assert names_in(tmp_path) == []


def test_a_link_at_the_target_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "numbers").symlink_to(tmp_path / "victim")
    write_verified(tmp_path / "numbers", [CONTENT], FILE)
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert not (tmp_path / "numbers").is_symlink()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (CONTENT[:7], "is 7 bytes long, not 10,240 (cut off"),
        (CONTENT + b"x", "is 10,241 bytes long"),
        (CONTENT[::-1], "wrong SHA-256"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "numbers").write_bytes(content)
    assert why in (check_file(tmp_path / "numbers", FILE) or "")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert check_file(tmp_path / "numbers", FILE) == "cannot be read: no such file or directory"


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    (tmp_path / ".numbers.abc.tmp").write_bytes(b"half")
    (tmp_path / ".apt-x").mkdir()
    (tmp_path / ".apt-x" / "lists").write_bytes(b"half")
    (tmp_path / "numbers").write_bytes(CONTENT)
    remove_leftovers(tmp_path, ".*.tmp")
    remove_leftovers(tmp_path, ".apt-*")
    assert names_in(tmp_path) == ["numbers"]


def unpacked(packed: bytes, folder: Path, file: DataFile = FILE) -> bytes:
    (folder / "numbers.gz").write_bytes(packed)
    unpack_gz(folder / "numbers.gz", folder / "numbers", file)
    return (folder / "numbers").read_bytes()


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_gz_is_verified_by_what_it_holds(tmp_path: Path, level: int) -> None:
    """So Debian's, which were compressed anew, are as good as the publisher's."""
    assert unpacked(gzip.compress(CONTENT, level), tmp_path) == CONTENT
    unpack_gz(tmp_path / "numbers.gz", None, FILE)


def test_a_gz_that_is_cut_off_anywhere_is_noticed(tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT, mtime=0)
    for length in [*range(0, len(packed), 7), len(packed) - 1]:
        with pytest.raises(DamagedError):
            unpacked(packed[:length], tmp_path)
        with pytest.raises(DamagedError):
            unpack_gz(tmp_path / "numbers.gz", None, FILE)
    assert names_in(tmp_path) == ["numbers.gz"]


@given(position=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_flipped_byte_never_gets_through(tmp_path_factory: pytest.TempPathFactory, position: int, flip: int) -> None:
    folder = tmp_path_factory.mktemp("flip")
    packed = bytearray(gzip.compress(CONTENT, mtime=0))
    packed[position % len(packed)] ^= flip
    try:
        content = unpacked(bytes(packed), folder)
    except DamagedError:
        assert names_in(folder) == ["numbers.gz"]
    else:  # a byte of the header that says nothing of the content
        assert content == CONTENT


def test_a_bomb_is_stopped_at_the_known_size(tmp_path: Path) -> None:
    written: list[int] = []

    class Counting(io.BytesIO):
        def read(self, n: int | None = -1) -> bytes:
            block = super().read(n)
            written.append(len(block))
            return block

    bomb = gzip.compress(bytes(200 << 20), 1)
    with pytest.raises(DamagedError, match="holds more than"):
        unpack_gz(Counting(bomb), tmp_path / "numbers", FILE)
    assert sum(written) < len(bomb) / 2
    assert names_in(tmp_path) == []


def forged(content: bytes) -> bytes:
    """Another content of the same length and CRC-32: the sum is linear in the bits of the last four bytes."""
    wrong = bytes([content[0] ^ 1]) + content[1:-4]
    zero = zlib.crc32(wrong + bytes(4))
    basis: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        column, bits = zlib.crc32(wrong + (1 << bit).to_bytes(4, "little")) ^ zero, 1 << bit
        while column and column.bit_length() in basis:
            other, of = basis[column.bit_length()]
            column, bits = column ^ other, bits ^ of
        if column:
            basis[column.bit_length()] = column, bits
    wanted, chosen = zlib.crc32(content) ^ zero, 0
    while wanted:
        column, bits = basis[wanted.bit_length()]
        wanted, chosen = wanted ^ column, chosen ^ bits
    return wrong + chosen.to_bytes(4, "little")


def test_a_set_whose_raw_digest_is_unpublished_is_proved_by_its_gz(tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT, mtime=0)
    file = DataFile("numbers", len(CONTENT), "", len(packed), sha256(packed))
    assert unpacked(packed, tmp_path, file) == CONTENT
    assert check_file(tmp_path / "numbers", file) is None
    (tmp_path / "numbers").write_bytes(CONTENT[::-1])
    assert check_file(tmp_path / "numbers", file) == WRONG
    (tmp_path / "numbers").write_bytes(forged(CONTENT))
    assert zlib.crc32(forged(CONTENT)) == zlib.crc32(CONTENT)
    assert check_file(tmp_path / "numbers", file) == WRONG
    with pytest.raises(DamagedError, match="wrong SHA-256"):
        read_verified(tmp_path / "numbers", file)
    (tmp_path / "numbers").write_bytes(CONTENT)
    assert read_verified(tmp_path / "numbers", file) == CONTENT
    (tmp_path / "numbers.gz").write_bytes(gzip.compress(CONTENT, 1, mtime=0))
    assert "cannot be verified" in (check_file(tmp_path / "numbers", file) or "")
    with pytest.raises(DamagedError, match="SHA-256"):
        unpack_gz(tmp_path / "numbers.gz", tmp_path / "numbers", file)
    with pytest.raises(DamagedError, match="SHA-256"):
        unpack_gz(tmp_path / "numbers.gz", None, file)


def extract(archive: bytes, folder: Path, sha: str | None = None) -> None:
    made = make_cifar_set()
    (folder / "made.tar.gz").write_bytes(archive)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    pinned = Archive("made.tar.gz", len(archive), sha or sha256(archive), ())
    unpack_archive(folder / "made.tar.gz", out, replace(made.info, archive=pinned))


def members() -> dict[str, bytes]:
    made = make_cifar_set()
    return {f"{made.info.folder}/{name}": content for name, content in made.raw.items()}


def test_an_archive_gives_its_known_members_only(tmp_path: Path) -> None:
    others = {"made-batches-py/readme.html": b"<html>", "../escaped": b"x", "/tmp/escaped": b"x", "data_batch_1": b"x"}
    extract(tar_gz(others | members()), tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == make_cifar_set().raw
    assert names_in(tmp_path) == ["made.tar.gz", "out"]


def test_an_archives_digest_comes_before_its_content(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="wrong SHA-256"):
        extract(tar_gz(members()), tmp_path, sha="0" * 64)
    assert names_in(tmp_path / "out") == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("made-batches-py/data_batch_1")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(DamagedError, match="not a file"):
        extract(tar_gz(members(), [member]), tmp_path)


def test_a_member_that_comes_twice_or_not_at_all_is_refused(tmp_path: Path) -> None:
    twice = io.BytesIO()
    with tarfile.open(fileobj=twice, mode="w:gz") as archive:
        for name, content in [*members().items(), *members().items()]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(DamagedError, match="twice"):
        extract(twice.getvalue(), tmp_path)
    lacking = members()
    del lacking["made-batches-py/test_batch"]
    with pytest.raises(DamagedError, match="lacks made-batches-py/test_batch"):
        extract(tar_gz(lacking), tmp_path)


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_member_of_another_size_or_content_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DamagedError, match="holds a data_batch_2 of"):
        extract(tar_gz(members() | {"made-batches-py/data_batch_2": content}), tmp_path)
    swapped = members()["made-batches-py/data_batch_2"][::-1]
    with pytest.raises(DamagedError, match="wrong SHA-256"):
        extract(tar_gz(members() | {"made-batches-py/data_batch_2": swapped}), tmp_path)


def test_an_archive_that_is_cut_off_is_noticed(tmp_path: Path) -> None:
    archive = tar_gz(members())
    with pytest.raises(DamagedError, match="cut off"):
        extract(archive[: len(archive) // 2], tmp_path)


def test_no_more_than_the_limit_is_read_of_a_tar(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("big")
        member.size = 1 << 20
        archive.addfile(member, io.BytesIO(bytes(1 << 20)))
    with pytest.raises(DamagedError, match="more than it should"):
        list(members_of(io.BytesIO(out.getvalue()), {"big"}, limit=10_000))


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    made = make_idx_set()
    file = made.info.files[0]
    seen: list[tuple[str, int, int | None]] = []
    packed = io.BytesIO(made.packed[file.name])
    unpack_gz(packed, tmp_path / file.name, file, lambda *step: seen.append(step))
    assert seen[-1] == (f"unpacking {file.name}", file.size, file.size)
