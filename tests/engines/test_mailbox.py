"""The folders through which the jobs of an engine get their orders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.recorded import record
from tui_attn.engines.mailbox import Mailbox, mailboxes, open_runs


def test_links_among_the_mailboxes_are_not_followed(tmp_path: Path) -> None:
    folder = record(tmp_path / "runs")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "inbox.jsonl").touch()
    (folder.path / "workers").mkdir()
    (folder.path / "workers" / "0123456789ab").symlink_to(elsewhere)
    assert list(mailboxes(folder)) == []
    (folder.path / "workers" / "0123456789ab").unlink()
    (folder.path / "workers").rmdir()
    (folder.path / "workers").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        Mailbox.make(folder, 1)


def test_what_an_inbox_leaves_in_a_workers_hands() -> None:
    orders = [("train", "a"), ("train", "b"), ("train", "c"), ("stop", "a"), ("pause", "b"), ("train", "a")]
    inbox = "".join(
        f"{json.dumps({'do': do, 'run': run})}\n" for do, run in [*orders, ("suspend", "c"), ("exit", None)]
    )
    assert open_runs(inbox.encode() + b'garbage\n{"do":"train"') == ["b", "a"]
