"""Signs of life: how old the last one is, whatever clocks are set to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.clocks import Clock
from tui_attn.system import liveness
from tui_attn.system.liveness import Heartbeat


def test_a_files_time_stamp_is_a_sign_of_life_that_no_clock_makes_negative(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    assert liveness.age(path) is None
    path.touch()
    os.utime(path, (1000.0, 1000.0))
    assert liveness.age(path, now=1012.5) == 12.5
    assert liveness.age(path, now=900.0) == 0.0


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\x00 1", b"another-boot 5.0", b"x nan", b"x 1e999"])
def test_without_a_sign_of_this_boot_the_time_stamp_counts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "heartbeat"
    boot = liveness.boot_id().encode()
    for text in (content, content.replace(b"x ", boot + b" ")):
        path.write_bytes(text)
        os.utime(path, (1000.0, 1000.0))
        assert liveness.age(path, now=1010.0) == 10.0


@pytest.mark.skipif(not liveness.boot_id(), reason="this system does not tell one boot from another")
def test_a_sign_of_this_boot_is_not_misled_by_a_clock_that_is_set(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    clock = Clock(50.0)
    beats = Heartbeat(path, clock=clock)
    assert beats.beat()
    for stamp in (0.0, 4e9):
        os.utime(path, (stamp, stamp))
        age = liveness.age(path, now=2e9)
        assert age is not None
        assert age < 1e6
    assert len(path.read_bytes()) == len(path.read_bytes().strip()) + 1
    beats.close()
    beats.close()


def test_a_heart_beats_once_a_second_at_most(tmp_path: Path) -> None:
    clock = Clock(50.0)
    beats = Heartbeat(tmp_path / "heartbeat", clock=clock)
    found = []
    for now in (50.0, 50.5, 50.99, 51.0, 51.5, 53.0, 53.1):
        clock.now = now
        found.append(beats.beat())
    assert found == [True, False, False, True, False, True, False]
    beats.close()


def test_a_heartbeat_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    beats = Heartbeat(tmp_path / "nowhere" / "heartbeat", clock=Clock(1.0))
    assert beats.beat()
    beats.close()
    (tmp_path / "folder").mkdir()
    Heartbeat(tmp_path / "folder", clock=Clock(1.0)).beat()


def test_another_hosts_heart_is_as_old_as_its_last_change_by_this_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However wrong the clock over there is, and however wrong this one."""
    heart = tmp_path / "heartbeat"
    heart.write_text("another-boot 00000000000012.345\n")
    os.utime(heart, (4e9, 4e9))
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert liveness.age(heart) == 0
    now[0] += 50
    assert liveness.age(heart) == 50
    os.utime(heart, (4e9 + 1, 4e9 + 1))
    assert liveness.age(heart) == 0
    now[0] += 7
    assert liveness.age(heart) == 7


def test_at_the_first_look_the_file_systems_clock_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heart = tmp_path / "heartbeat"
    heart.write_text("another-boot 00000000000012.345\n")
    there = heart.stat().st_mtime
    os.utime(heart, (there - 100, there - 100))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert liveness.age(heart) == pytest.approx(100, abs=60)
    assert [path.name for path in tmp_path.iterdir()] == ["heartbeat"]
