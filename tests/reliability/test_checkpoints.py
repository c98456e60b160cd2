"""Checkpoints on disk: whole or not there, two kept, listed with size and digest, taken from the newest good one."""

import errno
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_attn.system import files
from tui_attn.train import checkpoint
from tui_attn.train.run_writer import DisplacedError

RUN = "se-s0"


def write(folder: Path, step: int, value: float = 0.0) -> checkpoint.Saved:
    """A small checkpoint, written as the real ones are."""
    saver = checkpoint.Saver(folder)
    saver.start({"format": 1, "value": torch.full((1000,), value)}, step=step, epoch=step // 5)
    saved = saver.finish()
    saver.close()
    assert saved is not None
    return saved


def good(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the checkpoints that can be taken, newest first, and what was passed over."""
    skipped: list[str] = []
    return [name for name, _ in checkpoint.newest_first(folder, skipped)], skipped


def test_two_are_kept_and_listed_with_size_and_digest(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    listed = json.loads((tmp_path / "LATEST.json").read_text())["checkpoints"]
    assert [item["step"] for item in listed] == [4, 3]
    for item in listed:
        data = (tmp_path / item["file"]).read_bytes()
        assert (item["size"], item["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LATEST.json", "step-00000003.pt", "step-00000004.pt"]


def test_it_is_written_beside_synced_and_renamed_in_this_order(tmp_path: Path, happened: list[str]) -> None:
    saver = checkpoint.Saver(tmp_path)
    saver.start({"format": 1}, step=1, epoch=0, after=lambda: happened.append("fsync events.jsonl"))
    saver.finish()
    saver.close()
    assert happened == [
        "fsync events.jsonl",  # so that no checkpoint is ahead of the log, even after a power loss
        "fsync .step-00000001.pt.tmp",
        "rename to step-00000001.pt",
        f"fsync {tmp_path.name}",
        "fsync .LATEST.json.tmp",
        "rename to LATEST.json",
        f"fsync {tmp_path.name}",
    ]


def test_one_that_is_not_listed_is_taken_when_its_checksums_hold(tmp_path: Path) -> None:
    """torch.load does not look at the checksums: a flipped bit would be a wrong weight."""
    write(tmp_path, 1)
    index = (tmp_path / "LATEST.json").read_bytes()
    newest = tmp_path / write(tmp_path, 2, 1.0).file
    (tmp_path / "LATEST.json").write_bytes(index)
    assert good(tmp_path) == (["step-00000002.pt", "step-00000001.pt"], [])
    whole = newest.read_bytes()
    at = whole.index(torch.full((10,), 1.0).numpy().tobytes())
    newest.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert torch.load(newest, weights_only=True)["value"][0] != 1.0
    assert good(tmp_path) == (["step-00000001.pt"], ["step-00000002.pt (is cut short or damaged)"])


def test_one_taken_though_not_listed_is_listed_from_then_on(tmp_path: Path) -> None:
    write(tmp_path, 1)
    index = (tmp_path / "LATEST.json").read_bytes()
    write(tmp_path, 2)
    for before in (index, b"damaged", None):
        (tmp_path / "LATEST.json").unlink()
        if before is not None:
            (tmp_path / "LATEST.json").write_bytes(before)
        checkpoint.adopt(tmp_path, "step-00000002.pt", epoch=0)
        assert checkpoint.latest(tmp_path)[0].file == "step-00000002.pt"
        assert good(tmp_path)[0][0] == "step-00000002.pt"


def test_one_that_took_the_place_of_another_of_its_step_is_taken_before_it_is_listed(tmp_path: Path) -> None:
    """As of a worker that died, or a power loss, at the end of an epoch whose last step had a checkpoint already."""
    write(tmp_path, 4)
    write(tmp_path, 5, 1.0)
    index = (tmp_path / "LATEST.json").read_bytes()
    newest = write(tmp_path, 5, 2.0)
    (tmp_path / "LATEST.json").write_bytes(index)
    skipped: list[str] = []
    taken, state = next(checkpoint.newest_first(tmp_path, skipped))
    assert (taken, state["value"][0], skipped) == (newest.file, 2.0, [])
    checkpoint.adopt(tmp_path, taken, epoch=newest.epoch)
    assert checkpoint.latest(tmp_path)[0] == newest


def test_no_flipped_bit_around_the_contents_changes_what_is_loaded(tmp_path: Path) -> None:
    """No checksum covers the names, sizes and attributes in the archive."""
    path = tmp_path / write(tmp_path, 1, 1.0).file
    (tmp_path / "LATEST.json").unlink()
    whole = path.read_bytes()
    value = torch.full((1000,), 1.0)
    taken = 0
    for place in range(whole.index(b"PK\x01\x02"), len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            for _, state in checkpoint.newest_first(tmp_path, []):
                taken += 1
                assert torch.equal(state["value"], value), (place, bit)
    assert taken, "some of them say nothing"


def test_what_was_passed_over_does_not_count_among_the_two_that_are_kept(tmp_path: Path) -> None:
    for step in (5, 10):
        write(tmp_path, step)
    (tmp_path / "step-00000010.pt").write_bytes(b"damaged")
    for step in (6, 7):  # after going on from step 5
        write(tmp_path, step)
    assert good(tmp_path) == (["step-00000007.pt", "step-00000006.pt"], [])


@pytest.mark.parametrize("size", [0, 1, 100, 4096, -1])
def test_one_cut_short_is_passed_over(tmp_path: Path, size: int) -> None:
    write(tmp_path, 1)
    newest = tmp_path / write(tmp_path, 2).file
    whole = newest.read_bytes()
    newest.write_bytes(whole[:size])
    names, skipped = good(tmp_path)
    assert names == ["step-00000001.pt"]
    assert skipped == ["step-00000002.pt (is cut short or damaged)"]


def test_a_full_disk_leaves_nothing_half_written_and_the_next_attempt_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real = files.write_atomically

    def no_room(path: Path, data: bytes, **options: Any) -> None:
        real(path.with_name("half"), data[: len(data) // 2], **options)
        path.with_name("half").unlink()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    saver = checkpoint.Saver(tmp_path)
    monkeypatch.setattr(files, "write_atomically", no_room)
    saver.start({"format": 1}, step=2, epoch=0)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            saver.finish()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.setattr(files, "write_atomically", real)
    saved = saver.finish()
    assert saved is not None
    assert saved.step == 2
    assert saver.finish() is None
    saver.close()
    assert good(tmp_path)[0][0] == saved.file


def test_what_another_worker_writes_after_the_last_look_at_the_claim_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a worker that was frozen right after it listed its checkpoint."""
    write = files.write_atomically

    def and_taken_over(path: Path, data: bytes, **options: Any) -> None:
        write(path, data, **options)
        if path.name == "LATEST.json":
            (tmp_path / "step-00000010.pt").write_bytes(b"another worker's")

    monkeypatch.setattr(files, "write_atomically", and_taken_over)
    checkpoint.write(tmp_path, b"ours", step=5, epoch=1)
    assert checkpoint.names(tmp_path) == {"step-00000005.pt", "step-00000010.pt"}


@pytest.mark.parametrize("frozen_before", ["its name", "LATEST.json"])
@pytest.mark.parametrize("newer", [(5,), (6,), (6, 7), (6, 7, 8)])
def test_a_worker_frozen_between_its_last_look_at_the_claim_and_a_rename_takes_nothing_from_its_successor(
    tmp_path: Path, frozen_before: str, newer: tuple[int, ...]
) -> None:
    for step in (3, 4):
        write(tmp_path, step)
    looks = iter(["its name", "LATEST.json", "older ones go"])
    taken_over = False

    def look_at_the_claim() -> None:
        nonlocal taken_over
        if taken_over:
            raise DisplacedError
        if next(looks) == frozen_before:
            taken_over = True
            for step in newer:
                write(tmp_path, step, float(step))

    late = io.BytesIO()
    torch.save({"format": 1, "value": torch.full((1000,), 5.0), "of": "the frozen worker"}, late)
    with pytest.raises(DisplacedError):
        checkpoint.write(tmp_path, late.getvalue(), step=5, epoch=1, guard=look_at_the_claim)
    skipped: list[str] = []
    name, state = next(checkpoint.newest_first(tmp_path, skipped))
    assert (name, state["value"][0], skipped) == (f"step-{newer[-1]:08d}.pt", newer[-1], [])
    for step in (newer[-1] + 1, newer[-1] + 2):
        write(tmp_path, step)
        assert good(tmp_path)[0][0] == f"step-{step:08d}.pt" and not good(tmp_path)[1]
    assert len(checkpoint.latest(tmp_path)) == 2


# ---- in a run


@pytest.mark.parametrize("listed", [True, False])
def test_one_that_unpacks_to_more_than_it_holds_is_passed_over(tmp_path: Path, listed: bool) -> None:
    path = tmp_path / "whole.pt"
    torch.save({"format": 1, "value": torch.zeros(1_000_000)}, path)
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in whole.namelist():
            archive.writestr(name, whole.read(name))
    path.unlink()
    checkpoint.write(tmp_path, packed.getvalue(), step=1, epoch=0)
    if not listed:
        (tmp_path / "LATEST.json").unlink()
    assert good(tmp_path) == ([], ["step-00000001.pt (is compressed, which no checkpoint of tui-attn is)"])
