"""RGB colours found by asking the terminal, whose reply is never taken for keys."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual import events
from textual.message import Message

from tests.ui.harness import DEADLINE, staged
from tests.ui.terminal import Terminal, opened
from tui_attn.ui.terminal import may_ask, tells_rgb
from tui_attn.ui.textual_private import OutputDriver, ReplyParser, TerminalReplied

ASKED = b"\x1bP$qm\x1b\\"
REPLY = "\x1bP1$r0;48:2::1:2:3m\x1b\\"
UNKNOWN = {"COLORTERM": "", "TERM_PROGRAM": ""}
"""A terminal that may show RGB colours and doesn't say so."""


class Driver:
    """What the parser knows of its driver."""

    awaits_reply = True


def parsed(pieces: Sequence[str], *, awaits: bool = True) -> list[Message]:
    """What comes of input that is read in these pieces, and then of none for a while."""
    driver: OutputDriver = Driver()  # type: ignore[assignment]
    driver.awaits_reply = awaits
    parser = ReplyParser(driver)
    found: list[Message] = []
    for piece in pieces:
        found += parser.feed(piece)
    end = time.monotonic() + DEADLINE
    while not any(isinstance(message, events.Key) and message.key == "x" for message in found):
        assert time.monotonic() < end
        found += parser.tick()
        if not parser._held and parser._timeout_time is None:
            found += parser.feed("x")
    return found[:-1]


def keys(found: Sequence[Message]) -> list[str]:
    return [message.key for message in found if isinstance(message, events.Key)]


@pytest.mark.parametrize("at", range(1, len(REPLY)))
def test_a_reply_in_two_pieces_is_no_key(at: int) -> None:
    found = parsed(["j" + REPLY[:at], REPLY[at:] + "k"])
    assert keys(found) == ["j", "k"]
    assert [message.reply for message in found if isinstance(message, TerminalReplied)] == ["0;48:2::1:2:3m"]


def test_a_reply_in_single_characters_among_keys_is_no_key() -> None:
    assert keys(parsed(["j", *REPLY, "k"])) == ["j", "k"]


@pytest.mark.parametrize("at", range(4, len(REPLY)))
def test_a_late_reply_is_no_key_either(at: int) -> None:
    assert keys(parsed([REPLY[:at], REPLY[at:]], awaits=False)) == []


def test_a_reply_that_breaks_off_takes_no_keys_with_it_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplyParser, "BROKEN_SECONDS", 0.0)
    driver: OutputDriver = Driver()  # type: ignore[assignment]
    parser = ReplyParser(driver)
    assert [*parser.feed(REPLY[:9]), *parser.tick()] == []
    assert keys([*parser.feed("j")]) == ["j"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["\x1b"], ["escape"]),
        (["\x1b", "j"], ["alt+j"]),
        (["\x1bP"], ["alt+shift+p"]),
        (["\x1b[A"], ["up"]),
        (["\x1bO", "P"], ["f1"]),
        (["1$r"], ["1", "dollar_sign", "r"]),
    ],
)
@pytest.mark.parametrize("awaits", [True, False])
def test_keys_stay_keys_while_a_reply_is_expected(typed: list[str], expected: list[str], awaits: bool) -> None:
    assert keys(parsed(typed, awaits=awaits)) == expected


@pytest.mark.parametrize(
    ("reply", "rgb"),
    [
        ("0;48:2::1:2:3m", True),
        ("48:2:1:2:3m", True),
        ("48;2;1;2;3m", True),
        ("0;48:2:1:1:2:3m", True),
        ("0;48;5;16m", False),
        ("0m", False),
        ("48:2::1:2:30m", False),
        ("", False),
    ],
)
def test_replies(reply: str, rgb: bool) -> None:
    assert tells_rgb(reply) is rgb


def test_terminals_between_are_not_asked() -> None:
    assert may_ask({"TERM": "xterm-256color"})
    for environment in ({"TERM": "screen-256color"}, {"TERM": "tmux-256color"}, {"TERM": "x", "STY": "1.pts"}):
        assert not may_ask(environment)
    assert not may_ask({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"})


def asked(terminal: Terminal) -> None:
    """Wait for the question."""
    end = time.monotonic() + DEADLINE
    while ASKED not in terminal.raw:
        assert time.monotonic() < end
        terminal.read(1.0)


def test_a_terminal_that_answers_gets_rgb_colours(tmp_path: Path) -> None:
    with staged(tmp_path, "finished") as folder, opened(folder, environment=UNKNOWN) as terminal:
        asked(terminal)
        terminal.until("? help")
        assert terminal.raw.find(ASKED) < terminal.raw.find(b"fashion-mnist"), "before the first frame"
        assert b"38;2;" not in terminal.raw
        terminal.press(REPLY[:5])
        terminal.press(REPLY[5:])
        end = time.monotonic() + DEADLINE
        while b"38;2;" not in terminal.raw:
            assert time.monotonic() < end
            terminal.read(1.0)
        assert "nothing to do" not in terminal.text()


def test_a_terminal_that_does_not_answer_keeps_256_colours(tmp_path: Path) -> None:
    with staged(tmp_path, "finished") as folder, opened(folder, environment=UNKNOWN) as terminal:
        asked(terminal)
        terminal.until("? help")
        terminal.press("q")
        assert terminal.wait() == 0
        assert b"38;5;" in terminal.raw
        assert b"38;2;" not in terminal.raw


def test_bytes_of_a_late_reply_are_no_keys(tmp_path: Path) -> None:
    """The first reply ends the waiting; those after it come when nothing is expected any more, whole and in pieces."""
    with staged(tmp_path, "finished") as folder, opened(folder, environment=UNKNOWN) as terminal:
        asked(terminal)
        terminal.until("? help")
        for late in ([REPLY], [REPLY], [REPLY[:4], REPLY[4:9], REPLY[9:]]):
            for piece in late:
                terminal.press(piece)
                terminal.settle()
            assert "nothing to do" not in terminal.text()
            assert "base-s0" in terminal.text()
        terminal.press("?")
        terminal.until("type a word to find a key")
        for letters in ("P1$r", "48:2", ":3m"):
            assert letters not in terminal.text()
        terminal.press("\x1b")
        terminal.until(lambda text: "type a word to find a key" not in text)
        terminal.press("q")
        assert terminal.wait() == 0
