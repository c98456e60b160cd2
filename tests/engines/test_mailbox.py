"""The folders through which the jobs of an engine get their orders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.recorded import record
from tui_attn.engines.mailbox import JobNote, Mailbox, mailboxes, open_runs


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


@pytest.mark.parametrize("job", ["--all", "4711 4712", "", 4711, None])
def test_what_can_be_no_jobs_id_is_not_cancelled(tmp_path: Path, job: object) -> None:
    """It comes from the experiment's folder, and so maybe from a stranger."""
    mailbox = Mailbox.make(record(tmp_path / "runs"), 1)
    mailbox.note_job(JobNote("4711_3", "name", "cpu"))
    assert mailbox.job() == JobNote("4711_3", "name", "cpu")
    (mailbox.path / "job.json").write_text(json.dumps({"job": job, "name": "name", "device": "cpu"}))
    assert mailbox.job() is None
