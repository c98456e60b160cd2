"""A long history is read by a process of its own, which may fail, and never stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import recorded
from tests.waiting import eventually, lives
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.history import scan_process
from tui_attn.history.entries import Entry, open_history
from tui_attn.history.scan_process import HistoryScan, HistoryUpdate, from_line, to_line

MANY = 25


pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """More experiments than are read in the thread that asks."""
    config = ExperimentConfig(models=("base", "se"), epochs=2, seeds=2, name="é 中")
    folder = recorded.scene(tmp_path / "runs", "finished", experiment="number-00", config=config)
    for number in range(1, MANY):
        shutil.copytree(folder.path, folder.path.with_name(f"number-{number:02}"))
    return tmp_path / "runs"


@pytest.fixture
def scan(runs_dir: Path) -> Iterator[HistoryScan]:
    scan = HistoryScan(runs_dir)
    yield scan
    scan.close()


def on() -> bool:
    return True


def look(scan: HistoryScan) -> tuple[dict[str, Entry], set[str]]:
    """What one whole look tells as new, and as gone."""
    entries: dict[str, Entry] = {}
    news = HistoryUpdate()
    for news in scan.look(on):
        entries.update((entry.id, entry) for entry in news.entries)
    assert news.complete
    assert news.error == ""
    return entries, set(news.gone)


def beside(scan: HistoryScan) -> bool:
    """Whether a process reads for it."""
    return scan.pid is not None


def test_it_tells_what_a_look_from_here_tells(runs_dir: Path, scan: HistoryScan) -> None:
    found, gone = look(scan)
    assert beside(scan)
    assert found == {entry.id: entry for entry in open_history(runs_dir).look()}
    assert len(found) == MANY
    assert gone == set()
    assert look(scan) == ({}, set())
    shutil.rmtree(runs_dir / "number-03")
    assert look(scan) == ({}, {"number-03"})


def test_what_it_read_is_kept_for_the_next_time(runs_dir: Path, scan: HistoryScan) -> None:
    look(scan)
    look(scan)  # what was kept after the first look is there before the second
    assert len(open_history(runs_dir).known) == MANY


def test_few_are_read_without_a_process(runs_dir: Path, scan: HistoryScan) -> None:
    for number in range(MANY):
        if number >= 3:
            (runs_dir / f"number-{number:02}").rename(runs_dir.parent / f"number-{number:02}")
    assert set(look(scan)[0]) == {"number-00", "number-01", "number-02"}
    assert not beside(scan)
    shutil.rmtree(runs_dir / "number-00")
    for number in range(3, MANY):
        (runs_dir.parent / f"number-{number:02}").rename(runs_dir / f"number-{number:02}")
    found, gone = look(scan)
    assert beside(scan)
    assert gone == {"number-00"}
    assert {f"number-{number:02}" for number in range(3, MANY)} <= set(found)


def test_where_it_is_killed_the_rest_is_read_without_it(runs_dir: Path, scan: HistoryScan) -> None:
    look(scan)
    assert scan.pid is not None
    os.kill(scan.pid, signal.SIGKILL)
    shutil.rmtree(runs_dir / "number-03")
    found, gone = look(scan)
    assert gone == {"number-03"}
    assert len(found) == MANY - 1
    assert not beside(scan)
    assert look(scan) == ({}, set())


@pytest.mark.parametrize("program", [None, "exit 0", "echo '{}'", "echo []", "echo '{'", "echo '{\"entries\": [1]}'"])
def test_where_it_cannot_be_had_or_talks_nonsense_all_is_read_without_it(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    python = runs_dir.parent / "python"
    if program is not None:
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    scan = HistoryScan(runs_dir)
    assert len(look(scan)[0]) == MANY
    assert not beside(scan)


def test_it_ends_when_it_is_let_go(runs_dir: Path) -> None:
    scan = HistoryScan(runs_dir)
    look(scan)
    child = psutil.Process(scan.pid)
    scan.stop()
    assert list(scan.look(on)) == []
    scan.close()
    assert not child.is_running()


def test_one_that_is_frozen_is_killed(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_process, "_GRACE_SECONDS", 0.01)
    scan = HistoryScan(runs_dir)
    look(scan)
    assert scan.pid is not None
    child = psutil.Process(scan.pid)
    child.suspend()
    scan.close()
    assert not child.is_running()


def test_it_ends_when_who_asked_is_killed(runs_dir: Path) -> None:
    asking = (
        "import sys, time; from pathlib import Path; from tui_attn.history.scan_process import HistoryScan\n"
        "scan = HistoryScan(Path(sys.argv[1])); news = list(scan.look(lambda: True))\n"
        "print(scan.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", asking, str(runs_dir)], stdout=subprocess.PIPE) as asker:
        try:
            assert asker.stdout is not None
            child = int(asker.stdout.readline())
        finally:
            asker.kill()
    eventually(lambda: not lives(child), "its end")


def test_an_early_end_ends_a_look_without_a_process(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_process, "_FEW", MANY)
    left = [True, True, False]
    scan = HistoryScan(runs_dir)
    assert list(scan.look(lambda: left.pop(0))) == []
    assert left == []
    assert len(look(scan)[0]) == MANY


def test_a_folder_that_cannot_be_read_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (news,) = HistoryScan(tmp_path / "file").look(on)
    assert news.complete
    assert "can't read" in news.error


def test_all_rows_are_told_before_the_first_verdict_is_decided(tmp_path: Path) -> None:
    for name in ("a", "b"):
        recorded.scene(tmp_path / "runs", "finished", experiment=name, config=ExperimentConfig(epochs=2, seeds=3))
    told = [
        [(entry.id, entry.best and entry.best.verdict is not None) for entry in news.entries]
        for news in HistoryScan(tmp_path / "runs").look(on)
    ]
    assert told == [[("b", False), ("a", False)], [("b", True), ("a", True)]]


def test_news_survive_a_line(runs_dir: Path) -> None:
    entries = tuple(open_history(runs_dir).look())
    for news in (HistoryUpdate(entries, frozenset({"a", "b"}), True, "é\n"), HistoryUpdate()):
        line = to_line(news)
        assert line.count(b"\n") == 1
        assert from_line(line) == news
