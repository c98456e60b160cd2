"""A terminal that is slow, stalls or goes away: frames are dropped, never queued, and the newest one comes last."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui_attn.system.console import ascii_only
from tui_attn.ui.frames import FrameBuffer
from tui_attn.ui.painter import PaintingApp
from tui_attn.ui.terminal import TerminalDriver, TerminalFile


class FakeTerminal:
    """A terminal whose pace the test sets."""

    def __init__(self) -> None:
        self.backlog = False
        self.write_seconds = 0.0
        self.idle_seconds = 1000.0


class FakeDriver(TerminalDriver):
    """Keeps what is written."""

    def __init__(self) -> None:
        self.terminal: Any = FakeTerminal()
        self.written: list[str] = []

    def write(self, data: str) -> None:
        self.written.append(data)

    def flush(self) -> None:
        pass


class Painter(PaintingApp):
    """An app of which only the painting runs; its timers are fired by the test."""

    def __init__(self) -> None:
        super().__init__(ascii_only=False)
        self.driver = FakeDriver()
        self._driver = self.driver
        self._running = True
        self.frames = FrameBuffer(ColorSystem.TRUECOLOR)
        self.timers: list[tuple[float, Any]] = []
        self.paces: list[bool] = []

    def set_timer(self, delay: float, callback: Any = None, **options: Any) -> Any:
        entry = (delay, callback)
        self.timers.append(entry)
        return SimpleNamespace(stop=lambda: self.timers.remove(entry))

    def pace_changed(self, slow: bool) -> None:
        self.paces.append(slow)

    def show(self, text: str) -> None:
        """Let the screen show `text`."""
        update = LayoutUpdate([[Strip([Segment(text)]).adjust_cell_length(20)]], Region(0, 0, 20, 1))
        screen: Any = None
        self._display(screen, update)

    def fire(self) -> float:
        """Let the next timer fire; its delay."""
        delay, callback = self.timers.pop(0)
        callback()
        return delay


def test_a_terminal_that_keeps_up_gets_every_frame() -> None:
    app = Painter()
    for text in ("one", "two", "three"):
        app.show(text)
    assert len(app.driver.written) == 3
    assert app.timers == []


def test_while_the_terminal_is_behind_nothing_is_written_and_then_only_the_newest() -> None:
    app = Painter()
    app.show("first")
    app.driver.terminal.backlog = True
    for index in range(100):
        app.show(f"frame {index}")
    assert len(app.driver.written) == 1
    assert len(app.timers) == 1, "one timer, however many frames"
    app.fire()
    assert len(app.driver.written) == 1
    app.driver.terminal.backlog = False
    app.fire()
    assert len(app.driver.written) == 2
    assert "rame 99" in app.driver.written[1]
    assert "frame 50" not in "".join(app.driver.written)


def test_a_slow_terminal_gets_fewer_frames_and_is_told() -> None:
    app = Painter()
    app.driver.terminal.write_seconds = 0.25
    app.driver.terminal.idle_seconds = 0.0
    app.show("slow")
    assert app.driver.written == []
    assert app.frame_seconds == 1.0
    assert app.paces == [True]
    app.driver.terminal.idle_seconds = 1.1
    assert app.fire() == 1.0
    assert len(app.driver.written) == 1
    app.driver.terminal.write_seconds = 0.001
    app.show("fast again")
    assert app.frame_seconds == 0.0
    assert app.paces == [True, False]


def test_a_terminal_that_was_slow_once_is_not_called_slow_for_ever() -> None:
    app = Painter()
    app.driver.terminal.write_seconds = 0.25
    app.show("slow")
    assert app.paces == [True]
    app.driver.terminal.backlog = True
    app.fire()
    assert app.paces == [True], "it has not taken all yet"
    app.driver.terminal.backlog = False
    app.fire()
    assert app.paces == [True, False], "however long its last write took"
    assert app.timers == []
    app.show("the word is gone")
    assert app.paces == [True, False]


def test_a_slow_terminal_is_not_looked_at_while_a_frame_waits_for_it() -> None:
    app = Painter()
    app.driver.terminal.write_seconds = 0.25
    app.show("slow")
    app.driver.terminal.idle_seconds = 0.0
    app.show("the next")
    (_, look), (wait, _) = app.timers
    assert wait == 1.0
    app.timers.pop(0)
    look()
    assert app.paces == [True]
    assert len(app.timers) == 2, "it is looked at later"


def test_a_slow_terminal_is_looked_at_once_however_many_frames_it_gets() -> None:
    app = Painter()
    for text in ("one", "two", "three"):
        app.driver.terminal.write_seconds = 0.25
        app.show(text)
    assert len(app.driver.written) == 3
    assert len(app.timers) == 1


def test_the_pace_has_a_floor() -> None:
    app = Painter()
    app.driver.terminal.write_seconds = 100.0
    app.driver.terminal.idle_seconds = 0.0
    app.show("very slow")
    assert app.frame_seconds == 2.0


def test_a_frame_without_a_difference_is_not_written() -> None:
    app = Painter()
    app.show("same")
    app.show("same")
    assert len(app.driver.written) == 1


def test_frames_are_atomic_where_the_terminal_can() -> None:
    app = Painter()
    app._sync_available = True
    app.show("one")
    assert app.driver.written[0].startswith("\x1b[?2026h")
    assert app.driver.written[0].endswith("\x1b[?2026l")


def test_the_terminal_file_knows_what_is_unsent() -> None:
    reading, writing = os.pipe()
    file = TerminalFile(writing)
    room = 1 << 20  # at least what a pipe holds
    text = "x" * (4 * room)
    file.give()
    assert file.backlog
    file.write(text)
    writer = threading.Thread(target=file.flush)
    writer.start()
    taken = 0
    while taken < len(text):
        # What the pipe still holds is sent, so the writer may be done before the last bytes are read.
        if len(text) - taken > room:
            assert file.backlog
        taken += len(os.read(reading, 1 << 16))
    writer.join(240)
    assert bool(file.backlog) is False
    os.close(reading)
    os.close(writing)


def test_writing_to_a_terminal_that_is_gone_ends_the_process() -> None:
    code = """
import os
from tui_attn.ui.terminal import TerminalFile
reading, writing = os.pipe()
os.close(reading)
file = TerminalFile(writing)
file.write("x")
file.flush()
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=240, check=False)
    assert done.returncode == 129
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("environment", "ascii"),
    [
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "de_DE.utf8"}, False),
        ({"LANG": "de_DE"}, True),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": ""}, False),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "vt220"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, False),
    ],
)
def test_locale_and_terminal_say_whether_there_is_unicode(environment: dict[str, str], ascii: bool) -> None:
    assert ascii_only(environment) is ascii
