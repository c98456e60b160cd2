"""The worker's side of a mailbox."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.recorded import record
from tui_attn.engines.mailbox import Mailbox
from tui_attn.engines.workers import REMOTE
from tui_attn.train import run_writer
from tui_attn.train.command_pipe import Inbox
from tui_attn.train.run_writer import RunWriter


def received(inbox: Inbox) -> list[tuple[str, str | None]]:
    os.set_blocking(inbox.fd, False)
    try:
        lines = os.read(inbox.fd, 65536).splitlines()
    except BlockingIOError:
        return []
    return [(data["do"], data["run"]) for data in map(json.loads, lines)]


def make(tmp_path: Path, lease: float = 1e9) -> tuple[Mailbox, Inbox]:
    folder = record(tmp_path)
    mailbox = Mailbox.make(folder, 77)
    return mailbox, Inbox(mailbox, folder.supervisor_lock, lease=lease)


def test_commands_come_once_and_in_their_order(tmp_path: Path) -> None:
    mailbox, inbox = make(tmp_path)
    mailbox.send("train", "se-s0")
    inbox.look()
    assert received(inbox) == [("train", "se-s0")]
    mailbox.send("pause", "se-s0")
    mailbox.send("unpause", "se-s0")
    with mailbox.inbox.open("ab") as file:
        file.write(b'{"do": "stop",')
    inbox.look()
    inbox.look()
    assert received(inbox) == [("pause", "se-s0"), ("unpause", "se-s0")]
    with mailbox.inbox.open("ab") as file:
        file.write(b' "run": "se-s0"}\n')
    inbox.look()
    assert received(inbox) == [("stop", "se-s0")]


def test_a_job_that_is_queued_again_trains_only_what_is_not_over(tmp_path: Path) -> None:
    mailbox, inbox = make(tmp_path)
    for do, run in (("train", "a-s0"), ("train", "b-s0"), ("forget", "a-s0"), ("exit", None)):
        mailbox.send(do, run)
    inbox.look()
    assert received(inbox) == [("train", "b-s0"), ("exit", None)]


def test_a_mailbox_that_is_gone_is_the_end_of_the_pipe(tmp_path: Path) -> None:
    mailbox, inbox = make(tmp_path)
    assert inbox.look()
    mailbox.close()
    assert not inbox.look()
    assert os.read(inbox.fd, 1) == b""


def test_without_a_supervisor_the_worker_takes_no_more_and_finishes_what_it_has(tmp_path: Path) -> None:
    mailbox, inbox = make(tmp_path, lease=-1.0)
    lock = mailbox.path.parent.parent / "supervisor.lock"
    lock.write_text("a beat")
    inbox.look()
    lock.write_text("another")
    inbox.look()
    assert received(inbox) == []
    inbox.look()
    inbox.look()
    assert received(inbox) == [("exit", None)]


def test_an_earlier_start_that_ends_late_does_not_speak_for_the_later(tmp_path: Path) -> None:
    mailbox, _ = make(tmp_path)
    mailbox.note_begin(0, "n1")
    mailbox.note_begin(1, "n2")
    mailbox.note_end(0, 73)
    assert mailbox.ended() is None
    mailbox.note_end(1, 0)
    assert mailbox.ended() == (0, 1)


def test_what_a_remote_worker_writes_through_does_not_disturb_the_thread_that_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REMOTE, "1")
    monkeypatch.setattr(run_writer, "SYNC_EVERY", -1.0)
    writer = RunWriter(record(tmp_path).run("new-s0"), lambda: False)
    writer.write(writer.folder.probes / "one.npz", b"1", sync=False)
    writer.beat(now=True)
    assert list(writer._unsynced) == [writer.folder.probes / "one.npz"]
    writer.close()
