"""Checkpoints on disk: whole or not there, two kept, listed with size and digest, taken from the newest good one."""

import errno
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.reliability.conftest import make_experiment
from tests.reliability.invariants import Reference
from tui_attn.experiment.event_log import LogReader, LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system import files
from tui_attn.train import checkpoint, session
from tui_attn.train.run_writer import DisplacedError, NoRoomError
from tui_attn.train.step import Stepper
from tui_attn.train.worker_context import WorkerContext, explain

RUN = "se-s0"


def context(experiment: ExperimentDir) -> WorkerContext:
    torch.set_num_threads(1)  # as the manifest says and as a worker does
    return WorkerContext(experiment, experiment.manifest_data(), "cpu")


@pytest.fixture
def threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def never() -> bool:
    return False


def after(steps: int) -> Callable[[], bool]:
    """An interruption that comes after so many steps."""
    left = [steps]

    def interrupted() -> bool:
        left[0] -= 1
        return left[0] < 0

    return interrupted


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


RANDOM = r"\.[0-9a-f]{16}\.tmp$"
"""The end of a temporary file's name."""


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs, renames and appends from now on, in their order."""
    notes: list[str] = []
    fsync, replace, append = os.fsync, Path.replace, LogWriter.append

    def note_fsync(fd: int) -> None:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        notes.append(f"fsync {re.sub(RANDOM, '.tmp', name)}")
        fsync(fd)

    def note_replace(self: Path, target: Path) -> Path:
        notes.append(f"rename to {target.name}")
        return replace(self, target)

    def note_append(self: LogWriter, type_: str, /, **payload: Any) -> None:
        notes.append(f"append {type_}")
        append(self, type_, **payload)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    monkeypatch.setattr(LogWriter, "append", note_append)
    return notes


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


def test_within_long_epochs_too_and_resuming_in_their_middle_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Reference], threads: None
) -> None:
    monkeypatch.setattr(session, "CHECKPOINT_EVERY", 0.0)  # as if an hour passed between two points of the log
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(after(3))
    made.close(RUN)  # as a death would: what is not on disk is lost
    taken = checkpoint.latest(experiment.run(RUN).checkpoints)[0]
    assert 0 < taken.step < 5
    assert taken.epoch == 0
    made = context(experiment)
    made.open(RUN)
    going_on = made.session(RUN)
    assert going_on.progress.step == taken.step
    while not going_on.done:
        going_on.train_epoch(never)
    going_on.finish()
    made.close(RUN)
    ended = LogReader(experiment.run(RUN).events).read()[-1]
    assert ended["weights_sha256"] == undisturbed[RUN].weights_sha256


def test_a_death_in_the_evaluation_after_a_checkpoint_of_the_last_step_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Reference], threads: None
) -> None:
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    dying = made.session(RUN)
    while not dying._trainer.at_end_of_epoch:
        dying.train_to_point(never)
    dying.save()  # as of networks side by side, which are asked to leave between any two points

    def die(beat: object) -> None:
        raise KeyError("as a death would")

    monkeypatch.setattr(dying._trainer, "evaluate", die)
    with pytest.raises(KeyError):
        dying.train_epoch(never)
    made.close(RUN)
    made = context(experiment)
    made.open(RUN)
    going_on = made.session(RUN)
    assert going_on._trainer.at_end_of_epoch and going_on.progress.epoch == 0
    while not going_on.done:
        going_on.train_epoch(never)
    going_on.finish()
    made.close(RUN)
    ended = LogReader(experiment.run(RUN).events).read()[-1]
    assert ended["weights_sha256"] == undisturbed[RUN].weights_sha256


def test_a_copy_is_what_the_state_was_and_keeps_what_lies_together(threads: None) -> None:
    shared = torch.arange(6.0).view(2, 3)
    state: dict[str, Any] = {
        "model": torch.nn.BatchNorm1d(3).state_dict(),
        "one": shared,
        "two": [shared, shared.t()],
        "step": 3,
    }
    copied, wait = checkpoint.copied(state)
    wait()
    shared += 1
    assert copied["one"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert copied["two"][0] is copied["one"] and torch.equal(copied["two"][1], copied["one"].t())
    assert copied["two"][1].stride() == (1, 3), "as it lay in memory"
    assert copied["model"]._metadata == state["model"]._metadata and copied["step"] == 3


def test_nothing_is_said_to_be_there_before_it_would_survive_a_power_loss(
    tmp_path: Path, happened: list[str], threads: None
) -> None:
    """The new log's name, the points behind a checkpoint, the results behind the end, and the end itself."""
    experiment = make_experiment(tmp_path / "runs", epochs=1)
    del happened[:]
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(never)
    made.session(RUN).finish()
    made.close(RUN)
    step = "step-00000005.pt"
    assert happened[: happened.index("append started")] == [
        f"fsync {experiment.id}",  # the run's folder is in it
        f"fsync {RUN}",
        f"fsync {RUN}",  # its two folders
        "rename to claim",
        f"fsync {RUN}",  # its log
    ]
    last_point = max(index for index, what in enumerate(happened) if what == "append metrics")
    rest = [what for what in happened[last_point:] if "LATEST" not in what]
    order = ["append metrics", "append epoch", "rename to epoch-00001.npz", "append probe"]
    order += [
        "fsync probes",
        "fsync epoch-00001.npz",
        "fsync probes",
        "fsync events.jsonl",
        f"fsync .{step}.tmp",
        f"rename to {step}",
    ]
    order += ["append checkpoint"]
    for name in ("predictions.npz", "weights.safetensors"):
        order += [f"fsync .{name}.tmp", f"rename to {name}", f"fsync {RUN}"]
    order += ["append ended", "fsync events.jsonl"]
    assert [what for what in rest if what in order] == order


def test_what_is_checkpointed_is_in_the_log(tmp_path: Path, threads: None) -> None:
    """No checkpoint is ahead of the log: what couldn't be logged is trained again."""
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    full = [False]
    made.open(RUN, should_abort=lambda: full[0])
    running = made.session(RUN)
    running.train_epoch(never)
    append = running._writer._log.append

    def no_room(type_: str, /, **payload: Any) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(type_, **payload)

    running._writer._log.append = no_room  # type: ignore[method-assign]
    full[0] = True
    with pytest.raises(NoRoomError):
        running.train_epoch(never)
    full[0] = False
    running.suspend()
    logged = [event for event in LogReader(experiment.run(RUN).events).read() if event.type == "metrics"]
    steps = [step for event in logged for step in event["step"]]
    assert checkpoint.latest(experiment.run(RUN).checkpoints)[0].step == max(steps) == 5


def test_a_log_that_is_gone_does_not_hide_the_checkpoints(
    tmp_path: Path, undisturbed: dict[str, Reference], threads: None
) -> None:
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(never)
    made.session(RUN).suspend()
    experiment.run(RUN).events.unlink()
    made = context(experiment)
    made.open(RUN)
    assert made.session(RUN).progress.step == 5
    (resumed,) = [event for event in LogReader(experiment.run(RUN).events).read() if event.type == "resumed"]
    assert resumed["from_step"] == 5
    made.close(RUN)
    assert undisturbed


def test_a_checkpoint_that_does_not_fit_into_memory_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: None
) -> None:
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(never)
    made.session(RUN).suspend()

    def no_memory(self: object, state: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(Stepper, "load_state_dict", no_memory)
    made = context(experiment)
    with pytest.raises(torch.OutOfMemoryError):
        made.open(RUN)
    made.close(RUN)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 1 byte"),
    ],
)
def test_out_of_memory_is_named(error: Exception) -> None:
    assert explain(error).startswith("out of memory: use a smaller --batch-size or fewer --jobs")


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
